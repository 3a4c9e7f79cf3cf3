"""Searching known digests within a radius: Holdfast's index beside those that the field uses.

    python benchmarks/matching.py [--n 1000000] [--quick] [--json]

One run, one data set, one thread for each query, each system in a process of its own:

* ``holdfast``: the index file of ``hashing.index``, written, then mapped as every worker does;
* ``threatexchange``: its ``PDQIndex``, the one that HMA uses (FAISS multi-hash behind it);
* ``faiss_flat``: ``IndexBinaryFlat``, every digest compared; ``faiss_multihash``: ``IndexBinaryMultiHash``, 16 x 16 bits.

Digests are uniform and random, 256 bits, radius 31. Half of the queries are new digests; the others were planted:
an entry with 0, 1, … 31 bits changed, which has to be found (recall), and 32 to 40, which must not. Up to two million
entries all systems stay in memory and take turns, so that what else the machine does falls on all of them;
beyond that they run one after the other.

Memory is what a process grows by from before the build to after the queries, without the digests that it was given;
for Holdfast the whole file, with digests and entries' numbers, whether its pages are resident or not. ``build_s``
starts from digests in memory and ends with an index that can be asked (for Holdfast: written and mapped).
Times of queries are processor time of the asking thread, so that what else the machine does counts for
little; ``wall_p50_ms`` is the median by the clock on the wall.

Further rows: the same index in four processes at once (shared memory counted once, by the kernel's
proportional set size), skewed digests (a third of all within a few bits of 50 centres, one in a
hundred the same), and the floor: what an exact search has to touch at least.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np
import numpy.typing as npt

RADIUS = 31
BEYOND = range(RADIUS + 1, 41)
PEERS = ("holdfast", "threatexchange", "faiss_flat", "faiss_multihash")
TOGETHER = 2_000_000
TURN = 40
Ask = Callable[[npt.NDArray[np.uint64]], set[int]]


# ── Data ──────────────────────────────────────────────────────────────────────────────────────


def flip(row: npt.NDArray[np.uint64], bits: int, rng: np.random.Generator) -> None:
    """Change so many bits of a digest."""
    for place in map(int, rng.choice(256, bits, replace=False)):
        row[place >> 6] ^= np.uint64(1 << (place & 63))


def write_data(folder: Path, n: int, queries: int, *, skewed: bool) -> None:
    """Write digests, queries, and for each query the planted entry (−1: none) and its distance."""
    rng = np.random.default_rng(20260101)
    digests = rng.integers(0, 2**64, size=(n, 4), dtype=np.uint64)
    if skewed:
        third = n // 3
        digests[:third] = digests[rng.integers(0, 50, third)]
        for row in digests[:third]:
            flip(row, int(rng.integers(0, 16)), rng)
        digests[rng.integers(0, n, n // 100)] = digests[0]
    asked = rng.integers(0, 2**64, size=(queries, 4), dtype=np.uint64)
    planted = np.full(queries, -1, dtype=np.int64)
    far = np.zeros(queries, dtype=np.int64)
    distances = [*range(RADIUS + 1), *BEYOND]
    for at in range(0, queries, 2):
        planted[at] = int(rng.integers(0, n))
        far[at] = distances[(at // 2) % len(distances)]
        asked[at] = digests[planted[at]]
        flip(asked[at], int(far[at]), rng)
    for name, array in (("digests", digests), ("asked", asked), ("planted", planted), ("far", far)):
        np.save(folder / f"{name}.npy", array)


# ── Systems ───────────────────────────────────────────────────────────────────────────────────


def as_bytes(rows: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    """Return digests as rows of 32 bytes, the first bit first."""
    return np.ascontiguousarray(rows.astype(">u8")).view(np.uint8).reshape(-1, 32)


def holdfast(digests: npt.NDArray[np.uint64], folder: Path) -> tuple[Ask, float]:
    """Build, write and map the index file; return how to ask it and its MiB."""
    from hashing import index

    path = folder / "holdfast.idx"
    n = len(digests)
    space = index.build(256, digests, np.arange(n), np.zeros(n, dtype=np.uint8))
    with path.open("wb") as file:
        index.write(file, [("pdq", space)], {})
    del space
    return mapped(path)


def mapped(path: Path, *, read_all: bool = False) -> tuple[Ask, float]:
    """Map an index file that is there; on request, make every page resident."""
    from hashing import index

    file = index.IndexFile(path)
    if read_all:
        space = file.spaces["pdq"]
        for part in (space.digests, space.offsets, space.posts, space.ids, space.lists):
            part.max()
    reach = np.array([RADIUS], dtype=np.int16)
    search = file.spaces["pdq"].search
    return (lambda query: set(search(query, reach).ids.tolist())), file.size / 2**20


def threatexchange(digests: npt.NDArray[np.uint64], _: Path) -> tuple[Ask, float]:
    """Build the index that HMA uses."""
    from threatexchange.signal_type.pdq.pdq_index import PDQIndex

    def entries() -> Any:
        for begin in range(0, len(digests), 100_000):
            text = as_bytes(digests[begin : begin + 100_000]).tobytes().hex()
            for at in range(len(text) // 64):
                yield text[at * 64 : at * 64 + 64], begin + at

    built = PDQIndex.build(entries())
    return (
        lambda query: {each.metadata for each in built.query(as_bytes(query[None]).tobytes().hex())}
    ), 0.0


def faiss_flat(digests: npt.NDArray[np.uint64], _: Path) -> tuple[Ask, float]:
    """Build FAISS's linear index."""
    import faiss

    return _faiss(faiss.IndexBinaryFlat(256), digests)


