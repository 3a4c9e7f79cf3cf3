"""Many orders, some receivers that are unwell: who delays whom, and who is left alone for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db.models import Sum
from django.db.models.functions import Now

from accounts.models import User
from config.runtime.up import Launcher, read_wishes
from core import stages
from core.models import AuditEntry
from moderation import actions, delivery_jobs, webhooks
from moderation.actions import attempts, endpoint_breakers
from moderation.enforcement import tells_of_trouble
from moderation.models import (
    Delivery,
    DeliveryAttempt,
    DeliveryState,
    EndpointBreaker,
    Enforcement,
    WebhookEndpoint,
)
from reports.models import Account
from tests.casework import Casework
from tests.moderation.receiver import Receiver

pytestmark = pytest.mark.django_db


@pytest.fixture
def receivers(settings: Any) -> Iterator[Callable[[], Receiver]]:
    """Return what starts a receiver."""
    settings.HOLDFAST_WEBHOOK_ALLOW_PRIVATE = True
    started: list[Receiver] = []

    def start() -> Receiver:
        started.append(Receiver())
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def orders(
    casework: Casework, granted: Callable[[User], User], reviewer: User
) -> Callable[[int], None]:
    """Return what puts orders of one published decision into the outbox, for every endpoint."""

    def put(count: int) -> None:
        first = casework.published(casework.case(), by=granted(reviewer)).enforcements.get()
        for number in range(count - 1):
            account = Account.objects.create(external_id=f"another-{number}")
            one = Enforcement.objects.create(
                decision=first.decision, verb=first.verb, account=account, state=first.state
            )
            actions.queue_deliveries(one)

    return put


def listening(receiver: Receiver, name: str, admin: User) -> WebhookEndpoint:
    found, receiver.secret = actions.create_endpoint(
        name=name, url=receiver.url, verbs=[], actor=admin
    )
    return found


def let_time_pass() -> None:
    Delivery.objects.update(next_attempt_at=Now(), locked_until=None)
    EndpointBreaker.objects.filter(open_until__isnull=False).update(open_until=Now())


def test_a_receiver_that_hangs_delays_only_itself(
    receivers: Callable[[], Receiver],
    orders: Callable[[int], None],
    admin: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhooks, "SECONDS", 1.0)
    hung, well = receivers(), receivers()
    hung.delay = 3.0
    slow = listening(hung, "Hung", admin)
    listening(well, "Well", admin)
    orders(20)
    delivery_jobs.send_due()
    assert len(set(well.ids)) == len(well.ids) == 20
    tried = Delivery.objects.filter(endpoint=slow, attempts_made__gt=0)
    assert 0 < tried.count() <= endpoint_breakers.MOST_AT_ONCE
    assert set(
        DeliveryAttempt.objects.filter(delivery__endpoint=slow).values_list("error", flat=True)
    ) == {"No answer in time."}
    assert EndpointBreaker.objects.get(endpoint=slow).open_until is not None
    assert delivery_jobs.sweep_deliveries() == 0  # Held back: nobody is woken for it.


def test_after_five_failures_one_order_is_tried_and_opens_the_way_for_the_others(
    receivers: Callable[[], Receiver], orders: Callable[[int], None], admin: User
) -> None:
    receiver = receivers()
    receiver.status = 500
    endpoint = listening(receiver, "Platform", admin)
    orders(12)
    delivery_jobs.send_due()
    first = len(receiver.ids)
    assert endpoint_breakers.FAILURES_TO_OPEN <= first <= endpoint_breakers.MOST_AT_ONCE
    assert AuditEntry.objects.filter(event="webhook.held").count() == 1
    delivery_jobs.send_due()
    assert len(receiver.ids) == first  # Open: it is left alone.

    let_time_pass()
    delivery_jobs.send_due()
    assert len(receiver.ids) == first + 1  # Half open: one, and one that was tried least.
    assert receiver.ids[-1] not in receiver.ids[:-1]
    assert AuditEntry.objects.filter(event="webhook.held").count() == 1
    longer = EndpointBreaker.objects.get(endpoint=endpoint)
    assert longer.openings == 2

    receiver.status = 204
    let_time_pass()
    delivery_jobs.send_due()
    assert not Delivery.objects.exclude(state=DeliveryState.DELIVERED).exists()
    assert AuditEntry.objects.filter(event="webhook.resumed").count() == 1
    assert EndpointBreaker.objects.get(endpoint=endpoint).failures == 0


def test_what_waits_for_a_receiver_is_no_late_work_of_the_sender(
    receivers: Callable[[], Receiver], orders: Callable[[int], None], admin: User
) -> None:
    def sending() -> stages.Measured:
        (found,) = [each for each in stages.measure() if each.stage.key == "deliveries"]
        return found

    receiver = receivers()
    receiver.status = 500
    endpoint = listening(receiver, "Platform", admin)
    orders(12)
    delivery_jobs.send_due()
    breaker = EndpointBreaker.objects.filter(endpoint=endpoint)
    assert breaker.get().open_until is not None
    Delivery.objects.update(next_attempt_at=Now() - timedelta(minutes=9), locked_until=None)
    assert not sending().waiting, "held back"

    breaker.update(open_until=Now() - timedelta(seconds=3))
    assert sending().waiting == 12, "a probe is due"
    assert not sending().is_late, "and it was not before"

    receiver.status = 204
    (probed,) = attempts.begin_attempts(limit=32, busy={})
    attempts.finish_attempt(probed[0], answer=webhooks.Answer(204, "", 1))
    assert sending().waiting == 11
    assert not sending().is_late, "it is sent to again since a moment ago"

    for field in ("open_until", "resumed_at"):  # The sender does not come, though it could.
        breaker.update(open_until=None, resumed_at=None)
        breaker.update(**{field: Now() - timedelta(minutes=4)})
        assert sending().is_late
        assert sending().process == "sender"


def test_a_test_message_that_is_taken_ends_the_pause(
    receivers: Callable[[], Receiver], orders: Callable[[int], None], admin: User
) -> None:
    receiver = receivers()
    receiver.status = 503
    endpoint = listening(receiver, "Platform", admin)
    orders(6)
    delivery_jobs.send_due()
    assert EndpointBreaker.objects.get().open_until is not None
    actions.record_test(endpoint, answer=webhooks.Answer(204, "", 1), actor=admin)
    assert EndpointBreaker.objects.get().open_until is None


def test_orders_that_are_refused_hold_up_nobody(
    receivers: Callable[[], Receiver], orders: Callable[[int], None], admin: User
) -> None:
    receiver = receivers()
    receiver.status = 404
    listening(receiver, "Platform", admin)
    orders(12)
    delivery_jobs.send_due()
    assert len(receiver.ids) == 12
    assert not EndpointBreaker.objects.exists()


def test_a_probe_whose_sender_died_is_made_by_another_after_a_while(
    receivers: Callable[[], Receiver], orders: Callable[[int], None], admin: User
) -> None:
    endpoint = listening(receivers(), "Platform", admin)
    EndpointBreaker.objects.create(endpoint=endpoint, failures=5, open_until=Now())
    assert endpoint_breakers.begin_probe(endpoint)
    assert not endpoint_breakers.begin_probe(endpoint)
    EndpointBreaker.objects.update(open_until=Now() - timedelta(seconds=1))
    assert endpoint_breakers.begin_probe(endpoint)


def test_orders_at_once_do_not_count_an_attempt_twice(
    receivers: Callable[[], Receiver], orders: Callable[[int], None], admin: User
) -> None:
    receiver = receivers()
    receiver.delay = 0.05
    listening(receiver, "Platform", admin)
    orders(40)
    delivery_jobs.send_due()
    assert len(set(receiver.ids)) == len(receiver.ids) == 40
    assert Delivery.objects.aggregate(made=Sum("attempts_made"))["made"] == 40


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        (None, True),
        (500, True),
        (503, True),
        (429, True),
        (408, True),
        (204, False),
        (307, False),
        (404, False),
        (410, False),
    ],
)
def test_which_answers_tell_of_trouble(status: int | None, trouble: bool) -> None:
    assert tells_of_trouble(status) is trouble


def test_nothing_of_our_own_stands_behind_a_network_or_a_long_job() -> None:
    programs = Launcher(read_wishes({}), {})._background({})
    serves = {
        program.name: {word for word in program.command if word in django_settings.RQ_QUEUES}
        for program in programs
    }
    del serves["scheduler"]
    assert serves == {name: set(one) for name, one in django_settings.HOLDFAST_PROCESSES.items()}
    assert set().union(*serves.values()) == set(django_settings.RQ_QUEUES)
    for queues in ({"publish", "intake"}, {"deliver"}, {"anchor", "package"}, {"index"}):
        assert queues in serves.values()
        assert sum(bool(queues & served) for served in serves.values()) == 1
    apart = {"deliver", "video", "package", "index", "long"}
    for served in serves.values():
        assert len(served & apart) <= 1
    jobs = django_settings.HOLDFAST_JOBS
    assert {name for name, job in jobs.items() if job["queue"] == "deliver"} == {"send_due"}
    for step in ("route_waiting", "route_risk_case", "publish_due"):
        assert jobs[step]["queue"] in {"publish", "intake"}
