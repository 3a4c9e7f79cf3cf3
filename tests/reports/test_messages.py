"""Messages say their place in a conversation, what became of them, and where a report happened; bad input is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, connection, transaction

from reports.conversations import Entry, Gap, in_order
from reports.models import Item, Report
from tests import recordings
from tests.pictures import jpeg
from tests.referrals.test_record import rows_named, unguarded
from tests.reports.conftest import Platform, problem_of

pytestmark = pytest.mark.django_db
Make = Callable[..., dict[str, Any]]


def said(external_id: str = "", text: str | None = "a message", **more: Any) -> dict[str, Any]:
    document = {"surface": "reported_message", "external_id": external_id, "text": text} | more
    return {name: value for name, value in document.items() if value is not None}


def test_everything_that_a_message_says_is_kept(platform: Platform, a_report: Make) -> None:
    told = said(
        "m-2",
        sender="user-1",
        conversation="chat/ß-5",
        position=7,
        reply_to="m-1",
        group="group-7",
        edited_at="2026-11-22T10:43:00Z",
        is_deleted=True,
        deleted_at="2026-11-22T10:44:00Z",
    )
    answer = platform.post("/reports", a_report(items=[told]))
    assert answer.status_code == 201, answer.content
    item = Item.objects.get(external_id="m-2")
    assert (item.conversation, item.position, item.reply_to) == ("chat/ß-5", 7, "m-1")
    assert item.in_group is not None
    assert item.in_group.external_id == "group-7"
    assert (item.is_edited, item.is_deleted) == (True, True)
    assert item.edited_at is not None
    assert item.deleted_at is not None
    assert item.group is None  # It belongs to the account that is reported.


def test_a_report_names_the_account_and_the_group_where_it_happened(
    platform: Platform, a_report: Make
) -> None:
    answer = platform.post("/reports", a_report(subject={"account": "user-1", "group": "group-7"}))
    assert answer.status_code == 201, answer.content
    report = Report.objects.get()
    assert report.account is not None
    assert report.in_group is not None
    assert (report.account.external_id, report.in_group.external_id) == ("user-1", "group-7")
    assert report.group is None
    # What is scanned belongs to one of them.
    scan = {"subject": {"account": "a", "group": "b"}, "surface": "profile_name", "text": "x"}
    problem_of(platform.post("/scans", scan), 422)


def test_a_caption_stands_beside_its_file(platform: Platform, a_report: Make) -> None:
    media = platform.form("/media", {"file": upload(jpeg(1, (64, 48)), "a.jpg")}).json()["id"]
    told = said("m-1", "markerword-alpha as a caption", media=media)
    answer = platform.post("/reports", a_report(items=[told]))
    assert answer.status_code == 201, answer.content
    item = Item.objects.get(external_id="m-1")
    assert (item.kind, item.text) == ("image", "markerword-alpha as a caption")
    assert item.blob is not None
    assert rows_named() == []
    with unguarded("reports_item"):
        Item.objects.update(text="another caption")
    assert "the text is not the one received" in str(rows_named())


def test_a_voice_message_is_a_kind_of_its_own(platform: Platform, a_report: Make) -> None:
    sent = platform.form("/media", {"file": upload(recordings.ogg(), "voice.ogg")}).json()
    assert sent["kind"] == "audio"
    answer = platform.post("/reports", a_report(items=[said("m-1", None, media=sent["id"])]))
    assert [item["kind"] for item in answer.json()["items"]] == ["audio"]


def test_what_is_not_sent_is_told_with_its_reason(platform: Platform, a_report: Make) -> None:
    answer = platform.post("/reports", a_report(items=[said("m-1", None, not_sent="encrypted")]))
    assert answer.status_code == 201, answer.content
    (item,) = answer.json()["items"]
    assert (item["kind"], item["scan_state"]) == ("not_sent", "not_scanned")
    row = Item.objects.get()
    assert (row.text, row.blob, row.not_sent) == ("", None, "encrypted")
    # Nothing wakes the routing later: it is placed as it is.
    assert row.route_state == "waiting"


BAD = {
    "a reply to itself": ([said("m-1", reply_to="m-1")], "items.0.reply_to"),
    "a place taken twice": (
        [said("m-1", position=3), said("m-2", position=3)],
        "items.1.position",
    ),
    "a place taken twice by nobody": (
        [said("", position=3), said("", position=3)],
        "items.1.position",
    ),
    "a negative place": ([said("m-1", position=-1)], "items.0.position"),
    "a huge place": ([said("m-1", position=2**53)], "items.0.position"),
    "a place in words": ([said("m-1", position="3")], "items.0.position"),
    "half a place": ([said("m-1", position=1.5)], "items.0.position"),
    "an empty conversation": ([said("m-1", conversation="")], "items.0.conversation"),
    "a conversation of two lines": ([said("m-1", conversation="a\nb")], "items.0.conversation"),
    "text that is not sent": ([said("m-1", not_sent="encrypted")], "items.0"),
    "no reason": ([said("m-1", None, not_sent="")], "items.0.not_sent"),
    "no content and no reason": ([said("m-1", None)], "items.0"),
    "never edited, and when": (
        [said("m-1", is_edited=False, edited_at="2026-11-22T10:43:00Z")],
        "items.0",
    ),
}


@pytest.mark.parametrize(("items", "field"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_named_at_its_field(
    platform: Platform, a_report: Make, items: list[dict[str, Any]], field: str
) -> None:
    problem = problem_of(platform.post("/reports", a_report(items=items)), 422)
    assert list(problem["errors"]) == [field]
    assert not Report.objects.exists()
    line = platform.batch([a_report(items=items) | {"type": "report"}]).json()["results"][0]
    assert list(line["errors"]) == [field]


def test_two_versions_of_one_message_share_a_place(platform: Platform, a_report: Make) -> None:
    items = [
        said("m-1", "first words", position=3, conversation="c"),
        said("m-1", "other words", position=3, conversation="c", is_edited=True),
        said("m-9", position=3, conversation="another chat"),
    ]
    assert platform.post("/reports", a_report(items=items)).status_code == 201


def test_two_hundred_messages_are_one_report(platform: Platform, a_report: Make) -> None:
    items = [said(f"m-{n}", position=n, conversation="c", group=f"g-{n % 7}") for n in range(200)]
    answer = platform.post("/reports", a_report(items=items))
    assert answer.status_code == 201
    assert [item["external_id"] for item in answer.json()["items"]] == [
        f"m-{n}" for n in range(200)
    ]


CHANGES = {
    "position": "UPDATE reports_item SET position = 9",
    "conversation": "UPDATE reports_item SET conversation = 'another'",
    "reply": "UPDATE reports_item SET reply_to = ''",
    "group": "UPDATE reports_item SET in_group_id = NULL",
    "mark": "UPDATE reports_item SET is_edited = NULL",
    "time of a mark": "UPDATE reports_item SET deleted_at = deleted_at + interval '1 hour'",
    "role": "UPDATE reports_item SET role = 'context'",
    "where": "UPDATE reports_report SET in_group_id = NULL",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_nobody_changes_a_place_unnoticed(platform: Platform, a_report: Make, change: str) -> None:
    told = said(
        "m-2", conversation="c", position=7, reply_to="m-1", group="group-7",
        is_edited=True, deleted_at="2026-11-22T10:44:00Z",
    )  # fmt: skip
    subject = {"account": "user-1", "group": "group-7"}
    assert platform.post("/reports", a_report(subject=subject, items=[told])).status_code == 201
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change)
    assert rows_named() == []
    with unguarded(change.split()[1]) as cursor:
        cursor.execute(change)
    assert rows_named()


# ── Order ─────────────────────────────────────────────────────────────────────────────────────
def entries(*told: tuple[str, int, int, int | None]) -> list[Entry]:
    """Return entries of (name, report, place in its list, position)."""
    return [
        Entry(name, report, listed, position, name.rstrip("'"))
        for name, report, listed, position in told
    ]


def order(*told: tuple[str, int, int, int | None]) -> list[str]:
    return [
        f"{each.first}-{each.last}" if isinstance(each, Gap) else each.key
        for each in in_order(entries(*told))
    ]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([("a", 1, 0, 3), ("b", 1, 1, 1), ("c", 1, 2, 2)], ["b", "c", "a"]),
        ([("a", 1, 0, 1), ("b", 1, 1, 2), ("z", 2, 0, 1)], ["a", "z", "b"]),
        ([("a", 1, 0, 1), ("b", 1, 1, 5)], ["a", "2-4", "b"]),
        ([("a", 1, 0, 1), ("b", 1, 1, 5), ("c", 2, 0, 3)], ["a", "2-2", "c", "4-4", "b"]),
        ([("a", 1, 0, None), ("b", 1, 1, None), ("c", 2, 0, None)], ["a", "b", "c"]),
        ([("a", 1, 0, 2), ("x", 1, 1, None), ("b", 1, 2, 3)], ["a", "x", "b"]),
        ([("x", 1, 0, None), ("b", 1, 1, 3), ("a", 2, 0, 2)], ["a", "x", "b"]),
        # A later report lists what is known and what came between, without places.
        ([("a", 1, 0, 2), ("b", 1, 1, 3), ("a'", 2, 0, None), ("y", 2, 1, None)], ["a", "a'", "y", "b"]),
        ([("a", 1, 0, 3), ("b", 1, 1, 2**53 - 1)], ["a", f"4-{2**53 - 2}", "b"]),
    ],
)  # fmt: skip
def test_position_settles_the_order(told: list[Any], expected: list[str]) -> None:
    assert order(*told) == expected
    assert order(*reversed(told)) == expected  # However the rows come.


def upload(content: bytes, name: str) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)