def faiss_multihash(digests: npt.NDArray[np.uint64], _: Path) -> tuple[Ask, float]:
    """Build FAISS's multi-index hash: 16 words of 16 bits with one flipped bit is exact up to 31."""
    import faiss

    built = faiss.IndexBinaryMultiHash(256, 16, 16)
    built.nflip = 1
    return _faiss(built, digests)


def _faiss(built: Any, digests: npt.NDArray[np.uint64]) -> tuple[Ask, float]:
    import faiss

    faiss.omp_set_num_threads(1)
    for begin in range(0, len(digests), 1_000_000):
        built.add(as_bytes(digests[begin : begin + 1_000_000]))

    def ask(query: npt.NDArray[np.uint64]) -> set[int]:
        _, _, found = built.range_search(as_bytes(query[None]), RADIUS + 1)
        return set(found.tolist())

    return ask, 0.0


SYSTEMS = {
    "holdfast": holdfast,
    "threatexchange": threatexchange,
    "faiss_flat": faiss_flat,
    "faiss_multihash": faiss_multihash,
}


# ── One process a system ──────────────────────────────────────────────────────────────────────


def anonymous() -> float:
    """Return this process's own memory in MiB: what no file backs."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) / 1024
    return 0.0


def shared(path: Path) -> float:
    """Return this process's share of a mapped file in MiB, shared pages divided among those that map it."""
    total, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ", 1)[0]:
            inside = line.endswith(str(path))
        elif inside and line.startswith("Pss:"):
            total += int(line.split()[1])
    return total / 1024


def serve(system: str, folder: Path) -> None:
    """Build one system, then answer ``begin end`` lines with the times of those queries."""
    digests = np.load(folder / "digests.npy", mmap_mode="r")
    asked, planted, far = (np.load(folder / f"{name}.npy") for name in ("asked", "planted", "far"))
    if system.startswith("holdfast"):
        from hashing import index

        index.warm()
    elif system == "threatexchange":
        from threatexchange.signal_type.pdq.pdq_index import PDQIndex

        PDQIndex.build([("0" * 64, 0)]).query("0" * 64)
    gc.collect()
    before, began = anonymous(), time.perf_counter()
    if system == "holdfast_mapped":
        ask, file_mb = mapped(folder / "holdfast.idx", read_all=True)
    else:
        ask, file_mb = SYSTEMS[system](digests, folder)
    build_s = time.perf_counter() - began
    gc.collect()
    say({"build_s": build_s, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024})
    for at in range(min(20, len(asked))):
        ask(asked[at])
    for line in sys.stdin:
        if line.strip() == "memory":
            own = max(anonymous() - before, 0.0)
            say({"memory_mb": own + file_mb, "share_mb": own + shared(folder / "holdfast.idx")})
            continue
        begin, end = map(int, line.split())
        ms, wall, hits, wanted, wrong = [], [], 0, 0, 0
        for at in range(begin, end):
            clock, start = time.perf_counter(), time.thread_time()
            found = ask(asked[at])
            ms.append((time.thread_time() - start) * 1000)
            wall.append((time.perf_counter() - clock) * 1000)
            if planted[at] >= 0 and far[at] <= RADIUS:
                wanted += 1
                hits += int(planted[at]) in found
            elif planted[at] >= 0:
                wrong += int(planted[at]) in found
        say({"ms": ms, "wall": wall, "hits": hits, "wanted": wanted, "wrong": wrong})


