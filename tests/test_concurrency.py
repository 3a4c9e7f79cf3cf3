"""Races on cases, with real threads, real connections and real commits.

Each test says what may happen once only, lets many try it at the same moment, and counts.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import pytest
from django.contrib.auth.management import create_permissions
from django.db import connection
from django.db.models.functions import Now
from django.test import Client

from accounts.models import User
from accounts.permissions import Role
from core.audit import SYSTEM
from core.errors import Refused
from core.models import AuditEntry
from moderation import access, actions
from moderation.models import (
    Case,
    CaseStatus,
    Claim,
    Decision,
    Delivery,
    Enforcement,
    Queue,
    Reveal,
)
from tests.casework import Casework, grant_all, url, verdict
from tests.cast import make_person, signed_in
from tests.pictures import jpeg

pytestmark = pytest.mark.django_db(transaction=True)

T = TypeVar("T")


def at_once(*attempts: Callable[[], T]) -> list[T | Exception]:
    """Run every attempt in a thread with a connection of its own, all let go at the same moment.

    Returns what each returned, or the exception it raised, in the order given.
    """
    gate = threading.Barrier(len(attempts), timeout=60)

    def run(attempt: Callable[[], T]) -> T | Exception:
        try:
            connection.ensure_connection()
            gate.wait()
            return attempt()
        except Exception as failed:  # noqa: BLE001 — the caller looks at what failed
            return failed
        finally:
            connection.close()

    with ThreadPoolExecutor(len(attempts)) as pool:
        return list(pool.map(run, attempts))


@pytest.fixture(autouse=True)
def permissions_exist() -> None:
    """Make guardian's permissions again; emptying the tables between tests may have removed them."""
    from django.apps import apps

    create_permissions(apps.get_app_config("moderation"), verbosity=0)


def people(count: int, role: Role = Role.REVIEWER) -> list[User]:
    """Return that many people with every queue and category."""
    return [
        grant_all(make_person(f"{role.value.title()} {n}", role, totp=False)) for n in range(count)
    ]


def run_out(case: Case) -> None:
    Claim.objects.filter(case=case, ended_at=None).update(expires_at=Now() - timedelta(seconds=1))


def test_fifty_claimers_on_a_queue_none_twice_none_lost(casework: Casework) -> None:
    reviewers = people(50)
    cases = [casework.routed(casework.report()) for _ in range(50)]
    queue = cases[0].queue
    claims = at_once(*[lambda who=who: actions.claim_next(queue, actor=who) for who in reviewers])
    assert [claim for claim in claims if isinstance(claim, Exception)] == []
    taken = Counter(claim.case_id for claim in claims if isinstance(claim, Claim))
    assert set(taken) == {case.pk for case in cases}
    assert set(taken.values()) == {1}
    assert Claim.objects.filter(ended_at=None).count() == 50
    assert actions.claim_next(queue, actor=reviewers[0]) is None


def test_of_two_claimers_on_one_case_one_gets_it_and_the_other_is_told_who(
    casework: Casework,
) -> None:
    first, second = people(2)
    for _ in range(5):
        case = casework.routed(casework.report())
        results = at_once(
            partial(actions.claim, case, actor=first),
            partial(actions.claim, case, actor=second),
        )
        won = [result for result in results if isinstance(result, Claim)]
        lost = [result for result in results if isinstance(result, Refused)]
        assert (len(won), len(lost)) == (1, 1)
        assert won[0].user.pseudonym in lost[0].message
        assert case.claims.filter(ended_at=None).count() == 1
        actions.release_claim(won[0], reason="Next round.", actor=won[0].user)


def test_one_person_in_two_windows_does_not_get_around_the_limit(casework: Casework) -> None:
    (reviewer,) = people(1)
    cases = [casework.routed(casework.report()) for _ in range(6)]
    at_once(*[lambda: actions.claim_next(cases[0].queue, actor=reviewer) for _ in range(6)])
    assert Claim.objects.filter(user=reviewer, ended_at=None).count() == 3


