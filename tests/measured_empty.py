"""Tables that PostgreSQL measured while they were empty, as it may have just before a flood of reports."""

from __future__ import annotations

import pytest
from django.db import connection

LONGEST = "60s"
"""How long a statement may take then: no measure of speed, but those that grow with the cube of a case never end."""


@pytest.fixture
def measured_empty(db: None) -> None:
    """Let PostgreSQL plan as if every table were empty, until the test ends; end statements after ``LONGEST``."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE pg_class SET relpages = 1, reltuples = 0 "
            "WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        )
        cursor.execute(f"SET LOCAL statement_timeout = '{LONGEST}'")
