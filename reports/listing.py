"""How a source asks for a list of its own reports, page by page."""

from __future__ import annotations

import base64

from pydantic import Field

from core.errors import Invalid
from reports.access import ReportState
from reports.payloads import Instant, OwnId, Shape


class ReportsQuery(Shape):
    """Which of its reports a source asks for."""

    external_id: OwnId | None = Field(None, description="Your id of the report.")
    state: ReportState | None = Field(None, description="Only reports that stand there now.")
    since: Instant | None = Field(
        None, description="Only reports received then or later, with offset from UTC."
    )
    cursor: str | None = Field(
        None,
        description="`next_cursor` of the page before, with the same other parameters.",
    )
    limit: int = Field(50, ge=1, le=200, description="Reports on a page.")


def cursor_of(number: int) -> str:
    """Return the cursor behind the report with this number. Its form may change: senders only hand it back."""
    return base64.urlsafe_b64encode(f"n{number}".encode()).decode().rstrip("=")


def number_of(cursor: str) -> int:
    """Return the number that ``cursor_of`` put into a cursor. Raises Invalid."""
    try:
        written = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        number = int(written.removeprefix("n"))
    except ValueError:
        number = -1
    if not 0 < number < 2**63 or cursor_of(number) != cursor:
        raise Invalid({"cursor": ["This is no cursor of ours. Begin again without one."]})
    return number
