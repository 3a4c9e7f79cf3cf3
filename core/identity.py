"""One installation has one set of keys: which they are stands in the database, as values that check them.

A check value is HMAC-SHA-256 (RFC 2104) of a fixed text under the key. It opens nothing and gives nothing of a random
key away, and it shows at once whether a host has *the* key or merely one of the same name. A host that has another
key, or none, does not start and makes none: what it sealed, no other host could open, and the other way round.

``manage.py prepare`` writes the rows; the application's role may add rows (a rotation does) and change none.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection, transaction

from core import crypto
from core.models import Blob, InstallationKey

_TEXT = b"holdfast key check 1"
_SIGNER = re.compile(r"\b(ssh-[a-z0-9-]+ [A-Za-z0-9+/=]{40,})")
_RECIPIENT = re.compile(r"\b(age1[a-z0-9]{50,})")
_TABLE = InstallationKey._meta.db_table  # noqa: SLF001 — Django's own name
Kind = InstallationKey.Kind


class WrongKeys(Exception):
    """This host does not have the installation's keys. The message says which, and what to bring."""


class About(enum.Enum):
    """What a difference is about: where prepare may go on all the same depends on it."""

    MASTER = "a master key is missing here, or is another one"
    NEW_MASTER = "the ring seals with a key that the installation does not know"
    SESSION = "SECRET_KEY is another one"
    PUBLIC = "the list of signers or the escrow's recipient is missing here, or is an older one"


@dataclass(frozen=True, slots=True)
class Difference:
    """One key of the installation that this host lacks or has another of; ``says`` one or two sentences."""

    about: About
    says: str


def check_value(secret: bytes) -> str:
    """Return what shows that a key is the same: 64 hex digits."""
    return hmac.new(secret, _TEXT, hashlib.sha256).hexdigest()


def check_start() -> None:
    """Raise WrongKeys when this host's keys are not the installation's. For processes at their start.

    Costs two small queries. Raises database errors when the database cannot be reached.
    """
    try:
        _refuse(differences(), but=set())
    except DatabaseError:
        _check_secret_lasts()  # That much is known without the database.
        raise
    _check_secret_lasts()


def _check_secret_lasts() -> None:
    if not has_lasting_secret() and not settings.TESTING:
        raise WrongKeys(
            f"There is no SECRET_KEY that lasts: each process would have its own, and sign-ins would fail. Run "
            f"manage.py prepare, which makes {secret_file()}, or set SECRET_KEY or SECRET_KEY_FILE."
        )


def _refuse(found: Iterator[Difference], *, but: set[About]) -> None:
    for difference in found:
        if difference.about not in but:
            raise WrongKeys(difference.says)


def differences() -> Iterator[Difference]:
    """Yield each secret key of the installation that this host lacks or has another of."""
    if not _has_table():
        return
    noted = list(InstallationKey.objects.order_by("pk"))
    masters = {row.name: row.check_value for row in noted if row.kind == Kind.MASTER}
    if masters:
        yield from _masters(masters)
    elif Blob.objects.filter(wrapped_key__isnull=False).exists():
        yield from _unnoted()
    sessions = [row.check_value for row in noted if row.kind == Kind.SESSION]
    if sessions and not has_lasting_secret():
        yield Difference(
            About.SESSION,
            f"This installation has a SECRET_KEY, and this host has none. Bring {secret_file()} from a host that works, "
            "or set SECRET_KEY or SECRET_KEY_FILE; none is made here.",
        )
    elif sessions and check_value(_session_secret()) != sessions[-1]:
        yield Difference(
            About.SESSION,
            "SECRET_KEY here is not the installation's: people would be signed out whenever another host answers. "
            f"Bring {secret_file()} from a host that works, or set SECRET_KEY_FILE. If you changed it on "
            "purpose, run manage.py prepare --new-secret-key once, then restart every host with the new one.",
        )


