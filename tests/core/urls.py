"""Addresses that exist only for the core's tests."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from ninja import File, NinjaAPI, Schema, UploadedFile
from ninja.security import HttpBearer

from core.errors import Invalid, Refused, VaultDamage, install_problem_handlers
from core.views import health


def take_files(request: HttpRequest) -> JsonResponse:
    """Answer with what arrived."""
    found = [
        {
            "name": upload.name,
            "size": upload.size,
            "blob": str(upload.blob.pk),  # type: ignore[attr-defined]
            "type": upload.media_type,  # type: ignore[attr-defined]
            "class": type(upload).__name__,
        }
        for upload in request.FILES.getlist("files")
    ]
    return JsonResponse({"files": found, "note": request.POST.get("note", "")})


@login_not_required
def open_form(request: HttpRequest) -> HttpResponse:
    """A public form, like sign-in."""
    return HttpResponse(request.POST.get("note", ""))


RAISED: dict[str, Any] = {
    "refused": Refused("Somebody else holds this case.", code="claimed"),
    "invalid": Invalid({"reason": ["Give a reason."]}),
    "damage": VaultDamage("0000", "chunk 1 does not authenticate"),
    "database": OperationalError("connection failed: secret-host"),
    "stranger": RuntimeError("content of evidence"),
}


@login_not_required
def raises(request: HttpRequest, kind: str) -> HttpResponse:
    """Raise one of our exceptions."""
    raise RAISED[kind]


class Key(HttpBearer):
    """One good key."""

    def authenticate(self, request: HttpRequest, token: str) -> str | None:
        return "source" if token == "good" else None


class Body(Schema):
    """A body with one number."""

    number: int


api = NinjaAPI(urls_namespace="core-tests", auth=Key())
install_problem_handlers(api)


@api.post("media")
def media(request: HttpRequest, file: File[UploadedFile]) -> dict[str, Any]:
    """Take one file."""
    return {"blob": str(file.blob.pk), "size": file.size}  # type: ignore[attr-defined]


@api.post("number")
def number(request: HttpRequest, body: Body) -> dict[str, Any]:
    """Take a number."""
    return {"number": body.number}


@api.get("raise/{kind}")
def api_raises(request: HttpRequest, kind: str) -> None:
    """Raise one of our exceptions."""
    raise RAISED[kind]


machine = api.urls  # Made anew at each look.
for pattern in machine[0]:
    pattern.callback.login_required = False  # The key decides, as in the real API.

urlpatterns = [
    path("healthz", health, name="health"),
    path("take", take_files),
    path("open", open_form),
    path("raise/<kind>", raises),
    path("api/v1/", machine),
]
handler400 = "core.views.bad_request"
handler403 = "core.views.forbidden"
handler404 = "core.views.not_found"
handler500 = "core.views.server_error"
