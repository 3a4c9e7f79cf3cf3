"""Sources of hashes outside the house: each turns its own format into pages of updates."""

from hashing.exchanges.contract import Page, Trouble, Update, asked_to_wait, in_words
from hashing.exchanges.feedback import TAKES_FEEDBACK, missing_for_feedback, send
from hashing.exchanges.sources import ENVIRONMENTS, FIELDS, OPTIONAL, pages, test

__all__ = [
    "ENVIRONMENTS",
    "FIELDS",
    "OPTIONAL",
    "TAKES_FEEDBACK",
    "Page",
    "Trouble",
    "Update",
    "asked_to_wait",
    "in_words",
    "missing_for_feedback",
    "pages",
    "send",
    "test",
]
