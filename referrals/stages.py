"""The stages of referrals, for the pages of health: what waits, since when, and who does it."""

from __future__ import annotations

from django.db.models import Case, DateTimeField, ExpressionWrapper, F, When

from core.stages import Stage
from referrals.actions.anchors import NIGHT, overdue_anchors, unstored_anchors
from referrals.actions.building import builds_to_do

__all__ = ["STAGES"]

STAGES = (
    Stage(
        "packages",
        "Packages approved → being built",
        "Building packages",
        builds_to_do,
        # One whose builder died waits since that one's last sign of life.
        Case(When(state="building", then=F("build_beat_at")), default=F("approved_at")),
        300,
        ("build_package",),
        order_by="approved_at",
    ),
    Stage(
        "anchors",
        "A day since the last anchor → the next one",
        "Anchoring the audit log",
        overdue_anchors,
        ExpressionWrapper(F("made_at") + NIGHT, output_field=DateTimeField()),
        # The package worker finishes the build in hand, six hours at most; that makes an anchor of its own.
        7 * 3600,
        ("make_anchor",),
        order_by="made_at",
    ),
    Stage(
        "anchor_files",
        "Anchors made → kept outside of the database",
        "Putting anchors into their store",
        unstored_anchors,
        "made_at",
        7 * 3600,
        ("keep_anchors",),
    ),
)
