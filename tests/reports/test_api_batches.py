"""Batches: good lines are kept, bad ones are named by number, memory stays small."""

from __future__ import annotations

import io
import json
import tracemalloc
from types import SimpleNamespace
from typing import Any

import pytest

from core.audit import SYSTEM
from reports import batches, chunks
from reports.models import (
    Account,
    ApiKey,
    IdempotencyRecord,
    Item,
    Membership,
    Report,
    Scope,
    Source,
)
from tests.reports.conftest import Platform, problem_of

pytestmark = pytest.mark.django_db
Issued = tuple[ApiKey, str]

REPORT = {"type": "report", "subject": {"account": "u-1"}, "reason": "spam"}
LINES: list[Any] = [
    {"type": "account", "external_id": "u-1", "username": "alex", "scan": False},
    {"type": "group", "external_id": "g-1", "name": "Pictures", "scan": False},
    {"type": "membership", "group": "g-1", "account": "u-1", "role": "admin"},
    REPORT,
    {"type": "scan", "subject": {"group": "g-1"}, "surface": "group_name", "text": "Pictures"},
]


def test_every_type_of_line_is_taken(platform: Platform) -> None:
    answer = platform.batch(LINES)
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert (body["accepted"], body["rejected"], body["stopped_at"]) == (5, 0, None)
    assert [result["line"] for result in body["results"]] == [1, 2, 3, 4, 5]
    assert Report.objects.get(pk=body["results"][3]["id"]).account == Account.objects.get()
    assert Membership.objects.get().role == "admin"
    assert Item.objects.get().surface == "group_name"


def test_bad_lines_are_named_and_good_ones_kept(platform: Platform) -> None:
    answer = platform.batch(
        [
            LINES[0],
            b"{not json",
            b"",
            {"type": "wish"},
            b"[1]",
            {"type": "report", "subject": {"account": "u"}, "reason": "x", "items": [{}]},
            REPORT,
            b'{"type": "account", "external_id": "u-9", "username": "'
            + b"a" * batches.MAX_LINE_BYTES
            + b'"}',
            REPORT | {"external_id": "one"},
            REPORT | {"external_id": "one"},
        ]
    )
    assert answer.status_code == 207
    body = answer.json()
    found = {r["line"]: r.get("code", "accepted") for r in body["results"]}
    assert found == {
        1: "accepted",
        2: "malformed",
        4: "unknown_type",
        5: "unknown_type",
        6: "invalid",
        7: "accepted",
        8: "too_long",
        9: "accepted",
        10: "duplicate_external_id",
    }
    assert "items.0.surface" in body["results"][4]["errors"]
    assert (body["accepted"], body["rejected"]) == (3, 6)
    assert Report.objects.count() == 2


def test_a_line_needs_its_own_scope(source: Source) -> None:
    from reports import actions

    platform = Platform(actions.issue_key(source, scopes=[Scope.DIRECTORY_WRITE], actor=SYSTEM)[1])
    results = platform.batch(LINES).json()["results"]
    assert [r["status"] for r in results] == ["accepted"] * 3 + ["rejected"] * 2
    assert results[3]["code"] == "scope"


