"""Background work by id, and the sweeps that find what waits (settings name them here)."""

from moderation.delivery_jobs import replay_deliveries, send_due, sweep_deliveries
from moderation.jobs.claims import sweep_claims, sweep_clocks
from moderation.jobs.decisions import publish_due, sweep_decisions, sweep_outcomes
from moderation.jobs.practice import sweep_practice
from moderation.jobs.previews import make_preview, sweep_previews
from moderation.jobs.risk import route_risk_case, sweep_risk_cases
from moderation.jobs.routing import route_waiting, sweep_routing

__all__ = [
    "make_preview",
    "publish_due",
    "replay_deliveries",
    "route_risk_case",
    "route_waiting",
    "send_due",
    "sweep_claims",
    "sweep_clocks",
    "sweep_decisions",
    "sweep_deliveries",
    "sweep_outcomes",
    "sweep_practice",
    "sweep_previews",
    "sweep_risk_cases",
    "sweep_routing",
]
