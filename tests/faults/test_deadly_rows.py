"""A row that kills the process which works on it: counted before the attempt, given up with a sentence, others go on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test import Client

from accounts.models import User
from core.jobs import JobFailed
from moderation import actions
from moderation.actions import publishing, routing, waiting_routes
from moderation.jobs import publish_due, route_waiting
from moderation.models import Case, CaseStatus, Decision
from reports.models import Report, RouteState
from tests.casework import Casework, grant_all, url
from tests.cast import signed_in

pytestmark = pytest.mark.django_db(transaction=True)


def killed_by(job: Callable[[], Any]) -> bool:
    """Run a job in a process of its own; return whether that was killed with SIGKILL."""
    connection.close()
    child = os.fork()
    if child == 0:
        try:
            job()
        finally:
            os._exit(0)
    return (
        os.WIFSIGNALED(status := os.waitpid(child, 0)[1]) and os.WTERMSIG(status) == signal.SIGKILL
    )


def test_a_report_that_kills_whoever_places_it_is_given_up_and_the_others_are_placed(
    casework: Casework, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadly, *others = [casework.report() for _ in range(3)]
    place = routing.place

    def kills_for_one(candidates: Any, **more: Any) -> Any:
        if any(each.report == deadly for each in candidates):
            os.kill(os.getpid(), signal.SIGKILL)
        return place(candidates, **more)

    monkeypatch.setattr(routing, "place", kills_for_one)
    deaths = 0
    while killed_by(route_waiting):
        deaths += 1
        assert deaths <= waiting_routes.MOST_ATTEMPTS
        Report.objects.filter(route_attempts__gt=0).update(route_due_at=Now())  # The lease is over.
    assert deaths == waiting_routes.MOST_ATTEMPTS
    deadly.refresh_from_db()
    assert (deadly.route_state, deadly.route_error) == (RouteState.FAILED, waiting_routes.GAVE_UP)
    assert not killed_by(route_waiting)  # Its next turn is in a day.
    for other in others:
        other.refresh_from_db()
        assert other.route_state == RouteState.ROUTED


def test_a_decision_that_kills_whoever_publishes_it_is_given_up_and_the_others_take_effect(
    casework: Casework, reviewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant_all(reviewer)
    deadly, other = [casework.decided(casework.case(), by=reviewer) for _ in range(2)]
    Decision.objects.update(publish_at=Now())
    publish = actions.publish_decision

    def kills_for_one(decision: Decision) -> bool:
        if decision == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return publish(decision)

    monkeypatch.setattr(actions, "publish_decision", kills_for_one)
    deaths = 0
    while killed_by(publish_due):
        deaths += 1
        assert deaths <= publishing.MOST_ATTEMPTS
        Decision.objects.filter(publish_attempts__gt=0).update(publish_retry_at=Now())
    assert deaths == publishing.MOST_ATTEMPTS
    deadly.refresh_from_db()
    other.refresh_from_db()
    assert (deadly.published_at, deadly.publish_error) == (None, publishing.GAVE_UP)
    assert other.published_at is not None
    page = signed_in(Client(), reviewer).get(url("case", deadly.case))
    assert publishing.GAVE_UP[:60] in page.content.decode()
    monkeypatch.undo()
    Decision.objects.filter(pk=deadly.pk).update(publish_retry_at=Now())  # A day later, mended.
    publish_due()
    deadly.refresh_from_db()
    assert (deadly.publish_error, deadly.case.status) == ("", CaseStatus.DECIDED)
    assert Case.objects.filter(status=CaseStatus.DECIDED).count() == 2


def test_a_decision_whose_publication_fails_says_why_and_waits_a_minute(
    casework: Casework, reviewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant_all(reviewer)
    decision = casework.decided(casework.case(), by=reviewer)
    Decision.objects.update(publish_at=Now())

    def fails(decision: Decision) -> bool:
        raise RuntimeError("an invented failure")

    with monkeypatch.context() as broken:
        broken.setattr(actions, "publish_decision", fails)
        with pytest.raises(JobFailed, match="RuntimeError"):
            publish_due()
    decision.refresh_from_db()
    assert decision.publish_error.startswith("RuntimeError")
    assert "invented" not in decision.publish_error
    publish_due()
    decision.refresh_from_db()
    assert decision.published_at is None
    Decision.objects.update(publish_retry_at=Now())
    publish_due()
    decision.refresh_from_db()
    assert (decision.publish_error, decision.published_at is None) == ("", False)
