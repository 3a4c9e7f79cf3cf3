"""What everybody is promised: an acknowledged report becomes a case; a repeat is not a second one."""

from __future__ import annotations

import uuid

from tests.proofs import proof
from tests.proofs.installation import MARKER, Installation


@proof("An acknowledged report is soon in a case", quick=True)
def acknowledged(place: Installation) -> str:
    answer = place.report()
    assert answer.status_code == 201, f"the report was answered {answer.status_code}"
    number = answer.json()["id"]
    place.wait(
        "the report in a case",
        lambda: place.rows("SELECT 1 FROM moderation_casereport WHERE report_id = %s", number),
    )
    return "1 report sent, 1 case"


@proof("A request repeated with the same key is one report", quick=True)
def repeated(place: Installation) -> str:
    key = {"Idempotency-Key": f"proof-{uuid.uuid4().hex}"}
    body = {
        "subject": {"account": f"proof-{uuid.uuid4().hex[:8]}"},
        "reason": "other",
        "items": [{"surface": "profile_text", "text": MARKER}],
    }
    numbers = {place.api("POST", "reports", json=body, headers=key).json()["id"] for _ in range(5)}
    assert len(numbers) == 1, f"5 requests with one key made {len(numbers)} reports"
    return "5 requests, 1 report"
