"""Background work by id, and the sweeps that find what waits (settings name them here)."""

from moderation.jobs.claims import sweep_claims
from moderation.jobs.decisions import publish_decision, sweep_decisions
from moderation.jobs.routing import route_item, route_report, sweep_routing

__all__ = [
    "publish_decision",
    "route_item",
    "route_report",
    "sweep_claims",
    "sweep_decisions",
    "sweep_routing",
]
