"""Keys that rise with time (UUID version 7, RFC 9562, section 5.7).

Rows that are made together then lie together: in their index, and in the order in which the audit log is compared
with them. Not secret: nothing may be guarded by a key that is hard to guess.
"""

from __future__ import annotations

import secrets
import time
from uuid import UUID

_MS = 1_000_000


def rising_id() -> UUID:
    """Return a new key: 48 bits of milliseconds, 12 bits of their fraction, 62 random bits."""
    ms, rest = divmod(time.time_ns(), _MS)
    fraction = rest * 4096 // _MS
    return UUID(
        int=ms << 80 | 7 << 76 | fraction << 64 | 2 << 62 | secrets.randbits(62),
    )
