"""Hundreds of rows in one statement, as columns that PostgreSQL unfolds (``unnest``).

Django's own ``bulk_update`` writes a CASE for each field of each row, and its ``bulk_create`` does not say which rows
were new; both cost several times as much as the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db import connection, models
from django.db.models.expressions import DatabaseDefault

M = TypeVar("M", bound=models.Model)


def insert(rows: Sequence[M], *, unless_there: bool = False) -> list[M]:
    """Insert rows of one model and return those that are new, in their order.

    ``unless_there`` passes over rows that a unique constraint forbids (of two in one call the second); otherwise they
    raise IntegrityError; it needs rows with keys of their own. Fields that the database fills, a numbered key too,
    are read back. No signals are sent.
    """
    if not rows:
        return []
    meta = rows[0]._meta  # noqa: SLF001 — Django's own name for it
    pk = meta.pk
    fields: list[Any] = []
    filled: list[Any] = []
    for field in meta.concrete_fields:
        is_left = isinstance(getattr(rows[0], field.attname), DatabaseDefault)
        is_numbered = field is pk and rows[0].pk is None
        (filled if is_left or is_numbered else fields).append(field)
    if pk in fields:
        filled.append(pk)
    elif unless_there:
        raise ValueError("rows that may be there already need keys of their own")
    names, columns, values = _unfolded(rows, fields)
    back = ", ".join(_name(field) for field in filled)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {_quoted(meta.db_table)} ({names}) SELECT * FROM unnest({columns}) "  # noqa: S608 — names of ours; values are parameters
            f"{'ON CONFLICT DO NOTHING ' if unless_there else ''}RETURNING {back}",
            values,
        )
        written = cursor.fetchall()
    made = list(rows)
    if unless_there:
        keys = {said[-1] for said in written}
        made = [row for row in rows if row.pk in keys]
    for row, said in zip(made, written, strict=True):
        for field, value in zip(filled, said, strict=True):
            setattr(row, field.attname, value)
        row._state.adding = False  # noqa: SLF001 — what Model.from_db does
        row._state.db = connection.alias  # noqa: SLF001 — Django's own name
    return made


def update(rows: Sequence[M], fields: Sequence[str], *, now: str = "") -> None:
    """Write these fields of rows that are there. ``now`` names a field that gets the database's time."""
    if not rows:
        return
    meta = rows[0]._meta  # noqa: SLF001 — Django's own name
    chosen = [meta.get_field(name) for name in fields]
    _, columns, values = _unfolded(rows, [meta.pk, *chosen])
    given = ", ".join(f"c{number}" for number in range(len(chosen) + 1))
    told = [f"{_name(field)} = v.c{number}" for number, field in enumerate(chosen, 1)]
    if now:
        told.append(f"{_name(meta.get_field(now))} = statement_timestamp()")
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {_quoted(meta.db_table)} t SET {', '.join(told)} "  # noqa: S608 — names of models
            f"FROM unnest({columns}) v({given}) WHERE t.{_name(meta.pk)} = v.c0",
            values,
        )


def _unfolded(rows: Sequence[M], fields: Sequence[Any]) -> tuple[str, str, list[list[Any]]]:
    names = ", ".join(_name(field) for field in fields)
    columns = ", ".join(f"%s::{_kind(field)}[]" for field in fields)
    values = []
    for field in fields:
        prepare, attname = field.get_db_prep_save, field.attname
        told = [getattr(row, attname) for row in rows]
        if _stored(field) not in _AS_THEY_ARE or not _PLAIN.issuperset(map(type, told)):
            told = [prepare(value, connection) for value in told]
        values.append(told)
    return names, columns, values


_PLAIN = frozenset({str, int, bool, UUID, datetime, type(None)})
_AS_THEY_ARE = frozenset(
    {
        "AutoField",
        "BigAutoField",
        "BigIntegerField",
        "BooleanField",
        "CharField",
        "DateTimeField",
        "IntegerField",
        "PositiveIntegerField",
        "PositiveSmallIntegerField",
        "TextField",
        "UUIDField",
    }
)
"""Fields whose values of those types are what is stored: asking the field for each costs more than the row."""


def _stored(field: Any) -> str:
    return str((field.target_field if field.is_relation else field).get_internal_type())


def _kind(field: Any) -> str:
    # Without the length of a varchar: a cast would cut a text that is too long, silently.
    kind = field.rel_db_type(connection) if field.primary_key else field.db_type(connection)
    return str(kind).partition("(")[0]


def _name(field: Any) -> str:
    return _quoted(field.column)


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)
