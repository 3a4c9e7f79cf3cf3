"""Many files at once, and what must not be passed over in silence."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from core.audit_check import check
from core.models import Blob
from reports.models import Account, Item, Membership, Report
from tests.reports.conftest import Platform, problem_of

pytestmark = pytest.mark.django_db
MakeReport = Callable[..., dict[str, Any]]


def small(number: int) -> SimpleUploadedFile:
    return SimpleUploadedFile(f"{number}.png", b"\x89PNG\r\n\x1a\n%d" % number, "image/png")


def many(first: int, count: int, a_report: MakeReport) -> dict[str, Any]:
    """Return the parts of a report with this many files."""
    names = [f"f{number}" for number in range(first, first + count)]
    items = [{"surface": "reported_message", "file": name, "external_id": name} for name in names]
    report = json.dumps(a_report(external_id=f"rep-{first}", items=items[:200]))
    return {"report": report} | {name: small(int(name[1:])) for name in names}


def test_two_hundred_files_are_one_report_and_one_more_is_told(
    platform: Platform, a_report: MakeReport
) -> None:
    for first in (0, 200):
        answer = platform.form("/reports", many(first, 200, a_report), idempotency_key=f"k{first}")
        assert answer.status_code == 201, answer.content
    again = platform.form("/reports", many(0, 200, a_report), idempotency_key="k0")
    assert again["Idempotent-Replayed"] == "true"
    assert (Report.objects.count(), Item.objects.count(), Blob.objects.count()) == (2, 400, 400)
    names = [
        item.external_id for item in Item.objects.filter(report__external_id="rep-0").order_by("pk")
    ]
    assert names == [f"f{number}" for number in range(200)]
    problem = problem_of(platform.form("/reports", many(400, 201, a_report)), 413)
    assert problem["code"] == "too_many_files"
    assert "200" in problem["detail"]
    assert Blob.objects.count() == 400
    assert check(rows=True).is_intact


@pytest.mark.parametrize("path", ["/match", "/hash", "/media"])
def test_text_beside_files_is_refused_not_passed_over(platform: Platform, path: str) -> None:
    parts = {"file": small(1), "texts": json.dumps([{"text": "Holiday pictures"}])}
    errors = problem_of(platform.form(path, parts), 422)["errors"]
    assert list(errors) == (["file"] if path == "/media" else ["texts"])


def writes() -> list[tuple[str, str]]:
    schema = Client().get("/api/v1/openapi.json").json()
    return sorted(
        (method.upper(), path)
        for path, operations in schema["paths"].items()
        for method in operations
        if method in {"post", "put", "delete", "patch"}
    )


def test_no_write_passes_over_an_idempotency_key(platform: Platform) -> None:
    for method, path in writes():
        address = path.replace("/api/v1", "")
        for name in ("account_id", "group_id"):
            address = address.replace("{" + name + "}", "x")
        address = address.replace("{enforcement_id}", "00000000-0000-0000-0000-000000000000")
        send = platform.client.generic
        answer = send(
            method,
            f"/api/v1{address}",
            "{}",
            content_type="application/json",
            headers=platform.headers(**{"Idempotency-Key": "my report 7"}),
        )
        errors = problem_of(answer, 422)["errors"]
        assert "without blanks" in errors["Idempotency-Key"][0], (method, path)
    for path in ("/match", "/hash"):
        answer = platform.post(path, {"texts": [{"text": "x"}]}, idempotency_key="k-1")
        errors = problem_of(answer, 422)["errors"]
        assert "Nothing is kept" in errors["Idempotency-Key"][0]


def put(platform: Platform, path: str, document: Any, key: str) -> Any:
    return platform.client.put(
        f"/api/v1{path}",
        json.dumps(document),
        content_type="application/json",
        headers=platform.headers(**{"Idempotency-Key": key}),
    )


def test_a_key_is_honoured_by_puts_and_links(platform: Platform) -> None:
    member = {"members": [{"account": "user-1", "role": "admin"}]}
    for path, document in (
        ("/accounts/user-1", {"username": "alex"}),
        ("/groups/g-1", {"name": "G"}),
        ("/groups/g-1/members", member),
    ):
        first, again = (put(platform, path, document, f"k{path}") for _ in range(2))
        assert (first.status_code, again.status_code) == (200, 200)
        assert first.json() == again.json()
        assert "Idempotent-Replayed" not in first.headers
        assert again["Idempotent-Replayed"] == "true"
    other = put(platform, "/accounts/user-2", {"username": "alex"}, "k/accounts/user-1")
    assert problem_of(other, 409)["code"] == "idempotency_key_reused"
    # A repeat that comes late does not undo what was told since.
    platform.put("/accounts/user-1", {"username": "sam"})
    put(platform, "/accounts/user-1", {"username": "alex"}, "k/accounts/user-1")
    assert Account.objects.get(external_id="user-1").username == "sam"
    assert Membership.objects.get().role == "admin"
    links = {"place": "a directory", "links": [{"link": "https://chat.example/join/AbC"}]}
    answers = [platform.post("/links", links, idempotency_key="l-1") for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert answers[1]["Idempotent-Replayed"] == "true"


def test_a_reporter_may_have_an_account_and_a_reference(
    platform: Platform, a_report: MakeReport
) -> None:
    both = {"account": "user-2", "ref": "ticket 7"}
    assert platform.post("/reports", a_report(reporter=both)).status_code == 201
    report = Report.objects.get()
    assert report.reporter_account is not None
    assert (report.reporter_account.external_id, report.reporter_ref) == ("user-2", "ticket 7")
