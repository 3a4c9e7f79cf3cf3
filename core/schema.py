"""Whether the database and this code fit each other: generations, migrations, and the live tables themselves.

Upgrades come in two steps. A version *expands* the schema first (new tables, new columns that may be empty), and code
from before goes on working on it. A later one *contracts* it (removes or tightens what the old code used). Each
schema therefore says which code it still works with, in the row ``schema`` of the heartbeats, which ``manage.py
prepare`` writes: ``{"generation": what migrated it, "works_with": the oldest generation of code that may use it}``.

The tables are compared as well: a list of migration names says what was run once, not what stands there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.apps.registry import Apps
from django.conf import settings
from django.db import DatabaseError, connection, models
from django.db.migrations.loader import MigrationLoader

from core.models import Heartbeat

GENERATION = 1
"""Counts the schemas of Holdfast: one more with each release that changes tables."""

WORKS_WITH = 1
"""The oldest generation of code that may run on this schema: raised to ``GENERATION`` by a contracting release."""

ROW = "schema"


class Misfit(Exception):
    """This code must not run on this database. The message is one sentence for the operator."""


def check_start() -> None:
    """Raise Misfit when this code cannot run on the database. An expanded newer schema is accepted.

    Costs some 30 ms. Raises database errors when it cannot be reached.
    """
    if not has_tables():
        raise Misfit("The database holds no tables of Holdfast yet: run manage.py prepare.")
    works_with = _row().get("works_with", 0)
    if works_with > GENERATION:
        raise Misfit(
            f"The database was made by a newer version of Holdfast (generation {_row().get('generation')}) and "
            f"works with code from generation {works_with} on; this code is generation {GENERATION}. Start "
            "that version, or restore a backup from before."
        )
    missing = missing_migrations()
    if missing:
        shown = ", ".join(missing[:3]) + (" and more" if len(missing) > 3 else "")
        raise Misfit(
            f"The database lacks migrations of this code ({shown}): run manage.py prepare."
        )
    found = differences(apps)
    if found:
        raise Misfit(
            f"The database does not have the tables that this code needs ({_some(found)}). Run manage.py "
            "doctor for all of it."
        )


def check_prepare() -> None:
    """Raise Misfit when the live tables are not what the recorded migrations made: nothing is migrated then."""
    if not has_tables():
        return
    works_with = _row().get("works_with", 0)
    if works_with > GENERATION:
        check_start()
    loader = MigrationLoader(connection)
    applied = [key for key in loader.applied_migrations if key in loader.graph.nodes]
    # The state that the applied migrations say stands there; whatever newer code applied is not known here.
    state = loader.project_state(applied) if applied else None
    found = differences(state.apps) if state is not None else []
    if found:
        raise Misfit(
            "This database was made by a version before the first release, whose tables were changed since "
            f"({_some(found)}). Nothing was changed. Start with an empty data folder, or go back to that version."
        )


def note_prepared() -> None:
    """Write which generation migrated the database and which code it works with. A newer one's word stays."""
    row = _row()
    detail = {
        "generation": max(GENERATION, row.get("generation", 0)),
        "works_with": max(WORKS_WITH, row.get("works_with", 0)),
    }
    from core.jobs import beat

    beat(ROW, Heartbeat.Kind.SCHEMA, **detail)


def has_tables() -> bool:
    """Return whether the database was ever migrated."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT to_regclass('django_migrations') IS NOT NULL"
            " AND to_regclass('core_heartbeat') IS NOT NULL"
        )
        return bool(cursor.fetchone()[0])


def _row() -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT detail::text FROM core_heartbeat WHERE name = %s", [ROW])
        found = cursor.fetchone()
    return json.loads(found[0]) if found else {}


def missing_migrations() -> list[str]:
    """Return the migrations of this code that the database has not seen."""
    loader = MigrationLoader(connection)
    return sorted(
        f"{app}.{name}"
        for app, name in set(loader.disk_migrations) - set(loader.applied_migrations)
    )


def unknown_migrations() -> list[str]:
    """Return the migrations that the database has seen and this code does not know: a newer version's."""
    loader = MigrationLoader(connection)
    installed = {config.label for config in apps.get_app_configs()}
    return sorted(
        f"{app}.{name}"
        for app, name in set(loader.applied_migrations) - set(loader.disk_migrations)
        if app in installed and not _is_replaced(loader, app, name)
    )


