"""Enforcements on their way to the platform, over real sockets."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection, connections
from django.db.models import F
from django.db.models.functions import Now
from django.test import Client

from accounts.models import User
from accounts.permissions import Role
from core.errors import Invalid, Refused
from core.models import AuditEntry
from moderation import actions, delivery_jobs
from moderation.actions import attempts, deliveries
from moderation.models import (
    Decision,
    Delivery,
    DeliveryAttempt,
    DeliveryState,
    EndpointBreaker,
    Enforcement,
    EnforcementState,
    WebhookEndpoint,
)
from moderation.webhooks import Answer
from tests.casework import Casework, grant_all
from tests.cast import make_person, signed_in
from tests.moderation.receiver import Receiver

pytestmark = pytest.mark.django_db


@pytest.fixture
def lead(lead: User) -> User:
    """Return the lead with the grants for every case."""
    return grant_all(lead)


@pytest.fixture
def endpoint(receiver: Receiver, admin: User) -> WebhookEndpoint:
    found, receiver.secret = actions.create_endpoint(
        name="Platform", url=receiver.url, verbs=[], actor=admin
    )
    return found


@pytest.fixture
def publish(
    casework: Casework, granted: Callable[[User], User], reviewer: User
) -> Callable[[], Enforcement]:
    """Return what decides a new case and lets the decision take effect."""

    def make() -> Enforcement:
        decision = casework.published(casework.case(), by=granted(reviewer))
        return decision.enforcements.get()

    return make


@pytest.fixture
def undelivered(receiver: Receiver, endpoint: WebhookEndpoint, publish: Any) -> Delivery:
    """Return a delivery whose receiver answered 500 once."""
    receiver.status = 500
    publish()
    delivery_jobs.send_due()
    return Delivery.objects.get()


def let_time_pass(**until: Any) -> None:
    """Make what waits due now, as if the wait were over."""
    Delivery.objects.update(next_attempt_at=Now(), locked_until=None, **until)
    EndpointBreaker.objects.filter(open_until__isnull=False).update(open_until=Now())


def test_a_decision_reaches_the_platform_signed(
    receiver: Receiver, endpoint: WebhookEndpoint, publish: Callable[[], Enforcement]
) -> None:
    enforcement = publish()
    assert enforcement.state == EnforcementState.PENDING
    delivery_jobs.send_due()
    delivery = Delivery.objects.get()
    assert receiver.ids == [str(delivery.pk)]
    assert receiver.bad == 0
    [message] = receiver.messages
    case = enforcement.decision.case
    assert message["type"] == "enforcement.ban_account"
    assert message["data"]["case"] == str(case)
    assert message["data"]["target"] == {"account": {"external_id": case.account.external_id}}
    assert enforcement.decision.reason not in str(message)
    assert enforcement.decision.made_by.pseudonym not in str(message)
    assert delivery.state == DeliveryState.DELIVERED
    enforcement.refresh_from_db()
    assert enforcement.state == EnforcementState.ACKNOWLEDGED
    assert DeliveryAttempt.objects.get().status == 204
    assert AuditEntry.objects.filter(event="delivery.confirmed", chain=f"case:{case.pk}").exists()
    delivery_jobs.send_due()
    assert len(receiver.ids) == 1


def test_queueing_twice_makes_one_row(endpoint: WebhookEndpoint, publish: Any) -> None:
    enforcement = publish()
    assert len(actions.queue_deliveries(enforcement)) == 1
    assert Delivery.objects.count() == 1


def test_an_undone_decision_sends_nothing(
    receiver: Receiver,
    endpoint: WebhookEndpoint,
    casework: Casework,
    granted: Callable[[User], User],
    reviewer: User,
) -> None:
    decision: Decision = casework.decided(casework.case(), by=granted(reviewer))
    actions.undo_decision(decision, actor=reviewer)
    Decision.objects.update(publish_at=Now() - timedelta(seconds=1))
    assert not actions.publish_decision(decision)
    assert delivery_jobs.sweep_deliveries() == 0
    assert not Delivery.objects.exists()
    with pytest.raises(Refused):
        actions.queue_deliveries(decision.enforcements.get())
    assert receiver.ids == []


def test_a_receiver_that_is_down_gets_it_once_when_it_is_back(
    receiver: Receiver, endpoint: WebhookEndpoint, publish: Callable[[], Enforcement]
) -> None:
    publish()
    port = receiver.port
    receiver.close()
    delivery_jobs.send_due()
    attempt = DeliveryAttempt.objects.get()
    assert attempt.status is None
    assert "nobody listens" in attempt.error
    back = Receiver(port)
    back.secret = receiver.secret
    try:
        delivery_jobs.send_due()
        assert back.ids == []  # Not due yet: the wait is kept.
        let_time_pass()
        for _ in range(3):
            delivery_jobs.send_due()
        assert back.ids == [str(Delivery.objects.get().pk)]
    finally:
        back.close()


def test_errors_are_tried_again_with_growing_waits_and_then_given_up(
    receiver: Receiver, undelivered: Delivery
) -> None:
    waits = []
    for _ in range(7):
        let_time_pass()
        delivery_jobs.send_due()
        row = Delivery.objects.annotate(wait=F("next_attempt_at") - Now()).get()
        waits.append(row.wait)
    assert all(later > earlier for earlier, later in itertools.pairwise(waits))
    assert DeliveryAttempt.objects.count() == 8
    assert len(set(receiver.ids)) == 1
    assert Enforcement.objects.get().state == EnforcementState.PENDING
    let_time_pass(give_up_at=Now())
    assert delivery_jobs.sweep_deliveries() == 1
    assert Delivery.objects.get().state == DeliveryState.FAILED
    assert Enforcement.objects.get().state == EnforcementState.FAILED
    assert AuditEntry.objects.filter(event="delivery.gave_up").count() == 1
    delivery_jobs.send_due()
    assert DeliveryAttempt.objects.count() == 8


def test_it_is_tried_for_at_least_a_day(undelivered: Delivery) -> None:
    row = Delivery.objects.annotate(life=F("give_up_at") - F("created_at")).get()
    assert row.life >= timedelta(hours=24)


def test_gone_is_final_and_visible_at_once(
    receiver: Receiver, endpoint: WebhookEndpoint, publish: Callable[[], Enforcement]
) -> None:
    receiver.status = 410
    publish()
    delivery_jobs.send_due()
    assert Delivery.objects.get().state == DeliveryState.FAILED
    assert Enforcement.objects.get().state == EnforcementState.FAILED


def test_a_redirect_is_not_followed(
    receiver: Receiver, endpoint: WebhookEndpoint, publish: Callable[[], Enforcement]
) -> None:
    receiver.status, receiver.headers = 307, {"Location": receiver.url}
    publish()
    delivery_jobs.send_due()
    assert len(receiver.ids) == 1
    assert "redirect" in DeliveryAttempt.objects.get().error


def test_retry_after_is_respected(
    receiver: Receiver, endpoint: WebhookEndpoint, publish: Callable[[], Enforcement]
) -> None:
    receiver.status, receiver.headers = 503, {"Retry-After": "1000"}
    publish()
    delivery_jobs.send_due()
    row = Delivery.objects.annotate(wait=F("next_attempt_at") - Now()).get()
    assert row.wait > timedelta(seconds=990)


DIES_BEFORE_RECORDING = """
import os, signal, sys
import django
django.setup()
from moderation import delivery_jobs
from moderation.actions import attempts
attempts.finish_attempts = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
delivery_jobs.send_due()
"""


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_between_sending_and_recording_loses_nothing(
    receiver: Receiver, endpoint: WebhookEndpoint, publish: Callable[[], Enforcement]
) -> None:
    enforcement = publish()
    database = urlsplit(os.environ["DATABASE_URL"])
    of_this_test = database._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    worker = subprocess.run(
        [sys.executable, "-c", DIES_BEFORE_RECORDING, str(enforcement.pk)],
        env=os.environ
        | {
            "DATABASE_URL": of_this_test,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "HOLDFAST_WEBHOOK_ALLOW_PRIVATE": "1",
        },
        check=False,
        timeout=60,
    )
    assert worker.returncode == -signal.SIGKILL
    delivery = Delivery.objects.get()
    assert receiver.ids == [str(delivery.pk)]
    assert (delivery.state, delivery.attempts_made) == (DeliveryState.PENDING, 1)
    assert delivery_jobs.sweep_deliveries() == 0  # The dead worker's lease still stands.
    let_time_pass()
    assert delivery_jobs.sweep_deliveries() == 1
    delivery_jobs.send_due()
    assert receiver.ids == [str(delivery.pk)] * 2  # One id: the receiver drops the repeat.
    assert Delivery.objects.get().state == DeliveryState.DELIVERED


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_send_the_same_at_once(
    receiver: Receiver, endpoint: WebhookEndpoint, publish: Callable[[], Enforcement]
) -> None:
    publish()
    receiver.delay = 0.3

    def work(_: int) -> None:
        delivery_jobs.send_due()
        connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert len(receiver.ids) == 1
    assert Delivery.objects.get().attempts_made == 1


def test_a_late_answer_does_not_undo_a_delivery(
    receiver: Receiver, endpoint: WebhookEndpoint, publish: Callable[[], Enforcement]
) -> None:
    """A worker whose lease ran out while it waited tells of a 410 after another one delivered."""
    enforcement = publish()
    delivery_jobs.send_due()
    delivery = Delivery.objects.get()
    assert delivery.state == DeliveryState.DELIVERED
    attempts.finish_attempt(delivery, answer=Answer(status=410, error="", duration_ms=9_000))
    after = Delivery.objects.get()
    assert (after.state, after.delivered_at) == (DeliveryState.DELIVERED, delivery.delivered_at)
    enforcement.refresh_from_db()
    assert enforcement.state == EnforcementState.ACKNOWLEDGED
    assert set(DeliveryAttempt.objects.values_list("status", flat=True)) == {204, 410}


def test_an_answer_that_cannot_be_recorded_stops_no_other(
    endpoint: WebhookEndpoint, publish: Callable[[], Enforcement]
) -> None:
    """PostgreSQL takes no NUL: whatever ended together with it is recorded all the same."""
    for _ in range(3):
        publish()
    begun = attempts.begin_attempts(limit=3, busy={})
    answers = [Answer(204, "", 1), Answer(None, "not\x00text", 1), Answer(204, "", 1)]
    attempts.finish_attempts(
        [(row, answer) for (row, _), answer in zip(begun, answers, strict=True)]
    )
    states = [Delivery.objects.get(pk=row.pk).state for row, _ in begun]
    assert states == ["delivered", "pending", "delivered"]
    assert DeliveryAttempt.objects.count() == 2
    assert not EndpointBreaker.objects.filter(failures__gt=0).exists()


def test_replay_sends_again_with_the_same_id_and_is_audited(
    receiver: Receiver, undelivered: Delivery, lead: User, reviewer: User, admin: User
) -> None:
    let_time_pass(give_up_at=Now())
    delivery_jobs.sweep_deliveries()
    for person in (reviewer, admin):
        with pytest.raises(PermissionDenied):
            actions.replay_delivery(undelivered, actor=person)
    receiver.status = 200
    actions.replay_delivery(undelivered, actor=lead)
    assert Enforcement.objects.get().state == EnforcementState.PENDING
    delivery_jobs.send_due()
    assert receiver.ids == [str(undelivered.pk)] * 2
    assert Delivery.objects.get().state == DeliveryState.DELIVERED
    assert Enforcement.objects.get().state == EnforcementState.ACKNOWLEDGED
    assert list(DeliveryAttempt.objects.order_by("pk").values_list("is_replay", flat=True)) == [
        False,
        True,
    ]
    entry = AuditEntry.objects.get(event="delivery.replayed")
    assert entry.actor_label == lead.pseudonym


def test_a_lead_without_grants_sees_and_sends_nothing(undelivered: Delivery) -> None:
    stranger = make_person("Lasse Lom", Role.LEAD)
    client = signed_in(Client(), stranger)
    case = undelivered.enforcement.decision.case
    assert str(case) not in client.get("/deliveries/").content.decode()
    assert client.get(f"/deliveries/{undelivered.pk}/").status_code == 404
    assert client.post(f"/deliveries/{undelivered.pk}/replay/").status_code == 404
    with pytest.raises(Refused, match="may not see"):
        actions.replay_delivery(undelivered, actor=stranger)
    assert not AuditEntry.objects.filter(event="delivery.replayed").exists()


def test_what_is_being_sent_cannot_be_replayed(undelivered: Delivery, lead: User) -> None:
    Delivery.objects.update(locked_until=Now() + timedelta(seconds=30))
    with pytest.raises(Refused, match="being sent"):
        actions.replay_delivery(undelivered, actor=lead)


def test_without_an_endpoint_it_waits_visibly_and_the_first_endpoint_gets_it(
    receiver: Receiver, publish: Callable[[], Enforcement], admin: User, lead: User
) -> None:
    publish()
    delivery = Delivery.objects.get()
    assert delivery.endpoint is None
    assert delivery_jobs.sweep_deliveries() == 0
    with pytest.raises(Refused, match="No endpoint"):
        actions.replay_delivery(delivery, actor=lead)
    let_time_pass(give_up_at=Now())
    assert delivery_jobs.sweep_deliveries() == 0  # Nobody gives up what nobody could take.
    actions.create_endpoint(name="Warnings", url=receiver.url, verbs=["warn"], actor=admin)
    assert delivery_jobs.sweep_deliveries() == 0
    assert Delivery.objects.get().endpoint is None
    _, receiver.secret = actions.create_endpoint(
        name="All", url=receiver.url, verbs=[], actor=admin
    )
    assert delivery_jobs.sweep_deliveries() == 1
    delivery_jobs.send_due()
    assert receiver.ids == [str(delivery.pk)]


def test_what_waited_is_handed_to_a_new_endpoint_by_the_sweep_in_batches(
    receiver: Receiver, publish: Callable[[], Enforcement], admin: User, monkeypatch: Any
) -> None:
    for _ in range(3):
        publish()
    woken: list[str] = []
    monkeypatch.setattr(deliveries, "enqueue", woken.append)
    actions.create_endpoint(name="All", url=receiver.url, verbs=[], actor=admin)
    assert woken == []  # The request that configures an endpoint hands over nothing by itself.
    waiting = Delivery.objects.filter(endpoint=None)
    assert waiting.count() == 3
    assert deliveries.adopt_waiting(limit=2) == 2
    assert waiting.count() == 1
    assert deliveries.adopt_waiting(limit=2) == 1
    assert deliveries.adopt_waiting(limit=2) == 0


def test_a_paused_endpoint_takes_nothing_over_until_it_is_resumed(
    receiver: Receiver, endpoint: WebhookEndpoint, publish: Callable[[], Enforcement]
) -> None:
    publish()
    Delivery.objects.update(endpoint=None)
    WebhookEndpoint.objects.update(is_active=False)
    assert delivery_jobs.sweep_deliveries() == 0
    assert Delivery.objects.get().endpoint is None
    WebhookEndpoint.objects.update(is_active=True)
    assert delivery_jobs.sweep_deliveries() == 1
    delivery_jobs.send_due()
    assert Delivery.objects.get().state == DeliveryState.DELIVERED


def test_a_paused_endpoint_gets_it_when_it_is_resumed(
    receiver: Receiver, endpoint: WebhookEndpoint, publish: Callable[[], Enforcement], admin: User
) -> None:
    def change(*, is_active: bool) -> None:
        actions.change_endpoint(
            endpoint, name="P", url=receiver.url, verbs=[], is_active=is_active, actor=admin
        )

    change(is_active=False)
    publish()
    let_time_pass(give_up_at=Now())
    assert delivery_jobs.sweep_deliveries() == 0
    change(is_active=True)
    delivery_jobs.send_due()
    assert len(receiver.ids) == 1


def test_a_rotated_secret_overlaps_with_the_old_one(
    receiver: Receiver, endpoint: WebhookEndpoint, publish: Callable[[], Enforcement], admin: User
) -> None:
    old = receiver.secret
    _, new = actions.rotate_secret(endpoint, actor=admin)
    publish()
    delivery_jobs.send_due()
    assert receiver.bad == 0
    assert len(receiver.signatures[0].split()) == 2
    WebhookEndpoint.objects.update(previous_until=Now())
    endpoint.refresh_from_db()
    assert deliveries.secrets_of(endpoint) == [new]
    assert old != new
    assert old.encode() not in bytes(endpoint.sealed_secret)


def test_the_log_names_an_endpoints_host_and_not_its_address(settings: Any, admin: User) -> None:
    settings.HOLDFAST_WEBHOOK_ALLOW_PRIVATE = False
    url = "https://hooks.platform.example/in/a-token?key=another"
    made, _ = actions.create_endpoint(name="Platform", url=url, verbs=[], actor=admin)
    actions.change_endpoint(
        made, name="Platform", url=f"{url}-new", verbs=[], is_active=True, actor=admin
    )
    lines = list(
        AuditEntry.objects.filter(subject_id=str(made.pk)).values_list("event", "data", "line")
    )
    assert len(lines) == 2
    for _event, data, line in lines:
        assert data["host"] == "hooks.platform.example"
        assert "token" not in line
        assert "another" not in line


def test_endpoints_that_may_not_be(settings: Any, admin: User) -> None:
    settings.HOLDFAST_WEBHOOK_ALLOW_PRIVATE = False
    for url, verbs in (
        ("https://10.1.2.3/", []),
        ("http://a.example/", []),
        ("https://a.example/", ["fly"]),
    ):
        with pytest.raises(Invalid):
            actions.create_endpoint(name="x", url=url, verbs=verbs, actor=admin)
    assert not WebhookEndpoint.objects.exists()


def test_loopback_is_not_contacted_without_the_operators_word(
    receiver: Receiver,
    endpoint: WebhookEndpoint,
    publish: Callable[[], Enforcement],
    settings: Any,
) -> None:
    publish()
    settings.HOLDFAST_WEBHOOK_ALLOW_PRIVATE = False
    delivery_jobs.send_due()
    assert receiver.ids == []
    assert receiver.bad == 0
    assert DeliveryAttempt.objects.get().error.startswith("Not contacted")
