"""Building the index over the lists' digests: asking for it, taking it up, putting it to use."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from core import audit, vault
from core.audit import SYSTEM, AuditEvent
from core.jobs import enqueue
from core.leases import kept, lease_after
from core.models import Blob
from hashing.models import IndexBuild, IndexState

__all__ = [
    "begin_index_build",
    "fail_index_build",
    "finish_index_build",
    "keep_index_build",
    "report_index_damage",
    "request_index",
    "waiting_index_builds",
]

_REST = timedelta(minutes=2)
_MOST_REST = timedelta(hours=1)


@transaction.atomic
def request_index(reason: str) -> IndexBuild | None:
    """Ask for the index to be built; None when one is asked for already.

    Not audited: its end is. Cannot be undone, and need not be: it changes no answer.
    """
    try:
        with transaction.atomic():
            build = IndexBuild.objects.create(reason=reason[:200])
    except IntegrityError:
        return None
    enqueue("build_index", build.pk)
    return build


def rest_after(attempts: int) -> timedelta:
    """Return how long a build that failed rests after so many attempts; no lease of one is longer."""
    return min(_REST * 2 ** min(max(attempts - 1, 0), 8), _MOST_REST)


def waiting_index_builds() -> QuerySet[IndexBuild]:
    """Return the builds that are due: not begun, or begun by a worker that never came back."""
    return IndexBuild.objects.filter(state=IndexState.WAITING, due_at__lte=Now())


@transaction.atomic
def begin_index_build(build: IndexBuild) -> IndexBuild | None:
    """Take up a build; None when there is nothing to do. It is due again when its lease ends.

    Not audited: its end is.
    """
    taken = waiting_index_builds().select_for_update(no_key=True).filter(pk=build.pk).first()
    if taken is None:
        return None
    taken.due_at = Now() + min(lease_after(min(taken.attempts, 8)), _MOST_REST)
    taken.attempts += 1
    taken.save(update_fields=["attempts", "due_at"])
    return taken


def keep_index_build(build: IndexBuild) -> AbstractContextManager[None]:
    """Keep a build that was taken up from others while the block builds and its process lives."""
    rows = IndexBuild.objects.filter(pk=build.pk, state=IndexState.WAITING, attempts=build.attempts)
    return kept(rows, field="due_at")


@transaction.atomic
def finish_index_build(
    build: IndexBuild,
    blob: Blob,
    *,
    versions: Mapping[UUID, int],
    entries: Mapping[str, int],
    bytes: int,
    seconds: float,
) -> bool:
    """Put a built index to use in every process; return False when another run did so before.

    The one before stays for those who read it just now; older files are destroyed. Cannot be undone; another
    build takes its place.
    """
    taken = IndexBuild.objects.select_for_update(no_key=True).get(pk=build.pk)
    if taken.state != IndexState.WAITING:
        return False
    taken.blob = vault.hold(blob)
    taken.state = IndexState.READY
    taken.versions = {str(key): version for key, version in versions.items()}
    taken.entries = dict(entries)
    taken.bytes, taken.seconds, taken.built_at = bytes, seconds, Now()
    taken.problem = ""
    taken.save()
    before = IndexBuild.objects.filter(pk__lt=taken.pk, blob__isnull=False).order_by("-pk")
    for number, old in enumerate(before.select_related("blob")):
        if old.state == IndexState.READY:
            IndexBuild.objects.filter(pk=old.pk).update(state=IndexState.REPLACED)
        if number and old.blob is not None:
            IndexBuild.objects.filter(pk=old.pk).update(state=IndexState.REPLACED, blob=None)
            vault.destroy(old.blob, reason="an index that was replaced", actor=SYSTEM)
    audit.record(
        AuditEvent.INDEX_BUILT,
        actor=SYSTEM,
        subject=taken,
        reason=taken.reason,
        entries=dict(entries),
        bytes=bytes,
    )
    return True


@transaction.atomic
def fail_index_build(build: IndexBuild, *, problem: str) -> None:
    """Note why a build failed. It is tried again after two minutes, then four, up to an hour."""
    taken = IndexBuild.objects.select_for_update(no_key=True).get(pk=build.pk)
    if taken.state != IndexState.WAITING:
        return
    taken.problem = problem[:300]
    taken.due_at = Now() + rest_after(taken.attempts)
    taken.save(update_fields=["problem", "due_at"])


@transaction.atomic
def report_index_damage(build: IndexBuild, *, problem: str) -> None:
    """Note that the file of the index in use cannot be read. The sweep has another one built.

    Processes that hold it open go on; nobody opens it any more. Cannot be undone.
    """
    taken = IndexBuild.objects.select_for_update(no_key=True).get(pk=build.pk)
    if taken.state != IndexState.READY:
        return
    taken.state, taken.problem = IndexState.DAMAGED, problem[:300]
    taken.save(update_fields=["state", "problem"])
    audit.record(AuditEvent.INDEX_DAMAGED, actor=SYSTEM, subject=taken, problem=problem[:300])
