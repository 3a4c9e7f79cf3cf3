"""Reports through the door: what is taken, what is refused, and what is then waiting in the database."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from pytest_django import Settings

from core.models import AuditEntry, Blob
from reports import actions
from reports.models import Account, ApiKey, Group, Item, Report, ScanState, Source, Upload
from tests.pictures import jpeg, truncated_jpeg
from tests.reports.conftest import Platform, problem_of

pytestmark = pytest.mark.django_db
MakeReport = Callable[..., dict[str, Any]]


def file(content: bytes, name: str = "photo.jpg", kind: str = "image/jpeg") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content, content_type=kind)


def test_a_report_is_kept_with_everything_that_was_said(
    platform: Platform, source: Source, a_report: MakeReport
) -> None:
    answer = platform.post(
        "/reports",
        a_report(
            external_id="rep-1",
            reporter={"account": "user-2", "ref": "ticket 7"},
            description="Wrote to me.",
            occurred_at="2026-11-01T10:00:00+02:00",
            items=[
                {
                    "surface": "reported_message",
                    "external_id": "msg-1",
                    "text": "markerword-alpha",
                    "sender": "user-1",
                    "uploaded_ip": "2001:db8::7",
                    "uploaded_port": 50123,
                    "content_at": "2026-11-01T07:59:00Z",
                    "is_public": False,
                }
            ],
        ),
    )
    assert answer.status_code == 201, answer.content
    body = answer.json()
    report = Report.objects.get(pk=body["id"])
    assert body["number"] == str(report)
    assert body["state"] == "received"
    assert (report.source, report.external_id) == (source, "rep-1")
    assert report.account == Account.objects.get(external_id="user-1")
    assert report.reporter_account == Account.objects.get(external_id="user-2")
    assert report.occurred_at is not None
    assert report.occurred_at.isoformat() == "2026-11-01T08:00:00+00:00"
    item = report.items.get(surface="reported_message")
    assert item.scan_state == ScanState.WAITING
    assert (item.text, item.external_id) == ("markerword-alpha", "msg-1")
    assert (item.uploaded_ip, item.uploaded_port) == ("2001:db8::7", 50123)
    assert item.sender == report.account
    assert item.is_public is False
    entry = AuditEntry.objects.get(event="report.submitted")
    assert entry.actor_kind == "service"
    assert "markerword" not in entry.line


def test_a_report_about_a_group_without_items_is_taken(
    platform: Platform, a_report: MakeReport
) -> None:
    answer = platform.post("/reports", a_report(subject={"group": "group-1"}, items=[]))
    assert answer.status_code == 201
    assert Report.objects.get().group == Group.objects.get(external_id="group-1")


def test_files_go_along_in_one_request(platform: Platform, a_report: MakeReport) -> None:
    document = a_report(
        items=[
            {"surface": "profile_photo", "file": "one"},
            {"surface": "reported_message", "file": "one"},
            {"surface": "reported_message", "file": "two"},
        ]
    )
    answer = platform.form(
        "/reports", {"report": json.dumps(document), "one": file(jpeg(1)), "two": file(jpeg(2))}
    )
    assert answer.status_code == 201, answer.content
    items = Item.objects.all()
    assert [item.kind for item in items] == ["image"] * 3
    assert len({item.blob_id for item in items}) == 2
    assert {item.original_name for item in items} == {"photo.jpg"}


def test_media_is_uploaded_first_and_stored_once(platform: Platform, a_report: MakeReport) -> None:
    first = platform.form("/media", {"file": file(jpeg(1))}).json()
    second = platform.form("/media", {"file": file(jpeg(1), "again.jpg")}).json()
    assert first["sha256"] == second["sha256"]
    assert first["kind"] == "image"
    items = [
        {"surface": "profile_photo", "media": reference}
        for reference in (first["id"], first["id"], second["id"])
    ]
    answer = platform.post("/reports", a_report(items=items))
    assert answer.status_code == 201, answer.content
    assert Item.objects.count() == 3
    assert Blob.objects.count() == 1


@pytest.mark.parametrize(
    ("content", "kind"),
    [(truncated_jpeg(), "image"), (b"GIF89a broken", "image"), (b"neither", "other")],
)
def test_broken_media_is_taken_so_that_a_person_sees_it(
    platform: Platform, content: bytes, kind: str
) -> None:
    answer = platform.form("/media", {"file": file(content, kind="application/octet-stream")})
    assert answer.status_code == 201
    assert answer.json()["kind"] == kind


def test_an_empty_file_is_named_at_its_field(platform: Platform, a_report: MakeReport) -> None:
    assert "file" in problem_of(platform.form("/media", {"file": file(b"")}), 422)["errors"]
    document = a_report(items=[{"surface": "profile_photo", "file": "one"}])
    answer = platform.form("/reports", {"report": json.dumps(document), "one": file(b"")})
    assert "items.0.file" in problem_of(answer, 422)["errors"]
    assert not Report.objects.exists()


def test_an_upload_over_the_limit_is_413_and_nothing_is_kept(
    platform: Platform, settings: Settings
) -> None:
    settings.HOLDFAST_MAX_UPLOAD_BYTES = 1024 * 1024
    answer = platform.form("/media", {"file": file(b"\xff\xd8\xff" + bytes(1024 * 1024))})
    document = problem_of(answer, 413)
    assert document["limit"] == 1024 * 1024
    assert not Blob.objects.exists()
    assert not Upload.objects.exists()


def test_an_upload_of_100_mb_and_one_byte_is_413_by_default(platform: Platform) -> None:
    import io

    class Zeros(io.BytesIO):
        """100 MB and a byte, never all in memory."""

        name = "large.bin"
        left = 100 * 1024 * 1024 + 1

        def read(self, size: int | None = -1) -> bytes:
            taken = self.left if size is None or size < 0 else min(size, self.left)
            self.left -= taken
            return bytes(taken)

    answer = platform.form("/media", {"file": Zeros()})
    assert problem_of(answer, 413)["limit"] == 100 * 1024 * 1024


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"subject": {}}, "subject"),
        ({"subject": {"account": " "}}, "subject.account"),
        ({"reason": "Not A Code"}, "reason"),
        ({"occurred_at": "yesterday"}, "occurred_at"),
        ({"occurred_at": "2026-11-01T10:00:00"}, "occurred_at"),
        ({"occurred_at": 1700000000}, "occurred_at"),
        ({"description": "a\x00b"}, "description"),
        ({"description": "\ud800"}, "description"),
        ({"phone": "1"}, "phone"),
        ({"items": [{"surface": "nowhere", "text": "x"}]}, "items.0.surface"),
        ({"items": [{"surface": "profile_text"}]}, "items.0"),
        (
            {"items": [{"surface": "profile_text", "text": "x", "uploaded_ip": "300.1.1.1"}]},
            "items.0.uploaded_ip",
        ),
        (
            {"items": [{"surface": "profile_text", "text": "x", "uploaded_ip": "fe80::1%eth0"}]},
            "items.0.uploaded_ip",
        ),
        (
            {"items": [{"surface": "profile_text", "text": "x", "uploaded_port": 70000}]},
            "items.0.uploaded_port",
        ),
        ({"items": [{"surface": "profile_photo", "media": "nonsense"}]}, "items.0.media"),
        ({"items": [{"surface": "profile_photo", "media": str(uuid.uuid4())}]}, "items.0.media"),
    ],
)
def test_what_makes_no_sense_is_named_by_field(
    platform: Platform, a_report: MakeReport, change: dict[str, Any], field: str
) -> None:
    document = problem_of(platform.post("/reports", a_report(**change)), 422)
    assert field in document["errors"]
    assert not Report.objects.exists()


def test_media_of_another_source_is_unknown(
    platform: Platform, other_platform: Platform, a_report: MakeReport
) -> None:
    reference = other_platform.form("/media", {"file": file(jpeg(1))}).json()["id"]
    items = [{"surface": "profile_photo", "media": reference}]
    assert (
        "items.0.media"
        in problem_of(platform.post("/reports", a_report(items=items)), 422)["errors"]
    )


@pytest.mark.parametrize(
    "raw",
    [b"{", b"\xff\xfe", b'{"reason": NaN}', b"[" * 100_000, b" ", b'{"a": ' + b"9" * 5000 + b"}"],
)
def test_malformed_json_is_400(platform: Platform, raw: bytes) -> None:
    problem_of(platform.post("/reports", None, raw=raw), 400)


def test_another_media_type_is_415(platform: Platform) -> None:
    problem_of(platform.post("/reports", None, raw=b"<a/>", kind="text/xml"), 415)


def test_a_compressed_body_is_415_and_says_so(platform: Platform) -> None:
    answer = platform.client.post(
        "/api/v1/reports",
        data=gzip.compress(b'{"subject": {"account": "a"}, "reason": "spam"}'),
        content_type="application/json",
        headers=platform.headers() | {"Content-Encoding": "gzip"},
    )
    assert "compressed (Content-Encoding: gzip)" in problem_of(answer, 415)["detail"]
    assert answer["Accept-Encoding"] == "identity"


def test_another_method_is_405_as_a_problem(platform: Platform) -> None:
    answer = platform.get("/scans")
    problem_of(answer, 405)
    assert answer["Allow"] == "POST"


def test_multipart_without_its_document_or_with_a_stray_file(
    platform: Platform, a_report: MakeReport
) -> None:
    assert "report" in problem_of(platform.form("/reports", {"one": file(jpeg(1))}), 422)["errors"]
    stray = {"report": json.dumps(a_report()), "one": file(jpeg(1))}
    assert "files.one" in problem_of(platform.form("/reports", stray), 422)["errors"]
    missing = a_report(items=[{"surface": "profile_photo", "file": "two"}])
    answer = platform.form("/reports", {"report": json.dumps(missing)})
    assert "items.0.file" in problem_of(answer, 422)["errors"]
    answer = platform.post("/reports", missing)
    assert "items.0.file" in problem_of(answer, 422)["errors"]


def test_the_same_external_id_twice_is_409_and_names_the_first(
    platform: Platform, other_platform: Platform, a_report: MakeReport
) -> None:
    first = platform.post("/reports", a_report(external_id="rep-1")).json()
    document = problem_of(platform.post("/reports", a_report(external_id="rep-1")), 409)
    assert document["code"] == "duplicate_external_id"
    assert first["id"] in document["detail"]
    assert other_platform.post("/reports", a_report(external_id="rep-1")).status_code == 201
    assert Report.objects.count() == 2


def test_a_source_reads_its_own_reports_only(
    platform: Platform, other_platform: Platform, a_report: MakeReport
) -> None:
    created = platform.post("/reports", a_report()).json()
    assert platform.get(f"/reports/{created['id']}").json() == created
    problem_of(other_platform.get(f"/reports/{created['id']}"), 404)
    problem_of(platform.get(f"/reports/{uuid.uuid4()}"), 404)
    problem_of(platform.get("/reports/none"), 422)


def test_a_scan_is_taken_and_read_back(
    platform: Platform, other_platform: Platform, source: Source
) -> None:
    reference = platform.form("/media", {"file": file(jpeg(1))}).json()["id"]
    answer = platform.post(
        "/scans", {"subject": {"group": "g-1"}, "surface": "group_photo", "media": reference}
    )
    assert answer.status_code == 201, answer.content
    item = Item.objects.get()
    assert (item.report, item.kind, item.source) == (None, "image", source)
    assert platform.get(f"/scans/{item.pk}").json()["scan_state"] == "waiting"
    problem_of(other_platform.get(f"/scans/{item.pk}"), 404)


@pytest.mark.parametrize(
    "document",
    [
        {"subject": {"account": "a"}, "surface": "group_name", "text": "x"},
        {"subject": {"group": "g"}, "surface": "profile_name", "text": "x"},
        {"subject": {"group": "g"}, "surface": "reported_message", "text": "x"},
        {"subject": {"group": "g"}, "surface": "group_name", "text": "  "},
        {"subject": {"group": "g"}, "surface": "group_photo", "media": str(uuid.uuid4())},
    ],
)
def test_a_scan_that_makes_no_sense_is_422(platform: Platform, document: dict[str, Any]) -> None:
    problem_of(platform.post("/scans", document), 422)
    assert not Item.objects.exists()


def test_uploads_are_forgotten_after_their_time(
    platform: Platform, issued: tuple[ApiKey, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import timedelta

    from reports.actions import uploads
    from reports.jobs import sweep_uploads

    platform.form("/media", {"file": file(jpeg(1))})
    assert sweep_uploads() == 0
    monkeypatch.setattr(uploads, "UPLOAD_LIFE", timedelta(seconds=-1))
    gone = platform.form("/media", {"file": file(jpeg(2))}).json()["id"]
    item = {"surface": "profile_photo", "media": gone}
    answer = platform.post(
        "/reports", {"subject": {"account": "a"}, "reason": "x", "items": [item]}
    )
    problem_of(answer, 422)
    assert sweep_uploads() == 1
    assert Upload.objects.count() == 1


def test_a_scan_state_is_recorded_once_and_lets_the_item_be_routed(
    platform: Platform, a_report: MakeReport
) -> None:
    platform.post("/reports", a_report())
    item = actions.record_scan_state(Item.objects.get(), ScanState.SCANNED)
    assert (item.scan_state, item.route_state) == ("scanned", "waiting")
    actions.record_scan_state(item, ScanState.SCANNED)
    assert AuditEntry.objects.filter(event="scan.state_recorded").count() == 1