def test_too_many_lines_stop_at_a_number(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MAX_LINES", 2)
    answer = platform.batch(LINES)
    assert answer.status_code == 207
    assert answer.json()["stopped_at"] == 3
    assert answer.json()["accepted"] == 2


def test_a_batch_larger_than_an_upload_is_413_and_nothing_of_it_is_taken(
    platform: Platform, settings: Any
) -> None:
    settings.HOLDFAST_MAX_UPLOAD_BYTES = 200
    document = problem_of(platform.batch(LINES), 413)
    assert (document["code"], document["limit"]) == ("too_large", 200)
    assert "Nothing of it was taken" in document["detail"]
    assert not Account.objects.exists()
    assert platform.batch(LINES[:1]).status_code == 200


class Trickle(io.BytesIO):
    """A sender from whom one line comes with each look, 100 seconds after the one before."""

    def __init__(self, raw: bytes, clock: list[float]) -> None:
        super().__init__(raw)
        self.clock = clock

    def read(self, size: int | None = -1, /) -> bytes:
        self.clock[0] += 100
        return self.readline()


def test_a_sender_who_trickles_lets_go_of_the_web_thread_and_goes_on_later(
    issued: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(batches, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    raw = b"\n".join(json.dumps(line).encode() for line in LINES)
    stream = Trickle(raw, clock)
    answer = batches.take_batch(issued[0], stream, idempotency_key="slow")
    assert (answer.status, answer.body["accepted"], answer.body["stopped_at"]) == (207, 1, 2)
    assert stream.tell() < len(raw), "the rest was not waited for"
    answer = batches.take_batch(issued[0], io.BytesIO(raw), idempotency_key="slow")
    assert (answer.status, answer.body["accepted"]) == (200, 5)
    assert Account.objects.filter(external_id="u-1").count() == 1
    with pytest.raises(batches.TooSlow):
        batches.take_batch(issued[0], Trickle(raw, clock), idempotency_key="slow")


def test_a_sender_of_nothing_but_line_ends_is_not_waited_for(
    issued: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(batches, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    with pytest.raises(batches.TooSlow):
        batches.take_batch(issued[0], Trickle(b"\n" * 1000, clock))


def test_the_rest_after_the_last_line_that_counts_is_not_read_for_ever(
    issued: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(batches, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(batches, "MAX_LINES", 1)
    monkeypatch.setattr(batches, "MAX_SECONDS", 300.0)
    raw = b"\n".join(json.dumps(line).encode() for line in [LINES[0]] * 50)
    stream = Trickle(raw, clock)
    answer = batches.take_batch(issued[0], stream)
    assert (answer.status, answer.body["stopped_at"]) == (207, 2)
    assert stream.tell() < len(raw) / 5


def test_each_hundred_lines_count_as_a_request(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reports import actions

    monkeypatch.setattr(batches, "LINES_PER_REQUEST", 2)
    key = actions.issue_key(source, scopes=list(Scope.values), rate_per_minute=3, actor=SYSTEM)[1]
    answer = Platform(key).batch(LINES)
    assert answer.json()["accepted"] == 5
    assert answer["RateLimit"].startswith('"key";r=0;')
    problem_of(Platform(key).batch(LINES), 429)


def test_an_empty_batch_and_other_types_are_refused(platform: Platform) -> None:
    problem_of(platform.batch([b"", b"  "]), 422)
    problem_of(platform.post("/batches", []), 415)


def test_the_same_batch_again_gets_the_same_answer_and_does_nothing(platform: Platform) -> None:
    first = platform.batch([*LINES, b"{"], Idempotency_Key="batch-1")
    again = platform.batch([*LINES, b"{"], Idempotency_Key="batch-1")
    assert first.status_code == again.status_code == 207
    assert first.json() == again.json()
    assert again["Idempotent-Replayed"] == "true"
    assert Report.objects.count() == 1
    assert IdempotencyRecord.objects.count() == 1  # The records of its lines are gone.
    answer = platform.batch([*LINES, b"}"], Idempotency_Key="batch-1")
    assert problem_of(answer, 409)["code"] == "idempotency_key_reused"


def test_a_batch_that_broke_off_goes_on_where_it_stopped(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import OperationalError

    usual = chunks.submit_scans

    def breaks(*args: Any, **kwargs: Any) -> Any:
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(batches, "CHUNK_LINES", 2)
    monkeypatch.setattr(chunks, "submit_scans", breaks)
    problem_of(platform.batch(LINES, Idempotency_Key="batch-1"), 503)
    assert Report.objects.count() == 1
    monkeypatch.setattr(chunks, "submit_scans", usual)
    monkeypatch.setattr(
        batches, "CHUNK_LINES", 3
    )  # Other bounds: what was taken is known by its number.
    answer = platform.batch(LINES, Idempotency_Key="batch-1")
    assert (answer.status_code, answer.json()["accepted"]) == (200, 5)
    assert answer.json()["results"][3]["id"] == str(Report.objects.get().pk)
    assert Report.objects.count() == 1
    assert Item.objects.count() == 1
    assert IdempotencyRecord.objects.count() == 1


def test_memory_does_not_grow_with_the_body() -> None:
    line = json.dumps(REPORT | {"description": "a" * 90_000}).encode() + b"\n"

    class Endless:
        """200 MB of lines, a piece at a time."""

        left = 200 * 1024 * 1024 // len(line)
        rest = b""

        def read(self, size: int = -1, /) -> bytes:
            if len(self.rest) < size and self.left > 0:
                self.rest += line
                self.left -= 1
            given, self.rest = self.rest[:size], self.rest[size:]
            return given

    tracemalloc.start()
    count = sum(1 for _ in batches.read_lines(Endless(), lambda _: None))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count > 2000
    assert peak < 2 * 1024 * 1024


def test_a_line_without_end_keeps_only_its_number() -> None:
    stream = io.BytesIO(b"a" * (3 * batches.MAX_LINE_BYTES) + b"\n{}\n")
    lines = list(batches.read_lines(stream, lambda _: None))
    assert [(line.number, line.content) for line in lines] == [(1, None), (2, b"{}")]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 4096])
def test_lines_are_the_same_however_the_bytes_arrive(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MAX_LINE_BYTES", 6)
    monkeypatch.setattr(batches, "READ_BYTES", size)
    raw = b"{}\n\n [1]\r\n1234567\n123456\n\n123456789012345\n0"
    seen = bytearray()
    lines = list(batches.read_lines(io.BytesIO(raw), seen.extend))
    assert bytes(seen) == raw
    assert [(line.number, line.content) for line in lines] == [
        (1, b"{}"),
        (3, b"[1]"),
        (4, None),
        (5, b"123456"),
        (7, None),
        (8, b"0"),
    ]
