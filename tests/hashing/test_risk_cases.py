"""Risk: the cases that a score asks for, its pages, and its weights."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from core.audit import SYSTEM
from hashing import actions, risk, risk_access
from hashing.models import CaseState, RiskPolicy, RiskScore
from moderation import actions as casework_actions
from moderation import jobs as casework_jobs
from moderation.models import Case, CaseStatus, Outcome, Queue, RoutingReason
from reports.models import Account, Group, SubjectChange
from tests.casework import grant_all, hash_finding, verdict
from tests.cast import find, signed_in
from tests.hashing.risk_world import World, said_of, score
from tests.pictures import jpeg

GROUP_WEIGHTS = risk.weights_of({}, "group")
pytestmark = pytest.mark.django_db


@pytest.fixture
def risky(world: World) -> Group:
    """Return a group that has just crossed the threshold."""
    group = rated(world, "g")
    assert score(group).score == 60
    return group


def rated(world: World, name: str, **said: Any) -> Group:
    """Return a group that has just crossed the threshold and has no case."""
    world.picture({"group": name}, 1, hash_finding())
    for reporter in ("r1", "r2", "r3", "r4", "r5"):
        world.report({"group": name}, reporter)
    group = world.group(name, [f"m{n}" for n in range(20)], **said)
    world.settle()
    return group


def test_crossing_the_threshold_opens_one_case_with_its_reasons(risky: Group) -> None:
    assert score(risky).case_state == CaseState.WAITING
    assert casework_jobs.sweep_risk_cases() == 1
    casework_jobs.route_risk_case(score(risky).pk)
    casework_jobs.route_risk_case(score(risky).pk)
    case = Case.objects.get(group=risky, category="harmful_group")
    reason = RoutingReason.objects.get(case=case)
    assert "60 of 100" in reason.text
    assert "+40: 1 item of the group is known material" in reason.text
    assert score(risky).case_state == CaseState.PLACED
    assert casework_jobs.sweep_risk_cases() == 0
    assert case.case_items.count() == 1


def test_a_risky_account_goes_where_imagery_is_looked_at(world: World) -> None:
    for number in range(2):
        world.picture({"account": "a"}, number, hash_finding())
    for reporter in ("r1", "r2", "r3", "r4"):
        world.report({"account": "a"}, reporter)
    world.settle()
    account = Account.objects.get(external_id="a")
    case = casework_actions.route_risk_case(score(account))
    assert case is not None
    assert (case.account, case.category) == (account, "csam_suspected")
    assert case.queue.slug == "suspected-imagery"


def test_a_score_that_rises_while_its_case_is_placed_asks_again(risky: Group) -> None:
    taken = actions.take_risk_case(score(risky))
    assert taken is not None
    assert actions.take_risk_case(score(risky)) is None, "somebody has it"
    RiskScore.objects.filter(pk=taken.pk).update(case_due_at=timezone.now())  # It asks again.
    actions.record_risk_case(taken)
    assert score(risky).case_state == CaseState.WAITING


def test_a_decision_while_its_case_is_placed_does_not_place_it_twice(risky: Group) -> None:
    RiskScore.objects.update(asked_score=50)  # It was asked about lower, and rose a little since.
    taken = actions.take_risk_case(score(risky))
    assert taken is not None
    actions.quiet_risk(risky)
    actions.record_risk_case(taken)
    assert score(risky).case_state == CaseState.PLACED


def test_a_rising_score_makes_the_open_case_more_urgent(world: World, risky: Group) -> None:
    casework_actions.route_risk_case(score(risky))
    case = Case.objects.get(group=risky, category="harmful_group")
    for number in range(3):
        world.account(f"m{number}", platform_status="banned")
    world.settle()
    casework_actions.route_risk_case(score(risky))
    raised = Case.objects.get(group=risky, category="harmful_group")
    assert raised.pk == case.pk
    assert raised.score > case.score
    assert raised.reasons.count() == 2


def test_a_decision_of_no_violation_keeps_it_quiet(
    world: World, risky: Group, reviewer: User
) -> None:
    grant_all(reviewer)
    casework_actions.route_risk_case(score(risky))
    case = Case.objects.get(group=risky, category="harmful_group")
    world.casework.published(case, by=reviewer, outcome=Outcome.NOT_VIOLATING)
    quiet = score(risky)
    assert quiet.quiet_until is not None
    assert quiet.quiet_until > timezone.now() + timedelta(days=29)
    world.settle()
    fallen = score(risky)  # What was dismissed does not count any more.
    assert fallen.score == 20
    world.picture({"group": "g"}, 2, hash_finding())
    world.settle()
    assert score(risky).score == 60
    assert casework_actions.route_risk_case(score(risky)) is None
    assert "no violation" in score(risky).reason
    assert not Case.objects.filter(group=risky, category="harmful_group").exclude(
        status=CaseStatus.DECIDED
    )


def test_a_group_that_is_closed_already_opens_no_case(world: World) -> None:
    world.picture({"group": "g"}, 1, hash_finding())
    for reporter in ("r1", "r2", "r3", "r4", "r5"):
        world.report({"group": "g"}, reporter)
    group = world.group("g", ["m"], platform_status="closed")
    world.settle()
    assert score(group).case_state == CaseState.NONE
    assert "closed it already" in score(group).reason


def test_a_case_that_cannot_be_placed_is_shown_and_tried_again(
    risky: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **more: Any) -> Any:
        raise RuntimeError("no")

    with monkeypatch.context() as patched:
        patched.setattr("moderation.actions.risk.place_subject", broken)
        assert casework_actions.route_risk_case(score(risky)) is None
    assert score(risky).case_state == CaseState.FAILED
    assert "RuntimeError" in score(risky).case_error
    RiskScore.objects.update(case_due_at=timezone.now())
    assert casework_jobs.sweep_risk_cases() == 1
    assert casework_actions.route_risk_case(score(risky)) is not None


# ── Pages ─────────────────────────────────────────────────────────────────────────────────────
def form_of(policy: RiskPolicy, **changes: Any) -> dict[str, Any]:
    from hashing.risk_forms import RiskPolicyForm

    form = RiskPolicyForm.of(policy)
    said = {name: "" if value is None else value for name, value in form.initial.items()}
    if said["opens_cases"]:
        said["opens_cases"] = "on"
    return said | {"note": "tried"} | changes


def test_the_page_shows_the_riskiest_first_and_why(
    client: Client, lead: User, world: World, risky: Group
) -> None:
    signed_in(client, grant_all(lead))
    page = client.get(reverse("hashing:risk")).content.decode()
    assert "+40: 1 item of the group is known material" in page
    detail = client.get(reverse("hashing:risk_detail", args=[score(risky).pk])).content.decode()
    assert "60 of 100" in detail
    assert "5 independent reporters" in detail
    assert "Banned members" in detail  # What does not add is said too.
    assert (
        "g"
        in find(
            client, reverse("hashing:risk"), {"q": "g", "kind": "group", "above": "yes"}
        ).content.decode()
    )
    assert (
        "Nothing matches" in find(client, reverse("hashing:risk"), {"q": "nobody"}).content.decode()
    )


def test_the_case_shows_why_its_group_is_rated_so(client: Client, lead: User, risky: Group) -> None:
    grant_all(lead)
    case = casework_actions.route_risk_case(score(risky))
    assert case is not None
    signed_in(client, lead)
    page = client.get(reverse("moderation:case", args=[case.pk])).content.decode()
    assert "Risk 60 of 100" in page
    assert "1 item of the group is known material" in page


def test_a_dry_run_says_what_would_change_and_writes_nothing(
    client: Client, policy_admin: User, risky: Group
) -> None:
    signed_in(client, policy_admin)
    said = form_of(RiskPolicy.objects.get(), group_open_at=70) | {"try": "1"}
    page = client.post(reverse("hashing:risk_policy"), said).content.decode()
    assert "Fewer would be above the threshold: 0 instead of 1" in page
    assert "1 would fall below it" in page
    assert "60 → 60" in page
    assert "100.0 % of them now and 0.0 % then" in page
    assert f"/risk/{score(risky).pk}/" not in page
    assert RiskPolicy.objects.count() == 1
    assert not SubjectChange.objects.exists()


def test_new_weights_are_a_version_and_rate_everything_again(
    client: Client, policy_admin: User, world: World, risky: Group
) -> None:
    signed_in(client, policy_admin)
    said = form_of(RiskPolicy.objects.get(), group_known_media_points=5)
    assert client.post(reverse("hashing:risk_policy"), said).status_code == 302
    assert RiskPolicy.objects.get(version=2).created_by == policy_admin
    world.settle()
    assert score(risky).score == 25
    assert score(risky).policy == RiskPolicy.objects.get(version=2)
    earlier = client.get(reverse("hashing:risk_policy") + "?version=1").content.decode()
    assert "Values of an earlier version" in earlier


def test_two_people_change_the_weights_and_the_second_is_told(
    client: Client, policy_admin: User, risky: Group
) -> None:
    signed_in(client, policy_admin)
    said = form_of(RiskPolicy.objects.get())
    assert client.post(reverse("hashing:risk_policy"), said).status_code == 302
    answer = client.post(reverse("hashing:risk_policy"), said)
    assert answer.status_code == 422
    assert "Somebody made version 2" in answer.content.decode()
    assert RiskPolicy.objects.count() == 2


def test_bad_weights_are_refused_at_their_row(client: Client, policy_admin: User, db: None) -> None:
    signed_in(client, policy_admin)
    said = form_of(RiskPolicy.objects.get(), group_banned_full=0, drop=50)
    answer = client.post(reverse("hashing:risk_policy"), said)
    assert answer.status_code == 422
    page = answer.content.decode()
    assert "“in full at”" in page
    assert "smaller than both thresholds" in page


def test_scores_open_no_cases_when_that_is_turned_off(
    client: Client, policy_admin: User, world: World
) -> None:
    signed_in(client, policy_admin)
    said = form_of(RiskPolicy.objects.get(), opens_cases="")
    assert client.post(reverse("hashing:risk_policy"), said).status_code == 302
    world.picture({"group": "g"}, 1, hash_finding())
    for reporter in ("r1", "r2", "r3", "r4", "r5"):
        world.report({"group": "g"}, reporter)
    world.settle()
    row = RiskScore.objects.get(group__external_id="g")
    assert row.is_above
    assert row.case_state == CaseState.NONE
    assert "turned that off" in row.reason


def test_dry_runs_and_lists_are_for_those_who_may_see_them(
    reviewer: User, lead: User, policy_admin: User, risky: Group
) -> None:
    grant_all(lead)
    assert not risk_access.scores_for(grant_all(reviewer)).exists()
    assert risk_access.scores_for(lead).exists()
    run: Callable[..., Any] = risk_access.dry_run
    for person, rated in ((reviewer, 0), (lead, 0), (policy_admin, 1)):
        found = run(person, "group", weights=GROUP_WEIGHTS, open_at=50, now_open_at=50)
        assert found.rated == rated


# ── Whom the pages name ───────────────────────────────────────────────────────────────────────
RISK = "/risk/"


def names_of(client: Client, subject: Group | Account) -> list[bool]:
    """Return whether the list, its count, a search and the page of a score show the subject."""
    everything = client.get(RISK).content.decode()
    searched = find(client, RISK, {"q": subject.external_id, "kind": "", "above": ""})
    page = client.get(reverse("hashing:risk_detail", args=[score(subject).pk]))
    return [
        subject.external_id in everything,
        "1 score" in everything,
        subject.external_id in searched.content.decode().partition('id="risks"')[2],
        page.status_code == 200,
    ]


def test_a_lead_without_grants_sees_no_group_and_no_account(
    client: Client, lead: User, world: World
) -> None:
    group = rated(world, "drawn-group")
    signed_in(client, lead)
    assert names_of(client, group) == [False] * 4
    casework_actions.grant_category("harmful_group", to=lead, actor=SYSTEM)
    assert names_of(client, group) == [False] * 4
    casework_actions.grant_queue(Queue.objects.all()[0], to=lead, actor=SYSTEM)
    assert names_of(client, group) == [True] * 4, "no case yet: whoever works cases may look"


@pytest.mark.parametrize("missing", ["queue", "category"])
def test_a_subject_with_cases_is_named_to_whoever_may_see_one_of_them(
    client: Client, lead: User, world: World, missing: str
) -> None:
    group = rated(world, "drawn-group")
    case = casework_actions.route_risk_case(score(group))
    assert case is not None
    Case.objects.exclude(pk=case.pk).delete()
    signed_in(client, grant_all(lead))
    assert names_of(client, group) == [True] * 4
    if missing == "queue":
        casework_actions.revoke_queue(case.queue, of=lead, actor=SYSTEM)
    else:
        casework_actions.revoke_category(case.category, of=lead, actor=SYSTEM)
    assert names_of(client, group) == [False] * 4


def test_a_page_of_scores_asks_few_questions(
    client: Client, lead: User, world: World, django_assert_max_num_queries: Any
) -> None:
    for number in range(3):
        rated(world, f"drawn-group-{number}")
    signed_in(client, grant_all(lead))
    client.get(RISK)
    with django_assert_max_num_queries(18):
        assert "3 scores" in client.get(RISK).content.decode()


def test_policy_administrators_see_figures_and_weights_but_nobody(
    client: Client, policy_admin: User, world: World
) -> None:
    group = rated(world, "drawn-group", invite_link="https://chat.example/j/one")
    signed_in(client, policy_admin)
    assert client.get(RISK).status_code == 403
    assert client.get(reverse("hashing:risk_detail", args=[score(group).pk])).status_code == 403
    said = form_of(RiskPolicy.objects.get(), group_open_at=70) | {"try": "1"}
    page = client.post(reverse("hashing:risk_policy"), said).content.decode()
    assert "1 would fall below it" in page
    assert "drawn-group" not in page
    assert f'href="{RISK}"' not in page


def test_a_broken_or_missing_setting_names_nobody(lead: User, risky: Group, settings: Any) -> None:
    grant_all(lead)
    settings.HOLDFAST_SUBJECTS_SEEN = ""
    with pytest.raises(ImportError):
        risk_access.scores_for(lead)


def confirm_group(case: Case, *, by: User) -> None:
    """Decide that a group violates, and let it take effect."""
    casework_actions.claim(case, actor=by)
    case.refresh_from_db()
    said = verdict(case, Outcome.CONFIRM_REFER, enforcements=["close_group"])
    decision = casework_actions.decide(case, actor=by, **said)
    assert casework_actions.publish_decision(casework_actions.send_now(decision, actor=by))


# ── After a decision ──────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("is_rated", [True, False], ids=["rated before", "not rated yet"])
def test_a_confirmed_decision_makes_no_case_about_what_it_decided(
    world: World, reviewer: User, is_rated: bool
) -> None:
    grant_all(reviewer)
    case = world.casework.case("a", pictures=[jpeg(3, (96, 64))])
    world.picture({"account": "a"}, 4, hash_finding())
    if is_rated:
        world.settle()
    world.casework.published(case, by=reviewer, outcome=Outcome.CONFIRM_REFER)
    world.settle()
    account = Account.objects.get(external_id="a")
    judged = score(account)
    assert judged.score >= 60, "our own verdict raised it over the threshold"
    assert "confirmed" in said_of(account)
    assert judged.case_state == CaseState.NONE
    assert judged.reason == "It was decided already, and nothing new came since."
    # Neither does what happens to others around it.
    world.account("a", identifiers=[{"kind": "device", "value": "invented-device"}])
    world.account(
        "b",
        identifiers=[{"kind": "device", "value": "invented-device"}],
        platform_status="banned",
    )
    world.settle()
    assert "device" in said_of(account)
    assert score(account).case_state == CaseState.NONE
    # Several more people who complain are news.
    for reporter in ("r1", "r2", "r3"):
        world.report({"account": "a"}, reporter)
    world.settle()
    assert score(account).case_state == CaseState.WAITING
    placed = casework_actions.route_risk_case(score(account))
    assert placed is not None
    assert [link.earlier for link in placed.links.all()] == [case]


def test_a_case_that_a_score_waits_for_is_not_opened_after_the_decision(
    world: World, reviewer: User
) -> None:
    grant_all(reviewer)
    case = world.casework.case("a", pictures=[jpeg(3, (96, 64))])
    world.picture({"account": "a"}, 4, hash_finding())
    for reporter in ("r1", "r2", "r3", "r4"):
        world.report({"account": "a"}, reporter)
    world.settle()
    assert score(Account.objects.get(external_id="a")).case_state == CaseState.WAITING
    world.casework.published(case, by=reviewer, outcome=Outcome.CONFIRM_REFER)
    assert casework_actions.route_risk_case(score(Account.objects.get(external_id="a"))) is None
    assert Case.objects.filter(account=case.account).count() == 1


def test_confirmed_members_raise_a_group_that_was_confirmed_and_ask_nobody(
    world: World, risky: Group, reviewer: User
) -> None:
    grant_all(reviewer)
    casework_actions.route_risk_case(score(risky))
    case = Case.objects.get(group=risky)
    confirm_group(case, by=reviewer)
    world.settle()
    before = score(risky).score
    for number in range(4):
        world.account(f"m{number}", platform_status="banned")
    world.settle()
    assert score(risky).score > before + RiskPolicy.objects.get().raise_by
    assert score(risky).case_state == CaseState.PLACED
    assert casework_actions.route_risk_case(score(risky)) is None
    assert Case.objects.filter(group=risky).count() == 1
