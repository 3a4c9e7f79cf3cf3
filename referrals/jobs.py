"""Building packages in the background."""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.files import File
from django.core.files.storage import Storage, storages
from django.db.models import QuerySet, Sum

from core import disk
from core.anchors import NIGHTLY
from core.jobs import enqueue, is_time_for, job, note_problem
from core.models import AuditAnchor
from referrals import actions, anchoring
from referrals.actions import BuildSuperseded
from referrals.custody import CustodyBroken
from referrals.describing import describe
from referrals.models import Exhibit, Referral
from referrals.package import BuiltPackage, PackageRefused, PackageSpec
from referrals.package import build_package as build
from referrals.proving import check_record
from referrals.sshsig import SignatureRefused, SigningKey

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

BEAT_SECONDS = 3.0
ANCHOR_RETRY = 600
"""Seconds between two wake-ups for an anchor that is due, or that is not stored, stamped or sent yet."""


class NoKey(Exception):
    """This process has no signing key, or there is no escrow key. The message says where to look."""


def signing_key() -> SigningKey:
    """Return the key that signs packages. Only the package worker is given its path.

    Raises NoKey when there is none: a web process that was broken into cannot sign.
    """
    path = settings.HOLDFAST_SIGNING_KEY_FILE
    if not path:
        raise NoKey(
            "The package worker has no signing key: set HOLDFAST_SIGNING_KEY_FILE for it, and for no other "
            "process, to the file that `manage.py init_signing` makes, and restart it."
        )
    try:
        data = Path(path).read_bytes()
    except OSError:
        raise NoKey(
            "The signing key file cannot be read by the package worker: put it back where "
            "HOLDFAST_SIGNING_KEY_FILE says, readable by its account, or run `manage.py init_signing`."
        ) from None
    try:
        return SigningKey.from_openssh(data, principal=f"packages@{settings.HOLDFAST_DOMAIN}")
    except SignatureRefused as refusal:
        raise NoKey(str(refusal)) from None


def escrow_recipient() -> str:
    """Return our own age recipient, so that we can prove later what we sent. Raises NoKey.

    Read at each build: the file may have been made after this process started.
    """
    if settings.HOLDFAST_ESCROW_RECIPIENT:
        return str(settings.HOLDFAST_ESCROW_RECIPIENT)
    try:
        return Path(settings.HOLDFAST_ESCROW_RECIPIENT_FILE).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        raise NoKey(
            "There is no escrow key: run `manage.py init_signing` or set HOLDFAST_ESCROW_RECIPIENT."
        ) from None


