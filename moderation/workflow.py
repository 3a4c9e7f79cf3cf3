"""The rules of a decision, as plain values in and sentences out. No rows, no clock, no settings."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

CONFIRM_REFER = "confirm_refer"
CONFIRM = "confirm"
NOT_VIOLATING = "not_violating"

NO_ACTION = "no_action"
REMOVE_MEDIA = "remove_media"
ACCOUNT_VERBS = frozenset({"ban_account", "warn"})
GROUP_VERBS = frozenset({"close_group", "revoke_invite_link"})
EITHER_VERBS = frozenset({"limit_forwarding", REMOVE_MEDIA, NO_ACTION})

SHORTEST_REASON = 15
"""Characters. Enough for a sentence, so that a later reader learns what was found."""

LONGEST_REASON = 5000

LEASES_AT_ONCE = 3
"""How many cases one person may hold: one at work, and room for one put aside and one urgent."""

MOST_EXTENSIONS = 12
LONGEST_LEASE_MINUTES = 30
SKIP_MINUTES = 30


@dataclass(frozen=True, slots=True)
class Verdict:
    """What somebody wants to decide, before it is one."""

    outcome: str
    enforcements: tuple[str, ...]
    reason: str


def verbs_for(subject: str, allowed: Iterable[str], *, has_media: bool) -> list[str]:
    """Return the verbs that fit a subject (``account`` or ``group``) among those a policy allows.

    Keeps the policy's order. ``no_action`` always fits and comes last.
    """
    fitting = EITHER_VERBS | (ACCOUNT_VERBS if subject == "account" else GROUP_VERBS)
    verbs = [verb for verb in allowed if verb in fitting and verb != NO_ACTION]
    if not has_media:
        verbs = [verb for verb in verbs if verb != REMOVE_MEDIA]
    return [*verbs, NO_ACTION]


@dataclass(frozen=True, slots=True)
class Impossible:
    """A choice of the form that cannot be recorded: never, or not while the choice ``when`` stands.

    Choices are pairs of the form's field and value.
    """

    choice: tuple[str, str]
    why: str
    when: tuple[str, str] | None = None


IMPLIED = {("outcome", NOT_VIOLATING): ("enforcements", NO_ACTION)}
"""Choices that bring another one with them, because nothing else would be possible beside them."""


def impossible_choices(fitting: Collection[str], *, requires_referral: bool) -> list[Impossible]:
    """Return what cannot be chosen under a policy, and why: the page greys it out, ``problems_of`` refuses it."""
    rules = []
    if requires_referral:
        why = "This policy asks for a referral when it is confirmed."
        rules.append(Impossible(("outcome", CONFIRM), why))
    for verb in fitting:
        if verb == NO_ACTION:
            continue
        choice = ("enforcements", verb)
        why = "When nothing was violated, only “No action” is possible."
        rules.append(Impossible(choice, why, when=("outcome", NOT_VIOLATING)))
        why = "“No action” cannot be combined with another one."
        rules.append(Impossible(choice, why, when=("enforcements", NO_ACTION)))
    return rules


def usual_measures(usual: Iterable[str], fitting: Collection[str]) -> list[str]:
    """Return what is ticked to begin with: a policy's usual measures among those that fit the case."""
    return [verb for verb in usual if verb in fitting and verb != NO_ACTION]


def problems_of(
    verdict: Verdict, *, fitting: Collection[str], requires_referral: bool
) -> dict[str, list[str]]:
    """Return what is wrong with a verdict: field name → sentences. Empty when it can be recorded."""
    problems = contradictions_of(verdict, fitting=fitting, requires_referral=requires_referral)
    length = len(verdict.reason.strip())
    if length < SHORTEST_REASON:
        problems["reason"] = [f"Say what you found, in at least {SHORTEST_REASON} characters."]
    elif length > LONGEST_REASON:
        problems["reason"] = [f"Keep the reason under {LONGEST_REASON} characters."]
    return problems


def contradictions_of(
    verdict: Verdict, *, fitting: Collection[str], requires_referral: bool
) -> dict[str, list[str]]:
    """Return what of a verdict is missing or does not go together; its reason is not looked at."""
    problems: dict[str, list[str]] = {}

    def add(field: str, sentence: str) -> None:
        if sentence not in problems.setdefault(field, []):
            problems[field].append(sentence)

    if verdict.outcome not in {CONFIRM_REFER, CONFIRM, NOT_VIOLATING}:
        add("outcome", "Choose what you found.")
    verbs = set(verdict.enforcements)
    if strange := sorted(verbs - set(fitting)):
        add(
            "enforcements",
            "This policy does not allow this for this subject: " + ", ".join(strange) + ".",
        )
    if not verbs:
        add("enforcements", "Choose what the platform should do, or “No action”.")
    chosen = {("outcome", verdict.outcome), *(("enforcements", verb) for verb in verbs)}
    for rule in impossible_choices(fitting, requires_referral=requires_referral):
        if rule.choice in chosen and (rule.when is None or rule.when in chosen):
            add(rule.choice[0], rule.why)
    return problems


def consequence(
    outcome: str, labels: Iterable[str], *, undo_seconds: int, is_practice: bool = False
) -> str:
    """Return the sentence that tells a reviewer what the decision will do.

    ``labels`` are the measures in words, without "No action".
    """
    undo = f"You can undo this for {undo_seconds} seconds."
    if is_practice:
        return f"This is practice: the platform is told nothing and nothing is referred; the case is closed. {undo}"
    named = list(labels)
    told = "The platform is told: " + ", ".join(label.lower() for label in named)
    if not named:
        told = "The platform is told nothing"
    follows = "the case is closed"
    if outcome == CONFIRM_REFER:
        follows = "the case waits for legal staff to refer it"
        if not named:
            follows += ", and on the platform everything stays as it is"
    elif outcome == CONFIRM and not named:
        follows = "the case is closed without any measure"
    return f"{told}; {follows}. {undo}"
