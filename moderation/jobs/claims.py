"""Ending leases that ran out."""

from __future__ import annotations

from moderation import actions


def sweep_claims() -> int:
    """End every lease that ran out, so that lists and the audit log say so."""
    return actions.end_expired_claims()
