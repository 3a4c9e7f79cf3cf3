"""How something was detected, in the words that orders use. Values in, values out.

Orders, statements of reasons and transparency figures need it of each decision, and it cannot be found out later:
detectors change, flags are superseded. So it is said once, when the decision takes effect.
"""

from __future__ import annotations

from collections.abc import Iterable

USER_REPORT = "user_report"
TRUSTED_FLAGGER = "trusted_flagger"
PROACTIVE_SCAN = "proactive_scan"
STAFF = "staff"

_BY_SOURCE = {
    "platform": USER_REPORT,
    "user_reports": USER_REPORT,
    "trusted_flagger": TRUSTED_FLAGGER,
    "proactive_scan": PROACTIVE_SCAN,
    "staff": STAFF,
}
_BY_FLAG = {
    "hash_match": "hash_match",
    "term_match": "text_rule",
    "classifier": "classifier",
    "risk": "risk_score",
}
"""What a note or a failed scan says is no detection."""

WAYS = tuple(sorted({*_BY_SOURCE.values(), *_BY_FLAG.values()}))
"""Every word there is; further ones may be added."""


def ways_of(
    *, reporters: Iterable[str], scanners: Iterable[str] = (), flags: Iterable[str] = ()
) -> list[str]:
    """Return how something was detected, sorted.

    ``reporters`` are the kinds of the sources that reported it, ``scanners`` of those that sent it to be scanned
    without a report, ``flags`` the kinds of what was found. A kind that is not known says itself.
    """
    found = {_BY_SOURCE.get(kind, kind) for kind in reporters}
    found |= {PROACTIVE_SCAN for _ in scanners}
    found |= {_BY_FLAG[kind] for kind in flags if kind in _BY_FLAG}
    return sorted(found)
