"""The panel of the decision: what stands in it, what cannot be chosen, what would follow."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import QueryDict

from accounts.models import User
from moderation import access, actions, workflow
from moderation.forms import DecideForm
from moderation.models import Case, Outcome, PolicyVersion, Verb

OUTCOME_HELP = {
    Outcome.CONFIRM_REFER: "Legal staff refer it to an agency.",
    Outcome.CONFIRM: "The platform acts; nothing is referred.",
    Outcome.NOT_VIOLATING: "The platform is told nothing.",
}


@dataclass(frozen=True, slots=True)
class Draft:
    """What stands in the form. ``measures`` is None where nobody has chosen any yet."""

    policy: str = ""
    outcome: str = ""
    measures: list[str] | None = None
    reason: str = ""
    taken_back: datetime | None = None


def context(
    case: Case, *, user: User, form: DecideForm | None = None, tried: bool = True
) -> dict[str, Any]:
    """Return what the panel shows: policies, verbs of the chosen one, what was typed.

    ``form`` is what was sent; ``tried`` says that it was meant to be recorded, so that its errors are shown.
    Without a form the person's own decision that was taken back last stands in it, else the policy of the
    case's category with its usual measures.
    """
    draft = _sent(form) if form is not None and form.is_bound else _taken_back(case, user)
    form = form or DecideForm(
        initial={"case_version": case.version, "idempotency_key": uuid.uuid4()}
    )
    policies = access.policies_for(case)
    chosen = _chosen_policy(draft, policies)
    fitting = _fitting(case, chosen)
    usual = workflow.usual_measures(chosen.usual_measures if chosen else [], fitting)
    picked = usual if draft.measures is None else draft.measures
    # "Not a violation" has put them aside; they come back with another outcome.
    aside = usual if draft.outcome == Outcome.NOT_VIOLATING else []
    return {
        "form": form,
        "policies": policies,
        "policy": chosen,
        "verbs": [(verb, Verb(verb).label, verb in picked, verb in aside) for verb in fitting],
        "measure_errors": form["enforcements"].errors if form.is_bound and tried else "",
        "own_measures": "1" if draft.measures is not None else "",
        "rules": _rules(chosen, fitting),
        "outcomes": [
            (value, label, OUTCOME_HELP[Outcome(value)], str(number), value == draft.outcome)
            for number, (value, label) in enumerate(Outcome.choices, start=1)
        ],
        "reason_text": draft.reason,
        "taken_back": draft.taken_back,
        "idempotency_key": form.fresh_key() if form.is_bound else form.initial["idempotency_key"],
        "case_version": case.version,
        "shortest_reason": workflow.SHORTEST_REASON,
        "consequence": _consequence(case, draft.outcome, picked, chosen, fitting),
    }


def consequence(case: Case, sent: QueryDict) -> str:
    """Return the sentence below the form: what it would do as it stands, or why it cannot be recorded."""
    draft = Draft(policy=sent.get("policy", ""), outcome=sent.get("outcome", ""))
    chosen = _chosen_policy(draft, access.policies_for(case))
    verbs = sent.getlist("enforcements")
    return _consequence(case, draft.outcome, verbs, chosen, _fitting(case, chosen))


def _sent(form: DecideForm) -> Draft:
    # A form that asks for another policy's measures says whether the ticks in it are the person's own.
    is_own = form.data.get("own_measures", "1") != ""
    return Draft(
        policy=str(form.data.get("policy", "")),
        outcome=form.data.get("outcome", ""),
        measures=list(form["enforcements"].value() or []) if is_own else None,
        reason=form.data.get("reason", ""),
    )


def _taken_back(case: Case, user: User) -> Draft:
    """Return the person's own decision that stands last on the case and was taken back, as a draft again."""
    last = case.decisions.prefetch_related("enforcements").order_by("-made_at").first()
    if last is None or last.undone_at is None or last.made_by_id != user.pk:
        return Draft()
    return Draft(
        policy=str(last.policy_version_id),
        outcome=last.outcome,
        measures=sorted({str(row.verb) for row in last.enforcements.all()}),
        reason=last.reason,
        taken_back=last.undone_at,
    )


def _chosen_policy(draft: Draft, policies: list[PolicyVersion]) -> PolicyVersion | None:
    for policy in policies:
        if str(policy.pk) == draft.policy:
            return policy
    return policies[0] if policies else None


def _fitting(case: Case, policy: PolicyVersion | None) -> list[str]:
    if policy is None:
        return []
    return actions.fitting_verbs(case, policy, has_media=actions.has_media(case))


def _rules(policy: PolicyVersion | None, fitting: list[str]) -> str:
    """Return the rules of the choices for the page's script, as JSON; ``workflow`` refuses by the same ones."""
    impossible = workflow.impossible_choices(
        fitting, requires_referral=policy is not None and policy.requires_referral
    )
    return json.dumps(
        {
            "impossible": [
                {"choice": rule.choice, "when": rule.when, "why": rule.why} for rule in impossible
            ],
            "implied": [
                {"choice": choice, "when": when} for when, choice in workflow.IMPLIED.items()
            ],
        }
    )


def _consequence(
    case: Case, outcome: str, verbs: list[str], policy: PolicyVersion | None, fitting: list[str]
) -> str:
    if outcome not in Outcome.values:
        return "Choose what you found; what follows is said here before you confirm."
    if not verbs:
        return "Choose what the platform should do; what follows is said here before you confirm."
    problems = workflow.contradictions_of(
        workflow.Verdict(outcome=outcome, enforcements=tuple(verbs), reason=""),
        fitting=fitting,
        requires_referral=policy is not None and policy.requires_referral,
    )
    if problems:
        said = [sentence for sentences in problems.values() for sentence in sentences]
        return f"This cannot be recorded. {said[0]}"
    labels = [Verb(verb).label for verb in verbs if verb != Verb.NO_ACTION]
    return workflow.consequence(
        outcome,
        labels,
        undo_seconds=settings.HOLDFAST_UNDO_SECONDS,
        is_practice=case.is_practice,
    )
