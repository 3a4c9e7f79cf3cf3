"""How fast a package is built, and how much memory it takes, whatever the size of its exhibits.

    python benchmarks/packages.py [--quick] [--json]

Each size is built in a process of its own, so that its peak memory is its own. Exhibits are
synthetic: a repeated pseudo-random block, never held as a whole. Rates count the originals' bytes
once, although each is read twice (verify, then seal).
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

MB = 1_000_000
BLOCK = random.Random(7).randbytes(1 << 20)
BAGGED_AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class Synthetic(io.RawIOBase):
    """A binary stream of `size` bytes that exists nowhere."""

    def __init__(self, size: int) -> None:
        self._left = size

    def read(self, limit: int = -1) -> bytes:
        wanted = min(self._left, len(BLOCK) if limit < 0 else min(limit, len(BLOCK)))
        self._left -= wanted
        return BLOCK[:wanted]


def _spec(size: int) -> Any:
    import pyrage

    from referrals import custody, package, sshsig

    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    stream = Synthetic(size)
    while chunk := stream.read():
        sha256.update(chunk)
        md5.update(chunk)
    line = json.dumps({"chain": "case:1", "event": "case.opened", "seq": 1}, sort_keys=True)
    head = custody.link(custody.ZERO, line)
    public = str(pyrage.x25519.Identity.generate().to_public())
    return package.PackageSpec(
        reference="ESC-2026-000001",
        revision=1,
        organisation=package.Organisation(
            "Example Messenger", "holdfast.example", "Desk", "desk@holdfast.example"
        ),
        recipient=package.Recipient("", "Example Agency", (public,)),
        legal_basis=package.LegalBasis("Benchmark"),
        bagged_at=BAGGED_AT,
        case=package.CaseFacts(
            id="HF-1",
            category="Benchmark",
            severity="1 of 5",
            subject="Account",
            opened_at=BAGGED_AT,
            decided_at=BAGGED_AT,
            outcome="Confirmed",
            policy="Benchmark, version 1",
            decided_by="R-1",
            narrative="Synthetic bytes.",
        ),
        exhibits=(
            package.Exhibit(
                id="EX-0001",
                original_name="synthetic.bin",
                media_type="application/octet-stream",
                size=size,
                sha256=sha256.hexdigest(),
                md5=md5.hexdigest(),
                open=lambda: cast("BinaryIO", Synthetic(size)),
            ),
        ),
        accounts=(),
        conversations=(),
        custody=custody.CustodyLog(
            (line,), custody.prove_inclusion([("case:1", head)], "case:1", built_at=BAGGED_AT)
        ),
        signer=sshsig.SigningKey.generate("packages@holdfast.example"),
        escrow=public,
    )


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MB if sys.platform == "darwin" else peak * 1024 / MB


def measure(size: int) -> dict[str, float]:
    """Build one package of `size` bytes in this process."""
    from referrals import package

    spec = _spec(size)
    before = _peak_mb()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / spec.file_name
        started = time.perf_counter()
        package.build_package(spec, path)
        building = time.perf_counter() - started
    after = _peak_mb()
    return {
        "megabytes": size / MB,
        "build_seconds": round(building, 3),
        "build_mb_per_second": round(size / MB / building, 1),
        "peak_mb_before": round(before, 1),
        "peak_mb_after": round(after, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes only")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)  # one measurement, in bytes
    options = parser.parse_args()
    if options.size is not None:
        print(json.dumps(measure(options.size)))
        return
    rows = []
    for megabytes in (1, 30) if options.quick else (1, 30, 300, 3000):
        command = [sys.executable, __file__, "--size", str(megabytes * MB)]
        run = subprocess.run(command, check=True, capture_output=True, text=True)
        rows.append(json.loads(run.stdout))
    if options.json:
        print(json.dumps({"benchmark": "packaging", "rows": rows}, indent=2))
        return
    print(f"{'originals':>12} {'build':>9} {'rate':>11} {'peak before':>12} {'peak after':>11}")
    for row in rows:
        print(
            f"{row['megabytes']:>9.0f} MB {row['build_seconds']:>7.2f} s "
            f"{row['build_mb_per_second']:>6.0f} MB/s {row['peak_mb_before']:>9.1f} MB "
            f"{row['peak_mb_after']:>8.1f} MB"
        )


if __name__ == "__main__":
    main()
