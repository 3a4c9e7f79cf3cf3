"""The words of casework for whoever writes a sender or a receiver: categories, verbs, reasons that routing knows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hashing.models import Category
from moderation.enforcement import REVERSALS, verb_taken_back
from moderation.models import Reversal, RoutingRule, Verb
from reports.forms import REASONS
from reports.vocabulary import Word, words

CATEGORIES = {
    Category.CSAM_KNOWN: "Imagery of the sexual abuse of a child that a list of a recognised organisation holds.",
    Category.CSAM_SUSPECTED: "Imagery that may show the sexual abuse of a child and is on no list.",
    Category.GROOMING: "Messages and profiles by which somebody may be trying to reach a child.",
    Category.HARMFUL_GROUP: "A group whose purpose or conduct harms.",
    Category.SPAM_OTHER: "Unwanted bulk messages, deception, and what fits nothing else.",
}
VERBS: dict[Verb | Reversal, str] = {
    Verb.BAN_ACCOUNT: "The account may not be used any more.",
    Verb.REMOVE_MEDIA: "The item that the order names is not shown to anybody any more.",
    Verb.CLOSE_GROUP: "The group is closed to everybody.",
    Verb.REVOKE_INVITE_LINK: "The links by which one joins the group stop working.",
    Verb.LIMIT_FORWARDING: "Forwarding is limited for the account or the group.",
    Verb.WARN: "The account is shown a warning.",
    Reversal.UNBAN_ACCOUNT: "The ban that `reverses` names does not stand: the account may be used again.",
    Reversal.RESTORE_MEDIA: "The item that was ordered removed may be shown again.",
    Reversal.REOPEN_GROUP: "The group that was ordered closed may be open again.",
    Reversal.RESTORE_INVITE_LINK: "The links that were ordered revoked may work again.",
    Reversal.ALLOW_FORWARDING: "The limit on forwarding that was ordered does not stand.",
    Reversal.WITHDRAW_WARNING: "The warning that was ordered does not stand: take it from the account's record.",
}
TARGETS = {
    Verb.BAN_ACCOUNT: ("account",),
    Verb.REMOVE_MEDIA: ("item",),
    Verb.CLOSE_GROUP: ("group",),
    Verb.REVOKE_INVITE_LINK: ("group",),
    Verb.LIMIT_FORWARDING: ("account", "group"),
    Verb.WARN: ("account",),
}
NOT_ORDERED = frozenset({Verb.NO_ACTION})


@dataclass(frozen=True, slots=True)
class VerbWord(Word):
    """A verb of orders, what it is about, and the verb that takes it back (empty: none)."""

    targets: tuple[str, ...] = ()
    counterpart: str = ""


def verbs() -> list[VerbWord]:
    """Return the verbs that orders may have."""
    return [
        VerbWord(
            verb.value,
            verb.label,
            VERBS.get(verb, verb.label),
            TARGETS.get(Verb(verb_taken_back(verb)), ()),
            REVERSALS.get(verb, ""),
        )
        for verb in (*Verb, *Reversal)
        if verb not in NOT_ORDERED
    ]


def reasons(rules: Iterable[RoutingRule]) -> list[Word]:
    """Return the reasons that routing or the form for staff know, each with where it leads, in the order of the rules.

    Every other reason is taken too, and goes where no more particular rule speaks.
    """
    names = dict(REASONS)
    found: dict[str, Word] = {}
    for rule in rules:
        for code in rule.conditions.get("reasons", []):
            means = f"{rule.explanation.rstrip('.')}: {rule.get_category_display().lower()}."
            found.setdefault(code, Word(code, names.get(code, code), means))
    for code, name in REASONS:
        found.setdefault(code, Word(code, name, "No rule of its own."))
    return list(found.values())


def categories() -> list[Word]:
    """Return what a list, a rule or a case may be about."""
    return words(CATEGORIES.items())
