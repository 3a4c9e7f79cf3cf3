"""What looks harmless and is not: empty keys, members that stand twice, lines of nothing, files without the scope."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from core.audit import SYSTEM
from reports import actions
from reports.models import Item, Report, Scope, Source, Upload
from tests.pictures import jpeg
from tests.reports.conftest import Platform, problem_of

REPORT = {"subject": {"account": "u-1"}, "reason": "spam", "description": "markerword-alpha"}


@pytest.mark.parametrize("key", ["", "  "])
def test_an_empty_idempotency_key_is_refused(platform: Platform, key: str) -> None:
    answer = platform.post("/reports", REPORT, Idempotency_Key=key)
    assert answer.status_code == 422
    assert "Idempotency-Key" in answer.json()["errors"]
    file = SimpleUploadedFile("a.txt", b"markerword", content_type="text/plain")
    assert platform.form("/media", {"file": file}, Idempotency_Key=key).status_code == 422
    assert platform.batch([REPORT | {"type": "report"}], Idempotency_Key=key).status_code == 422
    assert not Report.objects.exists()


def test_a_member_that_stands_twice_is_named(platform: Platform) -> None:
    raw = b'{"subject": {"account": "u-1", "account": "u-2"}, "reason": "spam", "description": "x"}'
    answer = platform.post("/reports", None, raw=raw)
    assert answer.status_code == 400
    assert "'account' stands twice" in answer.json()["detail"]
    line = b'{"type": "report", "type": "scan", "reason": "spam"}'
    (result,) = platform.batch([line]).json()["results"]
    assert (result["status"], result["code"]) == ("rejected", "malformed")
    assert not Report.objects.exists()


def test_a_key_for_reports_alone_uploads_no_file(source: Source) -> None:
    key = actions.issue_key(source, scopes=[Scope.REPORTS_WRITE], actor=SYSTEM)[1]
    platform = Platform(key)
    file = SimpleUploadedFile("a.txt", b"markerword", content_type="text/plain")
    item = '{"surface": "reported_message", "file": "one"}'
    report = f'{{"subject": {{"account": "u-1"}}, "reason": "spam", "items": [{item}]}}'
    answer = platform.form("/reports", {"report": report, "one": file})
    assert answer.status_code == 403
    assert "media:write" in answer.json()["detail"]
    assert not Upload.objects.exists()
    assert platform.post("/reports", REPORT).status_code == 201


def test_a_batch_of_blank_lines_is_refused_at_once(platform: Platform) -> None:
    began = time.monotonic()
    answer = platform.post("/batches", None, raw=b"\n" * 8_000_000, kind="application/x-ndjson")
    assert answer.status_code == 422
    assert "blank lines" in str(answer.json()["errors"])
    assert (
        time.monotonic() - began < 15
    )  # 16 s for these before, of a machine that does nothing else.


def test_lines_before_too_many_blank_ones_are_answered(platform: Platform) -> None:
    answer = platform.batch(
        [REPORT | {"type": "report"}, b"\n" * 20_000, REPORT | {"type": "report"}]
    )
    assert answer.status_code == 207
    assert (answer.json()["accepted"], answer.json()["stopped_at"]) == (1, 2)
    assert Report.objects.count() == 1


@pytest.mark.parametrize(
    ("path", "document", "field", "sentence"),
    [
        (
            "/scans",
            {"subject": {"account": "a"}, "surface": "PROFILE_PHOTO", "text": "x"},
            "surface",
            "Must be one of profile_photo, profile_name, profile_text, group_photo, group_name, group_description, invite_link.",
        ),
        (
            "/reports",
            {
                "subject": {"account": "a"},
                "reason": "csam",
                "items": [{"surface": "reported_message", "text": "x", "role": "victim"}],
            },
            "items.0.role",
            "Must be one of reported, context.",
        ),
        (
            "/reports",
            {"subject": {"account": "a"}, "reason": "No code"},
            "reason",
            "Use a code of lower-case letters, digits, _ . : and -, such as grooming.",
        ),
        (
            "/reports",
            {"subject": {"account": " a"}, "reason": "csam"},
            "subject.account",
            "May not begin or end with a blank, nor hold a line break.",
        ),
        (
            "/reports",
            {"subject": {"account": "a"}, "reason": "csam", "subjects": []},
            "subjects",
            "Holdfast knows no member of this name.",
        ),
    ],
)
def test_what_may_be_sent_is_said_in_the_words_that_are_sent(
    platform: Platform, path: str, document: dict[str, Any], field: str, sentence: str
) -> None:
    said = problem_of(platform.post(path, document), 422)["errors"]
    assert said == {field: [sentence]}


def test_nothing_of_the_inside_is_named_by_any_shape() -> None:
    """Whatever is wrong, no Python name and no pattern reaches the sender."""
    from pydantic import ValidationError

    from reports import payloads, wording

    values: tuple[Any, ...] = ("§", "", 7, [], {}, None, True, " ", "x" * 200_001)
    for shape in payloads.Shape.__subclasses__():
        for name in shape.model_fields:
            for value in values:
                try:
                    shape.model_validate({name: value})
                except ValidationError as invalid:
                    for sentences in wording.field_errors(invalid).values():
                        for sentence in sentences:
                            assert not re.search(r"[A-Z]\w+\.[A-Z_]{3,}|pattern", sentence), (
                                sentence
                            )


def test_a_second_report_in_one_form_is_refused_and_not_dropped(platform: Platform) -> None:
    two = [json.dumps(REPORT | {"external_id": name}) for name in ("first", "second")]
    said = problem_of(platform.form("/reports", {"report": two}), 422)["errors"]
    assert said == {"report": ["Two parts have this name, and nobody can tell which one counts."]}
    stray = {"report": two[0], "zz": "markerword-alpha"}
    said = problem_of(platform.form("/reports", stray), 422)["errors"]
    assert said == {"parts.zz": ["Only the report is a text; send a file with a name."]}
    assert not Report.objects.exists()


@pytest.mark.parametrize("body", [[], 1, "x", None, {"subject": "a"}, {"subject": {"account": []}}])
def test_a_body_of_another_form_is_told_so_in_words(platform: Platform, body: Any) -> None:
    for sentences in problem_of(platform.post("/reports", body), 422)["errors"].values():
        assert set(sentences) <= {"Must be an object.", "Must be a text.", "Is missing."}


def test_what_is_asked_for_is_refused_in_the_same_words(platform: Platform) -> None:
    blank = problem_of(platform.get("/reports?external_id=%20a"), 422)["errors"]
    assert blank == {"external_id": ["May not begin or end with a blank, nor hold a line break."]}
    (said,) = problem_of(platform.get("/reports?since=x"), 422)["errors"]["since"]
    assert said.startswith("must be a date and time")


def test_a_body_that_is_too_large_says_how_large_it_may_be(platform: Platform) -> None:
    large = REPORT | {"description": "x" * (11 * 1024 * 1024)}
    said = problem_of(platform.post("/reports", large), 413)
    assert said["limit"] == 10 * 1024 * 1024
    assert "10 MB" in said["detail"]


def test_an_id_with_a_line_break_in_an_address_is_said_to_be_wrong(platform: Platform) -> None:
    for path in ("/accounts/a%0Ab", "/groups/a%0Ab", "/groups/a%0Ab/members"):
        said = problem_of(platform.put(path, {}), 422)
        assert "line break" in said["errors"]["external_id"][0]


def test_a_type_of_a_part_with_a_nul_is_no_fault_of_ours(platform: Platform) -> None:
    report = REPORT | {"items": [{"surface": "profile_photo", "file": "photo"}]}
    body = (
        b'--edge\r\nContent-Disposition: form-data; name="report"\r\n\r\n'
        + json.dumps(report).encode()
        + b'\r\n--edge\r\nContent-Disposition: form-data; name="photo"; filename="p.jpg"\r\n'
        + b"Content-Type: image/jpeg\0\r\n\r\n"
        + jpeg(3, (96, 64))
        + b"\r\n--edge--\r\n"
    )
    answer = platform.post("/reports", None, raw=body, kind="multipart/form-data; boundary=edge")
    assert answer.status_code == 201, answer.content
    assert Item.objects.filter(kind="image").count() == 1


def test_a_place_of_links_with_a_nul_is_named(platform: Platform) -> None:
    link = "https://chat.example/+x"
    for field, document in (
        ("place", {"place": "a\0b", "links": [{"link": link}]}),
        ("links.0.link", {"place": "a", "links": [{"link": link + "\0"}]}),
    ):
        said = problem_of(platform.post("/links", document), 422)["errors"]
        assert said == {field: ["may not contain the NUL character"]}
