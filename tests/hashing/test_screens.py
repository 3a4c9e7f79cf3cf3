"""The pages of lists and rules, through HTTP."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from accounts.models import User
from core.audit import SYSTEM
from core.models import AuditEntry
from hashing import actions, term_access
from hashing.models import Category, Flag, HashList, TermList
from tests import pictures
from tests.cast import find, signed_in

MD5 = "a" * 32


@pytest.fixture
def editor(client: Client, policy_admin: User) -> Client:
    return signed_in(client, policy_admin)


@pytest.fixture
def words(db: None) -> TermList:
    return actions.create_term_list(
        name="Marker words", category=Category.GROOMING, terms="markerword-alpha", actor=SYSTEM
    )


def csv(text: str) -> SimpleUploadedFile:
    return SimpleUploadedFile("list.csv", text.encode(), "text/csv")


def test_a_list_is_created_imported_and_shown(editor: Client) -> None:
    assert "No hash list yet" in editor.get(reverse("hashing:lists")).text
    said = {
        "name": "Drawn pictures",
        "category": "csam_known",
        "pdq_threshold": 31,
        "phash_threshold": 8,
        "origin": "Invented hotline",
    }
    answer = editor.post(reverse("hashing:list_new"), said)
    hash_list = HashList.objects.get()
    assert answer.headers["Location"] == reverse("hashing:list_import", args=[hash_list.pk])
    page = reverse("hashing:list", args=[hash_list.pk])
    assert "No entry yet" in editor.get(page).text
    answer = editor.post(
        reverse("hashing:list_import", args=[hash_list.pk]),
        {"file": csv(f"algorithm,value,note\nMD5,{MD5.upper()},a drawn one\n")},
        follow=True,
    )
    assert answer.redirect_chain == [(page, 302)]
    assert "1 rows read: 1 added." in answer.text
    assert MD5 in answer.text
    assert "a drawn one" in answer.text
    assert "list.csv" in answer.text
    assert "Drawn pictures" in editor.get(reverse("hashing:lists")).text


def test_bad_rows_are_shown_and_nothing_is_kept(editor: Client, known: HashList) -> None:
    address = reverse("hashing:list_import", args=[known.pk])
    text = f"md5,{MD5},\nmd5,short,\nwhat,{MD5},\n"
    answer = editor.post(address, {"file": csv(text)})
    assert answer.status_code == 422
    assert "Nothing was imported" in answer.text
    assert "“what” is not an algorithm" in answer.text
    assert not known.entries.exists()
    answer = editor.post(address, {"file": csv(text), "skip_bad_rows": "on"}, follow=True)
    assert "2 bad rows left out" in answer.text
    assert known.entries.count() == 1


@pytest.mark.parametrize("text", ["", "\x89PNG\r\n\x1a\n\x00\xff" * 3])
def test_a_file_that_is_no_list_is_answered_at_the_field(
    editor: Client, known: HashList, text: str
) -> None:
    file = SimpleUploadedFile("list.csv", text.encode("latin-1"), "text/csv")
    answer = editor.post(reverse("hashing:list_import", args=[known.pk]), {"file": file})
    assert answer.status_code == 422
    assert "The file " in answer.text


def test_an_import_without_a_file_is_answered(editor: Client, known: HashList) -> None:
    assert editor.post(reverse("hashing:list_import", args=[known.pk])).status_code == 422


def test_entries_are_searched_retired_and_restored(editor: Client, known: HashList) -> None:
    entry = actions.add_entry(known, algorithm="md5", value=MD5, note="one", actor=SYSTEM)
    page = reverse("hashing:list", args=[known.pk])
    assert MD5 in find(editor, page, {"search": "AAAAAA"}).text
    assert "No entry matches this filter" in find(editor, page, {"search": "ffff"}).text
    retire = reverse("hashing:entry_retire", args=[entry.pk])
    assert MD5 in editor.get(retire).text
    assert editor.post(retire, {"reason": ""}).status_code == 422
    assert "is retired" in editor.post(retire, {"reason": "a mistake"}, follow=True).text
    assert editor.post(retire, {"reason": "again"}).status_code == 409
    assert "a mistake" in editor.get(page, {"state": "retired"}).text
    assert MD5 not in editor.get(page, {"state": "active"}).text
    restore = reverse("hashing:entry_restore", args=[entry.pk])
    assert "in force again" in editor.post(restore, follow=True).text
    assert editor.post(restore).status_code == 409
    fragment = editor.get(page, headers={"HX-Request": "true", "HX-Target": "entries"}).text
    assert fragment.lstrip().startswith('<div class="card" id="entries">')


def test_a_digest_is_found_on_every_list_and_the_search_is_recorded(
    editor: Client, known: HashList
) -> None:
    actions.add_entry(known, algorithm="md5", value=MD5, actor=SYSTEM)
    text = find(editor, reverse("hashing:lists"), {"digest": f" {MD5.upper()} "}).text
    assert "Where this digest is listed" in text
    assert "On no list" in find(editor, reverse("hashing:lists"), {"digest": "b" * 32}).text
    assert AuditEntry.objects.filter(event="hashing.lists.searched").count() == 2


def test_a_digest_is_added_by_hand(editor: Client, known: HashList) -> None:
    address = reverse("hashing:entry_new", args=[known.pk])
    assert editor.get(address).status_code == 200
    wrong = editor.post(address, {"algorithm": "md5", "value": "xyz"})
    assert wrong.status_code == 422
    assert "is not hexadecimal" in wrong.text
    assert editor.post(address, {"algorithm": "md5", "value": MD5}).status_code == 302
    assert editor.post(address, {"algorithm": "md5", "value": MD5}).status_code == 409


def test_settings_are_changed(editor: Client, known: HashList) -> None:
    address = reverse("hashing:list_edit", args=[known.pk])
    assert "Drawn pictures" in editor.get(address).text
    said = {"name": "Other", "category": "csam_known", "pdq_threshold": 20, "phash_threshold": 8}
    assert editor.post(address, said | {"pdq_threshold": 500}).status_code == 422
    assert editor.post(address, said).status_code == 302
    known.refresh_from_db()
    assert (known.name, known.pdq_threshold, known.is_active) == ("Other", 20, False)
    assert "Switched off" in editor.get(reverse("hashing:lists")).text


def test_flags_of_a_list_are_shown_without_the_item(
    editor: Client, known: HashList, scanned: Callable[..., object]
) -> None:
    import hashlib

    data = pictures.jpeg(5)
    actions.add_entry(
        known, algorithm="sha256", value=hashlib.sha256(data).hexdigest(), actor=SYSTEM
    )
    scanned(data)
    text = editor.get(reverse("hashing:list", args=[known.pk])).text
    assert "Exact copy of a file" in text
    assert str(Flag.objects.get().item_id) not in text


def test_a_lead_looks_and_does_not_touch(client: Client, lead: User, known: HashList) -> None:
    signed_in(client, lead)
    entry = actions.add_entry(known, algorithm="md5", value=MD5, actor=SYSTEM)
    text = client.get(reverse("hashing:list", args=[known.pk])).text
    assert MD5 in text
    for name in ("list_edit", "list_import", "entry_new"):
        assert reverse(f"hashing:{name}", args=[known.pk]) not in text
    assert "Retire" not in text.replace("Retired", "")
    for name in ("list_edit", "list_import", "entry_new"):
        assert client.get(reverse(f"hashing:{name}", args=[known.pk])).status_code == 403
    answer = client.post(reverse("hashing:entry_retire", args=[entry.pk]), {"reason": "x"})
    assert answer.status_code == 403


def test_a_reviewer_sees_no_lists(client: Client, reviewer: User, known: HashList) -> None:
    signed_in(client, reviewer)
    assert client.get(reverse("hashing:lists")).status_code == 403
    assert client.get(reverse("hashing:rules")).status_code == 403


# ── Text rules ────────────────────────────────────────────────────────────────────────────────
def test_a_term_list_is_created_and_written(editor: Client) -> None:
    assert "No text rule yet" in editor.get(reverse("hashing:rules")).text
    said = {"name": "Marker words", "category": "grooming", "surfaces": ["profile_text"]}
    answer = editor.post(reverse("hashing:rule_new"), said)
    term_list = TermList.objects.get()
    terms = reverse("hashing:rule_terms", args=[term_list.pk])
    assert answer.headers["Location"] == terms
    assert editor.get(terms).status_code == 200
    answer = editor.post(
        terms, {"terms": "markerword-alpha\tnote\nmarkerword-beta", "version": 1}, follow=True
    )
    assert "is now version 2" in answer.text
    assert "markerword-beta" in answer.text
    assert "Profile text" in answer.text
    assert "Version 2" in answer.text
    assert "Marker words" in editor.get(reverse("hashing:rules")).text


def test_a_file_replaces_the_terms(editor: Client, words: TermList) -> None:
    terms = reverse("hashing:rule_terms", args=[words.pk])
    file = SimpleUploadedFile("terms.txt", "\ufeffone\r\ntwo\r\n".encode(), "text/plain")
    editor.post(terms, {"terms": "ignored", "version": 1, "file": file})
    assert [str(rule) for rule in term_access.rules_of(words)] == ["one", "two"]
    file = SimpleUploadedFile("terms.txt", b"\xff\xfe", "text/plain")
    answer = editor.post(terms, {"terms": "", "version": 2, "file": file})
    assert answer.status_code == 422
    assert "not text in UTF-8" in answer.text


def test_what_was_written_survives_a_conflict_and_a_mistake(
    editor: Client, words: TermList
) -> None:
    terms = reverse("hashing:rule_terms", args=[words.pk])
    wrong = editor.post(terms, {"terms": "mine\n!!!", "version": 1})
    assert wrong.status_code == 422
    assert "Line 2 holds no letter" in wrong.text
    assert "mine" in wrong.text
    actions.set_terms(words, "theirs", actor=SYSTEM)
    conflict = editor.post(terms, {"terms": "mine", "version": 1})
    assert conflict.status_code == 409
    assert "changed this list meanwhile" in conflict.text
    assert "mine" in conflict.text
    assert 'name="version" value="2"' in conflict.text


def test_a_text_is_tried_and_nothing_is_kept(client: Client, lead: User, words: TermList) -> None:
    signed_in(client, lead)
    address = reverse("hashing:try_text")
    assert client.get(address).status_code == 200
    lines = AuditEntry.objects.count()
    said = {"text": "say <b>MarkerWord-Alpha</b> & more", "surface": ""}
    answer = client.post(address, said, headers={"HX-Request": "true"})
    assert answer.text.lstrip().startswith('<section class="stack" id="trial"')
    assert "say &lt;b&gt;<mark>MarkerWord-Alpha</mark>&lt;/b&gt; &amp; more" in answer.text
    assert "a term of “Marker words”" in answer.text
    assert not Flag.objects.exists()
    assert AuditEntry.objects.count() == lines
    assert "Nothing would be flagged" in client.post(address, {"text": "harmless"}).text
    assert client.post(address, {"text": ""}).status_code == 422
    assert client.post(address, {"text": "x" * 20_001}).status_code == 422


def test_a_trial_looks_only_where_the_list_looks(editor: Client, words: TermList) -> None:
    actions.change_term_list(words, surfaces=["profile_name"], actor=SYSTEM)
    address = reverse("hashing:try_text")
    said = {"text": "markerword-alpha"}
    assert "<mark>" in editor.post(address, said | {"surface": "profile_name"}).text
    assert "<mark>" not in editor.post(address, said | {"surface": "group_name"}).text


def test_settings_of_a_term_list_are_changed(editor: Client, words: TermList) -> None:
    address = reverse("hashing:rule_edit", args=[words.pk])
    assert editor.get(address).status_code == 200
    assert editor.post(address, {"name": "", "category": "grooming"}).status_code == 422
    assert editor.post(address, {"name": "New", "category": "grooming"}).status_code == 302
    words.refresh_from_db()
    assert (words.name, words.is_active, words.version) == ("New", False, 2)
    assert "is_active: True → False" in editor.get(reverse("hashing:rule", args=[words.pk])).text
