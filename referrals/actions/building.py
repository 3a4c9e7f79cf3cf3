"""What the builder records: it started, it lives, it failed, it sealed; and who fetched the result."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Greatest, Now

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit_events import AuditEvent
from core.audit_rows import digest
from core.errors import Invalid, Refused
from referrals.actions.drafting import REASON_MINIMUM
from referrals.audit_rows import facts_of_package
from referrals.models import OverturnNotice, Package, PackageDownload, Referral, ReferralState
from referrals.standing import Fallen, fallen_one

STALE = timedelta(seconds=45)
"""Without a sign of life for this long, a build is taken to be dead and may start again."""


MOST_ATTEMPTS = 5
"""Builds that died without a word, after which a person is asked instead of trying for ever."""


class BuildSuperseded(Exception):
    """Another build of the same referral took over; this one must stop and throw its file away."""


@transaction.atomic
def start_build(referral_id: uuid.UUID) -> Referral | None:
    """Take the build of an approved referral, or of one whose builder died.

    Returns None when there is nothing to do: sealed already, or somebody else is alive at it.
    """
    referral = (
        Referral.objects.select_for_update(of=("self",), skip_locked=True)
        .select_related("case", "recipient")
        .filter(pk=referral_id)
        .filter(
            Q(state=ReferralState.APPROVED)
            | Q(state=ReferralState.BUILDING, build_beat_at__lt=Now() - STALE)
        )
        .first()
    )
    if referral is None:
        return None
    if referral.build_attempts >= MOST_ATTEMPTS:
        _fail(
            referral,
            f"The build stopped {MOST_ATTEMPTS} times without saying why. Look at the package "
            "worker's log and at its memory and disk, then build again.",
        )
        return None
    referral.state = ReferralState.BUILDING
    referral.build_token = uuid.uuid4()
    referral.build_attempts += 1
    referral.build_progress = 0
    referral.build_waits_for = ""
    referral.build_beat_at = Now()
    if referral.bagged_at is None:
        referral.bagged_at = Now()
    referral.save()
    audit.record(
        AuditEvent.PACKAGE_BUILD_STARTED,
        actor=None,
        subject=referral,
        case=referral.case,
        referral=str(referral),
        attempt=referral.build_attempts,
    )
    referral.refresh_from_db()
    return referral


def beat(referral: Referral, *, percent: int) -> None:
    """Record that the build lives and how far it is. Raises BuildSuperseded when it lost its place."""
    changed = Referral.objects.filter(
        pk=referral.pk, state=ReferralState.BUILDING, build_token=referral.build_token
    ).update(build_beat_at=Now(), build_progress=max(0, min(percent, 99)))
    if not changed:
        raise BuildSuperseded


def note_waiting(referral_id: uuid.UUID, *, reason: str) -> None:
    """Record why a build cannot begin just now, for its page. Ends by itself when it begins. Safe to repeat."""
    Referral.objects.filter(
        pk=referral_id, state__in=[ReferralState.APPROVED, ReferralState.BUILDING]
    ).exclude(build_waits_for=reason[:200]).update(build_waits_for=reason[:200])


def put_back_build(referral: Referral, *, reason: str) -> None:
    """Record that a build stopped for a reason outside of it: the attempt does not count, and it is tried again.

    Safe to repeat; does nothing when another build took over. Ends by itself with the next build.
    """
    Referral.objects.filter(
        pk=referral.pk, state=ReferralState.BUILDING, build_token=referral.build_token
    ).update(
        build_token=None,
        build_beat_at=Now(),
        build_progress=0,
        build_attempts=Greatest(F("build_attempts") - 1, 0),
        build_waits_for=reason[:200],
    )


@transaction.atomic
def fail_build(referral: Referral, *, sentence: str) -> None:
    """Record that the build stopped and why, in words without content. A person decides what next."""
    locked = Referral.objects.select_for_update().get(pk=referral.pk)
    if locked.state != ReferralState.BUILDING or locked.build_token != referral.build_token:
        return
    _fail(locked, sentence)


def _fail(referral: Referral, sentence: str) -> None:
    referral.state = ReferralState.BUILD_FAILED
    referral.build_error = sentence
    referral.build_waits_for = ""
    referral.build_token = referral.build_beat_at = None
    referral.version += 1
    referral.save()
    audit.record(
        AuditEvent.PACKAGE_BUILD_FAILED,
        actor=None,
        subject=referral,
        case=referral.case,
        reason=sentence,
    )


@transaction.atomic
def record_built(
    referral: Referral,
    *,
    file_name: str,
    storage_name: str,
    sha256: str,
    size: int,
    tar_sha256: str,
    tagmanifest_sha512: str,
    signer: str,
    exhibit_count: int,
    custody_head: str,
) -> Package:
    """Record the sealed package. Cannot be undone: a correction is a new revision.

    Raises BuildSuperseded when another build took over, so that exactly one package exists.
    """
    locked = Referral.objects.select_for_update().get(pk=referral.pk)
    if locked.state != ReferralState.BUILDING or locked.build_token != referral.build_token:
        raise BuildSuperseded
    package = Package.objects.create(
        referral=locked,
        file_name=file_name,
        storage_name=storage_name,
        sha256=sha256,
        size=size,
        tar_sha256=tar_sha256,
        tagmanifest_sha512=tagmanifest_sha512,
        signer=signer,
        exhibit_count=exhibit_count,
        custody_head=custody_head,
    )
    locked.state = ReferralState.SEALED
    locked.build_token = locked.build_beat_at = None
    locked.build_progress = 100
    locked.build_waits_for = ""
    locked.version += 1
    locked.save()
    audit.record(
        AuditEvent.PACKAGE_SEALED,
        actor=None,
        subject=package,
        case=locked.case,
        **facts_of_package(package),
    )
    return package


@transaction.atomic
def record_download(package: Package, *, actor: User, reason: str = "") -> PackageDownload:
    """Record who fetches a package before its first byte leaves. Cannot be undone.

    Raises Invalid without a ``reason`` of ten characters when its decision was overturned.
    """
    require(actor, Permission.REFERRALS_EXPORT)
    overturned = fallen_one(package.referral)
    reason = reason.strip() if overturned is not None else ""
    if overturned is not None and len(reason) < REASON_MINIMUM:
        raise Invalid({"reason": ["Say why it is fetched although its decision was overturned."]})
    download = PackageDownload.objects.create(package=package, user=actor, reason=reason)
    _record_download(package, actor, "package", overturned)
    return download


@transaction.atomic
def note_overturn(referral: Referral, *, words: str, actor: User) -> OverturnNotice:
    """Note what was done after the decision behind a sealed package was overturned. Noted twice, the first stays.

    Whom one told, how and when; or that the package never left. Cannot be undone. Raises Invalid without words, Refused
    when the decision stands or nothing was sealed.
    """
    require(actor, Permission.REFERRALS_DRAFT)
    referral = Referral.objects.select_for_update(of=("self",)).get(pk=referral.pk)
    overturned = fallen_one(referral)
    if overturned is None or referral.state != ReferralState.SEALED:
        raise Refused("There is nothing to note: the decision stands.", code="not_overturned")
    if len(words.strip()) < REASON_MINIMUM:
        raise Invalid({"reason": ["Say in a sentence whom you told, how and when."]})
    if overturned.notice is not None:
        return overturned.notice
    notice = OverturnNotice.objects.create(
        referral=referral, overturn=overturned.overturn, words=words.strip(), told_by=actor
    )
    audit.record(
        AuditEvent.OVERTURN_NOTED,
        actor=actor,
        subject=referral,
        case=referral.case,
        referral=str(referral),
        overturn=overturned.overturn.pk,
        # The words are the staff's own; the log goes along in packages.
        words_digest=digest({"notice": notice.pk, "words": notice.words}),
    )
    notice.refresh_from_db()
    return notice


@transaction.atomic
def record_checksum_download(package: Package, *, actor: User) -> None:
    """Record who fetches a package's checksum. Cannot be undone."""
    require(actor, Permission.REFERRALS_EXPORT)
    _record_download(package, actor, "checksum", fallen_one(package.referral))


