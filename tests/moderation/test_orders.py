"""Orders over HTTP: what they say, and reading them."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.db.models.functions import Now

from accounts.models import User
from core import vault
from core.audit import SYSTEM
from core.audit_rows import differences
from moderation import actions, delivery_jobs
from moderation.models import (
    Decision,
    Delivery,
    Enforcement,
    OrderResult,
    WebhookEndpoint,
)
from reports.actions import create_source, create_upload, issue_key, submit_report
from reports.choices import OWN_PLATFORM_SCOPES
from reports.models import Scope, Source, SourceKind, TrustLevel
from reports.payloads import ReportPayload
from tests.casework import Casework, hash_finding, term_finding
from tests.moderation.orders import banned, endpoint, key_of, orders, platform, published, say
from tests.moderation.receiver import Receiver
from tests.pictures import jpeg
from tests.reports.conftest import Platform, problem_of

__all__ = ["banned", "endpoint", "platform"]
pytestmark = pytest.mark.django_db


# ── What an order says ────────────────────────────────────────────────────────────────────────
def test_an_order_says_why_and_how_it_came_about(
    casework: Casework, robin: User, platform: Platform, settings: Any
) -> None:
    settings.HOLDFAST_POLICY_ADDRESS = "https://chat.example/rules/{code}"
    hotline = create_source(
        slug="hotline", name="Hotline", kind=SourceKind.TRUSTED_FLAGGER, actor=SYSTEM
    )
    item = {
        "surface": "reported_message",
        "media": casework.upload(hotline, jpeg(2, (64, 64)), "image/jpeg"),
    }
    theirs = {
        "subject": {"account": "user-9"},
        "reason": "csam",
        "external_id": "secret-of-theirs",
        "items": [item],
    }
    report = casework.report("user-9", pictures=[jpeg(1, (64, 64))])
    case = casework.routed(report, hash_finding())
    later = submit_report(hotline, payload=ReportPayload.model_validate(theirs), actor=SYSTEM)
    assert casework.routed(later, hash_finding()) == case
    decision = published(case, robin)
    [order] = orders(platform)
    data = order["message"]["data"]
    assert order["message"]["type"] == "enforcement.ban_account"
    assert (data["decision_id"], data["sequence"]) == (str(decision.pk), order["sequence"])
    policy = decision.policy_version.policy
    assert data["policy"] == {
        "code": policy.code,
        "name": policy.title,
        "url": f"https://chat.example/rules/{policy.code}",
    }
    assert data["category"] == policy.category
    assert data["detected_by"] == ["hash_match", "trusted_flagger", "user_report"]
    assert data["decided_by_person"] is True
    assert data["parameters"] == {}
    assert data["reverses"] is None
    named = {"id": str(report.pk), "number": str(report), "external_id": ""}
    assert data["reports"] == [named]
    assert data["reports_count"] == 1
    assert "secret-of-theirs" not in str(order)  # What a hotline calls its report is its own.


def test_a_scan_says_that_nobody_reported(
    casework: Casework, robin: User, platform: Platform
) -> None:
    item = casework.scan_submission("markerword-alpha", account="user-5")
    casework.scanned(item, term_finding((0, 16)))
    case = actions.route_item(item)
    assert case is not None
    published(case, robin, enforcements=["warn"])
    [order] = orders(platform)
    assert order["message"]["data"]["detected_by"] == ["proactive_scan", "text_rule"]
    assert order["message"]["data"]["reports"] == []


def test_the_same_item_reported_twice_is_one_order_that_names_both_reports(
    casework: Casework, robin: User, platform: Platform
) -> None:
    source, picture = casework.source(), jpeg(3, (64, 64))
    sent = []
    for number, sender in enumerate([None, "user-9"]):
        blob = vault.store_bytes(picture, media_type="image/jpeg")
        upload = create_upload(source, blob, actor=SYSTEM)
        item = {"surface": "reported_message", "external_id": "msg-77", "media": str(upload.pk)}
        said = {
            "subject": {"account": "user-9"},
            "reason": "csam",
            "external_id": f"rep-{number}",
            "items": [item | ({"sender": sender} if sender else {})],
        }
        sent.append(submit_report(source, payload=ReportPayload.model_validate(said), actor=SYSTEM))
    case, _ = (casework.routed(report) for report in sent)
    published(case, robin, enforcements=["remove_media"])
    [order] = orders(platform)
    data = order["message"]["data"]
    assert [report["external_id"] for report in data["reports"]] == ["rep-0", "rep-1"]
    assert data["target"]["item"]["sender"] == "user-9"  # The one that says more stands for both.
    assert data["target"]["item"]["external_id"] == "msg-77"


def test_numbers_count_all_orders_without_gaps(
    casework: Casework, robin: User, platform: Platform
) -> None:
    for name in ("user-1", "user-2", "user-3"):
        published(casework.case(name), robin, enforcements=["ban_account", "remove_media"])
    found = orders(platform)
    numbers = [order["sequence"] for order in found]
    assert numbers == list(range(numbers[0], numbers[0] - 6, -1))
    by_decision: dict[str, set[int]] = {}
    for order in found:
        by_decision.setdefault(order["message"]["data"]["decision_id"], set()).add(
            order["sequence"]
        )
    assert all(len(each) == 2 and max(each) - min(each) == 1 for each in by_decision.values())
    assert list(differences()) == []


@pytest.mark.django_db(transaction=True)
def test_decisions_that_take_effect_at_once_share_no_number(
    casework: Casework, robin: User
) -> None:
    decisions = [casework.decided(casework.case(f"user-{n}"), by=robin) for n in range(3)]
    Decision.objects.update(publish_at=Now() - timedelta(seconds=1))
    barrier = threading.Barrier(3)

    def publish(decision: Decision) -> bool:
        barrier.wait()
        try:
            return actions.publish_decision(decision)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(publish, decisions))
    numbers = sorted(row.sequence or 0 for row in Enforcement.objects.all())
    assert numbers == list(range(numbers[0], numbers[0] + 3))


# ── Reading ───────────────────────────────────────────────────────────────────────────────────
def test_orders_are_read_as_they_were_sent(
    receiver: Receiver, endpoint: WebhookEndpoint, banned: Enforcement, platform: Platform
) -> None:
    assert orders(platform)[0]["state"] == "pending"
    delivery_jobs.send_due()
    [order] = orders(platform)
    assert order["message"] == receiver.messages[0]
    assert (order["state"], order["id"]) == ("acknowledged", str(banned.pk))
    [sent] = order["deliveries"]
    assert (sent["webhook_id"], sent["state"]) == (receiver.ids[0], "delivered")
    assert platform.get(f"/enforcements/{banned.pk}").json() == order


def test_orders_that_no_endpoint_takes_can_be_read(banned: Enforcement, platform: Platform) -> None:
    [order] = orders(platform)
    assert (order["state"], order["deliveries"]) == ("pending", [])


def test_whoever_remembers_the_last_number_misses_none(
    casework: Casework, robin: User, platform: Platform
) -> None:
    for name in range(5):
        published(casework.case(f"user-{name}"), robin)
    newest = [order["sequence"] for order in orders(platform)]
    read: list[int] = []
    last = newest[-1] - 1
    while page := orders(platform, f"?after_sequence={last}&limit=2"):
        read += [order["sequence"] for order in page]
        last = read[-1]
    assert read == sorted(newest)
    first = platform.get("/enforcements?limit=3").json()
    rest = platform.get(f"/enforcements?limit=3&cursor={first['next_cursor']}").json()
    both = [order["sequence"] for page in (first, rest) for order in page["enforcements"]]
    assert both == newest
    assert rest["next_cursor"] is None


def test_orders_are_narrowed(casework: Casework, robin: User, platform: Platform) -> None:
    said = {"subject": {"account": "user-1"}, "reason": "csam", "external_id": "rep-1"}
    report = submit_report(
        casework.source(), payload=ReportPayload.model_validate(said), actor=SYSTEM
    )
    case = casework.routed(report)
    published(case, robin)
    published(casework.case("user-2"), robin, enforcements=["ban_account", "remove_media"])
    at = Enforcement.objects.get(account__external_id="user-1").published_at
    assert at is not None
    for query, count in {
        "verb=remove_media": 1,
        "verb=paint": 0,
        "report=rep-1": 1,
        "report=rep-2": 0,
        f"case={case}": 1,
        "case=nonsense": 0,
        "account=user-2": 2,
        "group=user-2": 0,
        "state=pending": 3,
        "state=done": 0,
        f"since={at.isoformat().replace('+00:00', 'Z')}": 3,
        "since=2100-01-01T00:00:00Z": 0,
    }.items():
        assert len(orders(platform, f"?{query}")) == count, query
    other = key_of(casework.source(TrustLevel.INTERNAL))
    assert orders(other, "?report=rep-1") == []  # An id that another source gave.
    assert len(orders(other)) == 3  # Orders are the platform's as a whole.


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("state=sent", "state"),
        ("since=yesterday", "since"),
        ("after_sequence=-1", "after_sequence"),
        ("after_sequence=99999999999999999999", "after_sequence"),
        ("cursor=nonsense", "cursor"),
        ("after=1", "after"),
        ("verb=a&verb=b", "verb"),
    ],
)
def test_nonsense_is_named_at_its_parameter(platform: Platform, query: str, field: str) -> None:
    assert list(problem_of(platform.get(f"/enforcements?{query}"), 422)["errors"]) == [field]


def test_orders_are_for_the_platform_itself(
    casework: Casework, banned: Enforcement, platform: Platform
) -> None:
    source = casework.source()
    reader = Platform(issue_key(source, scopes=[Scope.STATUS_READ], actor=SYSTEM)[1])
    problem_of(reader.get("/enforcements"), 403)
    problem_of(say(reader, banned, "done"), 403)
    Source.objects.filter(pk=source.pk).update(is_own_platform=False)
    for answer in (
        platform.get("/enforcements"),
        platform.get(f"/enforcements/{banned.pk}"),
        say(platform, banned, "done"),
    ):
        assert problem_of(answer, 403)["code"] == "not_own_platform"
    assert not OrderResult.objects.exists()


def test_a_test_key_reads_and_answers_no_order(casework: Casework, banned: Enforcement) -> None:
    _, text = issue_key(
        casework.source(), scopes=list(OWN_PLATFORM_SCOPES), is_test=True, actor=SYSTEM
    )
    trial = Platform(text)
    assert orders(trial) == []
    problem_of(trial.get(f"/enforcements/{banned.pk}"), 404)
    problem_of(say(trial, banned, "done"), 404)


def test_what_was_never_in_force_is_not_there(
    casework: Casework, robin: User, platform: Platform
) -> None:
    held = casework.decided(casework.case(), by=robin).enforcements.get()
    assert orders(platform) == []
    problem_of(platform.get(f"/enforcements/{held.pk}"), 404)
    problem_of(say(platform, held, "done"), 404)
    problem_of(platform.get(f"/enforcements/{uuid.uuid4()}"), 404)


def test_an_endpoint_of_another_source_hears_no_orders(
    receiver: Receiver, endpoint: WebhookEndpoint, casework: Casework, robin: User
) -> None:
    hotline = create_source(
        slug="hotline", name="Hotline", kind=SourceKind.TRUSTED_FLAGGER, actor=SYSTEM
    )
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(source=hotline)
    published(casework.case(), robin)
    delivery_jobs.sweep_deliveries()
    delivery_jobs.send_due()
    assert receiver.ids == []
    assert Delivery.objects.get().endpoint is None
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(source=casework.source())
    delivery_jobs.sweep_deliveries()
    delivery_jobs.send_due()
    assert len(receiver.ids) == 1


def test_every_verb_has_a_counterpart() -> None:
    from moderation.enforcement import REVERSALS, verb_taken_back
    from moderation.models import Reversal, Verb

    assert set(REVERSALS) == set(Verb.values) - {Verb.NO_ACTION.value}
    assert set(REVERSALS.values()) == set(Reversal.values)
    assert {verb_taken_back(each) for each in REVERSALS.values()} == set(REVERSALS)
