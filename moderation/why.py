"""Why a case is here: the reasons of the routing rules, each said once."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, F, Func, Max, Min, Value

from moderation.models import Case

__all__ = ["as_said", "merged"]

_RISK_NUMBER = r":? \d{1,3} of 100 \(.*$"


def as_said() -> Func:
    """Return the text of a reason as pages and lists show it, in SQL: without the number that a risk score had once."""
    return Func(F("text"), Value(_RISK_NUMBER), Value("."), function="regexp_replace")


def merged(case: Case) -> Any:
    """Return the reasons of a case as rows of ``said``, ``severity`` and ``times``, the gravest first.

    Reports that came one after the other give the same reason again; it is one. A risk score is a reason too, and
    the number it had when it asked is another one by now: the page says the present one, once, with what adds to it.
    """
    return (
        case.reasons.order_by()
        .annotate(said=as_said())
        .values("said")
        .annotate(severity=Max("severity"), most=Max("score"), times=Count("pk"), first=Min("pk"))
        .order_by("-severity", "-most", "first")
    )
