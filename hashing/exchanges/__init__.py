"""Sources of hashes outside the house: each turns its own format into pages of updates."""

from hashing.exchanges.contract import Page, Trouble, Update, in_words
from hashing.exchanges.sources import FIELDS, pages, test

__all__ = ["FIELDS", "Page", "Trouble", "Update", "in_words", "pages", "test"]
