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
from datetime import UTC, datetime, timedelta
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


def payload_of(
    *,
    enforcement_id: str,
    verb: str,
    case_number: str,
    policy_code: str,
    decided_at: datetime,
    account: str | None = None,
    group: str | None = None,
    invite_link: str = "",
    item: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Return the message for one enforcement: what to do to whom, and the case to ask about.

    No report text, no media, no name of a person on either side.
    """
    target: dict[str, Any] = {}
    if account is not None:
        target["account"] = {"external_id": account}
    if group is not None:
        target["group"] = {"external_id": group}
        if invite_link:
            target["group"]["invite_link"] = invite_link
    if item is not None:
        target["item"] = {key: value for key, value in item.items() if value}
    return {
        "type": f"enforcement.{verb}",
        "timestamp": _instant(decided_at),
        "data": {
            "enforcement_id": enforcement_id,
            "verb": verb,
            "target": target,
            "case": case_number,
            "policy": policy_code,
            "decided_at": _instant(decided_at),
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
