"""Media sent ahead of the report that refers to it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models.functions import Now

from accounts.guards import require
from accounts.permissions import Permission
from core import audit, vault
from core.audit import Actor, AuditEvent
from core.errors import Invalid
from core.media_types import HEAD_BYTES, kind_of
from core.models import Blob
from reports.actions.chains import intake_chain
from reports.models import ItemKind, Source, Upload

if TYPE_CHECKING:
    from accounts.models import User

UPLOAD_LIFE = timedelta(hours=24)


def create_upload(
    source: Source,
    blob: Blob,
    *,
    name: str = "",
    field: str = "file",
    uploaded_by: User | None = None,
    actor: Actor | audit.Person,
) -> Upload:
    """Note media that a report may refer to during the next 24 hours.

    Any bytes are accepted, broken ones too: they are flagged *could not scan* later, which shows them to
    a person. Their kind is what their first bytes say, not what their sender calls them. Raises Invalid at
    ``field`` for an empty file, which can never be evidence.
    """
    require(actor, Permission.REPORTS_CREATE)
    if blob.size == 0:
        raise Invalid({field: ["The file is empty (0 bytes). Send it again."]})
    with vault.open(blob) as file:  # Outside the transaction: storage may be slow.
        kind = ItemKind(kind_of(file.read(HEAD_BYTES)))
    with transaction.atomic():
        vault.hold(blob)
        upload = Upload.objects.create(
            source=source,
            blob=blob,
            kind=kind,
            original_name=clean_name(name),
            uploaded_by=uploaded_by,
            expires_at=Now() + UPLOAD_LIFE,
        )
        upload.refresh_from_db(fields=["expires_at"])  # The database's clock wrote it.
        audit.record(
            AuditEvent.MEDIA_RECEIVED,
            actor=actor,
            subject=upload,
            chain=intake_chain(source),
            source=source.pk,
            blob=blob.pk,
            sha256=blob.sha256,
            size=blob.size,
        )
    return upload


def clean_name(name: str) -> str:
    """Return a sender's file name without what the database cannot hold, at most 400 characters."""
    return name.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()[:400]


def expire_uploads(*, limit: int = 500) -> int:
    """Forget uploads whose time is over and that nobody uses at this moment; return how many.

    Their bytes are destroyed by the vault's own sweep when nothing else refers to them.
    """
    with transaction.atomic():
        over = (
            Upload.objects.select_for_update(skip_locked=True)
            .filter(expires_at__lt=Now())
            .order_by("expires_at")
            .values_list("pk", flat=True)[:limit]
        )
        return Upload.objects.filter(pk__in=list(over)).delete()[0]
