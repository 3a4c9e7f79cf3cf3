"""What the audit log costs: appending lines, checking the chains, comparing rows with the lines that speak of them.

    python benchmarks/audit.py [--quick] [--json]

Generated are texts sent to be scanned, each with a line at intake and one with a finding in a chain of its own, 500
rows in one transaction with fsync on, over a private PostgreSQL. Measured are the append itself, ``core.audit_check``
over all chains and ``core.audit_rows`` over all rows, and by how much the process grew in each (MiB of resident memory).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.installation import prepared

AT_ONCE = 500


def grown(begun: int) -> float:
    """Return by how many MiB the most memory that this process ever held lies above ``begun`` KiB."""
    return round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - begun) / 1024, 1)


def append(items: int) -> float:
    """Write ``items`` items, their flags and two lines of each; return the seconds spent on the lines."""
    from django.db import transaction

    from core import audit
    from core.audit import SYSTEM, AuditEvent, Line
    from hashing.audit_rows import flag_digest
    from hashing.models import Flag
    from reports.actions import create_source
    from reports.audit_rows import receipt_of
    from reports.models import Account, Item, SourceKind

    source = create_source(slug="bench", name="Bench", kind=SourceKind.PLATFORM, actor=SYSTEM)
    account = Account.objects.create(external_id="bench")
    spent = 0.0
    for start in range(0, items, AT_ONCE):
        with transaction.atomic():
            rows = Item.objects.bulk_create(
                Item(
                    source=source,
                    account=account,
                    surface="profile_name",
                    kind="text",
                    text=f"an invented name {number}",
                )
                for number in range(start, min(items, start + AT_ONCE))
            )
            flags = Flag.objects.bulk_create(
                Flag(
                    item=row,
                    detector="invented",
                    detector_version="1",
                    kind="term_match",
                    score=0.5,
                    summary="An invented finding",
                    evidence={"list": "bench"},
                    fingerprint="bench",
                )
                for row in rows
            )
            lines = []
            for row, flag in zip(rows, flags, strict=True):
                said = {"source": source.pk, "content": receipt_of(row)}
                lines.append(Line(AuditEvent.SCAN_SUBMITTED, row, f"intake:{source.pk}", said))
                found = {"flags": [{"flag": flag.pk, "facts": flag_digest(flag)}]}
                lines.append(Line(AuditEvent.ITEM_FLAGGED, row, f"item:{row.pk}", found))
            began = time.perf_counter()
            audit.record_lines(lines, actor=SYSTEM)
            spent += time.perf_counter() - began
    return spent


def measure(items: int) -> list[dict[str, Any]]:
    """Append, check and compare; return a row of figures for each. Exits when anything does not agree."""
    from django.db import connection

    from core.audit_check import check
    from core.audit_rows import differences, kinds

    found: list[dict[str, Any]] = []

    def note(what: str, count: Callable[[], int], work: Callable[[], float | None]) -> None:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        seconds = work() or time.perf_counter() - began
        number = count()
        found.append(
            {
                "what": what,
                "count": number,
                "seconds": round(seconds, 1),
                "per_s": round(number / seconds),
                "grew_mib": grown(before),
            }
        )

    note("append lines", lambda: items * 2, lambda: append(items))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")

    def chains() -> None:
        if not check().is_intact:
            raise SystemExit("the chains do not agree: the benchmark itself is wrong")

    def rows() -> None:
        for wrong in differences():
            raise SystemExit(f"the rows do not agree: {wrong.what}")

    note("check chains", lambda: items * 2, chains)
    note("compare rows", lambda: sum(kind.rows(None).count() for kind in kinds()), rows)
    return found


def main() -> None:
    """Measure one size and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20,000 lines instead of a million")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    with prepared() as env:
        os.environ.update(env | {"DJANGO_SETTINGS_MODULE": "config.settings"})
        import django

        django.setup()
        from django.db import connections

        rows = measure(10_000 if options.quick else 500_000)
        connections.close_all()
        connections["default"].close_pool()  # type: ignore[attr-defined]  # PostgreSQL has one
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'':<14} {'count':>10} {'seconds':>8} {'per s':>9} {'grew MiB':>9}")
    for row in rows:
        print(
            f"{row['what']:<14} {row['count']:>10,} {row['seconds']:>8} {row['per_s']:>9,} {row['grew_mib']:>9}"
        )


if __name__ == "__main__":
    main()
