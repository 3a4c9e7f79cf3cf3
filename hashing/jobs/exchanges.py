"""Fetching from exchanges."""

from __future__ import annotations

import hashlib
import logging
import time
from pathlib import Path

from django.conf import settings

from core.crypto import Unsealable
from core.errors import describe
from core.jobs import enqueue, job
from hashing import actions, exchanges
from hashing.models import Exchange, ExchangeReview

__all__ = ["fetch_exchange", "send_review", "sweep_exchanges", "sweep_reviews"]

LONGEST_FETCH = 30 * 60.0
"""Seconds: a source that never ends must not keep a worker; the next fetch goes on where this one stopped."""
MOST_EMPTY = 20
"""Empty pages in a row."""

log = logging.getLogger(__name__)


@job
def fetch_exchange(exchange_id: str) -> None:
    """Fetch what is new, a page and its checkpoint at a time. Killed at any moment, the next one goes on there."""
    taken = actions.begin_fetch(Exchange(pk=exchange_id))
    if taken is None:
        return
    exchange, run = taken
    problem, wait, empty, is_cut = "", 0.0, 0, False
    over = time.monotonic() + LONGEST_FETCH
    try:
        with actions.keep_fetch(exchange):
            said = actions.exchange_credentials(exchange)
            seen: set[str] = set()
            for page in exchanges.pages(
                exchange.kind,
                said,
                exchange.checkpoint,
                allow_private=settings.HOLDFAST_EXCHANGE_ALLOW_PRIVATE,
                folder=_folder(),
            ):
                mark = hashlib.sha256(repr((page.updates, page.checkpoint)).encode()).hexdigest()
                # A set may end in empty pages, but not go on in them.
                empty = 0 if page.updates else empty + 1
                if (page.updates and mark in seen) or empty > MOST_EMPTY:
                    problem = "It sends the same page again and again."
                    if empty:
                        problem = "It sends empty pages without end."
                    break
                seen.add(mark)
                if not actions.take_page(exchange, run, page) or time.monotonic() > over:
                    is_cut = True
                    break  # The next fetch goes on at this page's checkpoint.
    except Unsealable:
        problem = "Its credentials cannot be opened: the master key that sealed them is missing."
    except Exception as failed:  # noqa: BLE001 — recorded on the row in plain words, and tried again
        log.warning("exchange %s: %s", exchange.pk, describe(failed))
        problem, wait = exchanges.in_words(failed), exchanges.asked_to_wait(failed)
    actions.end_fetch(exchange, run, problem=problem, wait=wait, is_cut=is_cut)


def sweep_exchanges() -> int:
    """Wake a worker for every exchange that is due; return how many. Without any set up, nothing is contacted."""
    due = list(actions.due_exchanges().values_list("pk", flat=True)[:50])
    for exchange_id in due:
        enqueue("fetch_exchange", exchange_id)
    return len(due)


def _folder() -> Path | None:
    return Path(settings.HOLDFAST_EXCHANGE_DIR) if settings.HOLDFAST_EXCHANGE_DIR else None


@job
def send_review(review_id: int) -> None:
    """Tell an exchange what reviewers found of one entry. Killed after sending, it is sent once more: the same counts once."""
    review = actions.begin_review(ExchangeReview(pk=review_id))
    if review is None:
        return
    problem = ""
    try:
        exchanges.send(
            review.exchange.kind,
            actions.exchange_credentials(review.exchange),
            remote_id=review.remote_id,
            algorithm=review.entry.algorithm,
            value=review.entry.value,
            is_violation=review.is_violation,
            allow_private=settings.HOLDFAST_EXCHANGE_ALLOW_PRIVATE,
        )
    except Unsealable:
        problem = "Its credentials cannot be opened: the master key that sealed them is missing."
    except Exception as failed:  # noqa: BLE001 — recorded on the row in plain words, and tried again
        log.warning("exchange %s: %s", review.exchange_id, describe(failed))
        problem = exchanges.in_words(failed)
    actions.end_review(review, problem=problem)


def sweep_reviews() -> int:
    """Wake a worker for the reviews that are due; return how many."""
    due = list(actions.waiting_reviews().values_list("pk", flat=True)[:200])
    for review_id in due:
        enqueue("send_review", review_id)
    return len(due)
