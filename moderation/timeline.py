"""What happened on a case, in sentences: the audit log of its chain and the notes of its people.

Looking and holding are not listed: they are on the record, but as noise here they would hide what was
found and decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from core.audit_events import AuditEvent as E
from core.models import AuditEntry
from moderation.models import (
    Appeal,
    Case,
    Decision,
    Delivery,
    Enforcement,
    Note,
    NoticeKind,
    OrderResult,
    Outcome,
    ResultState,
    Verb,
)
from moderation.orders_shown import in_words
from moderation.windows import Window, window

MOST_ENTRIES = 200


class Event(NamedTuple):
    """One line of the timeline, as ``ui/timeline.html`` shows it."""

    at: datetime
    icon: str
    who: str
    text: str
    note: str = ""
    tone: str = ""


SAID: dict[str, tuple[str, str, str]] = {
    E.CASE_OPENED: ("flag", "opened the case", "info"),
    E.CASE_JOINED: ("plus", "added further material", "info"),
    E.CASE_MOVED: ("arrow", "moved the case to another queue", ""),
    E.CLAIM_TAKEN_OVER: ("user", "took the case over", "warn"),
    E.CASE_DECIDED: ("check", "decided", "ok"),
    E.DECISION_UNDONE: ("undo", "took the decision back", "warn"),
    E.DECISION_SENT_EARLY: ("arrow", "ended the undo window", ""),
    E.DECISION_PUBLISHED: ("check", "The decision took effect", "ok"),
    E.APPEAL_RECEIVED: ("note", "Somebody appealed against an order", "warn"),
    E.APPEAL_DECIDED: ("check", "decided an appeal", ""),
    E.OVERTURN_MADE: ("undo", "overturned the decision", "warn"),
    E.OVERTURN_UNDONE: ("undo", "took that back: the decision stands", ""),
    E.DECISION_OVERTURNED: ("undo", "The decision does not stand any more", "warn"),
    E.DELIVERY_CONFIRMED: ("delivery", "The platform took an order", "ok"),
    E.DECISION_COUNTERPART: (
        "undo",
        "The platform did carry an order out; it is taken back",
        "warn",
    ),
    E.ORDER_ANSWERED: ("delivery", "The platform said what became of an order", ""),
    E.ORDER_GIVEN_ANEW: ("refresh", "gave an order anew", ""),
    E.ORDER_ANSWER_SEEN: ("check", "saw that an order could not be carried out", ""),
    E.DELIVERY_GAVE_UP: ("alert", "A delivery to the platform failed for good", "danger"),
    E.DELIVERY_REPLAYED: ("refresh", "sent a delivery again", ""),
    E.REFERRAL_OPENED: ("referral", "drafted a referral", "info"),
    E.REFERRAL_APPROVAL_REQUESTED: ("referral", "asked for approval of the referral", ""),
    E.REFERRAL_RETURNED: ("referral", "returned the referral for correction", "warn"),
    E.REFERRAL_APPROVED: ("referral", "approved the referral", "ok"),
    E.PACKAGE_SEALED: ("package", "The package was sealed", "ok"),
    E.PACKAGE_BUILD_FAILED: ("alert", "The package could not be built", "danger"),
    E.PACKAGE_DOWNLOADED: ("download", "downloaded the package", ""),
    E.OVERTURN_NOTED: ("note", "noted what was done about the sealed package", ""),
}


def timeline(case: Case, asked: Mapping[str, str]) -> tuple[list[Event], Window]:
    """Return events and notes of a case, newest first, and which part of them this is."""
    log = AuditEntry.objects.filter(chain=f"case:{case.pk}", event__in=list(SAID))
    notes = Note.objects.filter(case=case).select_related("author")
    total = log.count() + notes.count()
    part = window("entries", asked, size=MOST_ENTRIES, total=total, order="the newest first")
    decisions = {
        str(decision.pk): decision
        for decision in case.decisions.select_related("policy_version__policy")
    }
    # Each kind could fill the whole part, hence as many of both as lie before its end.
    entries = list(log.order_by("-seq")[: part.stop])
    orders = _orders(entries)
    events = [_event(entry, decisions, orders.get(entry.pk, "")) for entry in entries]
    events += [
        Event(note.created_at, "note", note.author.pseudonym, "wrote", note.text)
        for note in notes.order_by("-created_at", "-pk")[: part.stop]
    ]
    events.sort(key=lambda event: event.at, reverse=True)
    return events[part.start : part.stop], part


_MESSAGES = {label.lower() for label in NoticeKind.labels}
_SUBJECTS: dict[str, Any] = {
    E.DELIVERY_CONFIRMED: Delivery,
    E.DELIVERY_GAVE_UP: Delivery,
    E.DELIVERY_REPLAYED: Delivery,
    E.ORDER_ANSWER_SEEN: OrderResult,
    E.APPEAL_DECIDED: Appeal,
}
"""Lines whose subject belongs to an order. Others name the order itself, or the counterparts that it got."""


def _orders(entries: list[AuditEntry]) -> dict[int, str]:
    """Return by entry of which order, or message, it speaks, in words."""
    asked: dict[Any, dict[int, str]] = {Enforcement: {}}
    for entry in entries:
        if kind := _SUBJECTS.get(entry.event):
            asked.setdefault(kind, {})[entry.pk] = entry.subject_id
        elif entry.event in {E.ORDER_ANSWERED, E.ORDER_GIVEN_ANEW, E.APPEAL_RECEIVED}:
            asked[Enforcement][entry.pk] = str(entry.data["enforcement"])
        elif entry.event == E.DECISION_COUNTERPART and entry.data["orders"]:
            asked[Enforcement][entry.pk] = str(entry.data["orders"][0])
    found: dict[int, str] = {}
    for kind, keys in asked.items():
        rows = kind.objects.filter(pk__in=set(keys.values()))
        verb = "verb" if kind is Enforcement else "enforcement__verb"
        words = {
            str(key): in_words(said).lower() for key, said in rows.values_list("pk", verb) if said
        }
        if kind is Delivery:
            notices = rows.filter(notice__isnull=False).values_list("pk", "notice__kind")
            words |= {str(key): NoticeKind(said).label.lower() for key, said in notices}
        found |= {entry: words[key] for entry, key in keys.items() if key in words}
    return found


def _event(entry: AuditEntry, decisions: dict[str, Decision], order: str) -> Event:
    icon, text, tone = SAID[entry.event]
    if order in _MESSAGES and entry.event == E.DELIVERY_CONFIRMED:
        text = "A message was taken"
    if order:
        text = f"{text}: {order}"
    # What the system did by itself reads as a fact, not as somebody's deed.
    is_fact = text[0].isupper()
    who = "" if is_fact else entry.actor_label
    note = ""
    if entry.event in {E.CASE_OPENED, E.CASE_JOINED}:
        note = _material(entry.data)
    elif entry.event == E.CASE_DECIDED and (decision := decisions.get(entry.subject_id)):
        text = f"decided: {Outcome(decision.outcome).label.lower()}, {decision.policy_version}"
        verbs = ", ".join(Verb(verb).label for verb in entry.data.get("enforcements", []))
        note = f"{decision.reason}\n{verbs}" if verbs else decision.reason
    elif entry.event == E.ORDER_ANSWERED:
        tone = "ok" if entry.data.get("state") == "done" else "warn"
        note = str(ResultState(entry.data["state"]).label)
    elif entry.event == E.DECISION_UNDONE:
        note = str(entry.data.get("reason") or "")
    return Event(entry.at, icon, who, text, note, tone)


def _material(data: dict[str, Any]) -> str:
    # Those that the case shows: what a reporter wrote joins only where something was found in it.
    items = len((data.get("joined") if "joined" in data else data.get("items")) or [])
    parts = ["one report"] if data.get("report") else []
    if items:
        parts.append("1 item" if items == 1 else f"{items} items")
    return " with ".join(parts)
