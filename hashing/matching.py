"""Comparing two digests. Values in, values out. Searching among many: ``hashing.index``."""

from __future__ import annotations

__all__ = ["distance"]


def distance(one: str, other: str) -> int:
    """Return the number of bits in which two digests of the same length (hex) differ."""
    if len(one) != len(other):
        raise ValueError("digests of different length cannot be compared")
    return (int(one, 16) ^ int(other, 16)).bit_count()
