"""Receiving an original: encrypted as the bytes arrive, digests computed on the way, stored once."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import tempfile
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, Storage, storages
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from core import audit, crypto, disk
from core.audit_events import AuditEvent
from core.models import Blob
from core.vault import cipher

# Ciphertext up to this size waits in memory, more in an unlinked temporary file: it has no name, and a
# killed process leaves nothing behind.
_IN_MEMORY = 1024 * 1024


def vault_storage() -> Storage:
    """Return the storage that holds the encrypted files."""
    return storages["vault"]


def key_context(cipher_id: uuid.UUID, sha256: str, size: int) -> str:
    """Return what a data key is bound to: this encryption of exactly this content."""
    return f"vault:{cipher_id}:{sha256}:{size}"


class Receiving:
    """One original on its way in. ``write`` bytes, then ``keep`` it or ``discard`` it.

    Holds at most one chunk of plaintext, in memory. Not for use by several threads.
    """

    def __init__(self) -> None:
        crypto.key_ring()  # Without a key ring nothing is received: say so before the first byte.
        disk.check_room("vault", disk.ORIGINALS)
        self.size = 0
        self._cipher_id = uuid.uuid4()
        self._key = secrets.token_bytes(cipher.KEY_BYTES)
        self._sealer = AESGCM(self._key)
        self._buffer = bytearray()
        self._index = 0
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sealed = tempfile.SpooledTemporaryFile(  # noqa: SIM115 — closed by keep or discard
            max_size=_IN_MEMORY, dir=_spool_directory()
        )
        self._sealed.write(cipher.header(self._cipher_id))

    def write(self, data: bytes) -> None:
        """Take the next bytes of the original. Raises DiskFull."""
        self._sha256.update(data)
        self._md5.update(data)
        self.size += len(data)
        self._buffer += data
        # One full chunk stays behind: only the end of the stream tells whether it is the last.
        while len(self._buffer) > cipher.CHUNK:
            self._emit(self._buffer[: cipher.CHUNK], final=False)
            del self._buffer[: cipher.CHUNK]

    def _emit(self, plaintext: bytes | bytearray, *, final: bool) -> None:
        sealed = cipher.seal_chunk(
            self._sealer, self._cipher_id, self._index, bytes(plaintext), final=final
        )
        with disk.holding(disk.ORIGINALS):
            self._sealed.write(sealed)
        self._index += 1

    def discard(self) -> None:
        """Forget everything. Nothing of it remains on disk."""
        self._let_go()
        self._buffer.clear()

    def __del__(self) -> None:
        # A connection that breaks inside a file tells nobody: Django just lets go of the handler.
        if hasattr(self, "_sealed"):
            self.discard()

    def keep(self, *, media_type: str = "") -> Blob:
        """Store the original and return its blob; the same bytes are stored once.

        The file is on disk (fsync) before the row commits, so that a row never promises what is not there.
        Raises DiskFull; nothing remains on disk then.
        """
        try:
            self._emit(self._buffer, final=True)
            self._buffer.clear()
            return self._keep(media_type)
        finally:
            self._let_go()

    def _let_go(self) -> None:
        # Closing writes what is buffered: on a full disk that fails, and nobody wants it any more.
        with contextlib.suppress(OSError):
            self._sealed.close()

    def _keep(self, media_type: str) -> Blob:
        sha256 = self._sha256.hexdigest()
        while True:
            if blob := self._join(sha256):
                return blob
            name = self._store_file()
            try:
                with transaction.atomic():
                    blob = Blob.objects.create(
                        sha256=sha256,
                        md5=self._md5.hexdigest(),
                        size=self.size,
                        # What the sender says it is: nothing goes by it, and the database takes no NUL.
                        media_type=(media_type or "").replace("\x00", "\ufffd")[:100],
                        **self._as_stored(name, sha256),
                    )
                blob.refresh_from_db()
                return blob
            except IntegrityError:
                # Somebody stored the same bytes between our look and our insert: theirs is as good.
                vault_storage().delete(name)
            except BaseException:
                vault_storage().delete(name)
                raise

    def _join(self, sha256: str) -> Blob | None:
        """Return the live blob of these bytes, marked as fresh, or None.

        Marking it fresh under the row's lock is what keeps the sweep of unreferenced blobs away until the
        caller has referred to it.
        """
        healed = ""
        try:
            with transaction.atomic():
                blob = (
                    Blob.objects.select_for_update()
                    .filter(sha256=sha256, destroyed_at__isnull=True)
                    .first()
                )
                if blob is None:
                    return None
                fields: dict[str, Any] = {"staged_at": Now()}
                if not vault_storage().exists(blob.storage_name):
                    # The row promises bytes that are gone, and here they are again: put them back.
                    lost, healed = blob.storage_name, self._store_file()
                    fields |= self._as_stored(healed, sha256)
                    audit.record(
                        AuditEvent.VAULT_BLOB_HEALED, actor=audit.SYSTEM, subject=blob, lost=lost
                    )
                Blob.objects.filter(pk=blob.pk).update(**fields)
        except BaseException:
            if healed:
                vault_storage().delete(healed)
            raise
        blob.refresh_from_db()
        return blob

    def _as_stored(self, name: str, sha256: str) -> dict[str, Any]:
        wrapped = crypto.seal(self._key, key_context(self._cipher_id, sha256, self.size))
        return {
            "storage_name": name,
            "cipher_id": self._cipher_id,
            "wrapped_key": wrapped,
            "key_name": crypto.sealed_with(wrapped),
        }

    def _store_file(self) -> str:
        storage = vault_storage()
        text = self._cipher_id.hex
        # 4096 folders keep each one small up to a hundred million files; the name says nothing about
        # the content.
        with disk.holding(disk.ORIGINALS):
            self._sealed.seek(0)
            return storage.save(f"{text[:3]}/{text}", _Whole(self._sealed))


class _Whole(File):
    """A file-like that storages may read from the start but not close: a retry needs it again."""

    def __init__(self, file: tempfile.SpooledTemporaryFile[bytes]) -> None:
        super().__init__(file, name="original")

    def close(self) -> None:
        """Leave the file open."""


def receive(chunks: Iterable[bytes], *, name: str = "", media_type: str | None = None) -> Blob:
    """Store an original given as pieces of any size; returns its blob. Constant memory.

    ``name`` is the sender's file name: it is not kept here, the row that refers to the blob knows it.
    """
    receiving = Receiving()
    try:
        for piece in chunks:
            receiving.write(piece)
    except BaseException:
        receiving.discard()
        raise
    return receiving.keep(media_type=media_type or "")


def store_bytes(data: bytes, *, name: str = "", media_type: str | None = None) -> Blob:
    """Store bytes that are in memory already; returns their blob."""
    return receive([data], name=name, media_type=media_type)


def _root(storage: Storage) -> Path | None:
    """Return the folder of a storage on this machine's disks; object stores have none."""
    return Path(storage.location) if isinstance(storage, FileSystemStorage) else None


def _spool_directory() -> str | None:
    """Return the vault's own folder, so that large ciphertext does not land in a memory file system."""
    root = _root(vault_storage())
    if root is None:
        return None
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    return str(root)
