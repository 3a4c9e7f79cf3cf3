"""The stages of referrals, for the pages of health: what waits, since when, and who does it."""

from __future__ import annotations

from django.db.models import Case, F, When

from core.stages import Stage
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
)
