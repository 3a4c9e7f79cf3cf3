"""What becomes of an item's scan: it waits, ends, or waits again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from core import audit
from core.audit import Actor, AuditEvent, Person
from core.jobs import enqueue
from reports.models import Item, ItemKind, RouteState, ScanState


@transaction.atomic
def record_scan_state(
    item: Item, state: ScanState, *, actor: Actor | Person = audit.SYSTEM
) -> Item:
    """Note how the scan of an item ended and let it be routed. Safe to repeat.

    ``WAITING`` puts the item back in line. An item whose state is already ``state`` is left alone.
    """
    item = Item.objects.select_for_update(no_key=True).get(pk=item.pk)
    if item.scan_state == state:
        return item
    item.scan_state = state
    if state == ScanState.WAITING:
        item.scan_due_at = Now()
        item.scan_attempts = 0
        item.save(update_fields=["scan_state", "scan_due_at", "scan_attempts"])
        wake_scanner(item)
    else:
        item.scanned_at = Now()
        item.route_state = RouteState.WAITING
        item.scan_waits_for = ""
        item.save(update_fields=["scan_state", "scanned_at", "route_state", "scan_waits_for"])
        enqueue("route_waiting")
    audit.record(
        AuditEvent.SCAN_STATE_RECORDED,
        actor=actor,
        subject=item,
        chain=f"item:{item.pk}",
        state=state.value,
    )
    return item


@transaction.atomic
def scan_again(keys: Iterable[UUID], *, actor: Actor = audit.SYSTEM) -> int:
    """Put several items back in line for their scan; return how many. Those that wait already are left alone.

    Wakes nobody: the sweep does, for many at once. Safe to repeat.
    """
    rows = Item.objects.select_for_update(no_key=True).filter(pk__in=list(keys)).order_by("pk")
    items = list(rows.exclude(scan_state=ScanState.WAITING))
    Item.objects.filter(pk__in=[item.pk for item in items]).update(
        scan_state=ScanState.WAITING, scan_due_at=Now(), scan_attempts=0
    )
    audit.record_each(
        AuditEvent.SCAN_STATE_RECORDED,
        actor=actor,
        about=[(item, f"item:{item.pk}", {"state": ScanState.WAITING.value}) for item in items],
    )
    return len(items)


@transaction.atomic
def postpone_scan(item: Item, *, reason: str, seconds: float) -> Item:
    """Let an item wait for its scan for another while, with a reason that is shown. Safe to repeat.

    The attempt does not count: nothing of the item was looked at. Not audited: the end of the scan is. Ends by
    itself when the item is scanned.
    """
    item = Item.objects.select_for_update(no_key=True).get(pk=item.pk)
    if item.scan_state != ScanState.WAITING:
        return item
    item.scan_waits_for = reason[:200]
    item.scan_attempts = max(item.scan_attempts - 1, 0)
    item.scan_due_at = Now() + timedelta(seconds=seconds)
    item.save(update_fields=["scan_waits_for", "scan_attempts", "scan_due_at"])
    return item


@transaction.atomic
def record_scan_ends(
    items: Iterable[Item],
    states: Mapping[UUID, ScanState],
    *,
    actor: Actor = audit.SYSTEM,
) -> list[Item]:
    """Note how the scans of several items ended (by key) and let them be routed.

    For items that the caller has locked and that wait for their scan. Cannot be undone.
    """
    ended = list(items)
    for state in sorted({states[item.pk] for item in ended}):
        keys = [item.pk for item in ended if states[item.pk] == state]
        Item.objects.filter(pk__in=keys).update(
            scan_state=state,
            scanned_at=Now(),
            route_state=RouteState.WAITING,
            scan_waits_for="",
        )
    if ended:
        enqueue("route_waiting")
    audit.record_each(
        AuditEvent.SCAN_STATE_RECORDED,
        actor=actor,
        about=[(item, f"item:{item.pk}", {"state": states[item.pk].value}) for item in ended],
    )
    return list(Item.objects.filter(pk__in=[item.pk for item in ended]))


def wake_scanner(item: Item) -> None:
    """Wake a worker for an item that waits for its scan."""
    wake_scanners([item])


def wake_scanners(items: Iterable[Item]) -> None:
    """Wake workers for those of several items that wait for their scan.

    Whoever is woken takes whatever is due, many items at once, so one wake-up for each lane is enough;
    the lanes only bound how many workers are at it.
    """
    waiting = [item for item in items if item.scan_state == ScanState.WAITING]
    for item in waiting:
        if item.kind == ItemKind.VIDEO:
            enqueue("scan_video", item.pk)
    lanes = {
        item.pk.int % settings.HOLDFAST_SCAN_LANES
        for item in waiting
        if item.kind != ItemKind.VIDEO
    }
    for lane in sorted(lanes):
        enqueue("scan_waiting", lane)
