"""Fixtures that every room shares. The stores are started by ``tests/plugin.py``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from playwright.sync_api import expect

from tests.machine import LONGEST_WAIT_MS, age, chromium

pytest_plugins = [
    "tests.stack",
    "tests.cast",
    "tests.casework",
    "tests.small_disk",
    "tests.measured_empty",
    "tests.stuck",
    "tests.moderation.receiver",
    "tests.hashing.classifier",
]


expect.set_options(timeout=LONGEST_WAIT_MS)

# No test measures the machine: an example that takes a second beside other programs is no fault.
hypothesis.settings.register_profile("holdfast", deadline=None)
hypothesis.settings.load_profile("holdfast")


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Start the Chromium that this machine has, cut off from every host but itself."""
    return browser_type_launch_args | chromium()


@pytest.fixture(scope="session", autouse=True)
def key_ring() -> None:
    """Make the master key ring in the data folder of this run; authenticators and blobs need it."""
    from core import crypto

    crypto.init_key_ring()


@pytest.fixture(scope="session")
def age_command() -> str:
    """Return the path of the stock ``age`` command."""
    return age()


# Here rather than in the plugin: pytest-django registers after it, and the later definition wins.
@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None,
) -> Iterator[None]:
    """Let tests with real transactions empty the tables and start from the migrated state again.

    The audit tables refuse TRUNCATE by trigger, so the emptying runs as a replica would, where
    ordinary triggers sleep (superuser only). What migrations seeded is put back from a copy.
    """
    from django.db.backends.postgresql.operations import DatabaseOperations

    usual = DatabaseOperations.execute_sql_flush
    DatabaseOperations.execute_sql_flush = _flush  # type: ignore[assignment]
    yield
    DatabaseOperations.execute_sql_flush = usual  # type: ignore[method-assign]


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Keep a copy of every row that the migrations made; at the end, end every other session.

    Tests that kill workers leave their children behind, as a kill does; what these still hold must not
    keep the database from being dropped.
    """
    from django.db import connection

    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA IF EXISTS seeded CASCADE")  # Of a run with --reuse-db.
        cursor.execute("CREATE SCHEMA seeded")
        # The tables that a flush empties: all but the record of migrations.
        for table in connection.introspection.django_table_names(only_existing=True):
            name = connection.ops.quote_name(table)
            cursor.execute(f"SELECT EXISTS (SELECT FROM {name})")
            if cursor.fetchone()[0]:
                cursor.execute(f"CREATE TABLE seeded.{name} AS TABLE public.{name}")
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def _flush(operations: Any, sql_list: list[str]) -> None:
    from django.db import transaction

    connection = operations.connection
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in sql_list:
            cursor.execute(statement)
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'seeded'")
        for (table,) in cursor.fetchall():
            name = operations.quote_name(table)
            cursor.execute(f"INSERT INTO public.{name} OVERRIDING SYSTEM VALUE TABLE seeded.{name}")
