"""What the platform is told and when it is told again. Values in, values out.

Waits grow from seconds to hours, so that a short fault costs seconds and a long one no storm; they go on
for two days, so that a platform that is down over night, or answers 404 because of a bad roll-out, still
gets every order. Only two answers end it:

* 2xx: the platform took the order.
* 410 Gone: the platform says on purpose that nobody listens here any more. The delivery is shown as
  given up at once, because every hour of silent retries would be an hour without enforcement.

Everything else is tried again: other 4xx too, since a wrong path or an expired certificate of the receiver
is mended by people, and the order must still arrive after they did. A redirect is not followed (it could
lead the order, and its signature, to a host that nobody configured) and counts as a failure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

WAITS_SECONDS = (
    5,
    20,
    60,
    3 * 60,
    10 * 60,
    30 * 60,
    3600,
    2 * 3600,
    *([4 * 3600] * 11),
)
"""Wait after the 1st, 2nd … failed attempt. Together 47.7 hours."""

GIVE_UP_AFTER = timedelta(hours=48)
JITTER = 0.2
LONGEST_RETRY_AFTER = 4 * 3600
GONE = 410
TEST = "test"
"""Type of the message that *Send test* sends. What orders something begins with ``enforcement.``"""


def wait_after(attempts: int, *, chance: float, retry_after: int | None = None) -> timedelta:
    """Return how long to wait after the ``attempts``-th failed attempt (1, 2, …).

    ``chance`` in [0, 1) spreads the waits by ±20 %, so that a receiver that comes back is not met by
    everything at once. The receiver's own ``Retry-After`` (seconds) lengthens a wait, up to 4 hours;
    it never shortens one.
    """
    if attempts < 1:
        raise ValueError("no attempt was made yet")
    base = WAITS_SECONDS[min(attempts, len(WAITS_SECONDS)) - 1]
    seconds = base * (1 - JITTER + 2 * JITTER * chance)
    if retry_after is not None:
        seconds = max(seconds, min(retry_after, LONGEST_RETRY_AFTER))
    return timedelta(seconds=seconds)


def is_acknowledged(status: int | None) -> bool:
    """Return whether an answer means that the platform took the order."""
    return status is not None and 200 <= status < 300


def is_final(status: int | None) -> bool:
    """Return whether an answer means that there is no use in trying again."""
    return status == GONE


def tells_of_trouble(status: int | None) -> bool:
    """Return whether an answer, or none, says that the receiver itself is unwell.

    A refusal (404, 400, a redirect) is about the order or the address and comes at once; it holds up nobody.
    """
    return status is None or status >= 500 or status in {408, 425, 429}


def retry_after_of(header: str) -> int | None:
    """Return the seconds of a ``Retry-After`` header, or None (dates are not worth a clock here)."""
    text = header.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else None


REVERSALS = {
    "ban_account": "unban_account",
    "remove_media": "restore_media",
    "close_group": "reopen_group",
    "revoke_invite_link": "restore_invite_link",
    "limit_forwarding": "allow_forwarding",
    "warn": "withdraw_warning",
}
"""Verb → its counterpart, sent when the decision behind it is overturned. Every verb has one."""

_TAKEN_BACK = {counterpart: verb for verb, counterpart in REVERSALS.items()}

MOST_REPORTS = 200
"""Reports that an order names; ``reports_count`` says how many there are."""


def verb_taken_back(verb: str) -> str:
    """Return the verb that a counterpart takes back; any other verb is returned as it is."""
    return _TAKEN_BACK.get(verb, verb)


@dataclass(frozen=True, slots=True)
class ReportName:
    """How an order names a report: by our id and number, and by the id that the platform gave it."""

    id: str
    number: str
    external_id: str


@dataclass(frozen=True, slots=True)
class Target:
    """Whom or what an order is about, in the platform's own ids. ``item`` has only what is known of it."""

    account: str | None = None
    group: str | None = None
    invite_link: str = ""
    item: Mapping[str, str] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the target as it is sent."""
        said: dict[str, Any] = {}
        if self.account is not None:
            said["account"] = {"external_id": self.account}
        if self.group is not None:
            said["group"] = {"external_id": self.group}
            if self.invite_link:
                said["group"]["invite_link"] = self.invite_link
        if self.item is not None:
            said["item"] = {key: value for key, value in self.item.items() if value}
        return said


@dataclass(frozen=True, slots=True)
class Order:
    """Everything that an order says.

    ``reports`` are the platform's own, ``reports_count`` how many there are altogether of those. ``parameters`` are
    the verb's own; no verb has any today. ``reverses`` is the order that this one takes back.
    """

    enforcement_id: str
    decision_id: str
    sequence: int
    verb: str
    target: Target
    case_number: str
    category: str
    policy_code: str
    policy_name: str
    policy_url: str | None
    decided_at: datetime
    decided_by_person: bool
    detected_by: Sequence[str] = ()
    reports: Sequence[ReportName] = ()
    reports_count: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    reverses: str | None = None


def payload_of(order: Order) -> dict[str, Any]:
    """Return the message for one order: what to do to whom, why, and what to ask about.

    No report text, no media, no name of a person on either side.
    """
    return {
        "type": f"enforcement.{order.verb}",
        "timestamp": _instant(order.decided_at),
        "data": {
            "enforcement_id": order.enforcement_id,
            "decision_id": order.decision_id,
            "sequence": order.sequence,
            "verb": order.verb,
            "parameters": dict(order.parameters),
            "target": order.target.as_json(),
            "reverses": order.reverses,
            "case": order.case_number,
            "category": order.category,
            "policy": {
                "code": order.policy_code,
                "name": order.policy_name,
                "url": order.policy_url,
            },
            "reports": [asdict(report) for report in order.reports[:MOST_REPORTS]],
            "reports_count": order.reports_count,
            "detected_by": list(order.detected_by),
            "decided_by_person": order.decided_by_person,
            "decided_at": _instant(order.decided_at),
        },
    }


# ── What the platform answers ─────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Said:
    """One answer of the platform about an order: what became of it, and when by its clock."""

    state: str
    counts_at: datetime


class Weighed(StrEnum):
    """What becomes of a further answer beside the one that stands."""

    STANDS = "stands"
    IS_OLDER = "is_older"
    CONTRADICTS = "contradicts"


def weigh(new: Said, standing: Said | None) -> Weighed:
    """Return whether a new answer stands: the later one does, by the time that each counts from.

    Answers may arrive in any order: an older one is kept and changes nothing. Two that say different things of
    the same moment contradict each other, and nobody can tell which is true.
    """
    if standing is None or new.counts_at > standing.counts_at:
        return Weighed.STANDS
    if new.counts_at == standing.counts_at and new.state != standing.state:
        return Weighed.CONTRADICTS
    return Weighed.STANDS if new.counts_at == standing.counts_at else Weighed.IS_OLDER


def report_closed(
    *,
    report_id: str,
    number: str,
    external_id: str,
    state: str,
    outcome: str | None,
    decided_at: datetime | None,
    sequence: int,
    at: datetime,
) -> dict[str, Any]:
    """Return the message that says what came of a report, as much as its source is told."""
    return {
        "type": "report.closed",
        "timestamp": _instant(at),
        "data": {
            "report": {"id": report_id, "number": number, "external_id": external_id},
            "state": state,
            "outcome": outcome,
            "decided_at": _instant(decided_at) if decided_at else None,
            "sequence": sequence,
        },
    }


def trial_message(at: datetime) -> dict[str, Any]:
    """Return the message that *Send test* sends: it orders nothing."""
    return {"type": TEST, "timestamp": _instant(at), "data": {}}


def body_of(payload: dict[str, Any]) -> str:
    """Return the one text of a message: what is signed is what is sent, on every attempt."""
    return json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
