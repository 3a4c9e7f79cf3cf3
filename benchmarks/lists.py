"""How fast a hash list is imported, and how much memory the worker needs.

    python benchmarks/lists.py [--quick | --n ROWS …] [--json]

A file of random PDQ hashes is stored in the vault and read by ``read_import`` in a process of its own over a
private PostgreSQL with fsync on. Peak memory is that process's; reading, staging and putting in force are timed apart.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.installation import REPOSITORY, installation

SCRIPT = """
import json, resource, secrets, sys, time
import django; django.setup()
from core import vault
from core.audit import SYSTEM
from hashing import actions, jobs
from hashing.models import HashEntry
n = int(sys.argv[1])
listed = actions.create_hash_list(name=f"List {n}", category="csam_known", actor=SYSTEM)
pieces = (
    "".join(f"pdq,{secrets.token_hex(32)}\\n" for _ in range(min(10000, n - start))).encode()
    for start in range(0, n, 10000)
)
blob = vault.receive(pieces, name="list.csv")
file_import = actions.ask_import(listed, blob, file_name="list.csv", actor=SYSTEM)
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.monotonic()
jobs.read_import(str(file_import.pk))
seconds = time.monotonic() - began
file_import.refresh_from_db()
assert file_import.state == "done", file_import.problem
assert HashEntry.objects.filter(hash_list=listed).count() == n
print(json.dumps({"rows": n, "seconds": round(seconds, 1), "rows_per_s": round(n / seconds),
    "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    "before_mb": round(base / 1024)}))
"""


def main() -> None:
    """Measure every size and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="100,000 rows only")
    parser.add_argument("--n", type=int, action="append", help="rows; may be given several times")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    sizes = options.n or ([100_000] if options.quick else [100_000, 1_000_000, 10_000_000])
    rows: list[dict[str, Any]] = []
    with installation() as (_, env):
        own = env | {"DJANGO_SETTINGS_MODULE": "config.settings", "PYTHONPATH": str(REPOSITORY)}
        for size in sizes:
            done = subprocess.run(
                [sys.executable, "-c", SCRIPT, str(size)],
                cwd=REPOSITORY,
                env=os.environ | own,
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
            rows.append(json.loads(done.stdout.splitlines()[-1]))
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'rows':>11} {'seconds':>9} {'rows/s':>9} {'peak MB':>9} {'before MB':>10}")
    for row in rows:
        print(
            f"{row['rows']:>11,} {row['seconds']:>9} {row['rows_per_s']:>9,} {row['peak_mb']:>9} {row['before_mb']:>10}"
        )


if __name__ == "__main__":
    main()
