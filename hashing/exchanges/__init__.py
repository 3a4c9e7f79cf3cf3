"""Sources of hashes outside the house: each turns its own format into pages of updates."""

from hashing.exchanges.contract import Page, Trouble, Update, in_words
from hashing.exchanges.sources import ENVIRONMENTS, FIELDS, OPTIONAL, pages, test

__all__ = [
    "ENVIRONMENTS",
    "FIELDS",
    "OPTIONAL",
    "Page",
    "Trouble",
    "Update",
    "in_words",
    "pages",
    "test",
]
