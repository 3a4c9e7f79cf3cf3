"""How long it takes to rate groups and accounts, at first and as facts arrive.

    python benchmarks/risk.py [--quick] [--json]

A platform of drawn names is told of with the real tables over a private PostgreSQL with fsync on: groups of 200, two
in a hundred accounts banned, devices shared by some. Then everything is rated, one in a thousand members is banned
and what follows is rated, then 100,000 links are imported (10,000 with ``--quick``). They are written in
bulk: intake is measured by ``intake.py``. Beside it, the pure sum alone.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.installation import installation

MEMBERS = 200


TOLD = """
    INSERT INTO reports_account (id, external_id, username, display_name, profile_text, profile_url,
        country, language, platform_status)
    SELECT gen_random_uuid(), 'a' || n, '', '', '', '', '', '',
        CASE WHEN n %% 50 = 0 THEN 'banned' ELSE 'active' END
    FROM generate_series(0, %(accounts)s - 1) n;
    INSERT INTO reports_accountidentifier (account_id, kind, value, detail)
    SELECT id, 'device', 'd' || (hashtext(external_id) & 16777215) %% (%(accounts)s * 4), '{}'
    FROM reports_account;
    INSERT INTO reports_group (id, external_id, name, description, invite_link, platform_status)
    SELECT gen_random_uuid(), 'g' || n, 'drawn ' || n, '', 'https://chat.example/' || n, ''
    FROM generate_series(0, %(groups)s - 1) n;
    INSERT INTO reports_grouplink (group_id, key, link)
    SELECT id, replace(invite_link, 'https://', ''), invite_link FROM reports_group;
    -- Everybody is in four groups, spread over all of them.
    INSERT INTO reports_membership (account_id, group_id, role)
    SELECT DISTINCT ON (a.id, g.id) a.id, g.id, 'member' FROM generate_series(0, 3) k
    JOIN (SELECT id, row_number() OVER () AS n FROM reports_account) a ON TRUE
    JOIN (SELECT id, row_number() OVER () - 1 AS n FROM reports_group) g
        ON g.n = (hashtext(k || ':' || a.n) & 16777215) %% %(groups)s;
    INSERT INTO reports_subjectchange (group_id) SELECT id FROM reports_group;
    INSERT INTO reports_subjectchange (account_id) SELECT id FROM reports_account;
"""


def tell(memberships: int) -> None:
    """Write groups, accounts and memberships, and mark everybody."""
    from django.db import connection

    with connection.cursor() as cursor:
        for statement in TOLD.split(";\n"):
            if statement.strip():
                cursor.execute(
                    statement,
                    {"accounts": memberships // 4, "groups": max(memberships // MEMBERS, 1)},
                )


def ban(count: int) -> None:
    """Tell that accounts which were active are banned, as the platform's directory does."""
    from core.audit import SYSTEM
    from reports.actions import create_source, upsert_account
    from reports.models import Account, Source, SourceKind
    from reports.payloads import AccountPayload

    source = Source.objects.filter(slug="directory").first() or create_source(
        slug="directory",
        name="Directory",
        kind=SourceKind.PLATFORM,
        is_own_platform=True,
        actor=SYSTEM,
    )
    payload = AccountPayload.model_validate({"platform_status": "banned"})
    active = Account.objects.filter(platform_status="active").order_by("external_id")
    for name in list(active.values_list("external_id", flat=True)[:count]):
        upsert_account(source, name, payload=payload, actor=SYSTEM)


def settle() -> tuple[float, int]:
    """Rate until nothing is marked; return seconds and marks."""
    from hashing import actions

    began, marks = time.monotonic(), 0
    while done := actions.rate_changed():
        marks += done
    return time.monotonic() - began, marks


def sums_alone(count: int) -> float:
    """Return µs for one sum over a group's facts."""
    from hashing import risk
    from hashing.risk import GroupFacts

    weights = risk.weights_of({}, "group")
    facts = [GroupFacts(members=200, banned=n % 9, hits=n % 3, reporters=n % 5) for n in range(100)]
    began = time.perf_counter()
    for n in range(count):
        risk.total_of(risk.assess(facts[n % 100], weights))
    return (time.perf_counter() - began) / count * 1e6


def main() -> None:
    """Measure and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="50,000 memberships")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    memberships = 50_000 if options.quick else 1_000_000
    links = 10_000 if options.quick else 100_000
    rows: list[dict[str, Any]] = []
    with installation() as (_, env):
        os.environ.update(env | {"DJANGO_SETTINGS_MODULE": "config.settings"})
        import django

        django.setup()
        from django.db import connections

        from core import vault
        from core.audit import SYSTEM
        from hashing import actions, jobs
        from hashing.models import LinkImport, RiskScore

        tell(memberships)
        seconds, marks = settle()
        rows.append({"step": "everything is rated", "subjects": marks, "seconds": seconds})
        for count, words in ((memberships // 4000, "accounts are"), (1, "account is")):
            ban(count)
            seconds, marks = settle()
            step = f"{count} {words} banned"
            rows.append({"step": step, "subjects": marks, "seconds": seconds})
        blob = vault.store_bytes(
            "".join(f"https://chat.example/{n}\n" for n in range(links)).encode()
        )
        made = actions.ask_link_import(blob, place="example directory", actor=SYSTEM)
        began = time.monotonic()
        jobs.read_links(str(made.pk))
        seconds = time.monotonic() - began
        made = LinkImport.objects.get(pk=made.pk)
        assert made.added == links
        rows.append({"step": "links are imported", "subjects": links, "seconds": seconds})
        seconds, marks = settle()
        rows.append(
            {"step": "groups of the links are rated", "subjects": marks, "seconds": seconds}
        )
        assert RiskScore.objects.filter(group__isnull=False, score__gt=0).exists()
        connections.close_all()
        connections["default"].close_pool()  # type: ignore[attr-defined]  # PostgreSQL has one
    for row in rows:
        row["memberships"] = memberships
        row["seconds"] = round(row["seconds"], 2)
        row["per_s"] = round(row["subjects"] / max(row["seconds"], 0.01))
    rows.append(
        {
            "step": "one sum, without a database (µs)",
            "subjects": 1,
            "seconds": round(sums_alone(20_000) / 1e6, 7),
            "memberships": 0,
            "per_s": None,
        }
    )
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{memberships:,} memberships")
    print(f"{'':36} {'marks':>9} {'seconds':>9} {'a second':>9}")
    for row in rows[:-1]:
        print(f"{row['step']:36} {row['subjects']:>9,} {row['seconds']:>9} {row['per_s']:>9,}")
    print(f"{rows[-1]['step']:36} {'':9} {rows[-1]['seconds'] * 1e6:>9.1f}")


if __name__ == "__main__":
    main()
