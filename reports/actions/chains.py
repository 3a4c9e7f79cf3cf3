"""The audit chain of a source, and its lines about one row or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import models

from core import audit
from core.audit import Actor, AuditEvent, Person
from reports.models import Source


def intake_chain(source: Source) -> str:
    """Return the audit chain of a source: a busy sender does not hold up the log of the others."""
    return f"source:{source.pk}"


def record_intake(
    events: tuple[AuditEvent, AuditEvent],
    source: Source,
    about: Sequence[tuple[models.Model, Mapping[str, Any]]],
    *,
    actor: Actor | Person,
) -> None:
    """Append one line to the source's chain: of the first event about one row, of the second about several.

    Last in its transaction: it holds the chain until the end. Nothing about no row.
    """
    chain = intake_chain(source)
    if len(about) == 1:
        ((row, said),) = about
        audit.record(
            events[0], actor=actor, subject=row, chain=chain, **{"source": source.pk} | dict(said)
        )
    elif about:
        brief = [
            (row, {name: value for name, value in said.items() if value}) for row, said in about
        ]
        audit.record_group(events[1], actor=actor, about=brief, chain=chain, source=source.pk)
