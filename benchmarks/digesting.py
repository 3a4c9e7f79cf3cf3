"""What a picture's digests cost, and how far they are from the reference's.

    python benchmarks/digesting.py [--quick] [--json]

Side by side in one run, in turns, on one core: the decoder of Holdfast with PDQ and its seven turned
hashes; the same with everything that a scan asks for; ``threatexchange``'s ``PdqSignal.hash_from_bytes``, which is
what HMA calls; ``pdqhash`` on a full decoding. Times are processor time of this process and of the
decoder, so other work on the machine counts for little.

The drift is the number of differing bits to two hashes of the same file: ``pdqhash`` on the whole picture, as
``threatexchange`` computes it, and ``pdqhash`` on the picture averaged down to 512 x 512 first, as the
reference program of PDQ does it. Two programs that follow the paper already differ by the distance between those two.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path[0] = str(Path(__file__).resolve().parent.parent)

import cv2
import numpy as np
import pdqhash
from PIL import Image
from threatexchange.signal_type.pdq.signal import PdqSignal

import benchmarks.without_stores  # noqa: F401 — before what needs settings.
from benchmarks.photos import photographs
from hashing import images
from hashing.matching import distance

SIZES = {"1 MP (1024 x 1024)": (1024, 1024), "1024 x 768": (1024, 768), "12 MP": (4032, 3024)}


def whole(data: bytes) -> str:
    """Return the hash of the full decoding."""
    bits, _ = pdqhash.compute(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    return np.packbits(np.asarray(bits, np.uint8)).tobytes().hex()


def reference(data: bytes) -> str:
    """Return the hash as PDQ's reference program makes it: 512 x 512 first."""
    full = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    bits, _ = pdqhash.compute(cv2.resize(full, (512, 512), interpolation=cv2.INTER_AREA))
    return np.packbits(np.asarray(bits, np.uint8)).tobytes().hex()


def holdfast(data: bytes) -> str:
    """Return Holdfast's hash; the seven turned ones are computed as well."""
    return images.digest(data, algorithms=["pdq"]).digests[0].pdq


def holdfast_all(data: bytes) -> str:
    """Return Holdfast's hash with pHash and dHash beside it, as a scan asks for them."""
    return images.digest(data).digests[0].pdq


def threatexchange(data: bytes) -> str:
    """Return the hash that HMA would store."""
    return PdqSignal.hash_from_bytes(data)


SYSTEMS: dict[str, Callable[[bytes], str]] = {
    "holdfast": holdfast,
    "holdfast, pHash, dHash too": holdfast_all,
    "threatexchange": threatexchange,
    "pdqhash, full decoding": whole,
}


def spent() -> float:
    """Return the processor seconds of this process and of its decoder."""
    decoder = images.decoder_pid()
    fields = Path(f"/proc/{decoder}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def measure(name: str, files: list[bytes], rounds: int) -> list[dict[str, Any]]:
    """Return one row a system: median of the rounds' means, and the drift."""
    cost: dict[str, list[float]] = {system: [] for system in SYSTEMS}
    found: dict[str, list[str]] = {}
    for system, hash_of in SYSTEMS.items():
        found[system] = [hash_of(data) for data in files]  # Warm; and the hashes themselves.
    exact = [reference(data) for data in files]
    for _ in range(rounds):
        for system, hash_of in SYSTEMS.items():
            began = spent()
            for data in files:
                hash_of(data)
            cost[system].append((spent() - began) / len(files) * 1000)
    theirs = statistics.median(cost["threatexchange"])
    rows = []
    for system in SYSTEMS:
        ms = statistics.median(cost[system])
        to_whole = [
            distance(*pair) for pair in zip(found[system], found["threatexchange"], strict=True)
        ]
        to_reference = [distance(*pair) for pair in zip(found[system], exact, strict=True)]
        rows.append(
            {
                "pictures": name,
                "system": system,
                "ms": round(ms, 2),
                "images_per_s": round(1000 / ms, 1),
                "times_threatexchange": round(theirs / ms, 1),
                "drift_to_threatexchange_mean": round(statistics.mean(to_whole), 1),
                "drift_to_threatexchange_max": max(to_whole),
                "drift_to_reference_mean": round(statistics.mean(to_reference), 1),
                "drift_to_reference_max": max(to_reference),
            }
        )
    return rows


def main() -> None:
    """Measure every size and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few pictures, two rounds")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    count, rounds = (8, 2) if options.quick else (28, 5)
    cv2.setNumThreads(1)
    rows = []
    for name, size in SIZES.items():
        large = size[0] * size[1] > 4_000_000
        files = photographs(max(4, count // 4) if large else count, size)
        rows += measure(name, files, rounds)
    images.stop()
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print(
        f"{'pictures':20} {'system':28} {'ms':>8} {'images/s':>9} {'times':>7} "
        f"{'drift to threatexchange':>25} {'to the reference':>18}"
    )
    for row in rows:
        whole_drift = (
            f"{row['drift_to_threatexchange_mean']} mean, {row['drift_to_threatexchange_max']} max"
        )
        drift = f"{row['drift_to_reference_mean']} mean, {row['drift_to_reference_max']} max"
        print(
            f"{row['pictures']:20} {row['system']:28} {row['ms']:>8} {row['images_per_s']:>9} "
            f"{row['times_threatexchange']:>6}x {whole_drift:>25} {drift:>18}"
        )
    print("times: how many times the speed of threatexchange; drift: differing bits of 256.")


if __name__ == "__main__":
    main()
