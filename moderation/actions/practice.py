"""Practice ends: what test keys sent is removed when its time is over, with a line in the log for each row it speaks of."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connections, models, router, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now

from core import audit
from core.audit import SYSTEM, Line
from core.audit_events import AuditEvent
from core.audit_rows import kinds
from moderation.access import live_claims
from moderation.models import Case, CaseStatus
from reports.models import Account, Group, Item, Report, ScanState, Upload
from reports.practice import MARK

__all__ = ["old_practice", "remove_old_practice"]

AT_ONCE = 50
CHAIN = "practice"


def _cutoff() -> CombinedExpression:
    return Now() - timedelta(days=settings.HOLDFAST_PRACTICE_DAYS)


def old_practice() -> list[QuerySet[Any]]:
    """Return what may be removed now, in the order in which it goes: cases, then what no case holds, then whom nothing names.

    A case that somebody holds, or whose decision is in its undo window, waits.
    """
    practice = Q(source__practice_of__isnull=False, received_at__lt=_cutoff())
    cases = Case.objects.filter(is_practice=True, opened_at__lt=_cutoff()).exclude(
        Q(status=CaseStatus.DECIDING) | Q(Exists(live_claims().filter(case=OuterRef("pk"))))
    )
    items = Item.objects.filter(practice, report=None, case_items=None).exclude(
        scan_state=ScanState.WAITING
    )
    reports = Report.objects.filter(practice, case_reports=None).exclude(
        Exists(Item.objects.filter(report=OuterRef("pk"), case_items__isnull=False))
    )
    named = Q(external_id__startswith=MARK, updated_at__lt=_cutoff())
    accounts = Account.objects.filter(
        named,
        reports=None,
        items=None,
        items_sent=None,
        reports_made=None,
        cases=None,
    )
    groups = Group.objects.filter(
        named, reports=None, items=None, cases=None, reports_within=None, items_written=None
    )
    uploads = Upload.objects.filter(source__practice_of__isnull=False, expires_at__lt=_cutoff())
    return [cases, items, reports, uploads, groups, accounts]


def remove_old_practice() -> int:
    """Remove practice that is older than ``HOLDFAST_PRACTICE_DAYS``; return how many rows of the first kind went.

    ``AT_ONCE`` of a kind a call, in one transaction: killed anywhere, each is there whole or gone with its lines. The
    database lets nothing be removed that is not practice (migration 0014). Cannot be undone.
    """
    for rows in old_practice():
        with transaction.atomic():
            keys = list(
                rows.order_by("pk")
                .select_for_update(skip_locked=True, of=("self",))
                .values_list("pk", flat=True)[:AT_ONCE]
            )
            if keys:
                _remove(rows.model, keys)
                return len(keys)
    return 0


def _remove(model: type[models.Model], keys: Iterable[Any]) -> None:
    found: dict[type[models.Model], set[Any]] = {}
    order: list[type[models.Model]] = []
    _gather(model, set(keys), found, order)
    spoken_of = {kind.model for kind in kinds()}
    lines = [
        Line(AuditEvent.PRACTICE_REMOVED, child(pk=key), CHAIN, {})
        for child in order
        if child in spoken_of
        for key in sorted(found[child], key=str)
    ]
    audit.record_lines(lines, actor=SYSTEM)
    for child in order:
        # Not Django's own delete: that refuses what others point to, and here those go first.
        rows = child._base_manager.filter(pk__in=found[child])  # noqa: SLF001 — Django's own name
        rows._raw_delete(connections[router.db_for_write(child)].alias)  # noqa: SLF001 — Django's own name


def _gather(
    model: type[models.Model],
    keys: set[Any],
    found: dict[type[models.Model], set[Any]],
    order: list[type[models.Model]],
) -> None:
    """Collect rows with everything that points to them; ``order`` has those that others point to last."""
    new = keys - found.setdefault(model, set())
    found[model] |= new
    for field in model._meta.get_fields(include_hidden=True):  # noqa: SLF001 — Django's own name
        if not new or not field.auto_created or field.concrete or field.many_to_many:
            continue
        child: type[models.Model] = field.related_model  # type: ignore[assignment]
        name = field.field.name  # type: ignore[union-attr]
        pointing = child._base_manager.filter(**{f"{name}__in": new})  # noqa: SLF001 — Django's own name
        if below := set(pointing.values_list("pk", flat=True)):
            _gather(child, below, found, order)
    if model in order:
        order.remove(model)
    order.append(model)
