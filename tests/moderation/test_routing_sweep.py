"""The routing sweep looks every few seconds: at little, and at what failed not every time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from moderation import actions
from moderation.actions import waiting_routes as routing
from moderation.jobs import route_waiting, sweep_routing
from moderation.models import RoutingRule
from reports.models import Report, RouteState
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
        "moderation.jobs.routing._route", lambda row, rules: keys.append(str(row.pk))
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
