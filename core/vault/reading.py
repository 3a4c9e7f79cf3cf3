"""Reading an original back: only the chunks that are needed, each authenticated."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, BinaryIO

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core import crypto
from core.errors import VaultDamage, VaultDestroyed
from core.models import Blob
from core.vault import cipher
from core.vault.receiving import key_context, vault_storage


def _data_key(blob: Blob) -> AESGCM:
    if blob.destroyed_at is not None or blob.wrapped_key is None:
        raise VaultDestroyed(blob, "it was destroyed")
    try:
        key = crypto.unseal(
            bytes(blob.wrapped_key), key_context(blob.cipher_id, blob.sha256, blob.size)
        )
    except crypto.Unsealable as refused:
        raise VaultDamage(blob, str(refused)) from None
    except crypto.KeyRingError as missing:
        raise VaultDamage(blob, str(missing)) from None
    return AESGCM(key)


class _Reader(io.RawIOBase):
    """The plaintext of one blob. Keeps one decrypted chunk."""

    def __init__(self, blob: Blob) -> None:
        super().__init__()
        self._blob = blob
        self._key = _data_key(blob)
        self._last = cipher.chunk_count(blob.size) - 1
        self._position = 0
        self._cached: tuple[int, bytes] = (-1, b"")
        try:
            self._file: IO[Any] = vault_storage().open(blob.storage_name, "rb")
        except FileNotFoundError:
            raise VaultDamage(blob, "its file is missing") from None
        head = _read_fully(self._file, cipher.HEADER)
        if head != cipher.header(blob.cipher_id):
            self.close()
            raise VaultDamage(blob, "its file is not the one that was written")
        self._at = cipher.HEADER

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, target: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._blob.size}
        position = start[whence] + target
        if position < 0:
            raise ValueError("negative seek position")
        self._position = position
        return position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        if self._position >= self._blob.size or not len(view):
            if not self._blob.size:
                self.chunk(0)  # An empty original is authenticated like any other.
            return 0
        index, begin = divmod(self._position, cipher.CHUNK)
        plaintext = self.chunk(index)
        piece = plaintext[begin : begin + len(view)]
        view[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def chunk(self, index: int) -> bytes:
        """Return one decrypted chunk. Raises VaultDamage."""
        if self._cached[0] == index:
            return self._cached[1]
        where = cipher.offset(index)
        if self._at != where:
            self._file.seek(where)
        sealed = _read_fully(self._file, cipher.SEALED_CHUNK)
        self._at = where + len(sealed)
        final = index == self._last
        try:
            plaintext = cipher.open_chunk(
                self._key, self._blob.cipher_id, index, sealed, final=final
            )
        except cipher.Tampered as damage:
            raise VaultDamage(self._blob, str(damage)) from None
        expected = self._blob.size - index * cipher.CHUNK if final else cipher.CHUNK
        if len(plaintext) != expected:
            raise VaultDamage(self._blob, f"chunk {index} has the wrong length")
        if final and self._file.read(1):
            raise VaultDamage(self._blob, "its file is longer than what was written")
        self._cached = (index, plaintext)
        return plaintext

    def close(self) -> None:
        if not self.closed:
            self._cached = (-1, b"")
            if hasattr(self, "_file"):  # Not when opening failed.
                self._file.close()
        super().close()


def _read_fully(file: IO[bytes], length: int) -> bytes:
    """Read ``length`` bytes or up to the end; object stores may return less per call."""
    parts: list[bytes] = []
    while length:
        piece = file.read(length)
        if not piece:
            break
        parts.append(piece)
        length -= len(piece)
    return b"".join(parts) if len(parts) != 1 else parts[0]


def open(blob: Blob) -> BinaryIO:  # noqa: A001 — core.vault.open reads as it should
    """Return the original as a seekable binary file that decrypts chunk by chunk.

    Raises VaultDamage here or while reading when a bit differs, VaultDestroyed when it was destroyed.
    Close it, or use ``with``.
    """
    return io.BufferedReader(_Reader(blob), cipher.CHUNK)


@contextmanager
def _reader(blob: Blob) -> Iterator[_Reader]:
    reader = _Reader(blob)
    try:
        yield reader
    finally:
        reader.close()


def iter_chunks(blob: Blob) -> Iterator[bytes]:
    """Yield the original in pieces of up to 256 KiB. Constant memory. Raises VaultDamage."""
    with _reader(blob) as reader:
        for index in range(cipher.chunk_count(blob.size)):
            piece = reader.chunk(index)
            if piece:
                yield piece


def read(blob: Blob, limit: int) -> bytes:
    """Return a whole original in memory. Raises ValueError if it has more than ``limit`` bytes."""
    if blob.size > limit:
        raise ValueError(f"the original has {blob.size} bytes, more than the {limit} asked for")
    return b"".join(iter_chunks(blob))


def verify(blob: Blob) -> None:
    """Read the whole original and compare it with its digests. Raises VaultDamage.

    Costs a full read; memory stays constant.
    """
    sha256 = hashlib.sha256()
    md5 = hashlib.md5(usedforsecurity=False)
    for piece in iter_chunks(blob):
        sha256.update(piece)
        md5.update(piece)
    if sha256.hexdigest() != blob.sha256 or md5.hexdigest() != blob.md5:
        raise VaultDamage(blob, "its bytes do not have the digest that was recorded at receipt")
