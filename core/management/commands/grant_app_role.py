"""Give the application's database role what it needs and nothing more."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from psycopg import sql

APPEND_ONLY = {
    "core_auditentry": "SELECT, INSERT",
    "core_audithead": "SELECT",
    "core_auditanchor": "SELECT, INSERT, UPDATE (token, stored_at, told_at)",
    "core_installationkey": "SELECT, INSERT",
}
# Which migrations ran is the owner's business.
READ_ONLY = {"django_migrations": "SELECT"}


class Command(BaseCommand):
    """Grant rows to the application's role: read and write in general, the audit log append only.

    Run it as the tables' owner after each migrate. The role gets no TRUNCATE, REFERENCES, TRIGGER or
    MAINTAIN, owns nothing and creates nothing, so it cannot switch the audit log's triggers off. It makes no
    temporary tables either, which a statement would take for the real ones.
    """

    help = "Grant the application's role its rights on the tables."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--role", default="holdfast_app")

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        role = options["role"]
        with connection.cursor() as cursor:
            cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = %s", [role])
            found = cursor.fetchone()
            if found is None:
                raise CommandError(f"there is no database role {role!r}; create it first")
            if found[0]:
                raise CommandError(f"the role {role!r} is a superuser: no grant can bind it")
            cursor.execute("SELECT current_user")
            if cursor.fetchone()[0] == role:
                raise CommandError("connect as the owner of the tables, not as the role itself")
            cursor.execute(
                "SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 'public'"
            )
            tables = cursor.fetchall()
            owned = [table for table, owner in tables if owner == role]
            if owned:
                raise CommandError(f"the role {role!r} owns {owned[0]}; an owner has every right")
            name = sql.Identifier(role)

            def run(statement: str, **parts: sql.Composable) -> None:
                text = sql.SQL(statement).format(role=name, **parts)
                cursor.execute(text.as_string(cursor.connection))

            run("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}, PUBLIC")
            run("REVOKE CREATE ON SCHEMA public FROM {role}, PUBLIC")
            run("GRANT USAGE ON SCHEMA public TO {role}")
            self._end_temporary_tables(cursor, role, run)
            run("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}")
            for table, _ in tables:
                rights = (APPEND_ONLY | READ_ONLY).get(table, "SELECT, INSERT, UPDATE, DELETE")
                run(
                    "GRANT {rights} ON {table} TO {role}",
                    rights=sql.SQL(rights),
                    table=sql.Identifier("public", table),
                )
        self.stdout.write(f"{role} may use {len(tables)} tables; the audit log is append only.")

    def _end_temporary_tables(
        self, cursor: CursorWrapper, role: str, run: Callable[..., None]
    ) -> None:
        """Take TEMPORARY on this database from everybody; PostgreSQL gives it to PUBLIC when a database is made."""
        cursor.execute("SELECT current_database()")
        database = sql.Identifier(cursor.fetchone()[0])
        # Whoever may not revoke it gets a warning of PostgreSQL, no error; the look afterwards tells.
        run("REVOKE TEMPORARY ON DATABASE {database} FROM {role}, PUBLIC", database=database)
        cursor.execute("SELECT has_database_privilege(%s, current_database(), 'TEMPORARY')", [role])
        if cursor.fetchone()[0]:
            self.stderr.write(
                f"{role} may still make temporary tables. Let the owner of the database run: "
                f"REVOKE TEMPORARY ON DATABASE ... FROM {role}, PUBLIC."
            )
