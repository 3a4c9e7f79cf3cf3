"""The master key ring, and sealing of small secrets with it.

The ring is a JSON file that only the service may read (``HOLDFAST_KEYRING``)::

    {"current": "k-20261122-5d1f09ac", "keys": {"k-20261122-5d1f09ac": "<32 bytes, base64>"}}

or the variable ``HOLDFAST_MASTER_KEYS`` (``name:base64,name:base64``, the first is current) for
platforms that hand secrets over in the environment. Keys are never in the database: whoever copies the
database and the vault still holds nothing.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import stat
import threading
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

KEY_BYTES = 32
_MAGIC = b"HFS1"
_SALT_BYTES = 16
_NONCE = bytes(
    12
)  # Each message has its own derived key, so a constant nonce is used once per key.


class KeyRingError(Exception):
    """The key ring is missing, unreadable, or lacks a key that is needed."""


class Unsealable(Exception):
    """A sealed value was changed, belongs to another context, or needs a key that is not there."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Named 256-bit master keys. New seals use ``current``; old ones open with the key they name."""

    current: str
    keys: dict[str, bytes]

    def key(self, name: str) -> bytes:
        """Return a key by name. Raises KeyRingError when the ring lacks it."""
        try:
            return self.keys[name]
        except KeyError:
            raise KeyRingError(f"the key ring has no key named {name!r}") from None


_cache: dict[object, KeyRing] = {}
_cache_lock = threading.Lock()


