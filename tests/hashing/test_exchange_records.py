"""No record of an exchange is lost without a word: its records are read here, whatever its client knows."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from hashing.exchanges import sources
from hashing.jobs import exchanges as exchange_jobs
from hashing.models import Exchange, HashEntry
from tests.hashing.exchange_servers import as_json, ncmec_entries, ncmec_entry, serving
from tests.hashing.test_exchanges import (
    _loopback_is_allowed,
    digest,
    fetch,
    set_up,
    standing,
    stop_record,
)

__all__ = ["_loopback_is_allowed", "set_up"]

pytestmark = pytest.mark.django_db
SetUp = Callable[..., Exchange]


def stop_page(*records: Any, **more: Any) -> Any:
    page = {"count": len(records), "nextPageToken": None, "nextSetTimestamp": 77}
    return as_json(page | {"hasMoreRecords": False, "hashRecords": list(records)} | more)


def stop(set_up: SetUp, url: str) -> Exchange:
    return set_up("stopncii", subscription_key="s", fetch_key="f", base_url=url)


def test_values_that_stopncii_is_not_known_for_are_kept_named_and_counted(
    set_up: SetUp, caplog: pytest.LogCaptureFixture
) -> None:
    odd = stop_record("ImagePDQ", digest(1), "Active")
    odd["CSPFeedbacks"] = [{"feedbackValue": "Undefined", "source": "x", "tags": []}]
    strange = stop_record("ImagePDQ", digest(2), "Frozen")
    pages = [
        stop_page(odd, strange, stop_record("ImagePDQ", digest(3), "Active"), "no record"),
        stop_page({**odd, "hashStatus": "Withdrawn"}, {**strange, "caseNumbers": {"1": "Deleted"}}),
    ]
    with caplog.at_level(logging.DEBUG), serving(lambda *_: pages.pop(0)) as server:
        exchange = stop(set_up, server.url)
        run = fetch(exchange)
        assert (run.problem, run.added, run.rejected, run.odd) == ("", 3, 1, 2)
        said = " ".join(each["reason"] for each in run.rejected_sample)
        assert "feedbackValue “Undefined”" in said
        assert "hashStatus “Frozen”" in said
        run = fetch(exchange)
    assert run.withdrawn == 2
    assert standing(exchange) == {("pdq", digest(3))}
    assert not [each for each in caplog.records if digest(1) in each.getMessage()]


def test_a_page_of_stopncii_that_is_cut_off_is_asked_for_in_smaller_ones(set_up: SetUp) -> None:
    def answers(path: str, query: dict[str, list[str]], headers: object) -> Any:
        if int(query["pageSize"][0]) > 10:
            return 200, "application/json", b'{"count": 2, "hashRecords": [{"signalT'
        return stop_page(stop_record("ImagePDQ", digest(1), "Active"))

    with serving(answers) as server:
        run = fetch(stop(set_up, server.url))
    assert (run.problem, run.added) == ("", 1)


def test_a_page_that_stays_cut_off_is_said_in_words_that_help(set_up: SetUp) -> None:
    with serving(lambda *_: (200, "application/json", b'{"count": 2, "hashRec')) as server:
        exchange = stop(set_up, server.url)
        assert "cut off" in fetch(exchange).problem
        assert [int(query["pageSize"][0]) for _, query, _ in server.asked] == [800, 100, 10]
    assert exchange.failures == 1


def test_what_ncmec_stamps_with_the_second_of_a_fetch_stands_in_the_next_window(
    set_up: SetUp,
) -> None:
    windows: list[tuple[str, str]] = []

    def answers(path: str, query: dict[str, list[str]], headers: object) -> Any:
        windows.append((query["from"][0], query["to"][0]))
        return ncmec_entries(ncmec_entry("late", {"MD5": "a" * 32}) if windows[1:] else "")

    with serving(answers) as server:
        exchange = set_up(
            "ncmec", username="u", password="p", environment="NGO", base_url=server.url
        )
        assert fetch(exchange).added == 0
        assert fetch(exchange).added == 1
        assert fetch(exchange).added == 0  # Once more, and nothing changes.
    stamp = sources._utc(exchange.checkpoint["start"] - 30)
    assert windows[2][0] < stamp < windows[2][1]
    assert windows[1][0] < windows[0][1]
    assert standing(exchange) == {("md5", "a" * 32)}


def test_one_record_of_ncmec_that_cannot_be_read_does_not_hide_the_others(set_up: SetUp) -> None:
    both = "".join(f"<MD5>{letter * 32}</MD5>" for letter in "bc")
    twice = f"<fingerprints>{both}</fingerprints>"
    page = ncmec_entries(
        ncmec_entry("one", {"MD5": "a" * 32})
        + "<image><id>no member</id></image>"
        + f'<audio><member id="4">x</member><id>2</id>{twice}</audio>'
    )
    with serving(lambda *_: page) as server:
        exchange = set_up(
            "ncmec", username="u", password="p", environment="NGO", base_url=server.url
        )
        run = fetch(exchange)
    assert (run.problem, run.added, run.rejected, run.odd) == ("", 3, 1, 1)
    assert standing(exchange) == {("md5", letter * 32) for letter in "abc"}


def test_a_page_that_is_none_of_ncmecs_moves_nothing_on(set_up: SetUp) -> None:
    with serving(lambda *_: (200, "application/xml", b"<html><body/></html>")) as server:
        exchange = set_up(
            "ncmec", username="u", password="p", environment="NGO", base_url=server.url
        )
        assert "not in the form" in fetch(exchange).problem
    assert exchange.checkpoint == {}


def entries(*some: dict[str, Any], **more: Any) -> Any:
    return as_json({"entries": list(some), **more})


def test_an_id_that_repeats_on_a_page_keeps_all_its_digests(set_up: SetUp) -> None:
    pages = [
        entries(
            {"id": "1", "algorithm": "md5", "value": "a" * 32},
            {"id": "1", "algorithm": "pdq", "value": digest(1)},
        ),
        entries({"id": "1", "deleted": True}),
    ]
    with serving(lambda *_: pages.pop(0)) as server:
        exchange = set_up("https_json", url=server.url)
        assert fetch(exchange).added == 2
        assert standing(exchange) == {("md5", "a" * 32), ("pdq", digest(1))}
        assert fetch(exchange).withdrawn == 2


def test_an_id_that_is_split_over_two_pages_keeps_all_its_digests(set_up: SetUp) -> None:
    """What a later fetch says of it then stands alone."""
    one = {"id": "1", "algorithm": "md5", "value": "a" * 32}
    two = {"id": "1", "algorithm": "pdq", "value": digest(1)}
    pages = [entries(one, next="n1"), entries(two), entries(two)]
    with serving(lambda *_: pages.pop(0)) as server:
        exchange = set_up("https_json", url=server.url)
        assert fetch(exchange).added == 2
        assert standing(exchange) == {("md5", "a" * 32), ("pdq", digest(1))}
        assert fetch(exchange).withdrawn == 1
        assert standing(exchange) == {("pdq", digest(1))}


def test_an_id_keeps_its_digests_where_the_fetch_is_cut_off_between_two_pages(
    set_up: SetUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = {"id": "1", "algorithm": "md5", "value": "a" * 32}
    two = {"id": "1", "algorithm": "pdq", "value": digest(1)}
    pages = [entries(one, next="n1"), entries(two), entries(two)]
    with serving(lambda *_: pages.pop(0)) as server:
        exchange = set_up("https_json", url=server.url)
        with monkeypatch.context() as patched:
            patched.setattr(exchange_jobs, "LONGEST_FETCH", -1.0)
            assert fetch(exchange).is_cut
        assert not fetch(exchange).is_cut
        assert standing(exchange) == {("md5", "a" * 32), ("pdq", digest(1))}
        assert fetch(exchange).withdrawn == 1


def test_a_text_that_says_false_withdraws_nothing_and_a_bad_digest_takes_nothing_away(
    set_up: SetUp,
) -> None:
    pages = [
        entries({"id": "1", "algorithm": "md5", "value": "a" * 32}),
        entries({"id": "1", "deleted": "false"}),
        entries({"id": "1", "algorithm": "md5", "value": "not one"}),
        entries({"id": "2", "algorithm": "md5", "value": "b" * 32, "status": "withdrawn"}),
        entries({"id": "3", "algorithm": "pdq", "value": "0" * 64}),
    ]
    with serving(lambda *_: pages.pop(0)) as server:
        exchange = set_up("https_json", url=server.url)
        assert fetch(exchange).added == 1
        for words in ("true or false", "not hexadecimal", "out of force", "without any detail"):
            run = fetch(exchange)
            assert (run.rejected, run.withdrawn, run.added) == (1, 0, 0)
            assert words in run.rejected_sample[0]["reason"]
    assert standing(exchange) == {("md5", "a" * 32)}


@pytest.mark.parametrize("kind", ["https_json", "stopncii"])
def test_empty_pages_without_end_are_stopped(set_up: SetUp, kind: str) -> None:
    def answers(path: str, query: dict[str, list[str]], headers: object) -> Any:
        if kind == "stopncii":
            return stop_page(hasMoreRecords=True, nextPageToken=str(len(server.asked)))
        return entries(next="B" if query.get("after") == ["A"] else "A")

    with serving(answers) as server:
        exchange = (
            stop(set_up, server.url) if kind == "stopncii" else set_up("https_json", url=server.url)
        )
        run = fetch(exchange)
        assert "without end" in run.problem
        assert len(server.asked) < 30


@pytest.mark.parametrize("kind", ["https_json", "stopncii"])
@pytest.mark.parametrize("status", [429, 503])
def test_an_exchange_that_asks_to_be_left_alone_is(set_up: SetUp, kind: str, status: int) -> None:
    answer = (status, "text/plain", b"later", {"Retry-After": "3600"})
    with serving(lambda *_: answer) as server:
        exchange = (
            stop(set_up, server.url) if kind == "stopncii" else set_up("https_json", url=server.url)
        )
        assert "asked to be left alone" in fetch(exchange).problem
        assert len(server.asked) == 1
    assert exchange.due_at > timezone.now() + timedelta(minutes=55)


def test_a_server_that_fails_once_is_asked_again_at_once(set_up: SetUp) -> None:
    answers = [as_json({}, 502), entries({"id": "1", "algorithm": "md5", "value": "a" * 32})]
    with serving(lambda *_: answers.pop(0)) as server:
        run = fetch(set_up("https_json", url=server.url))
    assert (run.problem, run.added) == ("", 1)


def test_a_byte_order_mark_is_no_fault(set_up: SetUp) -> None:
    said = json.dumps({"entries": [{"id": "1", "algorithm": "md5", "value": "a" * 32}]})
    answer = (200, "application/json", b"\xef\xbb\xbf" + said.encode())
    with serving(lambda *_: answer) as server:
        assert fetch(set_up("https_json", url=server.url)).added == 1


def test_new_fields_of_tech_against_terrorism_lose_nothing(
    set_up: SetUp, caplog: pytest.LogCaptureFixture
) -> None:
    entry = {"id": 1, "algorithm": "MD5", "hash_digest": "a" * 32, "deleted": False, "new": 1}
    page = {"count": 2, "next": None, "checkpoint": "9,1", "results": [entry, 7]}

    def answers(path: str, *_: Any) -> Any:
        return as_json({"token": "t"}) if "token" in path else as_json(page)

    with serving(answers) as server:
        exchange = set_up("tat", username="u", password="p", base_url=f"{server.url}/")
        run = fetch(exchange)
    assert (run.problem, run.added, run.rejected) == ("", 1, 1)
    assert exchange.checkpoint == {"checkpoint": "9,1"}
    assert not [each for each in caplog.records if "a" * 32 in each.getMessage()]
    assert HashEntry.objects.count() == 1
