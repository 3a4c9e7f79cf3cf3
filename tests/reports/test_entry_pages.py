"""Reports entered by hand: nothing typed is lost, files stay attached, a double press is one report."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from accounts.models import User
from reports import actions
from reports.models import Account, Item, Report, SourceKind, Upload
from tests.cast import signed_in
from tests.pictures import jpeg

pytestmark = pytest.mark.django_db
NEW = "/reports/new/"


def entry(**changes: Any) -> dict[str, Any]:
    return {
        "token": str(uuid.uuid4()),
        "subject_kind": "account",
        "subject_id": "user-1",
        "reason": "grooming",
        "text_surface": "reported_message",
        "file_surface": "reported_message",
        "texts": "",
        "description": "",
    } | changes


def picture(seed: int = 1, name: str = "photo.jpg") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, jpeg(seed), content_type="image/jpeg")


def kept_in(page: str) -> list[str]:
    return re.findall(r'name="kept" value="([^"]+)"', page)


def test_a_report_is_entered_with_texts_and_files(client: Client, reviewer: User) -> None:
    signed_in(client, reviewer)
    assert client.get(NEW).status_code == 200
    said = entry(
        description="Told by phone.",
        occurred_at="2026-11-01T10:00",
        reporter_ref="ticket 7",
        in_group="group-7",
        texts="one\n\n two\nlines \n\n\nthree",
        files=[picture(1), picture(2), picture(2, "again.jpg")],
    )
    answer = client.post(NEW, said)
    report = Report.objects.get()
    assert answer["Location"] == reverse("reports:report", args=[report.pk])
    assert (report.entered_by, report.source.kind) == (reviewer, SourceKind.STAFF)
    assert report.in_group is not None
    assert report.in_group.external_id == "group-7"
    texts = report.items.filter(surface="reported_message", kind="text").values_list(
        "text", flat=True
    )
    assert sorted(texts) == ["one", "three", "two\nlines"]
    media = report.items.filter(kind="image")
    assert (media.count(), media.values("blob").distinct().count()) == (3, 2)
    page = client.get(answer["Location"]).content.decode()
    assert str(report) in page
    assert "Waiting for scan" in page
    assert str(report) in client.get("/reports/").content.decode()


def test_nothing_is_lost_when_something_is_missing(client: Client, reviewer: User) -> None:
    signed_in(client, reviewer)
    first = client.post(NEW, entry(reason="", texts="kept words", files=[picture(1)]))
    assert first.status_code == 422
    page = first.content.decode()
    assert "kept words" in page
    [upload] = kept_in(page)
    second = client.post(NEW, entry(subject_id="", kept=[upload], files=[picture(2)]))
    assert second.status_code == 422
    uploads = kept_in(second.content.decode())
    assert uploads[0] == upload
    assert len(uploads) == 2
    third = client.post(NEW, entry(kept=uploads[:1]))
    assert third.status_code == 302
    assert Item.objects.count() == 1
    assert Upload.objects.count() == 2


def test_an_empty_file_is_named_and_the_others_stay(client: Client, reviewer: User) -> None:
    signed_in(client, reviewer)
    empty = SimpleUploadedFile("nothing.jpg", b"")
    answer = client.post(NEW, entry(files=[picture(1), empty]))
    assert answer.status_code == 422
    page = answer.content.decode()
    assert "nothing.jpg: The file is empty" in page
    assert len(kept_in(page)) == 1


def test_a_form_sent_twice_is_one_report(client: Client, reviewer: User) -> None:
    signed_in(client, reviewer)
    said = entry(texts="one")
    first, second = client.post(NEW, said), client.post(NEW, said)
    assert first["Location"] == second["Location"]
    assert Report.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"occurred_at": "2199-01-01T00:00"}, "future"),
        ({"occurred_at": "0001-01-01T00:00"}, "before 1970"),
        ({"reason": "made up"}, "valid choice"),
        ({"token": "x"}, "token"),
        ({"subject_id": "a\x00b"}, "Null characters"),
        ({"subject_kind": "group", "in_group": "g-2"}, "about a group itself"),
    ],
)
def test_what_makes_no_sense_is_said(
    client: Client, reviewer: User, change: dict[str, str], sentence: str
) -> None:
    signed_in(client, reviewer)
    answer = client.post(NEW, entry(**change))
    assert answer.status_code == 422
    assert sentence.lower() in answer.content.decode().lower()
    assert not Report.objects.exists()


def test_somebody_elses_files_and_reports_stay_theirs(
    client: Client, reviewer: User, outsider: User
) -> None:
    signed_in(client, reviewer)
    [upload] = kept_in(client.post(NEW, entry(reason="", files=[picture(1)])).content.decode())
    client.post(NEW, entry(texts="one"))
    other = signed_in(Client(), outsider)
    assert kept_in(other.post(NEW, entry(reason="", kept=[upload])).content.decode()) == []
    assert other.get(reverse("reports:report", args=[Report.objects.get().pk])).status_code == 404
    assert "not entered a report yet" in other.get("/reports/").content.decode()


def test_known_accounts_and_groups_are_suggested(client: Client, reviewer: User) -> None:
    signed_in(client, reviewer)
    Account.objects.create(external_id="user-77", username="alex")
    actions.stub_group("user-group")

    def suggested(kind: str, typed: str) -> str:
        data = {"subject_kind": kind, "subject_id": typed}
        return client.post("/reports/subjects/", data).content.decode()

    assert 'value="user-77"' in suggested("account", "use")
    assert 'value="user-77"' in suggested("account", "ALE")
    assert 'value="user-group"' in suggested("group", "user")
    assert "user-77" not in suggested("account", "us")  # Too short: no leafing through.
    assert suggested("account", "\x00\x00\x00")