def say(document: dict[str, Any]) -> None:
    """Answer the parent."""
    print(json.dumps(document), flush=True)


class System:
    """The parent's side of one process."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.child = subprocess.Popen(
            [sys.executable, __file__, "--serve", name, "--folder", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.built = self._heard()
        self.ms: list[float] = []
        self.wall: list[float] = []
        self.hits = self.wanted = self.wrong = 0

    def _heard(self) -> dict[str, Any]:
        assert self.child.stdout
        line = self.child.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended by itself (out of memory?)")
        return dict(json.loads(line))

    def _tell(self, line: str) -> dict[str, Any]:
        assert self.child.stdin
        print(line, file=self.child.stdin, flush=True)
        return self._heard()

    def turn(self, begin: int, end: int) -> None:
        """Ask some of the queries."""
        answer = self._tell(f"{begin} {end}")
        self.ms += answer["ms"]
        self.wall += answer["wall"]
        self.hits += answer["hits"]
        self.wanted += answer["wanted"]
        self.wrong += answer["wrong"]

    def memory(self) -> dict[str, Any]:
        """Return what it holds now."""
        return self._tell("memory")

    def row(self, name: str, n: int) -> dict[str, Any]:
        """Return the figures."""
        memory = self.memory()["memory_mb"]
        return {
            "system": name,
            "n": n,
            "build_s": round(self.built["build_s"], 2),
            "memory_mb": round(memory, 1),
            "p50_ms": round(float(np.median(self.ms)), 4),
            "p99_ms": round(float(np.percentile(self.ms, 99)), 4),
            "wall_p50_ms": round(float(np.median(self.wall)), 4),
            "recall": self.hits / self.wanted if self.wanted else None,
            "wrong": self.wrong,
            "peak_mb": round(self.built["peak_mb"], 1),
        }

    def end(self) -> None:
        """Let it go."""
        self.child.communicate()


# ── Runs ──────────────────────────────────────────────────────────────────────────────────────


def compare(
    folder: Path, names: tuple[str, ...], n: int, queries: int, suffix: str = ""
) -> list[dict[str, Any]]:
    """Measure systems over the data of a folder, in turns when all fit into memory."""
    rows = []
    groups = [names] if n <= TOGETHER else [(name,) for name in names]
    for group in groups:
        systems = [System(name, folder) for name in group]
        for begin in range(0, queries, TURN):
            for system in systems:
                system.turn(begin, min(begin + TURN, queries))
        for system in systems:
            rows.append(system.row(system.name + suffix, n))
            system.end()
    return rows


def four_workers(folder: Path, n: int, queries: int) -> list[dict[str, Any]]:
    """Map the file that is there in one process, then in four that read all of it.

    Counted is what a worker needs for the index: its share of the file, and what it allocates itself.
    """
    rows, totals = [], {}
    for count in (1, 4):
        systems = [System("holdfast_mapped", folder) for _ in range(count)]
        for system in systems:
            system.turn(0, queries)
        # All are alive and have read all of it before the first is asked.
        totals[count] = sum(system.memory()["share_mb"] for system in systems)
        row = systems[0].row(f"holdfast_{count}_workers", n)
        rows.append(row | {"memory_mb": round(totals[count], 1)})
        for system in systems:
            system.end()
    rows[-1]["times_one"] = round(totals[4] / totals[1], 2)
    return rows


def floor(folder: Path, n: int) -> list[dict[str, Any]]:
    """Return what comparing all and what looking up has to touch, and how long reading all takes."""
    from math import comb

    from hashing import index

    digests = np.load(folder / "digests.npy")
    times = []
    for _ in range(5):
        began = time.perf_counter()
        digests.max()
        times.append(time.perf_counter() - began)
    shape = index.shape_of(256, n)
    slack = index.slack_of(256, RADIUS)
    assert slack is not None
    probes = entries = candidates = 0.0
    for width, bits in zip(shape.widths, slack, strict=True):
        mine = sum(comb(shape.prefix, k) for k in range(bits + 1))
        ball = sum(comb(int(width), k) for k in range(bits + 1))
        probes += mine
        entries += mine * n / 2**shape.prefix
        candidates += ball * n / 2 ** int(width)
    touched = probes * 8 + entries * 4 + candidates * 32
    return [
        {
            "system": "floor_all",
            "n": n,
            "mib": round(n * 32 / 2**20, 2),
            "p50_ms": round(min(times) * 1000, 3),
        },
        {
            "system": "floor_lookup",
            "n": n,
            "mib": round(touched / 2**20, 3),
            "probes": round(probes),
            "entries": round(entries),
            "candidates": round(candidates),
        },
    ]


def show(rows: list[dict[str, Any]]) -> None:
    """Print the rows as a table."""
    print(
        f"{'system':26} {'n':>10} {'build s':>9} {'memory MiB':>11} {'p50 ms':>9} {'p99 ms':>9} {'recall':>7} {'wrong':>6}"
    )
    by_name = {row["system"]: row for row in rows}
    for row in rows:
        if row["system"].startswith("floor"):
            continue
        recall = "-" if row["recall"] is None else f"{row['recall']:.3f}"
        times = f"  {row['times_one']} x one" if "times_one" in row else ""
        print(
            f"{row['system']:26} {row['n']:>10,} {row['build_s']:>9} {row['memory_mb']:>11} "
            f"{row['p50_ms']:>9} {row['p99_ms']:>9} {recall:>7} {row['wrong']:>6}{times}"
        )
    ours, theirs = by_name["holdfast"], by_name["threatexchange"]
    print(
        f"holdfast to threatexchange: query {theirs['p50_ms'] / ours['p50_ms']:.1f} times as fast, memory 1/"
        f"{theirs['memory_mb'] / ours['memory_mb']:.1f}, build 1/{theirs['build_s'] / ours['build_s']:.1f}; "
        f"p99 {ours['p99_ms'] / ours['p50_ms']:.1f} times the median"
    )
    whole, lookup = by_name["floor_all"], by_name["floor_lookup"]
    print(
        f"floor: comparing all reads {whole['mib']} MiB, once in {whole['p50_ms']} ms; looking up touches "
        f"{lookup['mib']} MiB ({lookup['probes']:,} probes, {lookup['entries']:,} entries, "
        f"{lookup['candidates']:,} digests compared)"
    )


def main() -> None:
    """Measure and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=1_000_000, help="entries")
    parser.add_argument("--quick", action="store_true", help="100,000 entries")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.folder)
        return
    n = 100_000 if options.quick else options.n
    queries = 840 if n <= TOGETHER else 420
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as made:
        folder = Path(made)
        write_data(folder, n, queries, skewed=False)
        rows = compare(folder, PEERS, n, queries)
        rows += four_workers(folder, n, queries)
        rows += floor(folder, n)
        (folder / "digests.npy").unlink()
        few = min(n, 200_000)
        write_data(folder, few, 420, skewed=True)
        rows += compare(folder, ("holdfast", "threatexchange", "faiss_flat"), few, 420, "_skewed")
    if options.json:
        print(json.dumps(rows, indent=2))
    else:
        show(rows)


if __name__ == "__main__":
    main()