def _masters(masters: dict[str, str]) -> Iterator[Difference]:
    try:
        ring = crypto.key_ring()
    except crypto.KeyRingError as failed:
        why = str(failed).partition(";")[0]
        yield Difference(
            About.MASTER,
            f"This installation has master keys, and this host cannot use them: {why}. {_bring()}",
        )
        return
    newest = next(reversed(masters))
    for name, value in masters.items():
        held = ring.keys.get(name)
        if held is None:
            if name == newest or Blob.objects.filter(key_name=name).exists():
                yield Difference(
                    About.MASTER,
                    f"The key ring here lacks the master key “{name}”, which this installation uses. {_bring()}",
                )
        elif check_value(held) != value:
            yield Difference(
                About.MASTER,
                f"The master key “{name}” here is another one than the installation's, of the same name. Keep this "
                f"file, in case anything was sealed with it, under another name. {_bring()}",
            )
    if ring.current not in masters:
        yield Difference(
            About.NEW_MASTER,
            f"The key ring here seals with “{ring.current}”, which the installation does not know: other hosts could "
            f"not open what this one seals. {_bring()} If it is a new key that every host has, run manage.py "
            "prepare, which makes it known.",
        )


def _unnoted() -> Iterator[Difference]:
    """Yield what speaks against this ring where originals are older than the rows: one that opens nothing."""
    try:
        crypto.key_ring()
    except crypto.KeyRingError:
        yield Difference(
            About.MASTER,
            f"There are sealed originals, and this host has no key ring that can be read. {_bring()}",
        )
        return
    for name in key_names():
        if not opens_one(name):
            yield Difference(
                About.MASTER,
                f"The key ring here does not open the originals that “{name}” sealed: it is another installation's, "
                f"or a key is missing. {_bring()}",
            )


def _bring() -> str:
    if os.environ.get("HOLDFAST_MASTER_KEYS"):
        return "Give HOLDFAST_MASTER_KEYS the value that the other hosts have."
    return (
        f"Bring masterkeys.json from a host that works (or from its backup) to {settings.HOLDFAST_KEYRING}; "
        "never make a new one here."
    )


def key_names() -> list[str]:
    """Return the names of the master keys that stored originals need."""
    return list(
        Blob.objects.filter(wrapped_key__isnull=False)
        .order_by("key_name")
        .values_list("key_name", flat=True)
        .distinct()
    )


def opens_one(name: str) -> bool:
    """Return whether the ring opens the first original that the key called ``name`` sealed; True without any."""
    from core.vault.receiving import key_context

    blob = Blob.objects.filter(key_name=name, wrapped_key__isnull=False).order_by("pk").first()
    if blob is None:
        return True
    try:
        context = key_context(blob.cipher_id, blob.sha256, blob.size)
        crypto.unseal(bytes(blob.wrapped_key or b""), context)
    except crypto.Unsealable:
        return False
    return True


def has_lasting_secret() -> bool:
    """Return whether SECRET_KEY is one that outlives this process."""
    return bool(os.environ.get("SECRET_KEY") or secret_file().exists())


def secret_file() -> Path:
    """Return where SECRET_KEY lies unless the environment says otherwise."""
    return Path(settings.VAR_DIR) / "keys" / "secret_key"


def _session_secret() -> bytes:
    # Read again where it is a file of ours: this process may have started before it was made.
    return (os.environ.get("SECRET_KEY") or secret_file().read_text().strip()).encode()


def check_before_prepare(*, new_session_secret: bool = False) -> None:
    """Raise WrongKeys when this host may not prepare: it lacks keys that the installation has.

    Before anything is made or migrated.
    """
    _refuse(differences(), but=_may_be_new(new_session_secret))


def _may_be_new(session_too: bool) -> set[About]:  # noqa: FBT001 — one caller's switch
    return {About.NEW_MASTER} | ({About.SESSION} if session_too else set())


def settle(*, new_session_secret: bool = False) -> list[str]:
    """Make the keys that the installation does not have yet, note those it has; return what was done, in words.

    Of two hosts that do this at once on an empty database, one makes the keys and the other is refused. Raises
    WrongKeys, KeyRingError. Safe to repeat; whatever was made before a crash is taken up.
    """
    done: list[str] = []
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {_TABLE} IN EXCLUSIVE MODE")
        noted = {(row.kind, row.name) for row in InstallationKey.objects.all()}
        # Once more, with the table held: another host may have been quicker.
        _refuse(differences(), but=_may_be_new(new_session_secret))
        if not any(kind == Kind.MASTER for kind, _ in noted) and (made := crypto.init_key_ring()):
            done.append(
                f"Created master key {made} in {settings.HOLDFAST_KEYRING}. Back this file up apart from the "
                "database: without it no original can be read."
            )
        ring = crypto.key_ring()
        # The current one last: the newest row is the one that seals.
        for name in sorted(ring.keys, key=lambda each: each == ring.current):
            if (Kind.MASTER, name) not in noted:
                note_master(name, ring.key(name))
                done.append(f"The installation knows the master key {name}.")
        done += _settle_session(noted, anew=new_session_secret)
    return done


