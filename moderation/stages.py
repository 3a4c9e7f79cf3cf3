"""The stages of casework, for the pages of health: what waits, since when, and who does it."""

from __future__ import annotations

from django.db.models import Max
from django.db.models.functions import Coalesce, Greatest

from core.stages import Stage
from moderation.actions import attempts, decisions, previews, replays, waiting_routes

__all__ = ["STAGES"]

ROUTES = ("route_waiting",)

STAGES = (
    Stage(
        "routing",
        "Scanned → in a case",
        "Routing",
        waiting_routes.waiting_reports,
        # A report waits for its scans first: those have a stage of their own.
        Greatest("received_at", Coalesce(Max("items__scanned_at"), "received_at")),
        30,
        ROUTES,
        order_by="received_at",
    ),
    Stage(
        "item_routing",
        "Later items scanned → in a case",
        "Routing of single items",
        waiting_routes.waiting_items,
        Coalesce("scanned_at", "received_at"),
        30,
        ROUTES,
        order_by="received_at",
    ),
    Stage(
        "decisions",
        "Decisions past their undo window → in effect",
        "Putting decisions into effect",
        decisions.decisions_to_publish,
        "publish_at",
        30,
        ("publish_due",),
    ),
    Stage(
        "deliveries",
        "Orders due → sent to the platform",
        "Sending orders to the platform",
        attempts.sendable_deliveries,
        # While its endpoint is held back an order waits for the receiver: the sender's time begins at the end of that.
        Greatest(
            "next_attempt_at", "endpoint__breaker__open_until", "endpoint__breaker__resumed_at"
        ),
        120,
        ("send_due",),
        order_by="next_attempt_at",
    ),
    Stage(
        "replays",
        "Spans asked for once more → all in line",
        "Sending a span of deliveries again",
        replays.waiting_replays,
        "created_at",
        900,
        ("replay_deliveries",),
    ),
    Stage(
        "previews",
        "Previews asked for → drawn",
        "Drawing previews",
        previews.waiting_previews,
        "due_at",
        120,
        ("make_preview",),
    ),
)
