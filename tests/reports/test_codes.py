"""The codes of refusals: what the source can say, the reference lists; what it lists, somebody says."""

from __future__ import annotations

from reports.reference import CODES
from tests.reports.heard_codes import heard, views


def test_every_code_that_a_sender_can_hear_is_listed_and_no_other() -> None:
    assert len(views()) > 10, "the search for views broke"
    said = heard()
    unlisted = {code: place for code, place in said.items() if code not in CODES}
    assert not unlisted, f"add these to reports/reference/codes.py: {unlisted}"
    assert not set(CODES) - set(said), "nobody says these any more"


def test_a_code_is_found_wherever_it_is_said() -> None:
    said = heard()
    # A class of its own, three calls away; a status; an answer before Django; a callee of another room.
    assert said["duplicate_external_id"].startswith("reports.actions.")
    assert said["service_unavailable"] == "hashing.api._answers"
    assert said["header_too_large"] == "config.web.refusals"
    assert said["blob_destroyed"].startswith("core.vault.")
    # People hear it on pages of their own, and no sender does.
    assert "lease_lost" not in said
