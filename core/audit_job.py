"""Checking the audit log from the page: a wake-up, its progress, its verdict."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.db import transaction
from django.db.models.functions import Now

from core import audit
from core.anchor_check import check_anchors
from core.anchors import NIGHTLY
from core.audit_check import check
from core.audit_events import AuditEvent
from core.errors import describe
from core.jobs import beat, enqueue, job
from core.models import AuditAnchor, Heartbeat
from core.stages import Stage

log = logging.getLogger(__name__)
NAME = "verify_audit"
_PROGRESS = "holdfast.verify_audit.progress"
_LONGEST = timedelta(hours=1, minutes=5)


STAGES = (
    Stage(
        "audit_check",
        "Check of the audit log asked for → begun",
        "Checking the audit log",
        lambda: Heartbeat.objects.filter(pk=NAME, detail__state="waiting"),
        "at",
        3600,
        (NAME,),
    ),
)


@transaction.atomic
def request_check(*, actor: audit.Person) -> bool:
    """Ask for a check of all chains. Returns False when one is waiting or running already."""
    last = Heartbeat.objects.select_for_update().filter(pk=NAME).first()
    fresh = Heartbeat.objects.filter(pk=NAME, at__gt=Now() - _LONGEST).exists()
    if last is not None and fresh and last.detail.get("state") in {"waiting", "running"}:
        return False
    kept = last.detail.get("last") if last is not None else None
    beat(NAME, Heartbeat.Kind.CHECK, state="waiting", last=_verdict_of(last) or kept, asked=True)
    audit.record(AuditEvent.AUDIT_CHECK_REQUESTED, actor=actor)
    enqueue(NAME)
    return True


def _verdict_of(last: Heartbeat | None) -> dict[str, Any] | None:
    if last is None or last.detail.get("state", "done") != "done":
        return None
    keys = ("intact", "entries", "chains", "rows_compared", "breaks", "anchors", "by")
    return {key: last.detail[key] for key in keys if key in last.detail} | {
        "at": audit.timestamp(last.at)
    }


@job
def verify_audit() -> None:
    """Check all chains and keep the verdict on the operations page. Safe to repeat."""
    last = Heartbeat.objects.filter(pk=NAME).first()
    before = last.detail.get("last") if last is not None else None
    # Tried again after a killed worker it is the same check: whether somebody asked for it stays with it.
    asked = last is not None and bool(last.detail.get("asked"))
    beat(NAME, Heartbeat.Kind.CHECK, state="running", last=before or _verdict_of(last), asked=asked)
    verdict = check(progress=_note_progress, rows=True)
    anchors = check_anchors()
    beat(
        NAME,
        Heartbeat.Kind.CHECK,
        state="done",
        by="the check asked for on this page" if asked else "",
        anchors=anchors.as_json(),
        **verdict.as_json(),
    )
    audit.record(
        AuditEvent.AUDIT_VERIFIED,
        actor=audit.SYSTEM,
        intact=verdict.is_intact,
        entries=verdict.entries,
        chains=verdict.chains,
        broken=[found.chain for found in verdict.breaks[:50]],
        anchors_intact=anchors.is_intact,
        anchors=anchors.anchors,
    )


def _note_progress(read: int, total: int) -> None:
    # The check reads in one snapshot and may not write; the figure is worth nothing a minute later.
    try:
        cache.set(_PROGRESS, (read, total), 60)
    except Exception as failed:  # noqa: BLE001 — any cache, any failure: the check matters more
        log.info("progress of the audit check not shown: %s", describe(failed))


def progress() -> tuple[int, int] | None:
    """Return entries read and entries there are, while a check runs."""
    try:
        found = cache.get(_PROGRESS)
    except Exception as failed:  # noqa: BLE001 — any cache, any failure: the figure is left out
        log.info("progress of the audit check not read: %s", describe(failed))
        return None
    return tuple(found) if found else None


@dataclass(frozen=True, slots=True)
class LastCheck:
    """How far the latest check is: ``state`` is never, waiting, running or done.

    ``detail`` holds the verdict when it is done, ``read`` and ``total`` count entries while it runs.
    ``anchor`` is the newest anchor there is, which the check may not have seen.
    """

    state: str
    at: datetime | None
    detail: dict[str, Any]
    read: int = 0
    total: int = 0
    anchor: AuditAnchor | None = None
    anchor_problem: str = ""
    """What keeps anchors from being made, in a sentence."""

    @property
    def is_anchor_unseen(self) -> bool:
        """Whether the newest anchor was made after the anchors were checked, or they never were."""
        seen = (self.detail.get("anchors") or {}).get("newest", 0)
        return self.anchor is not None and self.anchor.number > seen


def last_check() -> LastCheck:
    """Return the latest check of all chains, asked for here or run by the command."""
    found = Heartbeat.objects.filter(pk=NAME).first()
    anchor = AuditAnchor.objects.defer("heads").order_by("-number").first()
    kept = Heartbeat.objects.filter(pk=NIGHTLY).values_list("detail", flat=True).first() or {}
    problem = str(kept.get("problem", ""))
    if found is None:
        return LastCheck("never", None, {}, anchor=anchor, anchor_problem=problem)
    state = found.detail.get("state", "done")
    read, total = (progress() or (0, 0)) if state == "running" else (0, 0)
    return LastCheck(state, found.at, found.detail, read, total, anchor, problem)


def sweep_audit_check() -> int:
    """Wake the check again if its wake-up was lost or its worker died."""
    waiting = Heartbeat.objects.filter(pk=NAME, detail__state="waiting")
    stuck = Heartbeat.objects.filter(pk=NAME, detail__state="running", at__lt=Now() - _LONGEST)
    if waiting.exists() or stuck.exists():
        enqueue(NAME)
        return 1
    return 0
