"""Background work of intake."""

from __future__ import annotations

from reports.actions import expire_uploads, forget_old_answers


def sweep_uploads() -> int:
    """Forget uploads and remembered answers whose time is over; return how many."""
    return expire_uploads() + forget_old_answers()
