"""How a stored original is encrypted: pure functions over bytes.

The construction is STREAM (Hoang, Reyhanitabar, Rogaway, Vizár 2015) over AES-256-GCM: the plaintext is cut
into chunks of ``CHUNK`` bytes, the nonce of each is its number and a flag for the last one, and the associated
data repeats both together with the id of this encryption. Chunks that are reordered, dropped, repeated, taken
from another file or cut off at the end do not authenticate. Every encryption has a random key of its own, so
a nonce is never used twice under one key.

File: ``"HFV1" ‖ cipher id (16 bytes)``, then per chunk ciphertext ‖ tag (16 bytes). An empty plaintext is one
empty last chunk.
"""

from __future__ import annotations

import uuid

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CHUNK = 256 * 1024
TAG = 16
MAGIC = b"HFV1"
HEADER = len(MAGIC) + 16
SEALED_CHUNK = CHUNK + TAG
KEY_BYTES = 32


class Tampered(Exception):
    """A chunk is not what was written in its place."""


def header(cipher_id: uuid.UUID) -> bytes:
    """Return the first bytes of a stored file."""
    return MAGIC + cipher_id.bytes


def chunk_count(size: int) -> int:
    """Return how many chunks a plaintext of ``size`` bytes has; an empty one has one."""
    return max(1, -(-size // CHUNK))


def stored_size(size: int) -> int:
    """Return the length of the stored file of a plaintext of ``size`` bytes."""
    return HEADER + size + TAG * chunk_count(size)


def offset(index: int) -> int:
    """Return where chunk ``index`` begins in the stored file."""
    return HEADER + index * SEALED_CHUNK


def _nonce(index: int, *, final: bool) -> bytes:
    return index.to_bytes(11, "big") + (b"\x01" if final else b"\x00")


def _bound(cipher_id: uuid.UUID, index: int, *, final: bool) -> bytes:
    return MAGIC + cipher_id.bytes + index.to_bytes(8, "big") + (b"\x01" if final else b"\x00")


def seal_chunk(
    key: AESGCM, cipher_id: uuid.UUID, index: int, plaintext: bytes | memoryview, *, final: bool
) -> bytes:
    """Return the stored form of one chunk."""
    return key.encrypt(
        _nonce(index, final=final), bytes(plaintext), _bound(cipher_id, index, final=final)
    )


def open_chunk(
    key: AESGCM, cipher_id: uuid.UUID, index: int, sealed: bytes, *, final: bool
) -> bytes:
    """Return one chunk's plaintext. Raises Tampered when a single bit differs."""
    try:
        return key.decrypt(
            _nonce(index, final=final), sealed, _bound(cipher_id, index, final=final)
        )
    except (InvalidTag, ValueError):
        raise Tampered(f"chunk {index} does not authenticate") from None
