"""The routing sweep looks every few seconds: at little, and at what failed not every time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from core.models import AuditEntry
from moderation import actions
from moderation.actions import waiting_routes as routing
from moderation.jobs import route_waiting, sweep_routing
from moderation.models import RoutingRule
from reports.models import Item, Report, RouteState
from tests.casework import Casework

pytestmark = pytest.mark.django_db


def _plan(rows: Any) -> str:
    with connection.cursor() as cursor:
        # An empty table is always read whole; what counts is whether the index could serve.
        cursor.execute("SET LOCAL enable_seqscan = off")
    return str(rows.order_by("received_at").explain())


def test_items_that_wait_and_items_that_failed_are_found_by_an_index() -> None:
    _, failed = routing.failed_routes()
    assert "items_to_route" in _plan(routing.waiting_items())
    assert "items_to_route" in _plan(failed)


def test_reports_that_wait_and_reports_that_failed_are_found_by_an_index() -> None:
    failed, _ = routing.failed_routes()
    assert "reports_waiting_for_routing" in _plan(routing.waiting_reports())
    assert "reports_waiting_for_routing" in _plan(failed)


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what the routing takes in hand; nothing comes of it."""
    keys: list[str] = []
    monkeypatch.setattr(
        "moderation.jobs.routing._route",
        lambda rows, rules: keys.extend(str(row.pk) for row in rows),
    )
    return keys


def failed_report(casework: Casework) -> Report:
    RoutingRule.objects.update(is_active=False)
    report = casework.report()
    actions.route_report(report)
    report.refresh_from_db()
    assert report.route_state == RouteState.FAILED
    return report


def pause_of(report: Report) -> timedelta:
    found = Report.objects.annotate(pause=F("route_due_at") - Now()).get(pk=report.pk)
    return found.pause + timedelta(seconds=30)  # Rounded: the test itself takes some seconds.


def test_what_failed_is_tried_once_a_minute(casework: Casework, tried: list[str]) -> None:
    report = failed_report(casework)
    assert sweep_routing() == 1
    route_waiting()
    assert sweep_routing() == 0
    route_waiting()
    Report.objects.update(route_due_at=Now())
    assert sweep_routing() == 1
    route_waiting()
    assert tried == [str(report.pk)] * 2


def test_the_longer_something_fails_the_longer_it_waits_up_to_a_quarter_of_an_hour(
    casework: Casework, tried: list[str]
) -> None:
    report = failed_report(casework)
    for age, minutes in [(0, 1), (5, 5), (60 * 24, 15)]:
        with connection.cursor() as cursor:
            # As a replica would: when a report was received is written once.
            cursor.execute("SET LOCAL session_replication_role = replica")
            Report.objects.update(
                received_at=Now() - timedelta(minutes=age),
                route_due_at=Now() - timedelta(seconds=1),
            )
            cursor.execute("SET LOCAL session_replication_role = origin")
        assert sweep_routing() == 1
        route_waiting()
        assert pause_of(report) // timedelta(minutes=1) == minutes


def test_old_failures_do_not_keep_later_ones_from_their_turn(
    casework: Casework, tried: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moderation.jobs.routing.BATCH", 2)
    reports = [str(failed_report(casework).pk) for _ in range(5)]
    route_waiting()
    assert sorted(tried) == sorted(reports)


def test_an_item_that_failed_by_itself_is_put_off_as_well(
    casework: Casework, tried: list[str]
) -> None:
    RoutingRule.objects.update(is_active=False)
    item = casework.failed_scan(casework.scan_submission())
    item.refresh_from_db()
    actions.route_item(item)
    item.refresh_from_db()
    assert item.route_state == RouteState.FAILED
    assert sweep_routing() == 1
    route_waiting()
    assert sweep_routing() == 0
    assert tried == [str(item.pk)]


def killed(times: int) -> None:
    """Have the routing take what waits and go no further, as often as a process that is killed would."""
    for _ in range(times):
        Report.objects.update(route_due_at=Now())
        Item.objects.update(route_due_at=Now())
        assert routing.take_waiting_reports(limit=32) or routing.take_waiting_items(limit=32)


def test_what_is_in_hand_is_left_alone_until_its_time_is_over(casework: Casework) -> None:
    report = casework.report()
    assert routing.take_waiting_reports(limit=32) == [report]
    assert routing.take_waiting_reports(limit=32) == []
    assert sweep_routing() == 0
    Report.objects.update(route_due_at=Now())
    assert sweep_routing() == 1
    route_waiting()
    report.refresh_from_db()
    assert (report.route_state, report.route_attempts) == (RouteState.ROUTED, 0)


def test_what_never_ended_comes_alone_and_after_four_times_waits_for_a_person(
    casework: Casework,
) -> None:
    first, second = casework.report(), casework.report()
    assert len(routing.take_waiting_reports(limit=32)) == 2
    Report.objects.update(route_due_at=Now())
    assert routing.take_waiting_reports(limit=32) == [first]  # Neither counts the other's end.
    Report.objects.filter(pk=second.pk).update(route_due_at=Now())
    route_waiting()
    second.refresh_from_db()
    assert second.route_state == RouteState.ROUTED
    killed(routing.MOST_ATTEMPTS - 2)
    Report.objects.update(route_due_at=Now())
    new = casework.report()
    route_waiting()
    for report in (first, new):
        report.refresh_from_db()
    assert new.route_state == RouteState.ROUTED
    assert (first.route_state, first.route_error) == (RouteState.FAILED, routing.GAVE_UP)
    assert AuditEntry.objects.filter(event="case.routing.failed").count() == 1
    assert pause_of(first) // timedelta(hours=1) == 24
    Report.objects.update(route_due_at=Now())  # A day later, with whatever killed it mended.
    route_waiting()
    first.refresh_from_db()
    assert (first.route_state, first.route_error, first.route_attempts) == ("routed", "", 0)


def test_an_item_that_kills_whoever_places_it_waits_for_a_person(casework: Casework) -> None:
    item = casework.scanned(casework.scan_submission())
    killed(routing.MOST_ATTEMPTS)
    Item.objects.update(route_due_at=Now())
    route_waiting()
    item.refresh_from_db()
    assert (item.route_state, item.route_error) == (RouteState.FAILED, routing.GAVE_UP)
