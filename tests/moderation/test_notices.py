"""report.closed over real sockets, and spans of deliveries that are sent again."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from core.audit import SYSTEM
from core.models import AuditEntry
from moderation import actions, delivery_jobs
from moderation.actions import replays
from moderation.models import (
    Case,
    Decision,
    Delivery,
    DeliveryState,
    Notice,
    Overturn,
    Replay,
    WebhookEndpoint,
)
from reports.actions import create_source, issue_key, submit_report
from reports.choices import OWN_PLATFORM_SCOPES
from reports.models import Report, Scope, Source, SourceKind
from reports.payloads import ReportPayload
from tests.casework import Casework
from tests.moderation.orders import endpoint, platform, published
from tests.moderation.receiver import Receiver
from tests.reports.conftest import Platform, problem_of

__all__ = ["endpoint", "platform"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def listener(receiver: Receiver, admin: User) -> WebhookEndpoint:
    """Return an endpoint that hears of reports, and of orders that nobody gives."""
    found, receiver.secret = actions.create_endpoint(
        name="Reports", url=receiver.url, verbs=[], events=["report.closed"], actor=admin
    )
    return found


def sent(source: Source, casework: Casework, account: str = "user-9", **said: Any) -> Case:
    document = {"subject": {"account": account}, "reason": "csam", "external_id": "rep-1"} | said
    return casework.routed(
        submit_report(source, payload=ReportPayload.model_validate(document), actor=SYSTEM)
    )


def closings(receiver: Receiver) -> list[dict[str, Any]]:
    delivery_jobs.send_due()
    return [each["data"] for each in receiver.messages if each["type"] == "report.closed"]


def overturned(decision: Decision, lead: User) -> None:
    overturn = actions.overturn_decision(
        decision, reason="It shows a drawn bridge and nobody.", actor=lead
    )
    Overturn.objects.filter(pk=overturn.pk).update(publish_at=Now() - timedelta(seconds=1))
    assert actions.carry_out_overturn(overturn)


def test_a_report_is_told_closed_once_and_again_when_decided_anew(
    casework: Casework, robin: User, lena: User, receiver: Receiver, listener: WebhookEndpoint
) -> None:
    case = sent(casework.source(), casework)
    Source.objects.filter(pk=casework.source().pk).update(tells_outcomes=True)
    report = Report.objects.get(external_id="rep-1")
    held = casework.decided(case, by=robin)
    assert closings(receiver) == []  # It can still be undone.
    actions.send_now(held, actor=robin)
    assert actions.publish_decision(held)
    actions.tell_outcome(Decision.objects.get(pk=held.pk))
    [first] = closings(receiver)
    report.refresh_from_db()
    assert first["report"] == {"id": str(report.pk), "number": str(report), "external_id": "rep-1"}
    assert (first["state"], first["outcome"], first["sequence"]) == ("decided", "action_taken", 1)
    assert first["decided_at"] is not None
    overturned(Decision.objects.get(pk=held.pk), lena)
    assert len(closings(receiver)) == 1
    case.refresh_from_db()
    published(case, robin, outcome="not_violating", enforcements=["no_action"])
    [_, second] = closings(receiver)
    assert (second["outcome"], second["sequence"]) == ("no_action", 2)
    assert Notice.objects.count() == 2


def test_a_source_that_is_not_told_hears_closed(
    casework: Casework, robin: User, receiver: Receiver, listener: WebhookEndpoint
) -> None:
    case = sent(casework.source(), casework)
    Source.objects.filter(pk=casework.source().pk).update(tells_outcomes=False)
    published(case, robin)
    [said] = closings(receiver)
    assert (said["state"], said["outcome"], said["decided_at"]) == ("closed", None, None)


def test_an_endpoint_hears_of_its_own_sources_reports_only(
    casework: Casework, robin: User, receiver: Receiver, listener: WebhookEndpoint
) -> None:
    hotline = create_source(
        slug="hotline", name="Hotline", kind=SourceKind.TRUSTED_FLAGGER, actor=SYSTEM
    )
    theirs = sent(hotline, casework, "user-1", external_id="theirs")
    published(theirs, robin)
    assert closings(receiver) == []  # The platform's endpoint.
    WebhookEndpoint.objects.update(source=hotline)
    published(sent(hotline, casework, "user-2", external_id="theirs-2"), robin)
    published(sent(casework.source(), casework, "user-3", external_id="ours"), robin)
    assert [said["report"]["external_id"] for said in closings(receiver)] == ["theirs-2"]
    assert {each["type"] for each in receiver.messages if "ban" in each["type"]} == {
        "enforcement.ban_account"
    }  # The first one's order, while it was still the platform's.
    assert sum("ban" in each["type"] for each in receiver.messages) == 1


def test_nothing_is_told_or_kept_where_nobody_listens(
    casework: Casework, robin: User, endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    published(sent(casework.source(), casework), robin)
    assert closings(receiver) == []
    assert not Notice.objects.exists()


def test_a_report_names_its_orders_to_the_platform_alone(casework: Casework, robin: User) -> None:
    source = casework.source()
    reader = Platform(issue_key(source, scopes=[Scope.STATUS_READ], actor=SYSTEM)[1])
    decision = published(sent(source, casework), robin)
    report = Report.objects.get(external_id="rep-1")
    told = reader.get(f"/reports/{report.pk}").json()["enforcements"]
    assert told == [str(key) for key in decision.enforcements.values_list("pk", flat=True)]
    Source.objects.filter(pk=source.pk).update(is_own_platform=False)
    assert reader.get(f"/reports/{report.pk}").json()["enforcements"] is None


def test_an_administrator_binds_an_endpoint(
    admin: User, casework: Casework, receiver: Receiver, session_of: Callable[..., Client]
) -> None:
    source = casework.source()
    browser = session_of(admin)
    said = {
        "name": "Theirs",
        "url": receiver.url,
        "events": ["report.closed"],
        "source": str(source.pk),
    }
    answer = browser.post(reverse("moderation:webhook_new"), said)
    assert answer.status_code == 200, answer.content.decode()[-2000:]
    made = WebhookEndpoint.objects.get()
    assert (made.events, made.source) == (["report.closed"], source)


def test_an_endpoint_that_would_hear_nothing_is_refused(
    admin: User, receiver: Receiver, session_of: Callable[..., Client]
) -> None:
    hotline = create_source(
        slug="hotline", name="Hotline", kind=SourceKind.TRUSTED_FLAGGER, actor=SYSTEM
    )
    browser, address = session_of(admin), reverse("moderation:webhook_new")
    said: dict[str, Any] = {"name": "Theirs", "url": receiver.url, "source": str(hotline.pk)}
    answer = browser.post(address, said)
    assert answer.status_code == 422
    assert "No orders go to Hotline, which is not the platform" in answer.content.decode()
    said["events"] = ["report.closed"]
    answer = browser.post(address, said | {"verbs": ["ban_account"]})
    assert answer.status_code == 422
    assert "Orders go to the platform alone" in answer.content.decode()
    assert not WebhookEndpoint.objects.exists()
    assert browser.post(address, said).status_code == 200
    made = WebhookEndpoint.objects.get()
    page = browser.get(reverse("moderation:webhooks")).content.decode()
    assert "none: Hotline is not the platform" in page
    assert "A report was decided (reports of Hotline)" in page
    assert "Hears nothing" not in page
    # One that became deaf, as when its source stopped being the platform, says so and can be paused.
    WebhookEndpoint.objects.update(events=[])
    assert "Hears nothing" in browser.get(reverse("moderation:webhooks")).content.decode()
    change = reverse("moderation:webhook", args=[made.pk])
    del said["events"]
    assert browser.post(change, said | {"is_active": "on"}).status_code == 422
    assert browser.post(change, said).status_code == 302


def test_the_list_of_endpoints_says_orders_in_words(
    admin: User, endpoint: WebhookEndpoint, session_of: Callable[..., Client]
) -> None:
    WebhookEndpoint.objects.update(verbs=["ban_account", "remove_media"])
    page = session_of(admin).get(reverse("moderation:webhooks")).content.decode()
    assert "Ban account, Remove media" in page
    assert "remove_media" not in page


# ── Spans that are sent again ─────────────────────────────────────────────────────────────────
@pytest.fixture
def five(
    casework: Casework, robin: User, receiver: Receiver, endpoint: WebhookEndpoint
) -> list[Delivery]:
    """Return five deliveries that arrived."""
    for number in range(5):
        published(casework.case(f"user-{number}"), robin)
    delivery_jobs.send_due()
    assert len(receiver.ids) == 5
    return list(Delivery.objects.order_by("created_at"))


def span(**more: Any) -> dict[str, Any]:
    return {"since": (timezone.now() - timedelta(hours=1)).isoformat()} | more


def test_a_span_is_sent_again_with_the_same_ids(
    five: list[Delivery], platform: Platform, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays, "AT_ONCE", 2)
    asked = platform.post("/deliveries/replay", span(until=timezone.now().isoformat()))
    assert asked.status_code == 202, asked.content
    said = asked.json()
    assert (said["count"], said["state"], said["replayed"]) == (5, "running", 0)
    delivery_jobs.replay_deliveries()
    delivery_jobs.replay_deliveries()  # Twice is once.
    delivery_jobs.send_due()
    assert sorted(receiver.ids[5:]) == sorted(receiver.ids[:5])
    now = platform.get(f"/deliveries/replays/{said['id']}").json()
    assert (now["state"], now["replayed"], now["skipped"]) == ("done", 5, 0)
    assert AuditEntry.objects.filter(event="delivery.replay.batch").count() == 3


def test_a_worker_that_dies_between_batches_repeats_none(
    five: list[Delivery], platform: Platform, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays, "AT_ONCE", 2)
    said = span(until=timezone.now().isoformat())
    platform.post("/deliveries/replay", said)
    again = platform.post("/deliveries/replay", said)
    assert Replay.objects.count() == 1  # Asked for twice while it is not done.
    assert again.status_code == 202
    replay = Replay.objects.get()
    assert replays.replay_some(replay)  # Here it dies; the sweep wakes another one.
    delivery_jobs.send_due()
    delivery_jobs.replay_deliveries()
    delivery_jobs.send_due()
    assert sorted(receiver.ids[5:]) == sorted(receiver.ids[:5])


def test_what_was_taken_back_is_not_sent_again(
    casework: Casework, robin: User, lena: User, receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    decision = published(casework.case("user-1"), robin)
    delivery_jobs.send_due()
    overturned(decision, lena)
    delivery_jobs.send_due()
    replay = actions.ask_replay(
        since=timezone.now() - timedelta(hours=1), until=timezone.now(), actor=lena
    )
    assert replay.count == 1
    delivery_jobs.replay_deliveries()
    delivery_jobs.send_due()
    kinds = [each["type"] for each in receiver.messages]
    assert kinds == [
        "enforcement.ban_account",
        "enforcement.unban_account",
        "enforcement.unban_account",
    ]


def test_only_the_states_and_the_endpoint_that_were_asked_for(
    five: list[Delivery], platform: Platform, endpoint: WebhookEndpoint, admin: User
) -> None:
    Delivery.objects.filter(pk=five[0].pk).update(
        state=DeliveryState.FAILED, delivered_at=None, replayed_at=Now()
    )
    assert platform.post("/deliveries/replay", span(states=["failed"])).json()["count"] == 1
    named = platform.post("/deliveries/replay", span(endpoint=str(endpoint.pk)))
    assert named.json()["count"] == 5


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"since": "yesterday"}, "since"),
        ({"since": "2099-01-01T00:00:00Z"}, "until"),
        ({"since": "2020-01-01T00:00:00Z"}, "until"),
        ({"states": ["pending"]}, "states.0"),
        ({"states": []}, "states"),
        ({"endpoint": "00000000-0000-4000-8000-000000000000"}, "endpoint"),
    ],
)
def test_a_span_that_makes_no_sense_is_named(
    platform: Platform, changes: dict[str, Any], field: str
) -> None:
    document = problem_of(platform.post("/deliveries/replay", span() | changes), 422)
    assert list(document["errors"]) == [field], document


def test_a_test_key_sends_nothing_again(five: list[Delivery], casework: Casework) -> None:
    _, text = issue_key(
        casework.source(), scopes=list(OWN_PLATFORM_SCOPES), is_test=True, actor=SYSTEM
    )
    assert Platform(text).post("/deliveries/replay", span()).status_code == 403
    assert not Replay.objects.exists()


def test_a_lead_counts_a_span_and_sends_it_again(
    five: list[Delivery], lena: User, receiver: Receiver, session_of: Callable[..., Client]
) -> None:
    browser = session_of(lena)
    address = reverse("moderation:replay_span")
    assert address in browser.get(reverse("moderation:deliveries")).content.decode()
    now = timezone.now()
    said = {
        "since": f"{now - timedelta(hours=1):%Y-%m-%dT%H:%M}",
        "until": f"{now + timedelta(hours=1):%Y-%m-%dT%H:%M}",
        "states": ["delivered", "failed"],
    }
    page = browser.post(address, said | {"then": "count"}).content.decode()
    assert "5 deliveries are in this span" in page
    counted = re.search(r'name="counted" value="([^"]+)"', page)
    assert counted
    shown = said | {"counted": counted[1], "then": "send"}
    # Another span than the counted one is counted, not sent; so is one that holds others meanwhile.
    for changes in ({"states": ["failed"]}, {"since": "2026-01-01T00:00"}, {"counted": ""}):
        answer = browser.post(address, shown | {"until": said["until"]} | changes)
        assert answer.status_code in {200, 422}
    one = Delivery.objects.filter(pk=five[0].pk)
    one.update(created_at=Now() - timedelta(hours=2))
    changed = browser.post(address, shown).content.decode()
    assert "Nothing was sent" in changed
    assert "4 deliveries are in this span" in changed
    one.update(created_at=Now())
    assert not Replay.objects.exists()
    assert browser.post(address, shown).status_code == 303
    delivery_jobs.replay_deliveries()
    delivery_jobs.send_due()
    assert len(receiver.ids) == 10
    assert "5 of 5 queued" in browser.get(address).content.decode()


@pytest.mark.parametrize(
    ("since", "until", "sentence"),
    [
        ("2026-11-02T10:00", "2026-11-02T09:00", "Must be later than when the span begins"),
        ("2026-09-01T00:00", "2026-11-28T00:00", "At most 31 days at a time"),
    ],
)
def test_a_span_is_counted_as_strictly_as_it_is_sent(
    lena: User, session_of: Callable[..., Client], since: str, until: str, sentence: str
) -> None:
    said = {"since": since, "until": until, "states": ["failed"], "then": "count"}
    answer = session_of(lena).post(reverse("moderation:replay_span"), said)
    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert "in this span" not in answer.content.decode()
