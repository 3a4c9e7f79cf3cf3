"""A walk along the API with a client that openapi-python-client generated. Prints what it met, a line a station.

Run by ``test_generated.py`` in a process of its own, with the generated package beside it.
"""

from __future__ import annotations

import json
import os
from io import BytesIO
from typing import Any, TypeVar

from generated import AuthenticatedClient
from generated.api.batches import submit_batch
from generated.api.directory import upsert_account
from generated.api.matching import match
from generated.api.media import upload_media
from generated.api.reports import list_reports, read_report, submit_report
from generated.models import (
    AccountPayload,
    BatchAnswer,
    DirectoryAnswer,
    FileForm,
    ItemPayload,
    MatchAnswer,
    MatchPayload,
    MediaAnswer,
    Problem,
    ReportAnswer,
    ReportPayload,
    ReportsAnswer,
    Subject,
    TextAsked,
)
from generated.types import File

T = TypeVar("T")


def must(kind: type[T], found: Any) -> T:
    """Return an answer that is of the kind that the document promises."""
    assert isinstance(found, kind), found
    return found


def main() -> None:
    client = AuthenticatedClient(
        base_url=os.environ["HOLDFAST"], token=os.environ["HOLDFAST_KEY"], timeout=60
    )
    account = AccountPayload(username="alex")
    done = must(
        DirectoryAnswer, upsert_account.sync(account_id="user-1001", client=client, body=account)
    )
    print("directory", done.external_id)

    picture = File(payload=BytesIO(b"no picture at all"), file_name="photo.png")
    media = must(MediaAnswer, upload_media.sync(client=client, body=FileForm(file=picture)))
    print("media", media.kind, media.size)

    body = ReportPayload(
        subject=Subject(account="user-1001"),
        reason="spam",
        items=[
            ItemPayload(surface="reported_message", text="markerword-alpha", sender="user-1001"),
            ItemPayload(surface="profile_photo", media=media.id),
        ],
    )
    given = submit_report.sync_detailed(client=client, body=body, idempotency_key="walk-1")
    report = must(ReportAnswer, given.parsed)
    again = submit_report.sync_detailed(client=client, body=body, idempotency_key="walk-1")
    assert must(ReportAnswer, again.parsed).id == report.id
    print("report", report.state, len(report.items), again.headers["Idempotent-Replayed"])

    read = must(ReportAnswer, read_report.sync(report_id=report.id, client=client))
    listed = must(ReportsAnswer, list_reports.sync(client=client, limit=10))
    print("status", read.state, len(listed.reports))

    lines = [
        {"type": "account", "external_id": "user-1002", "username": "sam"},
        {"type": "report", "subject": {"account": "user-1002"}, "reason": "spam"},
        {"type": "wish"},
    ]
    sent = File(payload=BytesIO("\n".join(map(json.dumps, lines)).encode()))
    batch = must(BatchAnswer, submit_batch.sync(client=client, body=sent))
    print("batch", batch.accepted, batch.rejected, batch.results[2].code)

    asked = MatchPayload(texts=[TextAsked(id="a", text="Holiday pictures", surface="group_name")])
    found = must(MatchAnswer, match.sync(client=client, body=asked))
    print("match", found.texts[0].id, len(found.texts[0].findings))

    wrong = ReportPayload(subject=Subject(account=" "), reason="spam")
    refused = must(Problem, submit_report.sync(client=client, body=wrong))
    print("problem", refused.status, refused.code, *refused.errors.to_dict())


if __name__ == "__main__":
    main()
