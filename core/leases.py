"""Leases of rows that are worked on: short, and renewed for as long as the worker lives.

A row that is taken up is due again when its lease ends. If that were the time limit of its job, whatever a killed
worker held would lie that long. So a lease is a few signs of life long, and ``kept`` renews it from a thread that ends
with the process. Work that is late all the same, because its machine stood still, is done twice without harm.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db import connection, models, transaction
from django.db.models import F
from django.db.models.functions import Greatest, Now

from core.errors import describe

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=20)
"""How long a row is left alone without a sign of life of whoever took it."""

RENEWED_EVERY = 5.0
"""Seconds between two signs of life."""


def lease_after(attempts: int) -> timedelta:
    """Return the first lease of a row that was taken up ``attempts`` times before and never came to an end.

    Twice as long each time: a file that kills its worker must not keep the workers from others.
    """
    return LEASE * 2**attempts


@contextmanager
def kept(rows: models.QuerySet[Any], *, field: str) -> Iterator[None]:
    """Renew the lease of ``rows``, which ends at the time in ``field``, until the block ends.

    ``rows`` has to name more than keys, such as the state and the attempt: what came to an end, or was taken up by
    somebody else, is left alone. Never shortens a wait and never waits for a lock. An error is logged: the lease then
    ends by itself.
    """
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(RENEWED_EVERY):
            try:
                _renew(rows, field)
            except Exception as failed:  # noqa: BLE001 — the work goes on, and so does the next renewal
                log.info("a lease was not renewed (%s)", describe(failed))
            finally:
                connection.close()  # This thread's own; a pool gets it back.

    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(RENEWED_EVERY)


def _renew(rows: models.QuerySet[Any], field: str) -> None:
    with transaction.atomic():
        free = rows.order_by().select_for_update(skip_locked=True, no_key=True, of=("self",))
        keys = list(free.values_list("pk", flat=True))
        longer = Greatest(F(field), Now() + LEASE)
        rows.model._base_manager.filter(pk__in=keys).update(  # noqa: SLF001 — whatever the default one shows
            **{field: longer}
        )
