"""Looking things up in the lists in force: digests by distance, files exactly, texts by term."""

from hashing.lookup import nearby
from hashing.lookup.exact import exact_matches
from hashing.lookup.lists import SPACES, in_force, is_harmless, is_in_force, reach_of
from hashing.lookup.nearby import MOST_DELTA, Hit, IndexNotReady, View, current, held, near, warm
from hashing.lookup.sources import Source, register
from hashing.lookup.status import IndexStatus, index_status
from hashing.lookup.terms import ActiveTerms, active_terms, forget_terms

__all__ = [
    "MOST_DELTA",
    "SPACES",
    "ActiveTerms",
    "Hit",
    "IndexNotReady",
    "IndexStatus",
    "Source",
    "View",
    "active_terms",
    "current",
    "exact_matches",
    "forget",
    "held",
    "in_force",
    "index_status",
    "is_harmless",
    "is_in_force",
    "near",
    "reach_of",
    "register",
    "warm",
]


def forget() -> None:
    """Drop everything kept. For tests, whose databases come and go under one process."""
    nearby.forget()
    forget_terms()
