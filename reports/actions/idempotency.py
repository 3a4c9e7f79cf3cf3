"""The same request twice is done once.

The record of a request is written in the transaction that does its work. So there is no moment at which
the work is done and the record is not, or the other way round: a process or a database that dies in
between leaves neither, and the sender's repeat starts afresh.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models.functions import Now

from core.errors import Refused
from reports.models import IdempotencyRecord, Source

REMEMBERED_FOR = timedelta(days=7)
WAIT_SECONDS = 10


class StillRunning(Refused):
    """The first request with this key has not been answered yet."""

    def __init__(self) -> None:
        super().__init__(
            "A request with this Idempotency-Key is still being worked on. Ask again shortly.",
            code="idempotency_in_progress",
        )


class KeyReused(Refused):
    """The key was used with another body."""

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was already used with another body. Use a new key for a new request.",
            code="idempotency_key_reused",
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered, and whether it is the answer to an earlier request."""

    status: int
    body: Any
    is_replayed: bool = False


def answer_once(
    source: Source, *, endpoint: str, key: str, body_hash: str, work: Callable[[], tuple[int, Any]]
) -> Answer:
    """Do ``work`` and remember its answer, or return what was answered to the same request before.

    A second request with the same key waits on the unique index until the first has committed (and
    then gets its answer) or was rolled back (and then does the work). Work that raises is not
    remembered: nothing was done, so a repeat may succeed. Raises KeyReused for another body and
    StillRunning after ``WAIT_SECONDS``.
    """
    with transaction.atomic():
        record = _claim(source, endpoint, key, body_hash)
        if record is not None:
            status, body = work()
            IdempotencyRecord.objects.filter(pk=record.pk).update(status=status, response=body)
            return Answer(status, body)
    answer = recall(source, endpoint=endpoint, key=key, body_hash=body_hash)
    if answer is None:  # Swept away in this very moment, a week after the first request.
        raise StillRunning
    return answer


def recall(source: Source, *, endpoint: str, key: str, body_hash: str) -> Answer | None:
    """Return the remembered answer, or None. Raises KeyReused for another body."""
    record = IdempotencyRecord.objects.filter(source=source, endpoint=endpoint, key=key).first()
    if record is None:
        return None
    if record.body_hash != body_hash:
        raise KeyReused
    # The status is never missing here: it is committed together with the record.
    return Answer(record.status or 500, record.response, is_replayed=True)


def is_remembered(source: Source, *, endpoint: str, key: str) -> bool:
    """Return whether a request with this key was answered."""
    return IdempotencyRecord.objects.filter(source=source, endpoint=endpoint, key=key).exists()


LINE_ENDPOINT = "POST /batches line"


def remember_lines(source: Source, *, name: str, lines: list[list[Any]]) -> None:
    """Note what was answered to lines of a batch, in the caller's transaction: number, digest and answer of each.

    ``name`` is that of the batch, at most 64 characters.
    """
    IdempotencyRecord.objects.create(
        source=source,
        endpoint=LINE_ENDPOINT,
        key=f"{name}:{lines[0][0]}",
        body_hash="",
        status=200,
        response=lines,
    )


def lines_remembered(source: Source, *, name: str) -> dict[int, tuple[str, dict[str, Any]]]:
    """Return digest and answer of each line of a batch that was answered before it broke off, by its number."""
    records = IdempotencyRecord.objects.filter(
        source=source, endpoint=LINE_ENDPOINT, key__startswith=f"{name}:"
    )
    return {
        number: (meaning, said)
        for lines in records.values_list("response", flat=True)
        for number, meaning, said in lines or ()
    }


@transaction.atomic
def remember_batch(
    source: Source,
    *,
    endpoint: str,
    key: str,
    body_hash: str,
    status: int,
    body: Any,
    lines: str,
) -> None:
    """Note the answer of a batch, and drop the records of its lines (``lines`` is their name), which it makes superfluous."""
    IdempotencyRecord.objects.create(
        source=source, endpoint=endpoint, key=key, body_hash=body_hash, status=status, response=body
    )
    IdempotencyRecord.objects.filter(
        source=source, endpoint=LINE_ENDPOINT, key__startswith=f"{lines}:"
    ).delete()


def forget_old_answers(*, limit: int = 1000) -> int:
    """Delete records older than ``REMEMBERED_FOR``; return how many."""
    old = IdempotencyRecord.objects.filter(created_at__lt=Now() - REMEMBERED_FOR)
    return IdempotencyRecord.objects.filter(
        pk__in=list(old.values_list("pk", flat=True)[:limit])
    ).delete()[0]


def _claim(source: Source, endpoint: str, key: str, body_hash: str) -> IdempotencyRecord | None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{WAIT_SECONDS}s'")
    try:
        with transaction.atomic():
            record = IdempotencyRecord.objects.create(
                source=source, endpoint=endpoint, key=key, body_hash=body_hash
            )
    except IntegrityError:
        return None
    except OperationalError as failed:
        if getattr(failed.__cause__, "sqlstate", "") == "55P03":  # lock_not_available
            raise StillRunning from None
        raise
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout TO DEFAULT")
    return record
