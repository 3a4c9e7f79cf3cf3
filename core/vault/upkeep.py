"""Looking after the vault: destroying, rewrapping keys, comparing rows with files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from django.core.files.storage import Storage
from django.db import models, transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.fields.reverse_related import ForeignObjectRel
from django.db.models.functions import Now

from core import audit, crypto
from core.audit_events import AuditEvent
from core.errors import Refused, VaultDamage, describe
from core.models import Blob
from core.vault.reading import verify
from core.vault.receiving import key_context, vault_storage

STAGED_FOR = timedelta(hours=24)


def hold(blob: Blob) -> Blob:
    """Return the blob, fresh and alive, for a row that is about to refer to it.

    Call it in the transaction that writes the reference: it keeps the sweep of unreferenced blobs away
    until then. Raises Refused when the original was destroyed meanwhile.
    """
    # One statement, as every file of every report comes by: lock, look, mark and read.
    found = list(
        Blob.objects.raw(
            "UPDATE core_blob SET staged_at = statement_timestamp()"
            " WHERE id = %s AND destroyed_at IS NULL RETURNING *",
            [blob.pk],
        )
    )
    if not found:
        raise Refused("This file is no longer stored. Send it again.", code="blob_destroyed")
    return found[0]


@transaction.atomic
def destroy(
    blob: Blob,
    *,
    reason: str,
    actor: audit.Actor | audit.Person | None,
    case: models.Model | None = None,
) -> Blob:
    """Destroy an original: the wrapped key is erased first, then the file; the row stays.

    Safe to repeat. Cannot be undone. Copies of the wrapped key live on in database backups until those
    expire; the file itself is gone.
    """
    blob = Blob.objects.select_for_update().get(pk=blob.pk)
    if blob.destroyed_at is not None:
        return blob
    Blob.objects.filter(pk=blob.pk).update(
        wrapped_key=None, destroyed_at=Now(), destroyed_reason=reason[:500]
    )
    audit.record(
        AuditEvent.VAULT_BLOB_DESTROYED,
        actor=actor,
        subject=blob,
        case=case,
        sha256=blob.sha256,
        size=blob.size,
        reason=reason,
    )
    # A process that dies here leaves bytes that nobody can read; the sweep removes them.
    transaction.on_commit(lambda: remove_file(blob))
    blob.refresh_from_db()
    return blob


def remove_file(blob: Blob) -> None:
    """Remove the file of a destroyed blob and note it."""
    vault_storage().delete(blob.storage_name)
    Blob.objects.filter(pk=blob.pk, destroyed_at__isnull=False).update(file_removed_at=Now())


def unreferenced() -> models.QuerySet[Blob]:
    """Return the blobs that no row of any app holds.

    Every foreign key to Blob holds it, also those without a reverse name, except keys that are deleted with
    their blob (CASCADE): a digest describes a blob and does not need it.
    """
    condition: Any = Q()
    for relation in Blob._meta.get_fields(include_hidden=True):  # noqa: SLF001
        if isinstance(relation, ForeignObjectRel) and relation.on_delete is not models.CASCADE:
            holders = cast("Any", relation.related_model)._base_manager  # noqa: SLF001
            condition &= ~Exists(holders.filter(**{relation.field.name: OuterRef("pk")}))
    return Blob.objects.filter(condition)


def sweep_staged(limit: int = 100) -> int:
    """Destroy up to ``limit`` blobs that nobody referred to for a day; return how many.

    Someone may send the same bytes again at this moment: that marks the row as fresh under its lock, so
    age and references are looked at once more after the lock is ours.
    """
    old = unreferenced().filter(destroyed_at__isnull=True, staged_at__lt=Now() - STAGED_FOR)
    swept = 0
    for key in list(old.order_by("staged_at").values_list("pk", flat=True)[:limit]):
        with transaction.atomic():
            locked = Blob.objects.select_for_update(skip_locked=True).filter(pk=key).first()
            if locked is not None and old.filter(pk=key).exists():
                destroy(locked, reason="nothing referred to it for a day", actor=audit.SYSTEM)
                swept += 1
    return swept


def sweep_removed(limit: int = 100) -> int:
    """Remove files whose key was erased but which a crash left behind; return how many."""
    left = Blob.objects.filter(
        destroyed_at__lt=Now() - timedelta(minutes=1), file_removed_at__isnull=True
    )
    found = list(left.order_by("destroyed_at")[:limit])
    for blob in found:
        remove_file(blob)
    return len(found)


def rewrap(*, batch: int = 500, progress: Callable[[int, int], None] | None = None) -> int:
    """Seal every data key anew under the current master key; return how many rows changed.

    Commits batch by batch, so that it can be stopped and run again. Media bytes are not touched.
    ``progress`` gets rows done and rows to do. Raises VaultDamage at a key that cannot be opened.
    """
    current = crypto.key_ring().current
    waiting = Blob.objects.filter(wrapped_key__isnull=False).exclude(key_name=current)
    total = waiting.count()
    done = 0
    while True:
        with transaction.atomic():
            rows = list(waiting.select_for_update().order_by("pk")[:batch])
            for blob in rows:
                context = key_context(blob.cipher_id, blob.sha256, blob.size)
                try:
                    key = crypto.unseal(bytes(blob.wrapped_key or b""), context)
                except crypto.Unsealable as refused:
                    raise VaultDamage(blob, str(refused)) from None
                blob.wrapped_key = crypto.seal(key, context)
                blob.key_name = crypto.sealed_with(blob.wrapped_key)
            Blob.objects.bulk_update(rows, ["wrapped_key", "key_name"])
        done += len(rows)
        if progress is not None:
            progress(done, max(total, done))
        if not rows:
            return done


@dataclass(frozen=True, slots=True)
class Finding:
    """One disagreement between rows and files."""

    kind: str
    blob: str
    file: str
    reason: str


def inspect(
    *, progress: Callable[[int, int], None] | None = None, digests: bool = True
) -> Iterator[Finding]:
    """Yield what is wrong with the vault: damaged originals, rows without files, files without rows.

    Reads every original unless ``digests`` is False. Constant memory. Files younger than a day without a row
    may belong to an upload that is being stored now and are not reported.
    """
    storage = vault_storage()
    rows = Blob.objects.order_by("pk")
    total = rows.count()
    for number, blob in enumerate(rows.iterator(chunk_size=500), start=1):
        if progress is not None:
            progress(number, total)
        yield from _inspect_row(blob, storage, digests=digests)
    yield from _strays(storage)


def _inspect_row(blob: Blob, storage: Storage, *, digests: bool) -> Iterator[Finding]:
    key, name = str(blob.pk), blob.storage_name
    try:
        exists = storage.exists(name)
        if blob.destroyed_at is not None:
            if exists and blob.file_removed_at is not None:
                yield Finding("undead", key, name, "it was destroyed but its file is back")
        elif not exists:
            yield Finding("missing", key, name, "the row has no file")
        elif digests:
            verify(blob)
    except VaultDamage as damage:
        # The row may have been destroyed or healed since it was read.
        fresh = Blob.objects.filter(pk=blob.pk).first()
        if fresh is not None and fresh.destroyed_at is None and fresh.cipher_id == blob.cipher_id:
            yield Finding("damaged", key, name, damage.reason)
    except OSError as failed:
        yield Finding("unreadable", key, name, describe(failed))


def _strays(storage: Storage) -> Iterator[Finding]:
    from django.utils import timezone

    # A file's age is the storage's clock, not the database's; a day of grace covers the difference.
    horizon = timezone.now() - STAGED_FOR
    batch: list[str] = []
    for name in _walk(storage, ""):
        batch.append(name)
        if len(batch) == 500:
            yield from _without_rows(storage, batch, horizon)
            batch = []
    yield from _without_rows(storage, batch, horizon)


def _without_rows(storage: Storage, names: list[str], horizon: datetime) -> Iterator[Finding]:
    known = set(Blob.objects.filter(storage_name__in=names).values_list("storage_name", flat=True))
    for name in names:
        if name not in known:
            try:
                young = storage.get_modified_time(name) > horizon
            except FileNotFoundError:
                continue
            if not young:
                yield Finding("stray", "", name, "the file has no row")


def _walk(storage: Storage, folder: str) -> Iterator[str]:
    try:
        folders, files = storage.listdir(folder)
    except FileNotFoundError:
        return
    for name in sorted(files):
        yield f"{folder}/{name}" if folder else name
    for name in sorted(folders):
        yield from _walk(storage, f"{folder}/{name}" if folder else name)