def _is_replaced(loader: MigrationLoader, app: str, name: str) -> bool:
    return any((app, name) in migration.replaces for migration in loader.disk_migrations.values())


def differences(registry: Apps) -> list[str]:
    """Return in words how the live tables differ from models in a way that code would notice.

    A column or a table too many is none, unless it must be filled and has no default. Constraints and indexes
    count by name; an index that was left half built counts as missing.
    """
    columns, names = _live_columns(), _live_names()
    found: list[str] = []
    for model in _models(registry):
        table = model._meta.db_table  # noqa: SLF001
        live = columns.get(table)
        if live is None:
            found.append(f"table {table} is missing")
            continue
        fields = {
            field.column: field
            for field in model._meta.local_concrete_fields  # noqa: SLF001
            if field.column is not None
        }
        for column, field in fields.items():
            if column not in live:
                found.append(f"column {table}.{column} is missing")
                continue
            kind, nullable, _ = live[column]
            found += _column_differs(table, field, kind, nullable=nullable)
        found += [
            f"column {table}.{column} must be filled and this code does not know it"
            for column, (_, nullable, has_default) in live.items()
            if column not in fields and not nullable and not has_default
        ]
        found += [
            f"{each} of {table} is missing" for each in _expected_names(model) if each not in names
        ]
    return found


def _models(registry: Apps) -> Iterable[type[models.Model]]:
    ours = {path.partition(".")[0] for path in settings.INSTALLED_APPS if "." not in path}
    return [
        model
        for model in registry.get_models(include_auto_created=True)
        if model._meta.managed  # noqa: SLF001
        and not model._meta.proxy  # noqa: SLF001
        and model._meta.app_label in ours  # noqa: SLF001
    ]


def _expected_names(model: type[models.Model]) -> list[str]:
    meta = model._meta  # noqa: SLF001
    return [each.name for each in [*meta.constraints, *meta.indexes] if each.name]


def _column_differs(table: str, field: Any, kind: str, *, nullable: bool) -> list[str]:
    found = []
    expected = _plain(field.db_type(connection) or "")
    if expected and _plain(kind) != expected:
        found.append(f"column {table}.{field.column} is {_plain(kind)}, not {expected}")
    if nullable != field.null and not field.primary_key:
        said = "may be empty" if nullable else "may not be empty"
        found.append(f"column {table}.{field.column} {said}")
    return found


_SPELLINGS = {
    "character varying": "varchar",
    "timestamp without time zone": "timestamp",
    "timestamptz": "timestamp with time zone",
    "int4": "integer",
    "int8": "bigint",
    "int2": "smallint",
    "serial": "integer",
    "bigserial": "bigint",
}


def _plain(kind: str) -> str:
    text = kind.strip().lower()
    for long, short in _SPELLINGS.items():
        text = short if text == long else text.replace("character varying(", "varchar(")
    return text


def _live_columns() -> dict[str, dict[str, tuple[str, bool, bool]]]:
    """Return type, may be empty, has a default for each column of each table."""
    found: dict[str, dict[str, tuple[str, bool, bool]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,"
            " a.atthasdef OR a.attidentity <> ''"
            " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped"
            " AND n.nspname = 'public'"
        )
        for table, column, kind, nullable, has_default in cursor.fetchall():
            found.setdefault(table, {})[column] = (kind, nullable, has_default)
    return found


def _live_names() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conname FROM pg_constraint UNION SELECT c.relname FROM pg_class c"
            " JOIN pg_index i ON i.indexrelid = c.oid WHERE i.indisvalid"
        )
        return {row[0] for row in cursor.fetchall()}


def _some(found: list[str]) -> str:
    return "; ".join(found[:2]) + (f"; {len(found) - 2} more" if len(found) > 2 else "")


def refuse_to_start() -> None:
    """End this process with one sentence when code or keys do not fit the database.

    For processes at their start. A database that is away is no reason: it may come back.
    """
    from core import identity

    try:
        check_start()
        identity.check_start()
    except DatabaseError:
        return
    except (Misfit, identity.WrongKeys) as misfit:
        raise SystemExit(f"Holdfast does not start. {misfit}") from None