def _settle_session(noted: set[tuple[str, str]], *, anew: bool) -> list[str]:
    known = [name for kind, name in noted if kind == Kind.SESSION]
    if known and not anew:
        return []
    if not has_lasting_secret():
        _write_secret(secret_file())
    value = check_value(_session_secret())
    latest = InstallationKey.objects.filter(kind=Kind.SESSION).order_by("-pk").first()
    if latest is not None and latest.check_value == value:
        return []
    InstallationKey.objects.create(
        kind=Kind.SESSION, name=f"session-{len(known) + 1}", check_value=value
    )
    return ["The installation knows its SECRET_KEY; every host needs the same."]


def _write_secret(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(f".{path.name}.part")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(50))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def note_master(name: str, key: bytes) -> None:
    """Make a master key known to the installation. Does nothing when it is. Raises WrongKeys for another of its name."""
    row, is_new = InstallationKey.objects.get_or_create(
        kind=Kind.MASTER, name=name, defaults={"check_value": check_value(key)}
    )
    if not is_new and row.check_value != check_value(key):
        raise WrongKeys(f"The installation has another master key called “{name}”.")


def has_signing_key() -> bool:
    """Return whether this installation ever had a key that signs packages, on whichever host it lies."""
    return (
        InstallationKey.objects.filter(kind=Kind.SIGNING).exists()
        or Path(settings.HOLDFAST_ALLOWED_SIGNERS_FILE).exists()
    )


def note_public_files() -> None:
    """Make the public keys that lie on this host known: those that sign packages, and the escrow's recipient."""
    for kind, text in _public_here():
        InstallationKey.objects.get_or_create(
            kind=kind, name=text[:200], defaults={"check_value": _digest(text)}
        )


def public_differences() -> Iterator[Difference]:
    """Yield which public files this host lacks: without them nothing is lost, but pages and packages miss something."""
    if not _has_table():
        return
    here = set(_public_here())
    noted = list(
        InstallationKey.objects.filter(kind__in=(Kind.SIGNING, Kind.ESCROW)).order_by("pk")
    )
    if any(row.kind == Kind.SIGNING and (row.kind, row.name) not in here for row in noted):
        yield Difference(
            About.PUBLIC,
            "allowed_signers here lacks a key with which packages are signed, or is missing. Bring it from a host "
            f"that has it to {settings.HOLDFAST_ALLOWED_SIGNERS_FILE}; it is public. No signing key is made here: the "
            "package worker's host has it.",
        )
    escrow = [row for row in noted if row.kind == Kind.ESCROW]
    if escrow and (Kind.ESCROW, escrow[-1].name) not in here:
        yield Difference(
            About.PUBLIC,
            "escrow.recipient here is missing or is another one. Where packages are built, bring it to "
            f"{settings.HOLDFAST_ESCROW_RECIPIENT_FILE}, or set HOLDFAST_ESCROW_RECIPIENT; it is public.",
        )


def _public_here() -> Iterator[tuple[str, str]]:
    for kind, path in (
        (Kind.SIGNING, settings.HOLDFAST_ALLOWED_SIGNERS_FILE),
        (Kind.ESCROW, settings.HOLDFAST_ESCROW_RECIPIENT_FILE),
    ):
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, ValueError):
            text = ""
        if kind == Kind.ESCROW:
            text = settings.HOLDFAST_ESCROW_RECIPIENT or text
        pattern = _SIGNER if kind == Kind.SIGNING else _RECIPIENT
        yield from ((kind, found) for found in pattern.findall(text))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _has_table() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [_TABLE])
        return bool(cursor.fetchone()[0])
