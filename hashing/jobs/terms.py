"""Text rules in the background: sealing what is still in clear."""

from __future__ import annotations

from hashing import actions

__all__ = ["sweep_terms"]


def sweep_terms() -> int:
    """Seal lists from before lists were sealed; return how many."""
    waiting = actions.unsealed_term_lists()
    for term_list in waiting:
        actions.seal_terms(term_list)
    return len(waiting)
