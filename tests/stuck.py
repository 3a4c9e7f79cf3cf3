"""What a process was doing when a test failed: the stack of each thread, and the sessions of its database."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Generator

import pytest
from django.db import connection
from django.db.utils import Error


def threads() -> str:
    """Return the innermost eight calls of each thread of this process."""
    names = {one.ident: one.name for one in threading.enumerate()}
    parts = [
        f"{names.get(number, number)}\n{''.join(traceback.format_stack(frame)[-8:])}"
        for number, frame in sys._current_frames().items()
    ]
    return "\n".join(parts)


def sessions() -> str:
    """Return a line for each session of the database: what it does, what it waits for, and for whom."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pid, state, wait_event, pg_blocking_pids(pid), now() - xact_start, left(query, 200) "
                "FROM pg_stat_activity WHERE datname = current_database()"
            )
            return "\n".join(" | ".join(map(str, row)) for row in cursor.fetchall())
    except Error as error:
        return f"The database does not say: {error}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add both to the report of a browser test that failed: a page that never came is seen only from here."""
    report = yield
    if report.when == "call" and report.failed and item.get_closest_marker("browser"):
        report.sections += [("Threads", threads()), ("Sessions of the database", sessions())]
    return report
