"""What a thousand reports leave behind: database, write-ahead log, vault and logs, once they stand in cases.

    python benchmarks/growth.py [--quick] [--json]

A whole installation on this machine takes reports by its API, scans them and puts them into cases with the launcher's own
workers; then everything is measured that grew, and divided by the reports. Sizes do not depend on how quick the machine is.
``database`` is what tables and indexes take after VACUUM, ``wal`` what the write-ahead log had to hold (an archive for
point-in-time recovery keeps it until the next base backup), ``vault`` the encrypted originals and their previews, ``logs`` the
files under ``log/`` except PostgreSQL's and Valkey's.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.installation import installation
from benchmarks.intake import Bench, Make, Sender, single, with_photo
from config.sample.pictures import draw, encode

MINUTES = 10
"""After this long without an end the work that is left is an error."""
STORES = ("postgres", "valkey")
IN_CASES = """
SELECT count(*) FILTER (WHERE NOT EXISTS (SELECT FROM moderation_casereport c WHERE c.report_id = r.id)) +
  (SELECT count(*) FROM reports_item WHERE scan_state = 'waiting') FROM reports_report r
"""
TABLES = """
SELECT relname, pg_total_relation_size(oid) FROM pg_class
WHERE relkind IN ('r', 'm') AND relnamespace = 'public'::regnamespace
"""


@dataclass(frozen=True, slots=True)
class Size:
    """What takes room at one moment, in bytes; ``tables`` with their indexes."""

    database: int
    wal: int
    vault: int
    logs: int
    tables: dict[str, int]


def size_of(bench: Bench) -> Size:
    """Measure after VACUUM, so that room which is free again is not counted."""
    bench.link.execute("VACUUM")
    (database,) = bench.link.execute("SELECT pg_database_size(current_database())").fetchone() or ()
    (wal,) = bench.link.execute("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn").fetchone() or ()
    var = Path(bench.env["HOLDFAST_VAR"])
    logs = [file for file in (var / "log").iterdir() if not file.name.startswith(STORES)]
    return Size(
        database=int(database),
        wal=int(wal),
        vault=_bytes(file for file in (var / "vault").rglob("*") if file.is_file()),
        logs=_bytes(logs),
        tables=dict(bench.link.execute(TABLES).fetchall()),
    )


def _bytes(files: Any) -> int:
    return sum(file.stat().st_size for file in files)


def grow(bench: Bench, what: str, make: Make, count: int) -> dict[str, Any]:
    """Send ``count`` reports, wait until each stands in a case, and return what one of them takes in bytes."""
    before, sender = size_of(bench), Sender(bench.address, bench.key)
    for _ in range(count):
        path, kind, body, _lines = make()
        sender.post(path, kind, body)
    end = time.monotonic() + MINUTES * 60
    while (left := bench.link.execute(IN_CASES).fetchone()) != (0,):
        if time.monotonic() > end:
            raise SystemExit(f"{left} reports or items still wait after {MINUTES} minutes.")
        time.sleep(0.5)
    after = size_of(bench)
    tables = {name: after.tables[name] - before.tables.get(name, 0) for name in after.tables}
    largest = sorted(tables.items(), key=lambda one: -one[1])[:6]
    return {
        "what": what,
        "reports": count,
        **{
            name: round((getattr(after, name) - getattr(before, name)) / count)
            for name in ("database", "wal", "vault", "logs")
        },
        "tables": {name: round(grown / count) for name, grown in largest},
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="200 reports of a kind")
    parser.add_argument("--json", action="store_true", help="print a list of rows")
    options = parser.parse_args()
    count = 200 if options.quick else 1000
    photo = encode(draw(1, (1024, 768)))
    rows = []
    with installation(processes=2) as (address, env):
        bench = Bench(address, env)
        with bench.working():
            kinds = (
                ("report, one message", single),
                (f"report, one photo of {len(photo) // 1024} KB", with_photo(photo)),
            )
            for what, make in kinds:
                grow(bench, what, make, 20)  # First cases, plans and pages do not count.
                rows.append(grow(bench, what, make, count))
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{'MB for 1,000':<40}{'database':>10}{'wal':>10}{'vault':>10}{'logs':>10}")
    for row in rows:
        cells = "".join(
            f"{row[name] / 1000:>10.2f}" for name in ("database", "wal", "vault", "logs")
        )
        print(f"{row['what']:<40}{cells}")
        print(
            "    " + ", ".join(f"{name} {size / 1000:.2f}" for name, size in row["tables"].items())
        )


if __name__ == "__main__":
    main()
