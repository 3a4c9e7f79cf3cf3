"""Reading the hashes of a listed video's frames from a file. Values in, values out.

Read are vPDQ's own form as ThreatExchange writes it, a JSON list of texts "hash,quality,seconds", and lists of
objects with ``pdq`` (or ``hash``, ``value``), ``quality`` and ``at`` (or ``timestamp``) in seconds.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NamedTuple

__all__ = ["MOST_FRAMES", "Frame", "parse_frames"]

MOST_FRAMES = 20_000


class Frame(NamedTuple):
    """A frame of a listed video: milliseconds from the beginning, PDQ hash in hex, quality 0-100."""

    at_ms: int
    value: str
    quality: int


def parse_frames(text: str) -> list[Frame]:
    """Return the frames in order of time. Raises ValueError with a sentence that names the first bad one."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("The file is not JSON.") from None
    if isinstance(document, dict):
        document = document.get("frames")
    if not isinstance(document, list) or not document:
        raise ValueError("The file holds no list of frames.")
    if len(document) > MOST_FRAMES:
        raise ValueError(f"A video has at most {MOST_FRAMES:,} frames.")
    frames = []
    for number, each in enumerate(document, start=1):
        try:
            frames.append(_frame(each))
        except ValueError as wrong:
            raise ValueError(f"Frame {number}: {wrong}") from None
    return sorted(frames)


def _frame(said: Any) -> Frame:
    if isinstance(said, str):
        parts = [part.strip() for part in said.split(",")]
        if len(parts) != 3:
            raise ValueError("write hash, quality and seconds, separated by commas.")
        value, quality, seconds = parts
    elif isinstance(said, dict):
        value = next((said[key] for key in ("pdq", "hash", "value") if key in said), "")
        quality = said.get("quality", "")
        seconds = next((said[key] for key in ("at", "timestamp", "seconds") if key in said), "")
    else:
        raise ValueError("a frame is a text or an object.")  # noqa: TRY004 — a fault of the file
    digest = str(value).strip().lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ValueError("the hash has not 64 hexadecimal digits.")
    try:
        grade, at = float(quality), float(seconds)
    except (TypeError, ValueError):
        raise ValueError("quality and time must be numbers.") from None
    if not 0 <= grade <= 100:
        raise ValueError("the quality must lie between 0 and 100.")
    if not (math.isfinite(at) and 0 <= at <= 48 * 3600):
        raise ValueError("the time must lie between 0 and 48 hours, in seconds.")
    return Frame(round(at * 1000), digest, int(grade))
