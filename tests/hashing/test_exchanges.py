"""Exchanges against stand-ins: everything is kept that should be, nothing else, and faults are said in words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from accounts.models import User
from core.errors import Invalid, Refused
from core.models import AuditEntry
from hashing import actions, automatic, jobs
from hashing.models import Exchange, ExchangeRecord, ExchangeRun, HashEntry, HashList
from tests.cast import signed_in
from tests.hashing.exchange_servers import StandIn, as_json, ncmec_entries, ncmec_entry, serving

pytestmark = pytest.mark.django_db


def digest(number: int) -> str:
    return f"{number:064x}"


@pytest.fixture(autouse=True)
def _loopback_is_allowed(settings: Any) -> None:
    settings.HOLDFAST_EXCHANGE_ALLOW_PRIVATE = True


@pytest.fixture
def set_up(policy_admin: User) -> Callable[..., Exchange]:
    """Return a function that sets up an exchange."""

    def create(kind: str, **values: str) -> Exchange:
        return actions.create_exchange(
            kind=kind,
            name=f"Invented {kind}",
            category="csam_known",
            values=values,
            actor=policy_admin,
        )

    return create


def fetch(exchange: Exchange) -> ExchangeRun:
    Exchange.objects.filter(pk=exchange.pk).update(due_at=Now())
    jobs.fetch_exchange(str(exchange.pk))
    exchange.refresh_from_db()
    return exchange.runs.order_by("-pk")[0]


def standing(exchange: Exchange) -> set[tuple[str, str]]:
    rows = HashEntry.objects.filter(hash_list=exchange.hash_list, retired_at=None)
    return set(rows.values_list("algorithm", "value"))


# ── HTTPS, JSON ───────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def shelf() -> dict[str, Any]:
    """Return the pages that the JSON stand-in gives, by what comes before them."""
    return {
        "": {
            "entries": [
                {"id": "1", "algorithm": "PDQ", "value": digest(1).upper(), "note": "one"},
                {"id": "2", "algorithm": "md5", "value": "a" * 32},
            ],
            "next": "p2",
        },
        "p2": {
            "entries": [
                {"id": "3", "algorithm": "sha1", "value": "b" * 40},
                {"id": "4", "algorithm": "pdq", "value": digest(4) + "\n"},
                {"id": "5", "algorithm": "pdq", "value": "xyz"},
                {"id": "6", "algorithm": "md5", "value": "c" * 31},
            ]
        },
    }


@pytest.fixture
def json_server(shelf: dict[str, Any]) -> Iterator[StandIn]:
    with serving(
        lambda path, query, headers: as_json(shelf[query.get("after", [""])[0]])
    ) as server:
        yield server


def test_pages_are_fetched_and_malformed_digests_are_named_and_never_stored(
    set_up: Callable[..., Exchange], json_server: StandIn
) -> None:
    exchange = set_up("https_json", url=json_server.url, token="an invented token")
    run = fetch(exchange)
    assert (run.problem, run.pages, run.records, run.added, run.rejected) == ("", 2, 6, 3, 3)
    assert standing(exchange) == {("pdq", digest(1)), ("md5", "a" * 32), ("sha1", "b" * 40)}
    assert {bad["id"] for bad in run.rejected_sample} == {"4", "5", "6"}
    assert json_server.asked[0][2]["Authorization"] == "Bearer an invented token"
    assert exchange.checkpoint == {"next": "p2"}
    assert exchange.last_success_at is not None
    assert exchange.hash_list.kind == "exchange"
    assert b"an invented token" not in bytes(exchange.sealed_credentials or b"")
    assert AuditEntry.objects.filter(event="hashing.exchange.fetched").count() == 1


def test_a_second_fetch_goes_on_where_the_first_ended_and_repeats_change_nothing(
    set_up: Callable[..., Exchange], json_server: StandIn, shelf: dict[str, Any]
) -> None:
    exchange = set_up("https_json", url=json_server.url)
    fetch(exchange)
    again = fetch(exchange)
    assert json_server.asked[-1][1] == {"after": ["p2"]}
    assert (again.added, again.withdrawn) == (0, 0)
    assert ExchangeRecord.objects.count() == 3


def test_a_withdrawn_record_takes_its_entry_out_and_brings_it_back(
    set_up: Callable[..., Exchange], json_server: StandIn, shelf: dict[str, Any], policy_admin: User
) -> None:
    exchange = set_up("https_json", url=json_server.url)
    fetch(exchange)
    shelf["p2"]["entries"] = [{"id": "1", "deleted": True}]
    assert fetch(exchange).withdrawn == 1
    entry = HashEntry.objects.get(value=digest(1))
    assert entry.retired_reason == "Withdrawn by HTTPS, JSON."
    shelf["p2"]["entries"] = [{"id": "1", "algorithm": "pdq", "value": digest(1)}]
    assert fetch(exchange).added == 1
    entry.refresh_from_db()
    assert entry.retired_at is None
    # What a person retired stays retired, whatever the exchange says.
    actions.retire_entry(entry, reason="a mistake", actor=policy_admin)
    fetch(exchange)
    entry.refresh_from_db()
    assert entry.retired_reason == "a mistake"


def test_a_record_that_changes_its_digest_loses_the_old_one_unless_another_holds_it(
    set_up: Callable[..., Exchange], json_server: StandIn, shelf: dict[str, Any]
) -> None:
    shelf[""] = {
        "entries": [
            {"id": "1", "algorithm": "pdq", "value": digest(1)},
            {"id": "2", "algorithm": "pdq", "value": digest(1)},
        ]
    }
    exchange = set_up("https_json", url=json_server.url)
    fetch(exchange)
    shelf[""]["entries"] = [{"id": "1", "algorithm": "pdq", "value": digest(9)}]
    assert fetch(exchange).withdrawn == 0
    assert standing(exchange) == {("pdq", digest(1)), ("pdq", digest(9))}
    shelf[""]["entries"] = [{"id": "2", "deleted": True}]
    assert fetch(exchange).withdrawn == 1
    assert standing(exchange) == {("pdq", digest(9))}


def test_a_worker_that_dies_between_pages_loses_nothing(
    set_up: Callable[..., Exchange], json_server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = set_up("https_json", url=json_server.url)
    take, calls = actions.take_page, []

    def dies(*said: Any) -> bool:
        calls.append(1)
        if len(calls) == 2:
            raise SystemExit
        return take(*said)

    monkeypatch.setattr(jobs.exchanges.actions, "take_page", dies)
    with pytest.raises(SystemExit):
        jobs.fetch_exchange(str(exchange.pk))
    monkeypatch.undo()
    exchange.refresh_from_db()
    assert exchange.checkpoint == {"next": "p2"}
    assert len(standing(exchange)) == 2
    assert actions.begin_fetch(exchange) is None  # Somebody has it, as far as one can know.
    Exchange.objects.update(leased_until=Now() - timedelta(seconds=1))
    from django.conf import settings

    settings.HOLDFAST_EXCHANGE_ALLOW_PRIVATE = True
    assert fetch(exchange).problem == ""
    assert len(standing(exchange)) == 3
    assert json_server.asked[-1][1] == {"after": ["p2"]}


def test_two_workers_do_not_fetch_one_exchange(
    set_up: Callable[..., Exchange], json_server: StandIn
) -> None:
    exchange = set_up("https_json", url=json_server.url)
    taken = actions.begin_fetch(exchange)
    assert taken is not None
    assert actions.begin_fetch(exchange) is None
    jobs.fetch_exchange(str(exchange.pk))
    assert json_server.asked == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, "application/json", b"<html>"), "not in the form"),
        ((200, "application/json", b"[]"), "no list called entries"),
        (as_json({"message": "no"}, 401), "refused the credentials (401)"),
        (as_json({}, 500), "an error (500)"),
        ((302, "text/plain", b"", {"Location": "http://127.0.0.1:9/"}), "another address"),
    ],
)
def test_a_faulty_answer_is_said_in_words_and_tried_again_later(
    set_up: Callable[..., Exchange], answer: Any, words: str
) -> None:
    with serving(lambda *_: answer) as server:
        exchange = set_up("https_json", url=server.url)
        run = fetch(exchange)
    assert words in run.problem
    assert exchange.last_error == run.problem
    assert exchange.failures == 1
    assert standing(exchange) == set()
    assert not actions.due_exchanges().exists()  # It waits before it asks again.


def test_a_host_that_is_away_and_an_address_inside_are_said_in_words(
    set_up: Callable[..., Exchange], settings: Any
) -> None:
    exchange = set_up("https_json", url="http://127.0.0.1:9/")
    assert fetch(exchange).problem == "It could not be reached."
    settings.HOLDFAST_EXCHANGE_ALLOW_PRIVATE = False
    assert "https://" in fetch(exchange).problem
    other = set_up("stopncii", subscription_key="a", fetch_key="b", base_url="https://127.0.0.1/")
    assert "private" in fetch(other).problem


def test_the_same_page_for_ever_is_noticed(set_up: Callable[..., Exchange]) -> None:
    page = {"nextPageToken": "again", "nextSetTimestamp": 5, "hasMoreRecords": True, "count": 1}
    record = stop_record("ImagePDQ", digest(1), "Active")
    with serving(lambda *_: as_json({**page, "hashRecords": [record]})) as server:
        exchange = set_up("stopncii", subscription_key="a", fetch_key="b", base_url=server.url)
        run = fetch(exchange)
    assert run.problem == "It sends the same page again and again."
    assert run.pages == 1


# ── NCMEC ─────────────────────────────────────────────────────────────────────────────────────
DOWNVOTE = (
    '<feedback><negativeFeedback type="PDQ" lastUpdateTimestamp="2026-10-20T21:57:42Z"><reasons>'
    '<reason name="Sexualized minors not present" guid="g" type="PDQ"/>'
    '<members timestamp="2026-10-20T21:57:42Z"><member id="7">Other</member></members>'
    "</reasons></negativeFeedback></feedback>"
)


def test_ncmec_keeps_every_digest_capitals_downvotes_and_deletions(
    set_up: Callable[..., Exchange],
) -> None:
    first = ncmec_entries(
        ncmec_entry(
            "img1",
            {"MD5": "A" * 32, "SHA1": "B" * 40, "PDQ": digest(10).upper(), "PDNA": "x"},
            more=DOWNVOTE,
        )
        + ncmec_entry("img2", {"MD5": "not a digest"}),
        ncmec_entry("vid1", {"MD5": "c" * 32, "SHA1": "d" * 40}, tag="video"),
        next_="/v2/entries?from=a&to=b&start=2&size=2&max=3",
    )
    second = ncmec_entries(ncmec_entry("img3", {"MD5": "e" * 32}))
    gone = ncmec_entries(
        '<deletedImage><member id="42">Invented</member><id>img1</id>'
        "<timestamp>2026-10-20T21:57:42Z</timestamp></deletedImage>"
    )
    pages = [first, second, gone]
    with serving(lambda *_: pages.pop(0)) as server:
        exchange = set_up(
            "ncmec", username="u", password="p", environment="NGO", base_url=server.url
        )
        run = fetch(exchange)
        assert (run.problem, run.pages, run.added, run.rejected, run.unsupported) == (
            "",
            2,
            6,
            1,
            1,
        )
        assert standing(exchange) == {
            ("md5", "a" * 32),
            ("sha1", "b" * 40),
            ("pdq", digest(10)),
            ("md5", "c" * 32),
            ("sha1", "d" * 40),
            ("md5", "e" * 32),
        }
        assert "1 against" in HashEntry.objects.get(algorithm="pdq").note
        assert server.asked[0][2]["Authorization"].startswith("Basic ")
        assert fetch(exchange).withdrawn == 3
    assert standing(exchange) == {("md5", "c" * 32), ("sha1", "d" * 40), ("md5", "e" * 32)}
    assert set(exchange.checkpoint) == {"start"}


def test_ncmec_is_asked_in_utc_wherever_the_server_stands() -> None:
    script = (
        "from hashing.exchanges import sources; print(sources._utc(0), sources._utc(1_700_000_000))"
    )
    for zone in ("America/New_York", "Asia/Tokyo"):
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"TZ": zone},
            check=True,
            capture_output=True,
            text=True,
        )
        assert done.stdout.split() == ["1970-01-01T00:00:00Z", "2023-11-14T22:13:20Z"]


def test_wrong_credentials_are_said_when_the_connection_is_tested(
    set_up: Callable[..., Exchange], client: Client, policy_admin: User
) -> None:
    with serving(lambda *_: (401, "text/plain", b"no")) as server:
        exchange = set_up(
            "ncmec", username="u", password="p", environment="NGO", base_url=server.url
        )
        signed_in(client, policy_admin)
        verb = reverse("hashing:exchange_switch", args=[exchange.pk, "test"])
        shown = client.post(verb, follow=True).text
    assert "It refused the credentials (401)." in shown


# ── StopNCII, ThreatExchange, Tech Against Terrorism, files ───────────────────────────────────
def stop_record(kind: str, value: str, status: str) -> dict[str, Any]:
    return {
        "lastModtimestamp": 5,
        "signalType": kind,
        "hashValue": value,
        "hashStatus": status,
        "caseNumbers": {"1": status},
        "CSPFeedbacks": [],
    }


def test_stopncii_removes_what_is_withdrawn_or_deleted(set_up: Callable[..., Exchange]) -> None:
    def page(*records: dict[str, Any]) -> Any:
        return as_json(
            {
                "count": len(records),
                "nextPageToken": None,
                "nextSetTimestamp": 77,
                "hasMoreRecords": False,
                "hashRecords": list(records),
            }
        )

    pages = [
        page(
            stop_record("ImagePDQ", digest(1), "Active"),
            stop_record("ImagePDQ", digest(2), "Active"),
            stop_record("VideoMD5", "a" * 32, "Received"),
            stop_record("VideoTMK", "zz", "Active"),
        ),
        page(
            stop_record("ImagePDQ", digest(1), "Withdrawn"),
            stop_record("ImagePDQ", digest(2), "Deleted"),
        ),
    ]
    with serving(lambda *_: pages.pop(0)) as server:
        exchange = set_up("stopncii", subscription_key="s", fetch_key="f", base_url=server.url)
        run = fetch(exchange)
        assert (run.problem, run.added, run.unsupported) == ("", 3, 1)
        assert fetch(exchange).withdrawn == 2
        assert server.asked[1][1]["startTimestamp"] == ["77"]
        assert server.asked[0][2]["x-functions-key"] == "f"
    assert standing(exchange) == {("md5", "a" * 32)}


def test_meta_threatexchange_takes_updates_and_deletions(set_up: Callable[..., Exchange]) -> None:
    def update(id_: str, kind: str, value: str, *, gone: bool = False) -> dict[str, Any]:
        return {
            "id": id_,
            "type": kind,
            "indicator": value,
            "last_updated": 1_700_000_000,
            "should_delete": gone,
            "tags": ["invented"],
        }

    pages = [
        {
            "data": [
                update("1", "HASH_PDQ", digest(1)),
                update("2", "HASH_MD5", "a" * 32),
                update("3", "DOMAIN", "x"),
            ]
        },
        {"data": [update("1", "HASH_PDQ", digest(1), gone=True)]},
    ]
    with serving(lambda *_: as_json(pages.pop(0))) as server:
        exchange = set_up("threatexchange", privacy_group="9", api_token="1|x", base_url=server.url)
        run = fetch(exchange)
        assert (run.problem, run.added, run.unsupported) == ("", 2, 1)
        assert fetch(exchange).withdrawn == 1
        assert server.asked[1][1]["start_time"] == ["1700000000"]
    assert standing(exchange) == {("md5", "a" * 32)}


def test_a_file_is_a_snapshot_what_left_it_is_withdrawn(
    set_up: Callable[..., Exchange], tmp_path: Path, settings: Any
) -> None:
    settings.HOLDFAST_EXCHANGE_DIR = str(tmp_path)
    (tmp_path / "list.csv").write_text(f"pdq,{digest(1)}\npdq,{digest(2)}\npdq,bad\n")
    exchange = set_up("file", path="list.csv")
    run = fetch(exchange)
    assert (run.problem, run.added, run.rejected) == ("", 2, 1)
    assert fetch(exchange).pages == 0  # The same file again.
    (tmp_path / "list.csv").write_text(f"pdq,{digest(2)}\npdq,{digest(3)}\n")
    run = fetch(exchange)
    assert (run.added, run.withdrawn) == (1, 1)
    assert standing(exchange) == {("pdq", digest(2)), ("pdq", digest(3))}
    other = set_up_other(exchange, "../outside.csv")
    assert "below the folder" in fetch(other).problem
    settings.HOLDFAST_EXCHANGE_DIR = ""
    assert "has set no folder" in fetch(other).problem


def set_up_other(like: Exchange, path: str) -> Exchange:
    return actions.create_exchange(
        kind="file",
        name="Another file",
        category="csam_known",
        values={"path": path},
        actor=like.changed_by,  # type: ignore[arg-type]
    )


# ── Setting up ────────────────────────────────────────────────────────────────────────────────
def test_nothing_is_contacted_unless_it_is_set_up() -> None:
    assert jobs.sweep_exchanges() == 0


def test_an_exchange_is_set_up_paused_resumed_and_changed_on_its_pages(
    client: Client, policy_admin: User, json_server: StandIn
) -> None:
    signed_in(client, policy_admin)
    assert "No exchange is set up" in client.get(reverse("hashing:exchanges")).text
    page = reverse("hashing:exchange_new", args=["https_json"])
    said = {
        "name": "Partner",
        "category": "csam_known",
        "url": json_server.url,
        "every_minutes": 30,
    }
    assert client.post(page, said | {"url": ""}).status_code == 422
    assert client.post(page, said | {"token": "invented secret"}).status_code == 302
    assert client.post(page, said).status_code == 422  # The name is taken.
    exchange = Exchange.objects.get()
    detail = reverse("hashing:exchange", args=[exchange.pk])
    assert "Not fetched yet" in client.get(detail).text

    def press(verb: str) -> int:
        return client.post(reverse("hashing:exchange_switch", args=[exchange.pk, verb])).status_code

    assert press("test") == 302
    assert press("fetch") == 302
    jobs.fetch_exchange(str(exchange.pk))
    shown = client.get(detail).text
    assert "Works" in shown
    assert "is not hexadecimal" in shown
    assert press("pause") == 302
    assert press("pause") == 409
    assert press("fetch") == 409
    assert press("resume") == 302
    assert press("explode") == 404
    settings_page = reverse("hashing:exchange_edit", args=[exchange.pk])
    shown = client.get(settings_page).text
    assert "invented secret" not in shown
    assert (
        client.post(settings_page, {"url": json_server.url, "every_minutes": 90}).status_code == 302
    )
    exchange.refresh_from_db()
    assert exchange.every_minutes == 90
    assert actions.exchange_credentials(exchange)["token"] == "invented secret"
    assert client.post(settings_page, {"url": "", "every_minutes": 1}).status_code == 422


def test_a_paused_exchange_takes_no_more_pages(
    set_up: Callable[..., Exchange], json_server: StandIn, policy_admin: User
) -> None:
    exchange = set_up("https_json", url=json_server.url)
    taken = actions.begin_fetch(exchange)
    assert taken is not None
    actions.pause_exchange(exchange, actor=policy_admin)
    from hashing.exchanges import Page, Update

    page = Page((Update("1", (("pdq", digest(1)),)),))
    assert not actions.take_page(*taken, page)
    with pytest.raises(Refused):
        actions.fetch_now(exchange, actor=policy_admin)


def test_missing_credentials_are_named_at_their_field(policy_admin: User) -> None:
    with pytest.raises(Invalid) as invalid:
        actions.create_exchange(
            kind="ncmec",
            name="N",
            category="csam_known",
            values={"username": "u"},
            actor=policy_admin,
        )
    assert set(invalid.value.errors) == {"password"}


def test_secrets_are_sealed_anew_with_the_master_key(set_up: Callable[..., Exchange]) -> None:
    exchange = set_up("https_json", url="https://partner.example/", token="t")
    before = bytes(exchange.sealed_credentials or b"")
    assert actions.exchanges.reseal_exchanges() == 1
    exchange.refresh_from_db()
    assert bytes(exchange.sealed_credentials or b"") != before
    assert json.loads(json.dumps(actions.exchange_credentials(exchange)))["token"] == "t"


def test_what_an_exchange_sends_acts_and_another_place_ends_that(
    set_up: Callable[..., Exchange], policy_admin: User, lead: User
) -> None:
    """Two people approved the exchange: one of them does not put another in its place."""
    entries = [{"id": "1", "algorithm": "md5", "value": "a" * 32}]
    with serving(lambda *_: as_json({"entries": entries})) as server:
        exchange = set_up("https_json", url=f"{server.url}/list")
        fetch(exchange)
        actions.ask_automatic(exchange.hash_list, actor=policy_admin)
        entries.append({"id": "2", "algorithm": "md5", "value": "b" * 32})
        fetch(exchange)  # The exchange goes on while somebody thinks about it.
        with pytest.raises(Refused, match="asked for this yourself"):
            actions.approve_automatic(exchange.hash_list, actor=policy_admin)
        actions.approve_automatic(exchange.hash_list, actor=lead)
        entries.append({"id": "3", "algorithm": "md5", "value": "c" * 32})
        fetch(exchange)
    hash_list = HashList.objects.get(pk=exchange.hash_list_id)
    actions.add_entry(hash_list, algorithm="md5", value="d" * 32, actor=policy_admin)
    acting = {
        entry.value[0]
        for entry in HashEntry.objects.filter(hash_list=hash_list)
        if automatic.acts(hash_list, [entry])
    }
    assert acting == {"a", "b", "c"}, "what a person put there waits for two"
    values = {"url": exchange.settings["url"]}
    actions.change_exchange(exchange, values=values, every_minutes=90, actor=policy_admin)
    assert HashList.objects.get(pk=hash_list.pk).acts_automatically
    values = {"url": "https://elsewhere.example/list"}
    actions.change_exchange(exchange, values=values, every_minutes=90, actor=policy_admin)
    hash_list.refresh_from_db()
    assert not hash_list.acts_automatically
    assert "changed where its exchange fetches from" in hash_list.request_ended
    actions.ask_automatic(hash_list, actor=lead)
    with pytest.raises(Refused, match="last changed what would act"):
        actions.approve_automatic(hash_list, actor=policy_admin)


def test_a_secret_does_not_follow_the_address_to_another_host(
    set_up: Callable[..., Exchange], policy_admin: User
) -> None:
    exchange = set_up("https_json", url="https://partner.example/a", token="t")

    def change(**values: str) -> Any:
        actions.change_exchange(exchange, values=values, every_minutes=60, actor=policy_admin)
        return actions.exchange_credentials(Exchange.objects.get(pk=exchange.pk))["token"]

    assert change(url="https://partner.example/b") == "t"
    for elsewhere in ("https://other.example/b", "http://partner.example/b"):
        with pytest.raises(Invalid) as invalid:
            change(url=elsewhere)
        assert set(invalid.value.errors) == {"token"}
    assert change(url="https://other.example/b", token="new") == "new"
