"""Links seen outside: one key for many writings, imports that are whole, undone and joined to groups."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.models import User
from core import vault
from core.audit import SYSTEM
from hashing import actions, jobs
from hashing.link_files import LinkProblem, LinkRow, read_links
from hashing.models import LinkImport, ListedLink, RiskScore
from reports.links import LONGEST_KEY, NotALink, link_key
from tests.casework import grant_all
from tests.cast import find, signed_in
from tests.hashing.risk_world import World, said_of, score

SAME = [
    "https://chat.example/join/AbC",
    "http://www.Chat.Example/join/AbC/",
    "chat.example/join/AbC",
    "https://chat.example:443/join/AbC?utm_source=somewhere#top",
    " https://chat.example/join/%41bC ",
]


def test_the_many_ways_to_write_a_link_have_one_key() -> None:
    assert {link_key(each) for each in SAME} == {"chat.example/join/AbC"}
    assert link_key("https://chat.example/join/abc") != link_key(SAME[0])
    assert link_key("chat.example/join?code=AbC&utm_x=1") == "chat.example/join?code=AbC"
    assert link_key("app://join/AbC") == "app://join/AbC"


@given(text=st.text(max_size=1200))
@settings(max_examples=400, deadline=None)
def test_any_text_is_a_key_or_no_link(text: str) -> None:
    try:
        key = link_key(text)
    except NotALink as no:
        assert str(no).endswith(".")  # noqa: PT017 — any text may be no link; then it is said so
        return
    assert 0 < len(key) <= LONGEST_KEY


@given(data=st.binary(max_size=600))
@settings(max_examples=400, deadline=None)
def test_any_bytes_are_rows_problems_or_refused_with_a_sentence(data: bytes) -> None:
    try:
        found = list(read_links(io.BytesIO(data)))
    except ValueError as no:
        assert str(no).endswith(".")  # noqa: PT017
        return
    assert all(isinstance(each, LinkRow | LinkProblem) for each in found)


def test_files_of_links() -> None:
    forms = {
        "lines": "# drawn\nchat.example/join/a\n\nchat.example/join/b\n",
        "csv": "seen_at,link,place\n2026-11-22,chat.example/join/a,x\n,chat.example/join/b,\n",
        "tabs": "chat.example/join/a\tx\t2026-11-22\nchat.example/join/b\n",
        "json": '{"url": "chat.example/join/a", "place": "x"}\n{"link": "chat.example/join/b"}\n',
        "bom": "\ufefflink\nchat.example/join/a\nchat.example/join/b\n",
    }
    for form, text in forms.items():
        rows = list(read_links(io.BytesIO(text.encode())))
        assert [row.key[-1] for row in rows if isinstance(row, LinkRow)] == ["a", "b"], form
        assert len(rows) == 2, form


def test_bad_rows_are_named() -> None:
    text = (
        'chat.example/join/a\nnowhere\n{"link": 3}\n{bad\nchat.example/b,x,someday\n' + "x" * 9000
    )
    said = [each for each in read_links(io.BytesIO(text.encode())) if isinstance(each, LinkProblem)]
    assert [each.number for each in said] == [2, 3, 4, 5, 6]
    with pytest.raises(ValueError, match="UTF-8"):
        list(read_links(io.BytesIO(b"chat.example/join/a\n\xff\n")))


def test_a_line_break_inside_a_place_makes_no_link() -> None:
    text = 'chat.example/join/a,"a place\nchat.example/join/b"\n'
    with pytest.raises(ValueError, match="Line 1 has a quotation mark that is not closed"):
        list(read_links(io.BytesIO(text.encode())))


# ── Importing ─────────────────────────────────────────────────────────────────────────────────
def imported(text: str, **more: Any) -> LinkImport:
    blob = vault.store_bytes(text.encode(), name="links.csv")
    made = actions.ask_link_import(blob, place="example directory", actor=SYSTEM, **more)
    jobs.read_links(str(made.pk))
    made.refresh_from_db()
    return made


def test_an_import_joins_groups_known_before_and_after(world: World) -> None:
    before = world.group("before", ["m"], invite_link="https://chat.example/j/one")
    world.settle()
    made = imported("link\nchat.example/j/one\nchat.example/j/two/\nchat.example/j/one\n")
    assert (made.state, made.rows, made.added, made.known, made.groups) == ("done", 3, 2, 0, 1)
    world.settle()
    assert "listings" in said_of(before)
    after = world.group("after", ["m"], invite_link="http://www.chat.example/j/two")
    world.settle()
    assert "listings" in said_of(after)


def test_a_link_that_came_as_an_item_or_was_changed_still_leads_to_its_group(world: World) -> None:
    group = world.group("g", ["m"], invite_link="https://chat.example/j/old")
    world.group("g", ["m"], invite_link="https://chat.example/j/new")
    world.item({"group": "g"}, "invite_link", text="https://chat.example/j/third")
    made = imported("chat.example/j/old\nchat.example/j/third\n")
    assert made.groups == 1
    world.settle()
    assert score(group).facts["listings"] == 1


def test_undo_and_redo_and_what_another_import_knew(world: World) -> None:
    group = world.group("g", ["m"], invite_link="https://chat.example/j/one")
    first = imported("chat.example/j/one\n")
    second = imported("chat.example/j/one\nchat.example/j/two\n")
    assert (second.added, second.known) == (1, 1)
    assert actions.undo_link_import(first, actor=SYSTEM) == 1
    world.settle()
    assert not RiskScore.objects.filter(group=group, score__gt=0).exists()
    assert actions.redo_link_import(first, actor=SYSTEM) == 1
    world.settle()
    assert "listings" in said_of(group)


def test_one_bad_row_and_nothing_is_kept_unless_asked_for(db: None) -> None:
    text = "chat.example/j/one\nnowhere\n"
    refused = imported(text)
    assert (refused.state, refused.refused) == ("refused", 1)
    assert refused.problems[0]["row"] == 2
    assert not ListedLink.objects.exists()
    kept = imported(text, skip_bad_rows=True)
    assert (kept.state, kept.added, kept.refused) == ("done", 1, 1)


def test_a_file_that_is_none_fails_with_a_sentence(db: None) -> None:
    made = imported("\x00\x01\x02")
    assert made.state == "failed"
    assert "no text file" in made.problem
    assert imported("# only a remark\n").problem == "The file holds no links."


def test_an_import_that_was_cut_off_is_read_again_and_once(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = vault.store_bytes(b"chat.example/j/one\nchat.example/j/two\n", name="links.csv")
    made = actions.ask_link_import(blob, place="x", actor=SYSTEM)

    def dies(*args: Any, **more: Any) -> Any:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr("hashing.actions.links._settle", dies)
        with pytest.raises(Exception, match="RuntimeError"):
            jobs.read_links(str(made.pk))
    assert not ListedLink.objects.exists()
    assert jobs.sweep_links() == 0  # Its lease has not run out.
    LinkImport.objects.update(due_at=timezone.now())
    assert jobs.sweep_links() == 1
    jobs.read_links(str(made.pk))
    jobs.read_links(str(made.pk))
    assert ListedLink.objects.count() == 2


def test_a_hundred_thousand_links_are_one_import(world: World) -> None:
    world.group("g", ["m"], invite_link="https://chat.example/j/77777")
    made = imported("".join(f"https://chat.example/j/{n}\n" for n in range(100_000)))
    assert (made.state, made.added, made.groups) == ("done", 100_000, 1)


def test_the_pages_of_links(client: Client, policy_admin: User, lead: User, world: World) -> None:
    group = world.group("drawn-group", ["m"], invite_link="https://chat.example/j/one")
    signed_in(client, policy_admin)
    assert "No links were imported yet" in client.get(reverse("hashing:links")).content.decode()
    file = SimpleUploadedFile("links.csv", b"chat.example/j/one\n", content_type="text/csv")
    sent = client.post(reverse("hashing:link_new"), {"place": "example directory", "file": file})
    assert sent.status_code == 302
    made = LinkImport.objects.get()
    jobs.read_links(str(made.pk))
    page = client.get(sent["Location"]).content.decode()
    assert "drawn-group" not in page
    found = find(client, reverse("hashing:links"), {"link": "chat.example/j/one"}).content.decode()
    assert "example directory" in found
    assert "1 group known here, 0 of which you may see" in found
    assert "drawn-group" not in found
    for is_granted in (False, True):  # A group without a case is named to whoever works cases.
        if is_granted:
            grant_all(lead)
        signed_in(client, lead)
        for answer in (
            client.get(sent["Location"]),
            find(client, reverse("hashing:links"), {"link": "chat.example/j/one"}),
        ):
            assert (group.external_id in answer.content.decode()) is is_granted
    signed_in(client, policy_admin)
    client.post(reverse("hashing:link_switch", args=[made.pk, "undo"]))
    again = find(client, reverse("hashing:links"), {"link": "chat.example/j/one"}).content.decode()
    assert "Not listed anywhere" in again


def test_what_is_wrong_with_a_file_of_links_is_said_at_the_field(
    client: Client, policy_admin: User, db: None
) -> None:
    signed_in(client, policy_admin)
    empty = SimpleUploadedFile("links.csv", b"", content_type="text/csv")
    answer = client.post(reverse("hashing:link_new"), {"place": "x", "file": empty})
    assert answer.status_code == 422
    assert "empty" in answer.content.decode()