def _decode(name: str, text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        raise KeyRingError(f"master key {name!r} is not base64") from None
    if len(key) != KEY_BYTES:
        raise KeyRingError(f"master key {name!r} must have {KEY_BYTES} bytes")
    if not 1 <= len(name.encode()) <= 64:
        raise KeyRingError("names of master keys have 1 to 64 bytes")
    return key


def _from_environment(text: str) -> KeyRing:
    keys: dict[str, bytes] = {}
    for part in text.split(","):
        name, _, encoded = part.strip().partition(":")
        if not name or not encoded:
            raise KeyRingError("HOLDFAST_MASTER_KEYS must read name:base64,name:base64")
        keys[name] = _decode(name, encoded)
    return KeyRing(current=next(iter(keys)), keys=keys)


def _from_file(path: Path) -> KeyRing:
    try:
        document = json.loads(path.read_text())
        keys = {str(name): _decode(name, text) for name, text in document["keys"].items()}
        current = str(document["current"])
    except FileNotFoundError:
        raise KeyRingError(
            "there is no master key ring; create one with: manage.py init_keys"
        ) from None
    except PermissionError:
        raise KeyRingError("the master key ring cannot be read by this user") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise KeyRingError("the master key ring is not a valid key ring file") from None
    if current not in keys:
        raise KeyRingError("the key ring's current key is not among its keys")
    return KeyRing(current=current, keys=keys)


def key_ring() -> KeyRing:
    """Return the key ring, read again whenever its file changed. Raises KeyRingError."""
    source: object
    if text := os.environ.get("HOLDFAST_MASTER_KEYS"):
        source = text
    else:
        path = Path(settings.HOLDFAST_KEYRING)
        try:
            found = path.stat()
            source = (str(path), found.st_mtime_ns, found.st_ino, found.st_size)
        except FileNotFoundError:
            source = (str(path), None)
    with _cache_lock:
        if source in _cache:
            return _cache[source]
        ring = _from_environment(text) if text else _from_file(Path(settings.HOLDFAST_KEYRING))
        _cache.clear()
        _cache[source] = ring
        return ring


def init_key_ring() -> str | None:
    """Create the key ring file with one key, readable by its owner only.

    Returns the key's name, or None when a ring exists already (it is never overwritten). Cannot be
    undone: without a backup of this file every original is lost with the machine.
    """
    if os.environ.get("HOLDFAST_MASTER_KEYS"):
        key_ring()
        return None
    path = Path(settings.HOLDFAST_KEYRING)
    if path.exists():
        key_ring()
        return None
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = _new_name({})
    ring = KeyRing(current=name, keys={name: secrets.token_bytes(KEY_BYTES)})
    try:
        _write_new(path, ring)
    except FileExistsError:
        return None
    return name


def add_master_key() -> str:
    """Add a fresh key to the ring file, make it current and return its name.

    The file is replaced in one step, so that a crash leaves the old ring or the new one.
    """
    if os.environ.get("HOLDFAST_MASTER_KEYS"):
        raise KeyRingError(
            "the keys come from HOLDFAST_MASTER_KEYS: put the new key first there, restart, "
            "then run: manage.py rotate_master_key --resume"
        )
    path = Path(settings.HOLDFAST_KEYRING)
    ring = key_ring()
    name = _new_name(ring.keys)
    grown = KeyRing(current=name, keys={**ring.keys, name: secrets.token_bytes(KEY_BYTES)})
    partial = path.with_name(f"{path.name}.new")
    partial.unlink(missing_ok=True)
    _write_new(partial, grown)
    partial.replace(path)
    _sync_directory(path.parent)
    return name


def _new_name(taken: dict[str, bytes]) -> str:
    from datetime import UTC, datetime

    # With a random part: two hosts that each make a ring on one day must not call different keys the same.
    day = datetime.now(UTC).strftime("%Y%m%d")
    while (name := f"k-{day}-{secrets.token_hex(4)}") in taken:
        pass
    return name


def _write_new(path: Path, ring: KeyRing) -> None:
    document = {
        "current": ring.current,
        "keys": {name: base64.b64encode(key).decode() for name, key in ring.keys.items()},
    }
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(document, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def ring_is_private() -> bool:
    """Return whether only those may read the ring file who have to, and none of them write it but its owner.

    A group may read what root put there: so secrets are mounted (Docker, Kubernetes with ``defaultMode: 0440``) and
    so accounts of one installation share a ring (root:holdfast, mode 640).
    """
    if os.environ.get("HOLDFAST_MASTER_KEYS"):
        return True
    found = Path(settings.HOLDFAST_KEYRING).stat()
    if found.st_mode & (stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO):
        return False
    shared = bool(found.st_mode & stat.S_IRGRP)
    return not shared or (found.st_uid == 0 and os.geteuid() != 0)


def _derive(master: bytes, salt: bytes) -> AESGCM:
    # A key per message: random nonces under one master key would limit it to 2^32 messages (NIST
    # SP 800-38D §8.3), and a platform's vault is allowed to grow beyond that.
    derived = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=b"holdfast-seal-1")
    return AESGCM(derived.derive(master))


def _bind(context: str | bytes, name: bytes) -> bytes:
    text = context.encode() if isinstance(context, str) else bytes(context)
    return _MAGIC + len(name).to_bytes(1, "big") + name + text


def seal(plaintext: bytes, context: str | bytes) -> bytes:
    """Encrypt a small secret under the current master key.

    ``context`` says what the secret is and whose (``"totp:<user id>"``); the same context is needed to
    open it, so that a sealed value moved to another row or column does not open there.
    """
    ring = key_ring()
    name = ring.current.encode()
    salt = secrets.token_bytes(_SALT_BYTES)
    sealed = _derive(ring.key(ring.current), salt).encrypt(_NONCE, plaintext, _bind(context, name))
    return _MAGIC + len(name).to_bytes(1, "big") + name + salt + sealed


def unseal(sealed: bytes, context: str | bytes) -> bytes:
    """Return the secret that ``seal`` was given. Raises Unsealable when it cannot."""
    sealed = bytes(sealed)
    name = _name_of(sealed)
    rest = sealed[5 + len(name) :]
    salt, body = rest[:_SALT_BYTES], rest[_SALT_BYTES:]
    try:
        master = key_ring().key(name.decode())
    except KeyRingError as missing:
        raise Unsealable(str(missing)) from None
    try:
        return _derive(master, salt).decrypt(_NONCE, body, _bind(context, name))
    except (InvalidTag, ValueError):
        raise Unsealable("a sealed value was changed or belongs somewhere else") from None


def sealed_with(sealed: bytes) -> str:
    """Return the name of the master key that a sealed value needs. Raises Unsealable."""
    return _name_of(bytes(sealed)).decode()


def _name_of(sealed: bytes) -> bytes:
    if len(sealed) < 5 or sealed[:4] != _MAGIC:
        raise Unsealable("this is not a sealed value")
    name = sealed[5 : 5 + sealed[4]]
    try:
        name.decode()
    except UnicodeDecodeError:
        raise Unsealable("this is not a sealed value") from None
    if len(name) != sealed[4]:
        raise Unsealable("this is not a sealed value")
    return name
