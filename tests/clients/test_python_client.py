"""``clients/python`` against a live server, and against answers that a network gives."""

from __future__ import annotations

import json
import time
import typing
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from django.test import Client
from standardwebhooks.webhooks import Webhook

from accounts.models import User
from holdfast_client import File, Holdfast, NotReached, Patience, Problem, answers, webhooks
from moderation.webhooks import new_secret, sign
from reports.models import Account, Membership, Report
from tests.casework import Casework

AT_ONCE = Patience(first=0, longest=0)
PNG = File("photo.png", b"\x89PNG\r\n\x1a\n no picture")
REPORT = {"subject": {"account": "user-1"}, "reason": "spam"}


@pytest.fixture
def holdfast(way: dict[str, str]) -> Iterator[Holdfast]:
    with Holdfast(way["HOLDFAST"], way["HOLDFAST_KEY"]) as client:
        yield client


class Network:
    """Answers from a list; an exception in it is raised. Remembers what was asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers, self.asked = list(answers), list[httpx.Request]()

    def client(self, patience: Patience = AT_ONCE) -> Holdfast:
        http = httpx.Client(transport=httpx.MockTransport(self._answer))
        return Holdfast("https://holdfast.example/", "hf_x", patience=patience, http=http)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json={"status": status, "code": code}, headers=named)


# ── Against a live server ─────────────────────────────────────────────────────────────────────
def test_a_report_with_files_ahead_and_along(holdfast: Holdfast) -> None:
    media = holdfast.upload(PNG)
    report = holdfast.submit_report(
        REPORT
        | {
            "external_id": "rep-1",
            "items": [
                {"surface": "profile_photo", "media": media["id"]},
                {"surface": "profile_photo", "file": "second"},
            ],
        },
        {"second": File("b.png", b"another")},
        idempotency_key="rep-1",
    )
    assert [item["kind"] for item in report["items"]] == ["image", "other"]
    assert holdfast.report(report["id"])["state"] == "received"
    [listed] = holdfast.reports(external_id="rep-1", since=datetime(2020, 1, 1, tzinfo=UTC))
    assert listed["number"] == report["number"]
    with pytest.raises(Problem) as refused:
        holdfast.submit_report(REPORT | {"external_id": "rep-1"})
    assert (refused.value.status, refused.value.code) == (409, "duplicate_external_id")
    assert refused.value.document["existing"]["id"] == report["id"]


def test_directory_scans_and_matches(holdfast: Holdfast) -> None:
    assert holdfast.put_account("a/b é", {"username": "alex"})["external_id"] == "a/b é"
    holdfast.put_group("group/7", {"name": "Holiday pictures"})
    assert holdfast.put_members("group/7", [{"account": "a/b é", "role": "owner"}])["members"] == 1
    scan = holdfast.submit_scan(
        {"subject": {"group": "group/7"}, "surface": "group_name", "text": "Holiday pictures"}
    )
    assert holdfast.scan(scan["id"])["scan_state"] == "waiting"
    found = holdfast.match(texts=[{"id": "t", "text": "Holiday pictures", "surface": "group_name"}])
    assert [each["id"] for each in found["texts"]] == ["t"]
    links = holdfast.import_links("a place", [{"link": "https://chat.example/join/AbC123"}])
    assert links["added"] == 1
    assert holdfast.key()["source"]["slug"] == "messenger"
    assert holdfast.vocabulary()


def test_orders_are_read_and_answered(holdfast: Holdfast, casework: Casework, robin: User) -> None:
    assert holdfast.status()["accepting"] == "yes"
    order = casework.published(casework.case("user-9"), by=robin).enforcements.get()
    [found] = holdfast.enforcements(after_sequence=0)
    assert found["message"]["data"]["target"] == {"account": {"external_id": "user-9"}}
    assert holdfast.enforcement(found["id"])["verb"] == order.verb
    said = [holdfast.report_result(found["id"], "impossible", detail="gone") for _ in range(2)]
    assert said[0] == said[1]
    assert holdfast.enforcement(found["id"])["state"] == "impossible"
    assert list(holdfast.enforcements(after_sequence=found["sequence"])) == []
    appeals = [
        holdfast.appeal(found["id"], external_id="ap-1", reason="It was not me.") for _ in range(2)
    ]
    assert appeals[0] == appeals[1] == holdfast.appeal_state(appeals[0]["id"])
    assert appeals[0]["state"] == "open"
    span = holdfast.replay(datetime.now(UTC) - timedelta(hours=1))
    assert holdfast.replay_state(span["id"])["count"] == span["count"]


def test_somebody_is_forgotten(holdfast: Holdfast) -> None:
    holdfast.put_account("user-3", {"username": "kim"})
    asked = {"account": "user-3", "reason": "request", "external_id": "gdpr-1"}
    asked["requested_at"] = "2026-11-27T10:00:00Z"
    first, again = holdfast.request_erasure(asked), holdfast.request_erasure(asked)
    assert first["id"] == again["id"]
    assert holdfast.erasure(first["id"])["state"] == "done"


def test_lists_are_read_to_their_end(holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast_client.client.PAGE", 2)
    holdfast.send_all({"type": "report", **REPORT, "external_id": f"r{n}"} for n in range(5))
    assert [each["external_id"] for each in holdfast.reports()] == ["r4", "r3", "r2", "r1", "r0"]


def test_lines_are_split_and_numbered_on(holdfast: Holdfast) -> None:
    lines = [{"type": "account", "external_id": f"a{n}"} for n in range(7)]
    lines[4] = {"type": "wish"}
    lines.append({"type": "membership", "group": "g", "account": "a0"})
    found = list(holdfast.send_lines(lines, lines_per_request=3))
    assert [each.line for each in found] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [each.line for each in found if not each.is_accepted] == [5]
    assert found[4].code == "unknown_type"
    assert "type" in found[4].errors
    assert (Account.objects.count(), Membership.objects.count()) == (6, 1)


def test_lines_sent_again_under_their_key_are_taken_once(holdfast: Holdfast) -> None:
    lines = [{"type": "report", **REPORT} for _ in range(4)]
    for _ in range(2):
        done = holdfast.send_all(lines, key="night-1")
        assert (done.accepted, done.rejected) == (4, [])
    assert Report.objects.count() == 4


# ── Against a network ─────────────────────────────────────────────────────────────────────────
def test_a_request_is_repeated_under_one_key_until_it_is_answered() -> None:
    network = Network(
        httpx.ConnectError("no"),
        httpx.ReadTimeout("slow"),
        problem(503, "busy", Retry_After="0"),
        problem(409, "idempotency_in_progress"),
        httpx.Response(502, text="<html>"),
        httpx.Response(201, json={"id": "1"}),
    )
    with network.client() as client:
        assert client.submit_report(REPORT)["id"] == "1"
    assert len(network.asked) == 6
    assert len({asked.headers["Idempotency-Key"] for asked in network.asked}) == 1
    assert len({asked.content for asked in network.asked}) == 1
    assert str(network.asked[0].url) == "https://holdfast.example/api/v1/reports"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 415, 422])
def test_what_would_not_help_is_not_repeated(status: int) -> None:
    network = Network(problem(status, "invalid", X_Request_Id="r-1"))
    with network.client() as client, pytest.raises(Problem) as refused:
        client.submit_report(REPORT)
    assert (refused.value.status, refused.value.request_id) == (status, "r-1")


def test_patience_ends() -> None:
    network = Network(*[httpx.ConnectError("no")] * 3)
    with network.client(Patience(tries=3, first=0)) as client, pytest.raises(NotReached):
        client.report("1")
    network = Network(problem(429, "too_many_requests", Retry_After="601"))
    with network.client(Patience(altogether=600)) as client, pytest.raises(Problem) as refused:
        client.report("1")
    assert refused.value.status == 429


def test_an_address_that_is_none_is_said_at_once() -> None:
    with Holdfast("holdfast.example", "hf_x") as client, pytest.raises(NotReached, match="address"):
        client.key()


def test_waits_double_and_hear_what_was_asked() -> None:
    patience = Patience(first=1, longest=10)
    assert [patience.wait(n, 0, 0.5) for n in (1, 2, 3, 4, 5, 99)] == [1, 2, 4, 8, 10, 10]
    assert patience.wait(1, 30, 0.5) == 30
    assert patience.wait(5, 3, 0.0) == 5


def test_what_a_batch_did_not_take_is_sent_as_another() -> None:
    def taken(*lines: int, stopped_at: int | None = None) -> httpx.Response:
        results = [{"line": line, "status": "accepted"} for line in lines]
        return httpx.Response(207, json={"results": results, "stopped_at": stopped_at})

    network = Network(taken(1, 2, stopped_at=3), httpx.ReadError("broke"), taken(1, 2), taken(1))
    lines = [{"type": "account", "external_id": f"a{n}"} for n in range(5)]
    with network.client() as client:
        found = list(client.send_lines(lines, key="k", lines_per_request=4))
    assert [each.line for each in found] == [1, 2, 3, 4, 5]
    sent = [(a.headers["Idempotency-Key"], a.content.count(b"\n") + 1) for a in network.asked]
    assert sent == [("k.1", 4), ("k.3", 2), ("k.3", 2), ("k.5", 1)]
    assert json.loads(network.asked[1].content.split(b"\n")[0])["external_id"] == "a2"


def test_a_time_without_an_offset_is_refused() -> None:
    with Network().client() as client, pytest.raises(ValueError, match="offset"):
        list(client.reports(since=datetime(2026, 1, 1)))  # noqa: DTZ001 — what is refused


# ── Messages ──────────────────────────────────────────────────────────────────────────────────
BODY = b'{"type":"enforcement.warn","timestamp":"2026-11-22T10:42:00Z","data":{"verb":"warn"}}'


def test_a_message_is_believed_as_the_standard_library_does() -> None:
    old, secret = new_secret(), new_secret()
    headers = sign("id-1", datetime.now(UTC), BODY.decode(), [old, secret])
    for each in (old, secret):
        message = webhooks.verify(each, {k.title(): v for k, v in headers.items()}, BODY)
        assert (message.id, message.type, message.is_order) == ("id-1", "enforcement.warn", True)
        assert Webhook(each).verify(BODY, headers)["data"] == message.data
    assert webhooks.verify([new_secret(), secret], headers, BODY).data == {"verb": "warn"}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda headers, body: (headers, body + b" "),
        lambda headers, body: (headers | {"webhook-id": "id-2"}, body),
        lambda headers, body: (headers | {"webhook-timestamp": str(int(time.time()) + 1)}, body),
        lambda headers, body: (headers | {"webhook-timestamp": "soon"}, body),
        lambda headers, body: (headers | {"webhook-signature": "v1,"}, body),
        lambda headers, body: (headers | {"webhook-signature": "v1,é"}, body),
        lambda headers, body: (
            headers | {"webhook-signature": headers["webhook-signature"].replace("v1,", "v2,")},
            body,
        ),
        lambda headers, body: ({k: v for k, v in headers.items() if k != "webhook-id"}, body),
    ],
)
def test_anything_else_is_not(spoil: Any) -> None:
    secret = new_secret()
    headers, body = spoil(sign("id-1", datetime.now(UTC), BODY.decode(), [secret]), BODY)
    with pytest.raises(webhooks.NotGenuine):
        webhooks.verify(secret, headers, body)


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_message_from_another_time_is_not(minutes: int) -> None:
    secret = new_secret()
    headers = sign("id-1", datetime.now(UTC), BODY.decode(), [secret])
    with pytest.raises(webhooks.NotGenuine, match="clock"):
        webhooks.verify(secret, headers, BODY, now=time.time() + minutes * 60)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_***"])
def test_a_secret_that_is_none_is_a_fault_of_the_receiver(secret: str) -> None:
    headers = sign("id-1", datetime.now(UTC), BODY.decode(), [new_secret()])
    with pytest.raises(ValueError, match="secret"):
        webhooks.verify(secret, headers, BODY)


# ── Types ─────────────────────────────────────────────────────────────────────────────────────
def test_the_types_name_only_what_is_answered() -> None:
    schemas = Client().get("/api/v1/openapi.json").json()["components"]["schemas"]
    named = [each for each in vars(answers).values() if typing.is_typeddict(each)]
    assert len(named) > 8
    for each in named:
        unknown = set(typing.get_type_hints(each)) - set(schemas[each.__name__]["properties"])
        assert not unknown, each.__name__


def test_every_operation_has_a_method() -> None:
    """Read from what the client's source asks for, so that a new endpoint is not forgotten."""
    import inspect

    from holdfast_client import batches, client

    source = inspect.getsource(client) + inspect.getsource(batches)
    schema = Client().get("/api/v1/openapi.json").json()
    for path in schema["paths"]:
        last = [part for part in path.split("/") if part and "{" not in part][-1]
        assert f"/{last}" in source, path