def test_a_lease_that_runs_out_between_reading_and_deciding_decides_nothing(
    casework: Casework,
) -> None:
    first, second = people(2)
    case = casework.routed(casework.report())
    actions.claim(case, actor=first)
    wanted = verdict(case)
    run_out(case)
    taken = actions.claim(case, actor=second)
    results = at_once(
        lambda: actions.decide(case, actor=first, **wanted),
        lambda: actions.decide(case, actor=second, **verdict(case)),
    )
    assert isinstance(results[0], Refused)
    assert second.pseudonym in results[0].message or "decided" in results[0].message
    assert isinstance(results[1], Decision)
    assert Decision.objects.get().made_by == taken.user


def test_a_late_heartbeat_does_not_take_the_case_from_the_next_person(
    casework: Casework,
) -> None:
    first, second = people(2)
    case = casework.routed(casework.report())
    old = actions.claim(case, actor=first)
    run_out(case)
    results = at_once(
        lambda: actions.heartbeat(old, actor=first), lambda: actions.claim(case, actor=second)
    )
    assert isinstance(results[0], Refused)
    assert isinstance(results[1], Claim)
    holder = access.live_claim_on(case)
    assert holder is not None
    assert holder.user == second


def test_a_take_over_and_a_decision_never_both_happen(casework: Casework) -> None:
    (reviewer,) = people(1)
    (lead,) = people(1, Role.LEAD)
    for _ in range(5):
        case = casework.routed(casework.report())
        actions.claim(case, actor=reviewer)
        results = at_once(
            partial(actions.decide, case, actor=reviewer, **verdict(case)),
            partial(actions.take_over, case, reason="Urgent.", actor=lead),
        )
        case.refresh_from_db()
        if isinstance(results[0], Decision):
            assert isinstance(results[1], Refused)
            assert case.status == CaseStatus.DECIDING
        else:
            assert isinstance(results[0], Refused)
            assert isinstance(results[1], Claim)
            assert case.status == CaseStatus.OPEN
            actions.release_claim(results[1], reason="Next round.", actor=lead)


def test_a_case_in_its_undo_window_is_undone_before_it_is_taken_over(
    casework: Casework,
) -> None:
    (reviewer,) = people(1)
    (lead,) = people(1, Role.LEAD)
    case = casework.routed(casework.report())
    decision = casework.decided(case, by=reviewer)
    with pytest.raises(Refused):
        actions.take_over(case, reason="Urgent.", actor=lead)
    actions.undo_decision(decision, actor=lead)
    taken = actions.take_over(case, reason="Urgent.", actor=lead)
    assert taken.user == lead
    assert Claim.objects.filter(case=case, ended_at=None).count() == 1


def test_a_permission_withdrawn_while_somebody_decides_wins_or_comes_too_late(
    casework: Casework,
) -> None:
    (reviewer,) = people(1)
    case = casework.routed(casework.report())
    actions.claim(case, actor=reviewer)
    results = at_once(
        lambda: actions.decide(case, actor=reviewer, **verdict(case)),
        lambda: actions.revoke_queue(case.queue, of=reviewer, actor=SYSTEM),
    )
    assert results[1] is None
    if isinstance(results[0], Decision):
        # It was in time; but what a person without permission decided never leaves the building.
        Decision.objects.update(publish_at=Now())
        assert not actions.publish_decision(results[0])
    case.refresh_from_db()
    assert case.status == CaseStatus.OPEN
    assert not Enforcement.objects.filter(state="pending").exists()
    assert not Delivery.objects.exists()


def test_one_form_sent_eight_times_at_once_decides_once(casework: Casework) -> None:
    (reviewer,) = people(1)
    case = casework.routed(casework.report())
    actions.claim(case, actor=reviewer)
    wanted = verdict(case)
    results = at_once(*[lambda: actions.decide(case, actor=reviewer, **wanted)] * 8)
    assert {type(result) for result in results} == {Decision}
    assert len({result.pk for result in results if isinstance(result, Decision)}) == 1
    assert Decision.objects.count() == 1
    assert Enforcement.objects.count() == 1


def test_publishing_eight_times_at_once_takes_effect_once(casework: Casework) -> None:
    (reviewer,) = people(1)
    case = casework.routed(casework.report())
    decision = casework.decided(case, by=reviewer)
    Decision.objects.update(publish_at=Now())
    results = at_once(*[lambda: actions.publish_decision(decision)] * 8)
    assert Counter(results) == {True: 1, False: 7}
    assert AuditEntry.objects.filter(event="case.decision.published").count() == 1
    assert Delivery.objects.values("enforcement").distinct().count() <= 1


