"""How reports and items become cases."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from core import jobs
from core.models import AuditEntry
from moderation import actions
from moderation.jobs import sweep_routing
from moderation.models import Case, CaseStatus, Preview, RoutingRule
from reports.models import Item, RouteState, TrustLevel
from tests.casework import Casework, hash_finding, term_finding
from tests.pictures import jpeg

pytestmark = pytest.mark.django_db


def test_a_match_opens_a_case_that_says_why(casework: Casework) -> None:
    case = casework.case("suspect", pictures=[jpeg(1, (96, 64))], reason="other")
    assert case.queue.slug == "general"
    other = casework.routed(
        casework.report("suspect", pictures=[jpeg(2, (96, 64))]), hash_finding()
    )
    assert other.queue.slug == "hash-matched"
    assert other.category == "csam_known"
    assert other.severity == 5
    texts = list(other.reasons.values_list("text", flat=True))
    assert texts[0].startswith("Media matches a list of known abuse imagery: PDQ distance 4")
    assert any("Reported as abuse imagery" in text for text in texts)
    assert other.subject_snapshot["external_id"] == "suspect"


def test_case_numbers_grow_by_one(casework: Casework) -> None:
    first, second = casework.case(), casework.case()
    assert second.number == first.number + 1
    assert str(first) == f"C-{first.number:06d}"


def test_a_report_waits_for_the_scan_of_its_items(casework: Casework) -> None:
    report = casework.report(texts=["an invented text", "another one"])
    first, second = report.items.order_by("received_at", "pk")
    casework.scanned(first)
    assert actions.route_report(report) is None
    assert not Case.objects.exists()
    casework.scanned(second)
    case = actions.route_report(report)
    assert case is not None
    assert case.case_items.count() == 2


def test_a_stuck_scan_does_not_hide_a_report(casework: Casework, settings: Any) -> None:
    settings.HOLDFAST_ROUTE_ANYWAY_SECONDS = 0
    report = casework.report(texts=["an invented text"])
    case = actions.route_report(report)
    assert case is not None
    assert case.reasons.filter(text__contains="scan has not finished").exists()
    # What the late scan finds joins by itself, and raises the case.
    item = casework.scanned(report.items.get(), hash_finding("csam_suspected"))
    joined = actions.route_item(item)
    assert joined == case
    case.refresh_from_db()
    assert case.severity == 5
    assert case.version == 2
    item.refresh_from_db()
    assert item.route_state == RouteState.ROUTED


def test_a_report_without_items_is_routed_at_once(casework: Casework) -> None:
    report = casework.report(reason="grooming")
    case = actions.route_report(report)
    assert case is not None
    assert case.queue.slug == "grooming"


def test_a_clean_submission_without_a_reporter_is_clear(casework: Casework) -> None:
    item = casework.scanned(casework.scan_submission())
    assert actions.route_item(item) is None
    item.refresh_from_db()
    assert item.route_state == RouteState.CLEAR
    assert not Case.objects.exists()


def test_what_could_not_be_scanned_goes_to_a_person(casework: Casework) -> None:
    item = casework.failed_scan(casework.scan_submission())
    case = actions.route_item(item)
    assert case is not None
    assert case.queue.slug == "suspected-imagery"
    assert "not the same as finding nothing" in case.reasons.get().text


def test_a_reason_nobody_foresaw_goes_to_unsorted(casework: Casework) -> None:
    case = casework.routed(casework.report(reason="something.unheard-of"))
    assert case.queue.slug == "unsorted"


def test_a_later_report_joins_the_open_case_and_only_raises_it(casework: Casework) -> None:
    case = casework.case("twice", reason="csam")
    due = case.due_at
    joined = casework.case("twice", reason="csam", trust=TrustLevel.TRUSTED)
    assert joined == case
    case.refresh_from_db()
    assert case.version == 2
    assert case.severity == 5
    assert case.due_at < due
    assert case.case_reports.count() == 2
    again = casework.case("twice", reason="csam")
    assert again.severity == 5
    assert Case.objects.count() == 1


def test_a_later_harmless_report_moves_nothing_down(casework: Casework) -> None:
    case = casework.case("steady", reason="csam", trust=TrustLevel.TRUSTED)
    before = (case.severity, case.score, case.due_at)
    alone = casework.case("mild", reason="csam")
    assert alone.severity < case.severity
    assert alone.score < case.score
    assert alone.due_at > case.due_at
    assert casework.case("steady", reason="csam") == case
    case.refresh_from_db()
    assert case.version == 2
    assert (case.severity, case.score, case.due_at) == before


def test_a_case_in_its_undo_window_counts_as_open(
    casework: Casework, reviewer: Any, granted: Any
) -> None:
    granted(reviewer)
    case = casework.case("again")
    casework.decided(case, by=reviewer)
    joined = casework.case("again")
    assert joined == case
    assert joined.status == CaseStatus.DECIDING


def test_after_a_decision_a_new_case_links_the_earlier_one(
    casework: Casework, reviewer: Any, granted: Any
) -> None:
    granted(reviewer)
    case = casework.case("again")
    casework.published(case, by=reviewer)
    later = casework.case("again")
    assert later != case
    assert later.links.get().earlier == case


def test_routing_twice_is_routing_once(casework: Casework) -> None:
    case = casework.case()
    report = case.case_reports.get().report
    assert actions.route_report(report) is None
    case.refresh_from_db()
    assert case.version == 1
    assert case.reasons.count() == 1


def test_a_failure_is_kept_on_the_report_and_tried_again(casework: Casework) -> None:
    RoutingRule.objects.update(is_active=False)
    report = casework.report()
    assert actions.route_report(report) is None
    report.refresh_from_db()
    assert report.route_state == RouteState.FAILED
    assert "No routing rule" in report.route_error
    assert actions.route_report(report) is None  # A second failure is no second line in the log.
    assert AuditEntry.objects.filter(event="case.routing.failed").count() == 1
    RoutingRule.objects.update(is_active=True)
    assert actions.route_report(report) is not None
    report.refresh_from_db()
    assert (report.route_state, report.route_error) == (RouteState.ROUTED, "")


def test_the_sweep_finds_what_waits_and_one_job_places_it(
    casework: Casework, monkeypatch: Any
) -> None:
    woken: list[str] = []
    monkeypatch.setattr("moderation.jobs.routing.enqueue", woken.append)
    waiting = casework.report()
    scanning = casework.report(texts=["an invented text"])
    lone = casework.scanned(casework.scan_submission(), term_finding((0, 2)))
    assert sweep_routing() == 2
    assert woken == ["route_waiting"]
    jobs.run_now("route_waiting")
    assert Case.objects.filter(case_reports__report=waiting).exists()
    assert Case.objects.filter(case_items__item=lone).exists()
    scanning.refresh_from_db()
    assert scanning.route_state == "waiting"
    assert sweep_routing() == 0


def test_routing_gives_its_place_away_after_a_while(casework: Casework, monkeypatch: Any) -> None:
    woken: list[str] = []
    monkeypatch.setattr("moderation.jobs.routing.enqueue", woken.append)
    monkeypatch.setattr("moderation.jobs.routing.BUSY_SECONDS", -1.0)
    casework.report()
    jobs.run_now("route_waiting")
    assert woken == ["route_waiting"]
    assert not Case.objects.exists()


def test_what_failed_is_tried_after_what_is_new(casework: Casework, monkeypatch: Any) -> None:
    RoutingRule.objects.update(is_active=False)
    failed = casework.report()
    assert actions.route_report(failed) is None
    RoutingRule.objects.update(is_active=True)
    new = casework.report()
    jobs.run_now("route_waiting")
    cases = Case.objects.order_by("number")
    assert [case.case_reports.get().report_id for case in cases] == [new.pk, failed.pk]


def test_items_whose_scans_ended_together_are_placed_each_for_itself(
    casework: Casework, monkeypatch: Any
) -> None:
    """One that fails stops nobody; running twice changes nothing."""
    found = [casework.scanned(casework.scan_submission(), term_finding((0, 2))) for _ in range(3)]
    place = actions.routing.place

    def fails_for_one(candidates: Any, **more: Any) -> Any:
        if any(found[1] in each.items for each in candidates):
            raise RuntimeError("an invented failure")
        return place(candidates, **more)

    with monkeypatch.context() as broken:
        broken.setattr(actions.routing, "place", fails_for_one)
        jobs.run_now("route_waiting")
    for item in found:
        item.refresh_from_db()
    assert [item.route_state for item in found] == ["routed", "failed", "routed"]
    Item.objects.update(route_due_at=Now())
    jobs.run_now("route_waiting")
    assert set(Item.objects.values_list("route_state", flat=True)) == {"routed"}
    for item in found:
        assert item.case_items.count() == 1


def test_many_reports_are_placed_together_and_each_is_as_if_it_came_alone(
    casework: Casework, django_assert_max_num_queries: Any
) -> None:
    """Twenty cost less than two statements each; the reports of one subject follow each other in its case."""
    reports = [casework.report(f"together-{number % 10}", reason="csam") for number in range(20)]
    with django_assert_max_num_queries(35):
        placed = actions.route_reports(reports)
    assert Case.objects.count() == 10
    for first, second in zip(reports[:10], reports[10:], strict=True):
        case = placed[first.pk]
        assert case is not None
        assert placed[second.pk] == case
        fresh = Case.objects.get(pk=case.pk)
        assert (fresh.version, fresh.due_at) == (2, case.due_at)
        joined = case.case_reports.order_by("case_version")
        assert [(row.report_id, row.case_version) for row in joined] == [
            (first.pk, 1),
            (second.pk, 2),
        ]
        lines = AuditEntry.objects.filter(chain=f"case:{case.pk}").order_by("seq")
        assert [line.event for line in lines] == ["case.opened", "case.joined"]
        assert lines[1].prev_hash == lines[0].hash


def test_media_of_a_case_gets_a_preview_row(casework: Casework) -> None:
    case = casework.case()
    assert Preview.objects.get().blob == case.case_items.get().item.blob


def test_a_trusted_flagger_is_answered_sooner(casework: Casework) -> None:
    usual = casework.case(reason="grooming")
    trusted = casework.case(reason="grooming", trust=TrustLevel.TRUSTED)
    assert trusted.due_at - timezone.now() < (usual.due_at - timezone.now()) / 2 + timedelta(
        minutes=1
    )
    assert trusted.score > usual.score


def test_opening_and_joining_is_on_the_record_without_words_of_the_report(
    casework: Casework,
) -> None:
    case = casework.case("kept-out", description="words of a reporter", texts=["words of a person"])
    entry = AuditEntry.objects.get(event="case.opened")
    assert entry.chain == f"case:{case.pk}"
    assert entry.data["severity"] == case.severity
    assert "words" not in entry.line
