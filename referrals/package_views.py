"""Handing out what was sealed. Every download is recorded before its first byte leaves."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.core.files import File
from django.core.files.storage import storages
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import person_of, requires
from accounts.permissions import Permission
from core.errors import Refused
from referrals import access, actions
from referrals.forms import ReasonForm
from referrals.models import PackageDownload
from referrals.package import IssuedPackage
from referrals.package import registry as registry_of
from referrals.standing import fallen_one

CHUNK = 1 << 18


def _attachment(response: HttpResponse | StreamingHttpResponse, name: str) -> None:
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"


@requires(Permission.REFERRALS_EXPORT, recent_login=True)
@require_http_methods(["GET", "HEAD", "POST"])
def download(request: HttpRequest, referral_id: uuid.UUID) -> HttpResponseBase:
    """Stream the sealed package. It is encrypted; only the agency and the escrow key open it.

    When the decision behind it was overturned, it says so and asks why it is fetched all the same.
    """
    package = access.get_package_for(person_of(request), referral_id)
    reason = ""
    if (overturned := fallen_one(package.referral)) is not None:
        form = ReasonForm(
            request.POST if request.method == "POST" else None,
            what="Why you fetch it all the same",
        )
        if not form.is_valid():
            return render(
                request,
                "referrals/fetch_overturned.html",
                {"referral": package.referral, "overturned": overturned, "form": form},
                status=422 if request.method == "POST" else 409,
            )
        reason = str(form.cleaned_data["reason"])
    try:
        stream = storages["packages"].open(package.storage_name, "rb")
    except OSError:
        raise _unreadable() from None
    if stream.size != package.size:
        stream.close()
        raise _unreadable()
    record = actions.record_download(package, actor=person_of(request), reason=reason)
    response = StreamingHttpResponse(
        _stream(stream, record, package.size), content_type="application/octet-stream"
    )
    response["Content-Length"] = str(package.size)
    _attachment(response, package.file_name)
    return response


def _unreadable() -> Refused:
    return Refused(
        "The package file in the store is missing or not as it was sealed. Tell an administrator; "
        "nothing is lost as long as the originals are in the vault.",
        code="package_unreadable",
        status=503,
    )


def _stream(stream: File[bytes], record: PackageDownload, size: int) -> Iterator[bytes]:
    sent = 0
    with stream:
        while chunk := stream.read(CHUNK):
            sent += len(chunk)
            if sent >= size:
                # Before the last chunk: a client that has all its bytes may close at once.
                actions.complete_download(record)
            yield chunk


@requires(Permission.REFERRALS_EXPORT)
@require_safe
def checksum(request: HttpRequest, referral_id: uuid.UUID) -> HttpResponse:
    """The line that ``sha256sum -c`` reads."""
    package = access.get_package_for(person_of(request), referral_id)
    actions.record_checksum_download(package, actor=person_of(request))
    response = HttpResponse(
        f"{package.sha256}  {package.file_name}\n", content_type="text/plain; charset=utf-8"
    )
    _attachment(response, f"{package.file_name}.sha256")
    return response


@requires(Permission.REFERRALS_VIEW)
@require_safe
def allowed_signers(request: HttpRequest) -> HttpResponse:
    """The public list of signing keys. It must not reach an agency only together with a package."""
    try:
        text = Path(settings.HOLDFAST_ALLOWED_SIGNERS_FILE).read_text()
    except OSError:
        raise Http404("No list of signing keys has been made yet.") from None
    response = HttpResponse(text, content_type="text/plain; charset=utf-8")
    _attachment(response, "allowed_signers")
    return response


@requires(Permission.REFERRALS_EXPORT)
@require_safe
def registry(request: HttpRequest) -> HttpResponse:
    """The list of packages issued, so that a verifier notices an old revision."""
    issued = [
        IssuedPackage(
            package_id=package.file_name.removesuffix(".tar.age"),
            tagmanifest_sha512=package.tagmanifest_sha512,
            issued_at=package.built_at,
        )
        for package in access.issued_packages(person_of(request))
    ]
    actions.record_registry_download(packages=len(issued), actor=person_of(request))
    data = registry_of(
        issued, organisation=settings.HOLDFAST_ORGANISATION, issued_at=timezone.now()
    )
    response = HttpResponse(data, content_type="application/json")
    _attachment(response, "registry.json")
    return response
