"""The vault: the one place that touches stored originals (DESIGN §6).

Plaintext exists in memory, one chunk at a time, and nowhere else. See ``cipher`` for the construction,
``receiving`` for the way in, ``reading`` for the way out, ``upkeep`` for everything after.
"""

from core.errors import VaultDamage, VaultDestroyed
from core.vault.reading import iter_chunks, open, read, verify  # noqa: A004
from core.vault.receiving import Receiving, receive, store_bytes
from core.vault.upkeep import (
    Finding,
    destroy,
    hold,
    inspect,
    rewrap,
    sweep_removed,
    sweep_staged,
    unreferenced,
)

__all__ = [
    "Finding",
    "Receiving",
    "VaultDamage",
    "VaultDestroyed",
    "destroy",
    "hold",
    "inspect",
    "iter_chunks",
    "open",
    "read",
    "receive",
    "rewrap",
    "store_bytes",
    "sweep_removed",
    "sweep_staged",
    "unreferenced",
    "verify",
]
