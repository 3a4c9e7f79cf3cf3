"""Verdicts: what they need, what they do, and how they are taken back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.urls import reverse

from core import jobs
from core.audit import SYSTEM
from core.models import AuditEntry
from moderation import actions
from moderation.jobs import sweep_decisions
from moderation.models import (
    Case,
    CaseStatus,
    Claim,
    Decision,
    Enforcement,
    EnforcementState,
    Outcome,
    PolicyVersion,
    Queue,
)
from reports.models import RouteState
from tests.casework import Casework, decide_form, url

pytestmark = pytest.mark.django_db


def end_window() -> None:
    Decision.objects.update(publish_at=Now() - timedelta(seconds=1))


def decided(case: Case, client: Any, **changes: Any) -> Decision:
    answer = client.post(url("decide", case), decide_form(case, **changes))
    assert answer.status_code == 303, answer.content
    case.refresh_from_db()
    return Decision.objects.latest("made_at")


def test_a_decision_is_held_and_then_takes_effect(held: Case, robin: Any, at_work: Any) -> None:
    decision = decided(held, at_work, enforcements=["ban_account", "remove_media"])
    assert held.status == CaseStatus.DECIDING
    assert decision.made_by == robin
    assert str(decision.policy_version) == "CS-2 v1"
    states = set(decision.enforcements.values_list("state", flat=True))
    assert states == {EnforcementState.HELD}
    assert not actions.publish_decision(decision)  # Its window is not over.
    end_window()
    assert sweep_decisions() == 1
    jobs.run_now("publish_due")
    held.refresh_from_db()
    assert held.status == CaseStatus.DECIDED
    assert held.decided_at is not None
    assert EnforcementState.HELD not in set(decision.enforcements.values_list("state", flat=True))
    assert Claim.objects.get().end == "decided"
    assert sweep_decisions() == 0


def test_removing_media_names_every_piece_of_it(
    casework: Casework, robin: Any, at_work: Any
) -> None:
    from tests.pictures import jpeg

    case = casework.case(pictures=[jpeg(1, (96, 64)), jpeg(2, (96, 64))], texts=["words"])
    actions.claim(case, actor=robin)
    decision = decided(case, at_work, enforcements=["remove_media"])
    assert decision.enforcements.count() == 2
    assert all(row.item is not None for row in decision.enforcements.all())


def test_publishing_twice_is_publishing_once(held: Case, at_work: Any) -> None:
    decision = decided(held, at_work)
    end_window()
    assert actions.publish_decision(decision)
    version = Case.objects.get(pk=held.pk).version
    assert not actions.publish_decision(decision)
    assert Case.objects.get(pk=held.pk).version == version
    assert AuditEntry.objects.filter(event="case.decision.published").count() == 1


def test_undoing_reopens_the_case_and_nothing_goes_out(held: Case, at_work: Any) -> None:
    decision = decided(held, at_work)
    bar = at_work.get(reverse("moderation:undo_bar")).content.decode()
    assert str(held) in bar
    assert url("undo", decision) in bar
    assert at_work.post(url("undo", decision)).status_code == 303
    held.refresh_from_db()
    assert held.status == CaseStatus.OPEN
    assert set(decision.enforcements.values_list("state", flat=True)) == {"cancelled"}
    end_window()
    assert not actions.publish_decision(decision)
    assert at_work.get(reverse("moderation:undo_bar")).content == b""
    assert 'id="decide-form"' in at_work.get(url("case", held)).content.decode()


def test_every_decision_in_its_window_is_in_the_bar_the_newest_first(
    held: Case, casework: Casework, robin: Any, at_work: Any
) -> None:
    first = decided(held, at_work)
    second = casework.decided(casework.case(), by=robin)
    bar = at_work.get(reverse("moderation:undo_bar")).content.decode()
    assert "2 decisions can still be undone" in bar
    assert 0 < bar.index(url("undo", second)) < bar.index(url("undo", first))
    assert bar.count('data-key="z"') == 1
    assert bar.index('data-key="z"') < bar.index(url("undo", first))


def test_what_was_taken_back_stands_in_the_form_of_its_maker_alone(
    held: Case, robin: Any, lena: Any, at_work: Any, session_of: Any
) -> None:
    reason = "Words that were typed with care."
    at_work.post(url("undo", decided(held, at_work, reason=reason)))
    page = at_work.get(url("case", held)).content.decode()
    assert reason in page
    assert 'value="confirm_refer" data-key="1" checked' in page
    assert 'value="ban_account" checked' in page
    assert 'value="remove_media" checked' not in page  # It is usual, and was not ordered.
    actions.take_over(held, reason="An invented reason.", actor=lena)
    assert f">{reason}</textarea>" not in session_of(lena).get(url("case", held)).content.decode()


def test_after_the_window_nothing_can_be_undone(held: Case, at_work: Any) -> None:
    decision = decided(held, at_work)
    end_window()
    answer = at_work.post(url("undo", decision), headers={"accept": "application/json"})
    assert answer.status_code == 409
    assert answer.json()["code"] == "window_over"
    assert Decision.objects.get().undone_at is None


def test_only_the_decider_and_leads_undo(
    held: Case, at_work: Any, outsider: Any, lena: Any, granted: Any, session_of: Any
) -> None:
    decision = decided(held, at_work)
    colleague = session_of(granted(outsider), accept="application/json")
    assert colleague.post(url("undo", decision)).status_code == 403
    assert session_of(lena).post(url("undo", decision)).status_code == 303
    assert Decision.objects.get().undone_by == lena


def test_an_undone_case_is_decided_anew(held: Case, at_work: Any) -> None:
    at_work.post(url("undo", decided(held, at_work)))
    held.refresh_from_db()
    again = decided(held, at_work, outcome=Outcome.NOT_VIOLATING)
    assert again.outcome == Outcome.NOT_VIOLATING
    assert held.decisions.count() == 2


def test_sending_now_skips_the_rest_of_the_window(held: Case, at_work: Any) -> None:
    decision = decided(held, at_work)
    assert at_work.post(url("send_now", decision)).status_code == 303
    jobs.run_now("publish_due")
    held.refresh_from_db()
    assert held.status == CaseStatus.DECIDED


def test_the_same_form_sent_twice_decides_once(held: Case, at_work: Any) -> None:
    form = decide_form(held)
    for _ in range(2):
        assert at_work.post(url("decide", held), form).status_code == 303
    assert Decision.objects.count() == 1
    assert Enforcement.objects.count() == 1


def test_a_second_decision_is_refused_and_told_who_was_first(
    held: Case, robin: Any, at_work: Any
) -> None:
    decided(held, at_work)
    answer = at_work.post(
        url("decide", held), decide_form(held), headers={"accept": "application/json"}
    )
    assert answer.status_code == 409
    assert answer.json()["code"] == "already_decided"
    assert robin.pseudonym in answer.json()["detail"]


def test_without_a_lease_nothing_is_decided(held: Case, lena: Any, session_of: Any) -> None:
    client = session_of(lena, accept="application/json")
    answer = client.post(url("decide", held), decide_form(held))
    assert answer.status_code == 409
    assert answer.json()["code"] == "lease_lost"


def test_what_joined_in_the_meantime_is_shown_before_anything_is_decided(
    held: Case, casework: Casework, at_work: Any
) -> None:
    form = decide_form(held)
    joined = casework.case("subject-of-the-case", reason="csam")
    assert joined == held
    answer = at_work.post(url("decide", held), form)
    assert answer.status_code == 409
    page = answer.content.decode()
    assert "What changed while you worked" in page
    assert "joined, from" in page
    assert form["reason"] in page
    assert 'name="case_version" value="2"' in page
    assert not Decision.objects.exists()
    script = at_work.post(url("decide", held), form, headers={"accept": "application/json"})
    assert script.json()["case_version"] == 2
    assert script.json()["changes"]
    assert at_work.post(url("decide", held), form | {"case_version": 2}).status_code == 303


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"outcome": ""}, "outcome"),
        ({"outcome": "guilty"}, "outcome"),
        ({"enforcements": []}, "enforcements"),
        ({"enforcements": ["close_group"]}, "enforcements"),
        ({"enforcements": ["warn"]}, "enforcements"),
        ({"enforcements": ["ban_account", "no_action"]}, "enforcements"),
        ({"reason": "short"}, "reason"),
        ({"outcome": "confirm"}, "outcome"),
        ({"policy": "0"}, "policy"),
        ({"case_version": "x"}, "case_version"),
    ],
)
def test_what_does_not_make_sense_is_said_at_its_field_and_nothing_typed_is_lost(
    held: Case, at_work: Any, changes: dict[str, Any], field: str
) -> None:
    form = decide_form(held) | changes
    script = at_work.post(url("decide", held), form, headers={"accept": "application/json"})
    assert script.status_code == 422
    assert list(script.json()["errors"]) == [field]
    page = at_work.post(url("decide", held), form)
    assert page.status_code == 422
    assert form["reason"] in page.content.decode()
    assert form["idempotency_key"] in page.content.decode()
    assert not Decision.objects.exists()


def test_an_old_wording_of_a_policy_is_refused(held: Case, at_work: Any) -> None:
    form = decide_form(held)
    old = PolicyVersion.objects.get(pk=form["policy"])
    fields = {
        name: getattr(old, name)
        for name in ("policy", "summary", "definition", "severity", "enforcements")
    }
    PolicyVersion.objects.create(**fields, version=2, requires_referral=True)
    answer = at_work.post(url("decide", held), form, headers={"accept": "application/json"})
    assert answer.status_code == 409
    assert answer.json()["code"] == "policy_changed"


def test_what_joined_after_the_decision_is_routed_again(
    held: Case, casework: Casework, at_work: Any
) -> None:
    decision = decided(held, at_work)
    late = casework.report("subject-of-the-case", reason="csam")
    assert actions.route_report(late) == held
    end_window()
    assert actions.publish_decision(decision)
    late.refresh_from_db()
    assert late.route_state == RouteState.WAITING
    follow_up = actions.route_report(late)
    assert follow_up is not None
    assert follow_up != held
    assert follow_up.links.get().earlier == held


def test_a_decision_of_somebody_who_lost_the_permission_does_not_take_effect(
    held: Case, robin: Any, at_work: Any
) -> None:
    decision = decided(held, at_work)
    actions.revoke_queue(held.queue, of=robin, actor=SYSTEM)
    end_window()
    assert not actions.publish_decision(decision)
    decision.refresh_from_db()
    held.refresh_from_db()
    assert decision.undone_at is not None
    assert "permission ended" in decision.undone_reason
    # The case is open for others, and no lease of the one who may not work it keeps them out.
    claim = Claim.objects.get(case=decision.case)
    assert (claim.end, claim.end_reason) == ("withdrawn", decision.undone_reason)
    assert held.status == CaseStatus.OPEN


def test_a_case_in_its_undo_window_cannot_be_taken_over_or_given_back(
    held: Case, lena: Any, at_work: Any, session_of: Any
) -> None:
    decided(held, at_work)
    lead = session_of(lena, accept="application/json")
    taking = lead.post(url("take_over", held), {"reason": "I know better."})
    assert taking.json()["code"] == "deciding"
    giving = at_work.post(
        url("release", held), {"reason": "No."}, headers={"accept": "application/json"}
    )
    assert giving.json()["code"] == "deciding"
    assert Decision.objects.get().undone_at is None


def test_confirm_and_next_leads_to_the_next_case(
    held: Case, casework: Casework, at_work: Any
) -> None:
    following = casework.case()
    answer = at_work.post(url("decide", held), decide_form(held) | {"then": "next"})
    assert answer["Location"] == url("case", following)


@pytest.mark.parametrize("then", ["next", ""])
def test_a_decision_in_a_queue_that_was_switched_off_is_recorded_and_leads_home(
    held: Case, at_work: Any, then: str
) -> None:
    Queue.objects.filter(pk=held.queue_id).update(is_active=False)
    answer = at_work.post(url("decide", held), decide_form(held) | {"then": then})
    assert answer.status_code == 303
    assert answer["Location"] == reverse("moderation:home")
    assert Decision.objects.get().undone_at is None
    home = at_work.get(answer["Location"]).content.decode()
    assert f"Your decision on {held} is recorded." in home


def test_an_old_form_does_not_bring_back_a_decision_that_was_taken_back(
    held: Case, at_work: Any
) -> None:
    form = decide_form(held)
    at_work.post(url("decide", held), form)
    at_work.post(url("undo", Decision.objects.get()))
    script = at_work.post(url("decide", held), form, headers={"accept": "application/json"})
    assert (script.status_code, script.json()["code"]) == (409, "undone")
    answer = at_work.post(url("decide", held), form)  # The browser's Back, and Confirm once more.
    assert answer.status_code == 409
    page = answer.content.decode()
    assert "This decision was taken back. Reload the case and decide again." in page
    assert answer.context["reason_text"] == form["reason"]  # Nothing typed is lost.
    assert form["idempotency_key"] not in page
    held.refresh_from_db()
    assert held.status == CaseStatus.OPEN
    key = answer.context["idempotency_key"]
    version = answer.context["case_version"]
    again = form | {"idempotency_key": key, "case_version": version}
    assert at_work.post(url("decide", held), again).status_code == 303
    assert held.decisions.filter(undone_at=None).count() == 1


def test_no_action_is_recorded_and_sent_to_nobody(
    held: Case, casework: Casework, robin: Any
) -> None:
    casework.published(held, by=robin, outcome=Outcome.NOT_VIOLATING)
    assert Enforcement.objects.get().state == EnforcementState.NOT_SENT


def test_a_decision_is_on_the_record_without_its_words(held: Case, at_work: Any) -> None:
    decided(held, at_work, reason="Very particular words of a reviewer.")
    entry = AuditEntry.objects.get(event="case.decided")
    assert entry.data["policy"] == "CS-2 v1"
    assert entry.data["outcome"] == "confirm_refer"
    assert "particular" not in entry.line
