"""What a source hears of its reports: from the report over the decision to its effect, and back."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from accounts.models import User
from core.audit import SYSTEM
from core.audit_rows import differences
from core.models import AuditEntry
from moderation import actions
from moderation.jobs import sweep_outcomes
from moderation.models import Case, Decision, Outcome, PolicyVersion
from reports.actions import issue_key, return_to_review
from reports.models import ApiKey, Report, Scope, Source
from tests.casework import Casework, grant_all, verdict
from tests.cast import signed_in
from tests.reports.conftest import Platform, problem_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def robin(reviewer: User) -> User:
    return grant_all(reviewer)


def door_of(source: Source) -> Platform:
    return Platform(issue_key(source, scopes=[Scope.STATUS_READ], actor=SYSTEM)[1])


def report_of(case: Case) -> Report:
    return Report.objects.select_related("source").get(case_reports__case=case)


def heard(report: Report) -> tuple[str, str | None, bool]:
    """Return state, outcome and whether there is a time, as the source reads them."""
    answer = door_of(report.source).get(f"/reports/{report.pk}")
    assert answer.status_code == 200, answer.content
    said = answer.json()
    return said["state"], said["outcome"], said["decided_at"] is not None


def publish(decision: Decision) -> bool:
    Decision.objects.filter(pk=decision.pk).update(publish_at=Now() - timedelta(seconds=1))
    return actions.publish_decision(decision)


def test_a_report_is_decided_once_its_decision_is_in_effect(
    casework: Casework, robin: User
) -> None:
    case = casework.case()
    report = report_of(case)
    assert report.source.tells_outcomes
    assert heard(report) == ("in_review", None, False)
    decision = casework.decided(case, by=robin)
    assert heard(report) == ("in_review", None, False)  # It can still be undone.
    assert publish(decision)
    assert heard(report) == ("decided", "action_taken", True)
    decision.refresh_from_db()
    assert Report.objects.get(pk=report.pk).decided_at == decision.published_at
    assert not publish(decision)
    actions.tell_outcome(decision)
    assert AuditEntry.objects.filter(event="report.decided").count() == 1
    assert list(differences()) == []


def test_an_undone_decision_was_never_told(casework: Casework, robin: User) -> None:
    case = casework.case()
    decision = casework.decided(case, by=robin)
    actions.undo_decision(decision, actor=robin)
    assert heard(report_of(case)) == ("in_review", None, False)
    assert not AuditEntry.objects.filter(event="report.decided").exists()


@pytest.mark.parametrize(
    ("outcome", "verbs", "told"),
    [
        (Outcome.NOT_VIOLATING, ["no_action"], "no_action"),
        (Outcome.CONFIRM, ["no_action"], "no_action"),
        (Outcome.CONFIRM, ["warn"], "action_taken"),
        (Outcome.CONFIRM_REFER, ["no_action"], "action_taken"),
    ],
)
def test_action_is_what_is_ordered_or_referred(
    casework: Casework, robin: User, outcome: str, verbs: list[str], told: str
) -> None:
    case = casework.case()
    actions.claim(case, actor=robin)
    case.refresh_from_db()
    # Known imagery must be referred when it is confirmed.
    policy = PolicyVersion.objects.get(
        policy__code="CS-3" if outcome == Outcome.CONFIRM else "CS-1"
    )
    said = verdict(case, outcome, enforcements=verbs, policy=policy)
    assert publish(actions.decide(case, actor=robin, **said))
    assert heard(report_of(case)) == ("decided", told, True)


def test_what_joined_too_late_is_still_in_review(casework: Casework, robin: User) -> None:
    case = casework.case("user-7")
    early = report_of(case)
    decision = casework.decided(case, by=robin)
    late = casework.report("user-7")
    assert casework.routed(late) == case
    assert publish(decision)
    assert heard(early)[0] == "decided"
    assert heard(late)[0] == "received"  # Nobody judged it: it is routed again.
    actions.route_report(Report.objects.get(pk=late.pk))
    again = Case.objects.exclude(pk=case.pk).get(case_reports__report=late)
    assert heard(late)[0] == "in_review"
    casework.published(again, by=robin, outcome=Outcome.NOT_VIOLATING)
    assert heard(late) == ("decided", "no_action", True)
    assert heard(early) == ("decided", "action_taken", True)
    assert list(differences()) == []


def test_a_report_whose_decision_does_not_stand_returns_to_review(
    casework: Casework, robin: User
) -> None:
    case = casework.case()
    report = report_of(case)
    casework.published(case, by=robin)
    for times in (1, 0):
        chain = f"case:{case.pk}"
        assert return_to_review([report.pk], chain=chain, actor=SYSTEM) == times
    assert heard(report) == ("in_review", None, False)
    assert list(differences()) == []
    decision = Decision.objects.get(case=case)
    assert actions.tell_outcome(decision) == 1
    assert heard(report) == ("decided", "action_taken", True)
    assert list(differences()) == []


def test_a_source_that_is_not_told_hears_closed(casework: Casework, robin: User) -> None:
    case = casework.case()
    report = report_of(case)
    Source.objects.filter(pk=report.source_id).update(tells_outcomes=False)
    casework.published(case, by=robin)
    assert heard(report) == ("closed", None, False)
    door = door_of(report.source)
    assert len(door.get("/reports?state=closed").json()["reports"]) == 1
    assert door.get("/reports?state=decided").json()["reports"] == []
    assert return_to_review([report.pk], chain=f"case:{case.pk}", actor=SYSTEM) == 1
    assert heard(report) == ("in_review", None, False)


def test_reports_decided_before_are_told_by_the_sweep(casework: Casework, robin: User) -> None:
    case = casework.case()
    report = report_of(case)
    casework.published(case, by=robin)
    still_open = report_of(casework.case())
    return_to_review([report.pk], chain=f"case:{case.pk}", actor=SYSTEM)
    assert sweep_outcomes() == 1
    assert heard(report) == ("decided", "action_taken", True)
    assert heard(still_open)[0] == "in_review"
    assert list(differences()) == []
    assert actions.tell_missed_outcomes() == 0


def test_the_log_notices_an_outcome_that_nobody_recorded(casework: Casework, robin: User) -> None:
    case = casework.case()
    casework.published(case, by=robin)
    open_case = casework.case()
    Report.objects.filter(case_reports__case=case).update(outcome="no_action")
    Report.objects.filter(case_reports__case=open_case).update(
        outcome="no_action", decided_at=Now()
    )
    said = [difference.what for difference in differences()]
    assert len(said) == 2
    assert all("what came of it is not what the log says" in what for what in said)


# ── The switch ────────────────────────────────────────────────────────────────────────────────
def test_who_is_told_is_set_on_the_page_of_the_source(admin: User, source: Source) -> None:
    assert source.tells_outcomes  # The platform itself.
    browser = signed_in(Client(), admin)
    address = reverse("reports:source_edit", args=[source.slug])
    said = {
        "name": source.name,
        "kind": source.kind,
        "trust": source.trust,
        "is_own_platform": "on",
        "is_active": "on",
    }
    assert browser.post(address, said).status_code == 422  # An omitted choice is no choice.
    assert browser.post(address, said | {"tells_outcomes": "no"}).status_code == 302
    source.refresh_from_db()
    assert not source.tells_outcomes
    assert AuditEntry.objects.get(event="source.changed").data["new"] == {"tells_outcomes": False}
    page = browser.get(reverse("reports:source", args=[source.slug])).content.decode()
    assert "closed, without outcome" in page
    browser.post(
        reverse("reports:source_new"),
        {"name": "Feed", "slug": "feed", "kind": "user_reports", "trust": "standard"},
    )
    assert not Source.objects.get(slug="feed").tells_outcomes
    browser.post(
        reverse("reports:source_new"),
        {"name": "Line", "slug": "line", "kind": "trusted_flagger", "trust": "trusted"},
    )
    assert Source.objects.get(slug="line").tells_outcomes


# ── The list ──────────────────────────────────────────────────────────────────────────────────
def sent(platform: Platform, count: int, a_report: Any) -> list[str]:
    return [
        platform.post("/reports", a_report(external_id=f"rep-{n}")).json()["id"]
        for n in range(count)
    ]


def test_pages_go_on_where_the_last_one_ended(platform: Platform, a_report: Any) -> None:
    ids = sent(platform, 5, a_report)
    first = platform.get("/reports?limit=2").json()
    assert [row["id"] for row in first["reports"]] == [ids[4], ids[3]]
    sent_meanwhile = platform.post("/reports", a_report(external_id="new")).json()["id"]
    found, cursor = [], first["next_cursor"]
    while cursor:
        page = platform.get(f"/reports?limit=2&cursor={cursor}").json()
        found += [row["id"] for row in page["reports"]]
        cursor = page["next_cursor"]
    assert found == [ids[2], ids[1], ids[0]]
    assert platform.get("/reports?limit=1").json()["reports"][0]["id"] == sent_meanwhile
    row = platform.get("/reports?external_id=rep-3").json()["reports"]
    assert [(one["id"], one["state"], one["outcome"]) for one in row] == [
        (ids[3], "received", None)
    ]
    assert platform.get("/reports?state=decided").json() == {"reports": [], "next_cursor": None}
    assert len(platform.get("/reports?state=received").json()["reports"]) == 6


def test_only_own_reports_are_listed(
    platform: Platform, other_platform: Platform, a_report: Any
) -> None:
    sent(platform, 1, a_report)
    assert other_platform.get("/reports").json()["reports"] == []
    assert other_platform.get("/reports?external_id=rep-0").json()["reports"] == []


def test_since_counts_from_the_time_of_receipt(platform: Platform, a_report: Any) -> None:
    [_, second] = sent(platform, 2, a_report)
    at = Report.objects.get(pk=second).received_at
    found = platform.get(f"/reports?since={at.isoformat().replace('+00:00', 'Z')}").json()
    assert [row["id"] for row in found["reports"]] == [second]
    assert platform.get("/reports?since=2100-01-01T00:00:00Z").json()["reports"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=many", "limit"),
        ("state=done", "state"),
        ("state=", "state"),
        ("since=yesterday", "since"),
        ("since=2026-11-01T10:00:00", "since"),
        ("cursor=bm90aGluZw", "cursor"),
        ("cursor=%00", "cursor"),
        ("cursor=" + "A" * 50, "cursor"),
        ("external_id=a%00b", "external_id"),
        ("external_id=", "external_id"),
        ("external_id=" + "x" * 201, "external_id"),
        ("external=rep-1", "external"),
        ("limit=1&limit=2", "limit"),
    ],
)
def test_nonsense_is_named_at_its_parameter(platform: Platform, query: str, field: str) -> None:
    document = problem_of(platform.get(f"/reports?{query}"), 422)
    assert list(document["errors"]) == [field], document


def test_the_list_needs_the_scope(issued: tuple[ApiKey, str], source: Source) -> None:
    writer = Platform(issue_key(source, scopes=[Scope.REPORTS_WRITE], actor=SYSTEM)[1])
    problem_of(writer.get("/reports"), 403)


# ── What stands already ───────────────────────────────────────────────────────────────────────
def test_a_duplicate_names_the_report_that_stands(platform: Platform, a_report: Any) -> None:
    first = platform.post("/reports", a_report(external_id="rep-1")).json()
    stands = {"id": first["id"], "number": first["number"]}
    document = problem_of(platform.post("/reports", a_report(external_id="rep-1")), 409)
    assert document["existing"] == stands
    answer = platform.batch([{"type": "report"} | a_report(external_id="rep-1")])
    [line] = answer.json()["results"]
    assert (line["code"], line["existing"]) == ("duplicate_external_id", stands)
    assert uuid.UUID(line["existing"]["id"])
