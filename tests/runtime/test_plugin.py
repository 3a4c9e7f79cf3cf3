"""What every test may rely on: no network, an empty Valkey, and the migrated state to begin with."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection

from core import audit
from core.audit_events import AuditEvent
from core.models import AuditEntry


def test_nothing_outside_this_machine_can_be_reached() -> None:
    from pytest_socket import SocketConnectBlockedError

    with (
        socket.socket() as link,
        pytest.warns(UserWarning, match="A test tried to use"),
        pytest.raises(SocketConnectBlockedError),
    ):
        link.connect(("192.0.2.1", 443))  # TEST-NET-1 of RFC 5737: nobody's address.


def test_data_goes_to_a_folder_of_this_process() -> None:
    assert Path(settings.VAR_DIR).is_relative_to(tempfile.gettempdir())


@pytest.mark.parametrize("time", ["first", "second"])
def test_valkey_is_empty_at_the_start_of_each_test(time: str) -> None:
    assert cache.get("left") is None
    cache.set("left", time)


def _seeded_tables() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'seeded'")
        return [name for (name,) in cursor.fetchall()]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("time", ["first", "second"])
def test_a_test_with_real_transactions_begins_with_the_migrated_state(time: str) -> None:
    tables = _seeded_tables()
    assert "django_content_type" in tables
    assert not AuditEntry.objects.exists()
    with connection.cursor() as cursor:
        for table in tables:
            name = connection.ops.quote_name(table)
            cursor.execute(
                f"SELECT count(*) FROM (TABLE public.{name} EXCEPT TABLE seeded.{name}) AS more"
            )
            assert cursor.fetchone() == (0,), f"{table} holds rows of an earlier test"
            cursor.execute(
                f"SELECT count(*) FROM (TABLE seeded.{name} EXCEPT TABLE public.{name}) AS fewer"
            )
            assert cursor.fetchone() == (0,), f"{table} lost rows that a migration made"
    # Rows that refuse DELETE and TRUNCATE: the next test must not see them all the same.
    audit.record(AuditEvent.VAULT_KEY_ADDED, actor=audit.SYSTEM, key=time)
