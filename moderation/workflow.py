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


def problems_of(
    verdict: Verdict, *, fitting: Collection[str], requires_referral: bool
) -> dict[str, list[str]]:
    """Return what is wrong with a verdict: field name → sentences. Empty when it can be recorded."""
    problems: dict[str, list[str]] = {}

    def add(field: str, sentence: str) -> None:
        problems.setdefault(field, []).append(sentence)

    if verdict.outcome not in {CONFIRM_REFER, CONFIRM, NOT_VIOLATING}:
        add("outcome", "Choose what you found.")
    length = len(verdict.reason.strip())
    if length < SHORTEST_REASON:
        add("reason", f"Say what you found, in at least {SHORTEST_REASON} characters.")
    elif length > LONGEST_REASON:
        add("reason", f"Keep the reason under {LONGEST_REASON} characters.")
    chosen = set(verdict.enforcements)
    if strange := sorted(chosen - set(fitting)):
        add(
            "enforcements",
            "This policy does not allow this for this subject: " + ", ".join(strange) + ".",
        )
    if not chosen:
        add("enforcements", "Choose what the platform should do, or “No action”.")
    if NO_ACTION in chosen and len(chosen) > 1:
        add("enforcements", "“No action” cannot be combined with another one.")
    if verdict.outcome == NOT_VIOLATING and chosen - {NO_ACTION}:
        add("enforcements", "When nothing was violated, only “No action” is possible.")
    if verdict.outcome == CONFIRM and requires_referral:
        add("outcome", "This policy asks for a referral when it is confirmed.")
    return problems


def consequence(outcome: str, labels: Iterable[str], *, undo_seconds: int) -> str:
    """Return the sentence that tells a reviewer what the decision will do."""
    named = list(labels)
    if outcome == NOT_VIOLATING:
        effect = "The case is closed and the platform is told nothing"
    elif not named:
        effect = "The case is closed without any measure"
    else:
        effect = "The platform is told: " + ", ".join(label.lower() for label in named)
    if outcome == CONFIRM_REFER:
        effect += "; the case waits for legal staff to refer it"
    return f"{effect}. You can undo this for {undo_seconds} seconds."