def _record_download(package: Package, actor: User, what: str, overturned: Fallen | None) -> None:
    behind: dict[str, Any] = {}
    if overturned is not None:
        behind["overturned"] = overturned.overturn.pk
    audit.record(
        AuditEvent.PACKAGE_DOWNLOADED,
        actor=actor,
        subject=package,
        case=package.referral.case,
        package=package.file_name,
        what=what,
        **behind,
    )


@transaction.atomic
def record_registry_download(*, packages: int, actor: User) -> None:
    """Record who fetches the list of issued packages, which spans all cases. Cannot be undone."""
    require(actor, Permission.REFERRALS_EXPORT)
    audit.record(AuditEvent.REGISTRY_DOWNLOADED, actor=actor, packages=packages)


def complete_download(download: PackageDownload) -> None:
    """Mark that the last byte was handed to the connection."""
    PackageDownload.objects.filter(pk=download.pk).update(is_complete=True)


def builds_to_do() -> QuerySet[Referral]:
    """Return referrals that wait for a builder or whose builder died."""
    return Referral.objects.filter(
        Q(state=ReferralState.APPROVED)
        | Q(state=ReferralState.BUILDING, build_beat_at__lt=Now() - STALE)
    )


def waiting_builds() -> list[uuid.UUID]:
    """Return the hundred that wait longest for a builder."""
    return list(
        builds_to_do()
        .order_by(F("approved_at").asc(nulls_first=True))
        .values_list("pk", flat=True)[:100]
    )
