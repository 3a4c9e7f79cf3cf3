"""Who has the page of a case open. A courtesy to colleagues, kept in Valkey only; never a lock."""

from __future__ import annotations

import time
from uuid import UUID

from redis.exceptions import RedisError

from core.valkey_link import valkey

SECONDS = 90
"""A page that gave no sign for this long is closed."""


def seen(case_id: UUID, pseudonym: str) -> list[str]:
    """Note that a person has the case open; return the pseudonyms of the others who do.

    Without Valkey nobody is listed.
    """
    key = f"holdfast:viewing:{case_id}"
    now = time.time()
    try:
        with valkey().pipeline() as pipe:
            pipe.zadd(key, {pseudonym: now})
            pipe.zremrangebyscore(key, 0, now - SECONDS)
            pipe.expire(key, SECONDS)
            pipe.zrange(key, 0, -1)
            names = pipe.execute()[-1]
    except (RedisError, OSError):
        return []
    found = [name.decode() if isinstance(name, bytes) else str(name) for name in names]
    return [name for name in found if name != pseudonym]
