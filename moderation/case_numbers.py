"""The numbers of cases for whoever reads the audit log, whose lines name rows by their ids.

Grants nothing and shows nothing of a case but its number.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection

from django.db.models import F

from moderation.models import Case

_WAYS = {
    "case": "pk",
    "item": "case_items__item",
    "report": "case_reports__report",
    "decision": "decisions",
}


def of_rows(rows: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return ``C-000010`` for each of ("case", id), ("item", id), ("report", id), ("decision", id) that a case knows.

    The oldest where several cases have it. Costs one statement for each kind.
    """
    found: dict[tuple[str, str], str] = {}
    for kind, way in _WAYS.items():
        keys = [key for asked, key in rows if asked == kind and _is_key(key)]
        if keys:
            cases = Case.objects.filter(**{f"{way}__in": keys}).annotate(row=F(way))
            for case in cases.order_by("-number"):
                found[kind, str(case.row)] = str(case)
    return found


def _is_key(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