class _Progress:
    """Turns bytes read into signs of life, at most one every few seconds."""

    def __init__(self, referral: Referral, total: int) -> None:
        self.referral, self.total, self.read = referral, max(1, total), 0
        self.last = 0.0

    def __call__(self, size: int) -> None:
        self.read += size
        now = time.monotonic()
        if now - self.last >= BEAT_SECONDS:
            self.last = now
            actions.beat(self.referral, percent=self.read * 100 // self.total)


class _Lively(io.FileIO):
    """The sealed file on its way into the store; each read is a sign of life, however slow the store."""

    def __init__(self, path: Path, progress: _Progress) -> None:
        super().__init__(path, "rb")
        self._progress = progress

    def read(self, size: int | None = -1, /) -> bytes:
        self._progress(0)
        return super().read(-1 if size is None else size)

    def readinto(self, buffer: Buffer, /) -> int:
        self._progress(0)
        return super().readinto(buffer)


@job
def build_package(referral_id: str) -> None:
    """Build, sign, encrypt and store the package of an approved referral.

    Runs twice without harm: the second run finds nothing to do. A builder that dies is replaced when
    its sign of life is stale; the result of a builder that lost its place is thrown away.
    """
    key = uuid.UUID(str(referral_id))
    if reason := _no_room(key):
        actions.note_waiting(key, reason=reason)
        return
    referral = actions.start_build(key)
    if referral is None:
        return
    try:
        _build_and_store(referral, storages["packages"])
    except BuildSuperseded:
        return
    except (PackageRefused, CustodyBroken, NoKey) as refusal:
        actions.fail_build(referral, sentence=str(refusal))
    except Exception as failed:
        holds = disk.full_disk(failed)
        if holds is None:
            # Such as a database that restarts: it may be over in a minute. The sweep tries again when the
            # sign of life is stale, up to the limit in start_build.
            raise
        disk.note(holds)
        actions.put_back_build(referral, reason=_full(holds))


def _full(holds: str) -> str:
    return f"Waits: the disk that holds {holds} is full."


def _no_room(referral_id: uuid.UUID) -> str:
    """Return why there is no room for a package, or an empty text: asked before a build begins.

    A package is as large as its originals, is written as a temporary file first, and then stored.
    """
    size = Exhibit.objects.filter(referral=referral_id, is_included=True).aggregate(
        size=Sum("item__blob__size", default=0)
    )["size"]
    for space in disk.spaces():
        if space.holds in {disk.PACKAGES, disk.SCRATCH}:
            short = space.free < size + settings.HOLDFAST_DISK_RESERVE_BYTES
            if short:
                disk.note(space.holds)
                return _full(space.holds)
    return ""


def _build_and_store(referral: Referral, storage: Storage) -> None:
    _remove_leavings(storage, referral)
    total = 2 * sum(
        referral.exhibits.filter(is_included=True).values_list("item__blob__size", flat=True)
    )
    progress = _Progress(referral, total)
    check_record(referral)
    signer, escrow = signing_key(), escrow_recipient()
    anchor = anchoring.make(AuditAnchor.Reason.PACKAGE, signer=signer)
    spec = describe(referral, anchor=anchor, signer=signer, escrow=escrow, watch=progress)
    # Everything written here is encrypted already; the folder is private all the same.
    with tempfile.TemporaryDirectory(prefix=_scratch_name(referral)) as folder:
        path = Path(folder) / spec.file_name
        name = _storage_name(referral, spec.file_name)
        try:
            with disk.holding(disk.SCRATCH):
                built = build(spec, path)
            actions.beat(referral, percent=99)
            with _Lively(path, progress) as stream, disk.holding(disk.PACKAGES):
                name = storage.save(name, File(stream))
            _record(referral, spec, built, name)
        except BuildSuperseded:
            # Only here: after a lost connection the row may say "sealed" all the same. What nobody
            # recorded is removed by the next build.
            storage.delete(name)
            raise
        except OSError:
            # Perhaps only because a build that took over cleared this one's folder away.
            actions.beat(referral, percent=99)
            raise


def _record(referral: Referral, spec: PackageSpec, built: BuiltPackage, name: str) -> None:
    actions.record_built(
        referral,
        file_name=built.file_name,
        storage_name=name,
        sha256=built.sha256,
        size=built.size,
        tar_sha256=built.tar_sha256,
        tagmanifest_sha512=built.tagmanifest_sha512,
        signer=spec.signer.principal,
        exhibit_count=len(spec.exhibits),
        custody_head=spec.custody.inclusion.head,
    )


def _storage_name(referral: Referral, file_name: str) -> str:
    return f"{referral.pk}/{referral.build_token}/{file_name}"


def _scratch_name(referral: Referral) -> str:
    return f"holdfast-package-{referral.pk}-"


def _remove_leavings(storage: Storage, referral: Referral) -> None:
    """Remove what an earlier, dead build of this referral wrote without recording it."""
    for scratch in Path(tempfile.gettempdir()).glob(f"{_scratch_name(referral)}*"):
        shutil.rmtree(scratch, ignore_errors=True)
    try:
        folders, _ = storage.listdir(str(referral.pk))
    except FileNotFoundError:
        return
    for folder in folders:
        _, files = storage.listdir(f"{referral.pk}/{folder}")
        for file in files:
            storage.delete(f"{referral.pk}/{folder}/{file}")
        with contextlib.suppress(OSError):  # A builder that is not quite dead writes there again.
            storage.delete(f"{referral.pk}/{folder}")


@job
def make_anchor() -> None:
    """Fix and sign where all chains of the audit log end, when a day has passed. Safe to repeat."""
    if not actions.anchors.is_night_due():
        return
    try:
        signer = signing_key()
    except NoKey as missing:
        # Not a failure to be repeated in the log: a state that a person has to end, and that is shown until then.
        note_problem(NIGHTLY, f"The audit log gets no anchor. {missing}")
        return
    anchoring.make(AuditAnchor.Reason.NIGHTLY, signer=signer)
    note_problem(NIGHTLY, "")


@job
def keep_anchors() -> None:
    """Store, stamp and send the anchors of which that did not work yet. Safe to repeat."""
    for anchor in _unfinished():
        anchoring.keep(anchor)


def _unfinished() -> QuerySet[AuditAnchor]:
    return actions.anchors.unfinished_anchors(
        stamped=anchoring.is_stamping(), told=anchoring.is_telling()
    )


def sweep_anchors() -> int:
    """Wake the package worker for an anchor that is due, also after nights without it. Returns how many wake-ups."""
    woken = 0
    if actions.anchors.is_night_due() and is_time_for("anchor", ANCHOR_RETRY):
        enqueue("make_anchor")
        woken += 1
    if is_time_for("anchors-left", ANCHOR_RETRY) and _unfinished().exists():
        enqueue("keep_anchors")
        woken += 1
    return woken


def sweep_packages() -> int:
    """Wake the builder for referrals that wait for one. Returns how many."""
    waiting = actions.waiting_builds()
    for referral_id in waiting:
        enqueue("build_package", referral_id)
    return len(waiting)
