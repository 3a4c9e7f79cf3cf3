"""Practice: what a test key sends lives beside the platform's accounts and groups, never among them.

Ids that come with a test key are kept with a blank before them. No other sender can write such an id (the shapes refuse
a blank at either end), so nothing that a test key says can reach an account or group of the platform, whichever verb it
goes through, and the other way round. Pages show no blank; ``said`` takes it off for answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

MARK = " "
TEST_NAME = "{} (test)"
"""How the twin of a source, to which its test keys belong, is called."""

_practising: ContextVar[bool] = ContextVar("holdfast_practising", default=False)


@contextmanager
def by_itself() -> Iterator[None]:
    """Let what ``practise`` switches on end with the block: one request says nothing of the next one."""
    token = _practising.set(False)
    try:
        yield
    finally:
        _practising.reset(token)


def practise(*, is_test: bool) -> None:
    """Say whether the ids of this request are those of practice."""
    _practising.set(is_test)


def own(external_id: str) -> str:
    """Return an id as it is kept: of practice while a test key speaks."""
    return MARK + external_id if _practising.get() else external_id


def said(external_id: str) -> str:
    """Return an id as its sender wrote it."""
    return external_id.removeprefix(MARK)


def is_practice(external_id: str) -> bool:
    """Return whether an account or group of this id belongs to practice."""
    return external_id.startswith(MARK)
