"""The routing sweep looks every few seconds: it must not read every item that ever came in."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from moderation.actions import routing

pytestmark = pytest.mark.django_db


def _plan(rows: Any) -> str:
    with connection.cursor() as cursor:
        # An empty table is always read whole; what counts is whether the index could serve.
        cursor.execute("SET LOCAL enable_seqscan = off")
    return str(rows.order_by("received_at").explain())


def test_items_that_wait_and_items_that_failed_are_found_by_an_index():
    _, failed = routing.failed_routes()
    assert "items_to_route" in _plan(routing.waiting_items())
    assert "items_to_route" in _plan(failed)


def test_reports_that_wait_and_reports_that_failed_are_found_by_an_index():
    failed, _ = routing.failed_routes()
    assert "reports_waiting_for_routing" in _plan(routing.waiting_reports())
    assert "reports_waiting_for_routing" in _plan(failed)