def test_undo_and_publication_never_both_happen(casework: Casework) -> None:
    (reviewer,) = people(1)
    for _ in range(5):
        case = casework.routed(casework.report())
        decision = casework.decided(case, by=reviewer)
        at_once(
            partial(actions.undo_decision, decision, actor=reviewer),
            partial(actions.send_now, decision, actor=reviewer),
            partial(actions.publish_decision, decision),
        )
        actions.publish_decision(decision)
        decision.refresh_from_db()
        assert (decision.undone_at is None) != (decision.published_at is None)
        for claim in Claim.objects.filter(ended_at=None):
            actions.release_claim(claim, reason="Next round.", actor=reviewer)


def test_two_parallel_requests_for_a_one_time_address_show_the_original_once(
    casework: Casework,
) -> None:
    reviewer = grant_all(make_person("Robin Reed", Role.REVIEWER))
    original = jpeg(5, (96, 64))
    case = casework.case(pictures=[original])
    actions.claim(case, actor=reviewer)
    item = case.case_items.get().item
    client = signed_in(Client(), reviewer)
    issued = client.post(url("reveal", case, item_id=item.pk), {"purpose": "assess"}).json()

    def fetch() -> tuple[int, bytes]:
        own = Client()
        own.cookies = client.cookies
        answer: Any = own.get(issued["url"])
        content = b"".join(answer.streaming_content) if answer.streaming else answer.content
        return answer.status_code, content

    results = at_once(*[fetch] * 6)
    served = [result for result in results if isinstance(result, tuple) and result[0] == 200]
    assert len(served) == 1
    assert served[0][1] == original
    refused = [result for result in results if isinstance(result, tuple) and result[0] == 410]
    assert len(refused) == 5
    assert Reveal.objects.get().is_complete


def test_reports_on_one_subject_routed_together_open_one_case(casework: Casework) -> None:
    reports = [casework.report("one-subject", reason="csam") for _ in range(8)]
    at_once(*[lambda report=report: actions.route_report(report) for report in reports])
    case = Case.objects.get()
    assert case.case_reports.count() == 8
    assert case.version == 8
    for report in reports:
        report.refresh_from_db()
        assert (report.route_state, report.route_error) == ("routed", "")


def test_a_report_routed_by_two_workers_joins_once(casework: Casework) -> None:
    report = casework.report(reason="grooming")
    at_once(*[lambda: actions.route_report(report)] * 4)
    case = Case.objects.get()
    assert case.version == 1
    assert case.reasons.count() == 1
    assert AuditEntry.objects.filter(event="case.opened").count() == 1


def test_a_report_that_comes_in_while_its_case_is_published_is_in_an_open_case_in_the_end(
    casework: Casework,
) -> None:
    (reviewer,) = people(1)
    for number in range(5):
        account = f"busy-{number}"
        case = casework.routed(casework.report(account, reason="csam"))
        decision = casework.decided(case, by=reviewer)
        Decision.objects.update(publish_at=Now())
        late = casework.report(account, reason="csam")
        at_once(
            partial(actions.publish_decision, decision),
            partial(actions.route_report, late),
        )
        actions.route_report(late)  # What the sweep does with what waits.
        late.refresh_from_db()
        assert (late.route_state, late.route_error) == ("routed", "")
        assert Case.objects.filter(case_reports__report=late, status=CaseStatus.OPEN).count() == 1


def test_the_audit_chain_of_a_case_has_no_gap_after_all_this(casework: Casework) -> None:
    reviewers = people(6)
    case = casework.routed(casework.report())
    at_once(
        *[lambda who=who: actions.add_note(case, text="A note.", actor=who) for who in reviewers]
    )
    chain = AuditEntry.objects.filter(chain=f"case:{case.pk}").order_by("seq")
    assert [entry.seq for entry in chain] == list(range(1, len(chain) + 1))
    assert Queue.objects.filter(pk=case.queue_id).exists()
