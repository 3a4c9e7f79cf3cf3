"""How long "Start" takes: the next case out of a queue of N open ones, with M people pulling at once.

    python benchmarks/claims.py [--quick] [--json]

Measured is the action ``claim_next`` with its transaction: lock, permission and skip predicates, insert,
audit line, commit with fsync on, over a private PostgreSQL. The people are threads of one process, so
Python's own lock is part of the figure when many pull. Giving back between two claims is not measured.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.installation import installation

CLAIMS_EACH = 20


def people(count: int) -> list[Any]:
    """Return reviewers with every queue and category."""
    from accounts.actions import create_person
    from accounts.permissions import Role
    from core.audit import SYSTEM
    from hashing.models import Category
    from moderation import actions
    from moderation.models import Queue

    made = []
    for number in range(count):
        person = create_person(
            email=f"bench-{number}@holdfast.example",
            name=f"Bench {number}",
            role=Role.REVIEWER,
            password="an invented pass phrase",
        )
        for queue in Queue.objects.all():
            actions.grant_queue(queue, to=person, actor=SYSTEM)
        for category in Category.values:
            actions.grant_category(category, to=person, actor=SYSTEM)
        made.append(person)
    return made


def fill(queue: Any, have: int, want: int) -> None:
    """Bring the queue to ``want`` open cases. In bulk: opening them is not what is measured."""
    from datetime import timedelta

    from django.db import connection
    from django.utils import timezone

    from moderation.models import Case
    from reports.models import Account

    now = timezone.now()
    for start in range(have, want, 5000):
        numbers = range(start, min(want, start + 5000))
        accounts = Account.objects.bulk_create(Account(external_id=f"bench-{n}") for n in numbers)
        Case.objects.bulk_create(
            Case(
                number=1_000_000 + n,
                account=account,
                category="csam_suspected",
                queue=queue,
                severity=1 + n % 5,
                score=float(n % 100),
                due_at=now + timedelta(minutes=n % 2880),
            )
            for n, account in zip(numbers, accounts, strict=True)
        )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def pull(queue: Any, person: Any, gate: threading.Barrier, took: list[float]) -> None:
    """Claim and give back ``CLAIMS_EACH`` times; note how long each claim took, in ms."""
    from django.db import connection

    from moderation import actions

    mine = []
    connection.ensure_connection()
    gate.wait()
    for _ in range(CLAIMS_EACH):
        began = time.perf_counter()
        claim = actions.claim_next(queue, actor=person)
        mine.append((time.perf_counter() - began) * 1000)
        if claim is None:
            raise SystemExit("the queue ran dry: there are fewer cases than claims")
        actions.release_claim(claim, reason="Measured.", actor=person)
    took.extend(mine)
    connection.close()


def measure(queue: Any, cases: int, claimers: list[Any]) -> dict[str, float | int]:
    """Let the claimers pull at once and return the figures."""
    took: list[float] = []
    gate = threading.Barrier(len(claimers) + 1)
    threads = [
        threading.Thread(target=pull, args=(queue, person, gate, took)) for person in claimers
    ]
    for thread in threads:
        thread.start()
    gate.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    if len(took) != len(claimers) * CLAIMS_EACH:
        raise SystemExit("a claimer failed; its error is above")
    ordered = sorted(took)
    return {
        "cases": cases,
        "claimers": len(claimers),
        "claims": len(took),
        "p50_ms": round(statistics.median(ordered), 1),
        "p95_ms": round(ordered[int(len(ordered) * 0.95) - 1], 1),
        "max_ms": round(ordered[-1], 1),
        "claims_per_s": round(len(took) / seconds, 1),
    }


def main() -> None:
    """Measure every size and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one size, few people")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    sizes = [1_000] if options.quick else [1_000, 10_000, 100_000]
    crowds = [1, 8] if options.quick else [1, 8, 15]
    rows = []
    with installation() as (_, env):
        os.environ.update(env | {"DJANGO_SETTINGS_MODULE": "config.settings"})
        import django

        django.setup()
        from django.db import connections

        from moderation.models import Queue

        queue = Queue.objects.get(slug="suspected-imagery")
        crew = people(max(crowds))
        have = 0
        for size in sizes:
            fill(queue, have, size)
            have = size
            rows += [measure(queue, size, crew[:crowd]) for crowd in crowds]
        connections.close_all()
        connections["default"].close_pool()  # type: ignore[attr-defined]  # PostgreSQL has one
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print(
        f"{'open cases':>10} {'claimers':>9} {'p50 ms':>8} {'p95 ms':>8} {'max ms':>8} {'claims/s':>9}"
    )
    for row in rows:
        print(
            f"{row['cases']:>10} {row['claimers']:>9} {row['p50_ms']:>8} {row['p95_ms']:>8} "
            f"{row['max_ms']:>8} {row['claims_per_s']:>9}"
        )


if __name__ == "__main__":
    main()
