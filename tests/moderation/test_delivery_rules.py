"""The written rules of delivery: waits, final answers, messages, addresses. No database, no network."""

from __future__ import annotations

import ipaddress
import itertools
import json
import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from core import outbound
from moderation import enforcement, webhooks


def test_waits_grow_and_reach_beyond_a_day() -> None:
    waits = [enforcement.wait_after(n, chance=0.5) for n in range(1, 20)]
    assert all(earlier <= later for earlier, later in itertools.pairwise(waits))
    assert waits[0] == timedelta(seconds=5)
    assert sum(waits, timedelta()) > timedelta(hours=24)
    assert timedelta(hours=24) <= enforcement.GIVE_UP_AFTER
    # At the shortest jitter the last attempt still lies beyond a day.
    shortest = [enforcement.wait_after(n, chance=0.0) for n in range(1, 20)]
    assert sum(shortest, timedelta()) > timedelta(hours=24)


def test_jitter_spreads_a_wait_by_a_fifth() -> None:
    low, high = (enforcement.wait_after(7, chance=c).total_seconds() for c in (0.0, 0.999999))
    assert low == pytest.approx(3600 * 0.8)
    assert high == pytest.approx(3600 * 1.2, rel=1e-3)


def test_retry_after_lengthens_but_never_shortens() -> None:
    assert enforcement.wait_after(1, chance=0.5, retry_after=90) == timedelta(seconds=90)
    assert enforcement.wait_after(7, chance=0.5, retry_after=1) == timedelta(hours=1)
    assert enforcement.wait_after(1, chance=0.5, retry_after=10**7) == timedelta(hours=4)
    assert enforcement.retry_after_of("120") == 120
    assert enforcement.retry_after_of("Wed, 21 Oct 2026 07:28:00 GMT") is None


@pytest.mark.parametrize(
    ("status", "taken", "final"),
    [
        (200, True, False),
        (204, True, False),
        (301, False, False),
        (400, False, False),
        (404, False, False),
        (410, False, True),
        (429, False, False),
        (500, False, False),
        (None, False, False),
    ],
)
def test_which_answers_end_it(status: int | None, taken: bool, final: bool) -> None:
    assert (enforcement.is_acknowledged(status), enforcement.is_final(status)) == (taken, final)


def test_a_message_names_the_target_and_nothing_of_the_report() -> None:
    payload = enforcement.payload_of(
        enforcement.Order(
            enforcement_id="e",
            decision_id="d",
            sequence=3,
            verb="remove_media",
            target=enforcement.Target(
                account="user-1",
                item={"external_id": "msg-1", "surface": "reported_message", "sha256": "ab"},
            ),
            case_number="C-000001",
            category="csam_known",
            policy_code="CS-1",
            policy_name="Known imagery",
            policy_url=None,
            decided_at=datetime(2026, 11, 22, 10, 42, tzinfo=UTC),
            decided_by_person=True,
        )
    )
    assert payload["type"] == "enforcement.remove_media"
    assert payload["data"]["target"]["item"]["sha256"] == "ab"
    assert payload["data"]["decided_at"] == "2026-11-22T10:42:00Z"
    assert set(payload["data"]) == {
        "enforcement_id",
        "decision_id",
        "sequence",
        "verb",
        "parameters",
        "target",
        "reverses",
        "case",
        "category",
        "policy",
        "reports",
        "reports_count",
        "detected_by",
        "decided_by_person",
        "decided_at",
    }
    assert json.loads(enforcement.body_of(payload)) == payload


def test_a_rotation_signs_with_both_secrets() -> None:
    old, new = webhooks.new_secret(), webhooks.new_secret()
    headers = webhooks.sign("id-1", datetime.now(UTC), "{}", [new, old])
    for secret in (old, new):
        Webhook(secret).verify("{}", headers)
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(webhooks.new_secret()).verify("{}", headers)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.5.4",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104 — to be refused
        "224.0.0.1",
        "::1",
        "fe80::1",
        "fc00::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ],
)
def test_private_addresses_are_refused(address: str, settings: Any) -> None:
    assert not webhooks.is_allowed(ipaddress.ip_address(address))
    settings.HOLDFAST_WEBHOOK_ALLOW_PRIVATE = True
    assert webhooks.is_allowed(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert webhooks.is_allowed(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "http://platform.example/hooks",
        "ftp://platform.example",
        "https://",
        "https://user:pass@platform.example/",
        "https://platform.example/#part",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://platform.example:99999/",
        "https://plat form.example/",
    ],
)
def test_addresses_that_cannot_be_webhooks(url: str) -> None:
    assert webhooks.check_url(url)


def test_an_https_address_can_be_one() -> None:
    assert webhooks.check_url("https://platform.example:8443/hooks?x=1") == ""


@pytest.mark.parametrize("found", [["10.0.0.1"], ["93.184.215.14", "10.0.0.1"]])
def test_a_name_that_leads_inside_is_not_contacted(
    found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolves(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 443)) for one in found]

    monkeypatch.setattr(outbound.socket, "getaddrinfo", resolves)
    answer = webhooks.send(
        "https://platform.example/", message_id="1", body="{}", signing_secrets=[]
    )
    assert answer.status is None
    assert "private" in answer.error


def test_a_name_that_does_not_resolve_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror("no such name")

    monkeypatch.setattr(outbound.socket, "getaddrinfo", fails)
    answer = webhooks.send(
        "https://platform.example/", message_id="1", body="{}", signing_secrets=[]
    )
    assert "resolved" in answer.error
