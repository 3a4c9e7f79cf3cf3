"""About a thousand odd, broken and hostile pictures: each ends as digests or as a reason in plain words."""

from __future__ import annotations

import tarfile
from collections import Counter
from collections.abc import Iterator

from hashing import images
from hashing.images import CannotDecode, Limits
from tests.machine import pillow_source

REASONS = {
    "bytes": "too_many_bytes",
    "damaged": "damaged",
    "pixels": "too_many_pixels",
    "frames": "too_many_frames",
    "format": "unsupported_format",
    "type": "wrong_type",
    "colour": "unsupported_colour_mode",
    "memory": "too_much_memory",
    "slow": "too_slow",
    "HEIC": "heic_off",
}


def odd_files() -> Iterator[tuple[str, bytes]]:
    with tarfile.open(pillow_source()) as source:
        for member in source:
            if "/Tests/images/" in member.name and (file := source.extractfile(member)):
                yield member.name.rpartition("/")[2], file.read()


def test_every_odd_picture_ends_in_digests_or_a_reason() -> None:
    counts: Counter[str] = Counter()
    crashed = []
    for name, data in odd_files():
        try:
            picture = images.digest(data, limits=Limits(seconds=10))
        except CannotDecode as refused:
            counts[refused.code] += 1
            if not refused.reason or refused.code not in REASONS.values():
                crashed.append((name, refused.code))
        else:
            counts["digested"] += 1
            assert picture.digests, name
            assert all(len(digest.pdq) == 64 for digest in picture.digests), name
            assert not picture.problem or "frames looked at" in picture.problem, name
            is_still = picture.frames_total == 1
            assert not (is_still and picture.problem), name
    assert not crashed
    assert sum(counts.values()) >= 1000
    assert counts["digested"] >= 650, counts
