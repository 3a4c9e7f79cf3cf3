"""What watching a video costs, beside vpdq if it is installed, and how often unlisted clips match.

    python benchmarks/video.py [--quick] [--json]

Clips are drawn, 1280 x 720, 30 frames a second, H.264, 10 seconds. Times are processor seconds of the
decoder and of this process (or of vpdq's), so one core's worth whatever the machine does besides.
``vpdq`` has no wheel; where it was built (it needs CMake and FFmpeg's headers) it is measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path[0] = str(Path(__file__).resolve().parent.parent)

import benchmarks.without_stores  # noqa: F401 — before what needs settings.
from hashing import images, videos
from hashing.videos import LISTED_EVERY, SEEN_EVERY, Seen, match
from tests import clips

SECONDS = 10
REACH = 31
"""Bits in which two frames may differ: PDQ's usual threshold, as lists have it by default."""


def words(value: str) -> npt.NDArray[np.uint64]:
    """Return a digest of 256 bits (hex) as four words."""
    return np.frombuffer(bytes.fromhex(value), dtype=">u8").astype(np.uint64)


def spent() -> float:
    """Return the processor seconds of this process and of its decoder."""
    fields = Path(f"/proc/{images.decoder_pid()}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def cost(films: list[bytes], every: float, rounds: int) -> tuple[float, float]:
    """Return processor and wall seconds for one film, medians."""
    videos.watch(films[0], every=every)
    cpu, wall = [], []
    for _ in range(rounds):
        for film in films:
            began, clock = spent(), time.perf_counter()
            videos.watch(film, every=every)
            cpu.append(spent() - began)
            wall.append(time.perf_counter() - clock)
    return statistics.median(cpu), statistics.median(wall)


def vpdq_cost(films: list[bytes], rounds: int) -> tuple[float, float] | None:
    """Return the same for vpdq at one frame a second, or None where it is not installed."""
    try:
        import vpdq  # type: ignore[import-not-found]  # Only where somebody built it.
    except ImportError:
        return None
    cpu, wall = [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for number, film in enumerate(films):
                path = Path(folder, f"{number}.mp4")
                path.write_bytes(film)
                began, clock = time.process_time(), time.perf_counter()
                vpdq.computeHash(str(path), seconds_per_hash=1)
                cpu.append(time.process_time() - began)
                wall.append(time.perf_counter() - clock)
    return statistics.median(cpu), statistics.median(wall)


def false_matches(count: int) -> tuple[int, int]:
    """Return how many of all pairs of unlike clips match, and the pairs."""
    seen, listed = [], []
    for seed in range(count):
        film = clips.clip(1000 + seed, 6)
        listed.append(videos.watch(film, every=LISTED_EVERY))
        seen.append(videos.watch(film, every=SEEN_EVERY))
    rows = [
        (number, frame.at_ms, value)
        for number, film in enumerate(listed)
        for frame in film.frames
        for value in frame.values()
    ]
    # Every pair is compared: what the rule says is measured here, not how quickly an index finds it.
    table = np.array([words(value) for _, _, value in rows])
    wrong = 0
    for mine, watched in enumerate(seen):
        found: dict[int, list[Seen]] = {}
        for frame in watched.frames:
            for query in frame.queries():
                distances = np.bitwise_count(table ^ words(query)).sum(axis=1, dtype=np.int64)
                for at in np.flatnonzero(distances <= REACH):
                    number, at_ms, _ = rows[at]
                    if number != mine:
                        seen_at = Seen(frame.at_ms, at_ms, int(distances[at]))
                        found.setdefault(number, []).append(seen_at)
        query_ms = [frame.at_ms for frame in watched.frames if frame.values()]
        for number, hits in found.items():
            listed_ms = [frame.at_ms for frame in listed[number].frames if frame.values()]
            shares = match(hits, query_ms=query_ms, listed_ms=listed_ms)
            wrong += shares.compared >= 0.8 or shares.query >= 0.8 or shares.run >= 5
    return wrong, count * (count - 1)


def main() -> None:
    """Measure and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few clips")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    films = [
        clips.encode(clips.frames(seed, SECONDS, rate=30, size=(1280, 720)), rate=30)
        for seed in range(2 if options.quick else 6)
    ]
    rounds = 2 if options.quick else 3
    rows: list[dict[str, Any]] = []
    for system, figures in (
        ("holdfast, incoming (4 frames a second)", cost(films, SEEN_EVERY, rounds)),
        ("holdfast, listed (2 frames a second)", cost(films, LISTED_EVERY, rounds)),
        ("holdfast, 1 frame a second", cost(films, 1.0, rounds)),
        ("vpdq, 1 frame a second", vpdq_cost(films, rounds)),
    ):
        rows.append(
            {
                "system": system,
                "cpu_s": None if figures is None else round(figures[0], 3),
                "wall_s": None if figures is None else round(figures[1], 3),
                "times_real_time": None if figures is None else round(SECONDS / figures[0], 1),
            }
        )
    wrong, pairs = false_matches(6 if options.quick else 40)
    images.stop()
    if options.json:
        print(
            json.dumps(
                [*rows, {"system": "false matches", "matches": wrong, "pairs": pairs}], indent=2
            )
        )
        return
    print(f"{'10 s of 1280 x 720, one core':42} {'cpu s':>7} {'wall s':>7} {'x real time':>12}")
    for row in rows:
        if row["cpu_s"] is None:
            print(f"{row['system']:42} not installed here")
        else:
            print(
                f"{row['system']:42} {row['cpu_s']:>7} {row['wall_s']:>7} {row['times_real_time']:>12}"
            )
    print(f"false matches among unlike drawn clips: {wrong} of {pairs} pairs")


if __name__ == "__main__":
    main()
