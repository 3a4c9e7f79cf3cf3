"""Nothing that was opened before a fork is used after it.

A child shares its parent's sockets: two processes that speak on one session of PostgreSQL read each other's
answers, and a pool's threads do not exist in the child, so that it waits for ever for a connection that nobody
opens. Hence two rules, kept by ``register`` for every fork of this program: the parent gives back what it can
before (``close_stores``, called by whoever forks on purpose), and a child forgets whatever is left.

redis-py and this project's decoder look at the process number themselves; Python seeds ``random`` anew.
"""

from __future__ import annotations

import os
from typing import Any

from django.core.files.storage import storages
from django.db import connections

__all__ = ["close_stores", "forget_stores", "register"]

_inherited: list[Any] = []
"""What a child must not use and must not destroy: a destructor could speak on the parent's session."""


def close_stores() -> None:
    """Close this process's database sessions and pools. The next query opens them again.

    Raises nothing that matters: a session that is broken is closed as well.
    """
    for connection in connections.all(initialized_only=True):
        connection.close()
        pooled: Any = connection
        if getattr(pooled, "pool", None):
            pooled.close_pool()


def forget_stores() -> None:
    """Forget database sessions, pools and object stores that the parent opened, and touch none of them."""
    for connection in connections.all(initialized_only=True):
        _inherited.append(connection)
        pools: dict[str, Any] = getattr(type(connection), "_connection_pools", {})
        if connection.alias in pools:
            _inherited.append(pools.pop(connection.alias))
        del connections[connection.alias]
    # An S3 client keeps sockets; the handler makes another storage when it is asked for one.
    handler: Any = storages
    kept: dict[str, Any] = handler._storages  # noqa: SLF001 — Django has no public way
    _inherited.extend(kept.values())
    kept.clear()


def register() -> None:
    """Let every child of this process forget what its parent opened. Call it once."""
    os.register_at_fork(after_in_child=forget_stores)
