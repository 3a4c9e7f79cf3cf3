"""Text rules at rest and in use: sealed, versioned, restricted, brought back, imported, and shown on findings."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.models import User
from core.audit import SYSTEM
from core.audit_events import AuditEvent
from core.crypto import Unsealable, sealed_with
from core.errors import Invalid, Refused
from core.models import AuditEntry
from hashing import actions, jobs, lookup, term_access
from hashing.detectors.terms import findings_in
from hashing.models import Category, Flag, FlagKind, Term, TermChange, TermList
from hashing.sealing import ListSeal
from reports.models import ScanState
from tests.cast import signed_in

Put = Callable[..., Any]


@pytest.fixture
def words(db: None, policy_admin: User) -> TermList:
    return actions.create_term_list(
        name="Marker words",
        category=Category.GROOMING,
        terms="markerword-alpha\tthe first\nmarkerword-beta",
        actor=policy_admin,
    )


@pytest.fixture
def secret(db: None, policy_admin: User) -> TermList:
    return actions.create_term_list(
        name="Secret words",
        category=Category.GROOMING,
        is_restricted=True,
        terms="markerword-gamma\tour note\nallow: markerword-gamma ray",
        actor=policy_admin,
    )


def lines(term_list: TermList) -> list[str]:
    return [rule.line for rule in term_access.rules_of(term_list)]


def everything_stored() -> str:
    """Return every text that the database holds about text rules and findings, as it lies there."""
    with connection.cursor() as cursor:
        found = []
        for table in (
            "hashing_term",
            "hashing_termchange",
            "hashing_termlist",
            "hashing_flag",
            "core_auditentry",
        ):
            cursor.execute(f"SELECT string_agg({table}::text, ' ') FROM {table}")
            found.append(str(cursor.fetchone()[0]))
    return " ".join(found)


# ── Sealed at rest ────────────────────────────────────────────────────────────────────────────
def test_the_database_does_not_hold_what_is_looked_for(secret: TermList, scanned: Put) -> None:
    actions.set_terms(secret, "markerword-delta\nmarkerword-gamma\tanother note", actor=SYSTEM)
    item = scanned("hello markerword-gamma")
    (flag,) = Flag.objects.filter(item=item)
    stored = everything_stored()
    assert "Secret words" in stored
    for word in ("markerword", "note", "delta"):
        assert word not in stored
    assert "“" not in flag.summary.replace("“Secret words”", "")
    assert flag.summary == "Contains a match at characters 7 to 22, a term of “Secret words”."
    assert flag.evidence["span"] == [6, 22]
    assert flag.evidence["restricted"] is True


def test_a_finding_of_an_open_list_quotes_the_item_never_the_rule(
    words: TermList, scanned: Put
) -> None:
    actions.change_term_list(words, steps=["case", "signs", "marks"], actor=SYSTEM)
    item = scanned("Hello MÄRKERW0RD-alpha")
    (flag,) = Flag.objects.filter(item=item)
    assert flag.summary == (
        "Contains “MÄRKERW0RD-alpha” (marks left out, signs for letters), a term of “Marker words”."
    )
    assert flag.evidence["folding"] == ["case", "marks", "signs"]
    assert flag.evidence["language"] == "unknown"
    assert "markerword-alpha" not in str(flag.evidence)


def test_a_row_moved_to_another_list_does_not_open(words: TermList, secret: TermList) -> None:
    row = secret.terms.first()
    assert row is not None
    assert ListSeal(secret).line(row) == "markerword-gamma\tour note"
    with pytest.raises(Unsealable):
        ListSeal(words).line(row)
    other = words.terms.first()
    assert other is not None
    other.sealed = words.terms.last().sealed
    with pytest.raises(Unsealable):
        ListSeal(words).line(other)


def test_a_list_whose_key_is_lost_is_a_flag_not_silence(words: TermList, scanned: Put) -> None:
    TermList.objects.filter(pk=words.pk).update(sealed_key=b"HFS1\x04gone" + bytes(60))
    lookup.forget()
    item = scanned("markerword-alpha")
    assert item.scan_state in {ScanState.FAILED, ScanState.PARTLY}
    (flag,) = Flag.objects.filter(item=item)
    assert flag.kind == FlagKind.COULD_NOT_SCAN


def test_lists_are_sealed_anew_with_a_new_master_key(
    words: TermList, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOLDFAST_MASTER_KEYS", raising=False)
    before = sealed_with(bytes(words.sealed_key or b""))
    ring = Path(settings.HOLDFAST_KEYRING)
    own = tmp_path / "ring.json"
    own.write_text(ring.read_text())
    own.chmod(0o600)
    settings.HOLDFAST_KEYRING = str(own)
    call_command("rotate_master_key")
    words.refresh_from_db()
    assert sealed_with(bytes(words.sealed_key or b"")) != before
    assert lines(words) == ["markerword-alpha\tthe first", "markerword-beta"]


def in_clear(term_list: TermList, *texts: str) -> None:
    """Put a list back to how lists were before they were sealed."""
    Term.objects.filter(term_list=term_list).delete()
    TermChange.objects.filter(term_list=term_list).update(sealed=None, added=list(texts))
    TermList.objects.filter(pk=term_list.pk).update(sealed_key=None)
    Term.objects.bulk_create(
        Term(term_list=term_list, text=text, folded=text.lower(), note="kept") for text in texts
    )
    lookup.forget()


def test_lists_from_before_are_used_as_they_are_and_then_sealed(
    words: TermList, scanned: Put
) -> None:
    in_clear(words, "Markerword-Old", "*starred*", "/usr/")
    assert Flag.objects.filter(item=scanned("markerword-old")).count() == 1
    assert Flag.objects.filter(item=scanned("overstarred")).count() == 0
    assert jobs.sweep_terms() == 1
    assert jobs.sweep_terms() == 0
    words.refresh_from_db()
    assert "arkerword" not in everything_stored().replace("Contains “markerword-old”", "")
    assert lines(words) == ["Markerword-Old\tkept", "\\*starred*\tkept", "\\/usr/\tkept"]
    (change,) = words.changes.all()
    assert ListSeal(words).lines_of(change).added == ["Markerword-Old", "\\*starred*", "\\/usr/"]
    assert change.added_count == 3
    in_clear(words, "Markerword-Old")
    changed = actions.set_terms(words, "markerword-old\tkept", actor=SYSTEM)
    assert changed.version == 2
    assert words.terms.count() == 1  # The row that it was, rewritten.


# ── Versions ──────────────────────────────────────────────────────────────────────────────────
def test_an_earlier_version_is_shown_compared_and_brought_back(
    words: TermList, client: Client, policy_admin: User
) -> None:
    signed_in(client, policy_admin)
    actions.set_terms(words, "markerword-beta\tnew note\nmarkerword-gamma", actor=policy_admin)
    actions.set_terms(words, "markerword-gamma", actor=policy_admin)
    page = client.get(reverse("hashing:rule_versions", args=[words.pk]) + "?older=1&newer=2").text
    assert "markerword-alpha" in page
    assert "markerword-beta\tnew note" in page
    assert "Bring back version 1" in page
    newest = client.get(reverse("hashing:rule_versions", args=[words.pk])).text
    assert "From version 2 to version 3" in newest
    for wrong in ("?older=9&newer=12", "?older=-1"):
        assert client.get(
            reverse("hashing:rule_versions", args=[words.pk]) + wrong
        ).status_code in {
            200,
            404,
        }
    back = reverse("hashing:rule_restore", args=[words.pk, 1])
    assert "as version 4" in client.post(back, follow=True).text
    assert set(lines(words)) == {"markerword-alpha\tthe first", "markerword-beta"}
    (change,) = words.changes.filter(version=4)
    assert change.restored_version == 1
    entry = AuditEntry.objects.filter(event=AuditEvent.TERM_LIST_CHANGED).latest("pk")
    assert entry.data["restored_version"] == 1
    assert client.post(reverse("hashing:rule_restore", args=[words.pk, 4])).status_code == 409
    with pytest.raises(Refused):
        actions.restore_terms(words, version=0, actor=SYSTEM)
    assert "already" in client.post(back, follow=True).text


# ── Restricted ────────────────────────────────────────────────────────────────────────────────
def test_only_named_people_read_a_restricted_list(
    secret: TermList, client: Client, policy_admin: User, lead: User
) -> None:
    signed_in(client, lead)
    page = client.get(reverse("hashing:rule", args=[secret.pk]))
    assert page.status_code == 200
    assert "Hidden" in page.text
    assert "markerword" not in page.text
    assert client.get(reverse("hashing:rule_versions", args=[secret.pk])).status_code == 403
    tried = client.post(reverse("hashing:try_text"), {"text": "markerword-gamma"})
    assert "Nothing would be flagged" in tried.text
    assert "1 restricted list left out" in tried.text

    signed_in(client, policy_admin)
    grant = reverse("hashing:rule_grant", args=[secret.pk])
    assert "may read the list now" in client.post(grant, {"person": lead.pk}, follow=True).text
    signed_in(client, lead)
    assert "markerword-gamma" in client.get(reverse("hashing:rule", args=[secret.pk])).text
    tried = client.post(reverse("hashing:try_text"), {"text": "markerword-gamma"})
    assert "left out" not in tried.text
    assert "<mark>markerword-gamma</mark>" in tried.text

    signed_in(client, policy_admin)
    revoke = reverse("hashing:rule_revoke", args=[secret.pk])
    client.post(revoke, {"person": lead.pk})
    assert term_access.readers_of(secret) == [policy_admin]
    assert "last person" in client.post(revoke, {"person": policy_admin.pk}, follow=True).text
    assert client.post(grant, {"person": uuid.uuid4()}).status_code == 404
    events = AuditEntry.objects.values_list("event", flat=True)
    assert AuditEvent.TERM_LIST_GRANTED in events
    assert AuditEvent.TERM_LIST_REVOKED in events


def test_an_editor_who_is_not_named_changes_nothing_of_a_restricted_list(
    secret: TermList, client: Client, policy_admin: User
) -> None:
    other = User.objects.exclude(pk=policy_admin.pk).filter(role=policy_admin.role).first()
    if other is None:
        other = User.objects.create(
            email="second@holdfast.example", pseudonym="Second Editor", role=policy_admin.role
        )
    assert not term_access.may_read(other, secret)
    with pytest.raises(Invalid):
        actions.grant_terms(secret, to=User(role="reviewer", pseudonym="x"), actor=SYSTEM)


def test_a_list_that_becomes_restricted_is_read_by_who_made_it_so(
    words: TermList, policy_admin: User, lead: User
) -> None:
    assert term_access.may_read(lead, words)
    actions.change_term_list(words, is_restricted=True, actor=policy_admin)
    words.refresh_from_db()
    assert term_access.may_read(policy_admin, words)
    assert not term_access.may_read(lead, words)


# ── Import, export, building ──────────────────────────────────────────────────────────────────
def test_rules_are_imported_from_csv_and_exported(
    words: TermList, client: Client, policy_admin: User
) -> None:
    signed_in(client, policy_admin)
    address = reverse("hashing:rule_import", args=[words.pk])
    assert client.get(address).status_code == 200

    def send(text: str, mode: str, version: int, name: str = "rules.csv") -> Any:
        file = SimpleUploadedFile(name, text.encode(), "text/csv")
        said = {"file": file, "mode": mode, "version": version}
        return client.post(address, said, follow=True)

    bad = send("rule,score\nmarkerword-new,0.9\n/(?=a)/,\nfine,7\n", "add", 1)
    assert bad.status_code == 422
    assert "Line 3" in bad.text
    assert "Line 4" in bad.text
    assert lines(words) == ["markerword-alpha\tthe first", "markerword-beta"]
    assert "rule” is missing" in send("score\n1\n", "add", 1).text
    good = "rule,score,languages,level,note\nmarkerword-new,0.9,en de,evasive,why\n"
    assert "is now version 2" in send(good, "add", 1).text
    assert lines(words)[-1] == "markerword-new {score=0.9 lang=de,en level=evasive}\twhy"
    assert len(lines(words)) == 3
    assert send("one\ntwo\n", "replace", 1, "rules.txt").status_code == 409
    file = client.get(reverse("hashing:rule_export", args=[words.pk]))
    assert file.headers["Content-Disposition"] == 'attachment; filename="marker-words-v2.csv"'
    assert AuditEntry.objects.filter(event=AuditEvent.TERM_LIST_EXPORTED).count() == 1
    assert "is now version 3" in send("one\ntwo\n", "replace", 2, "rules.txt").text
    assert "is now version 4" in send(file.content.decode(), "replace", 3).text
    assert len(lines(words)) == 3


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({"kind": "word", "first": "marker  word"}, "marker word"),
        ({"kind": "part", "first": "marker", "score": "0.9"}, "*marker* {score=0.9}"),
        (
            {"kind": "pattern", "first": r"/mark\d+/", "languages": "en, de"},
            r"/mark\d+/ {lang=de,en}",
        ),
        ({"kind": "near", "first": "a", "second": "b", "distance": "0"}, '"a" near 0 "b"'),
        ({"kind": "without", "first": "a", "second": "b", "note": "why"}, '"a" without "b"\twhy'),
        ({"kind": "allow", "first": "marker words"}, "allow: marker words"),
        ({"kind": "word", "first": "/x/", "level": "exact"}, "\\/x/ {level=exact}"),
    ],
)
def test_a_rule_is_put_together_from_fields(
    words: TermList, client: Client, policy_admin: User, said: dict[str, str], line: str
) -> None:
    signed_in(client, policy_admin)
    address = reverse("hashing:rule_build", args=[words.pk])
    assert client.get(address).status_code == 200
    assert client.post(address, said).status_code == 302
    assert lines(words)[-1] == line


@pytest.mark.parametrize(
    ("said", "words_said"),
    [
        ({"kind": "near", "first": "a"}, "needs the other text"),
        ({"kind": "pattern", "first": "(?=a)"}, "looking ahead"),
        ({"kind": "word", "first": "!!!"}, "no letter"),
        ({"kind": "word", "first": "a", "languages": "english"}, "ISO 639"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_at_its_field(
    words: TermList, client: Client, policy_admin: User, said: dict[str, str], words_said: str
) -> None:
    signed_in(client, policy_admin)
    answer = client.post(reverse("hashing:rule_build", args=[words.pk]), said)
    assert answer.status_code == 422
    assert words_said in answer.text
    assert len(lines(words)) == 2


def test_a_long_list_is_not_edited_as_text(
    words: TermList, client: Client, policy_admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_in(client, policy_admin)
    monkeypatch.setattr(term_access, "MOST_IN_EDITOR", 1)
    answer = client.get(reverse("hashing:rule_terms", args=[words.pk]))
    assert answer.headers["Location"] == reverse("hashing:rule_import", args=[words.pk])


def test_rules_of_a_list_are_searched_and_paged(
    words: TermList, client: Client, policy_admin: User
) -> None:
    signed_in(client, policy_admin)
    actions.add_terms(words, [f"markerword-{n:03}" for n in range(120)], actor=SYSTEM)
    address = reverse("hashing:rule", args=[words.pk])
    assert "Page 1 of 3" in client.get(address).text
    # A rule may be somebody's number, and a list may be restricted: what is looked for stands in no address.
    kept = client.post(address, {"search": "WORD-11"})["Location"]
    assert "WORD" not in kept.upper().removeprefix(address.upper())
    found = client.get(kept, headers={"HX-Request": "true", "HX-Target": "rules-of-list"}).text
    assert found.lstrip().startswith('<section class="card" id="rules-of-list"')
    assert found.count("markerword-11") == 10
    assert "No rule holds this" in client.post(address, {"search": "nothing"}, follow=True).text
    assert "No rule holds this" not in client.get(address + "?search=nothing").text


# ── What fires ────────────────────────────────────────────────────────────────────────────────
def test_what_an_allowed_phrase_excuses_is_a_note_and_no_case(
    words: TermList, scanned: Put
) -> None:
    actions.add_terms(words, ["allow: markerword-alpha male"], actor=SYSTEM)
    item = scanned("the markerword-alpha male")
    (flag,) = Flag.objects.filter(item=item)
    assert (flag.kind, flag.score) == (FlagKind.NOTE, 0.0)
    assert flag.summary.startswith("Not counted: “markerword-alpha”")
    assert term_access.suppressed_count(words) == 1
    both = scanned("markerword-alpha, the markerword-alpha male")
    (flag,) = Flag.objects.filter(item=both)
    assert flag.kind == FlagKind.TERM_MATCH
    assert flag.evidence["suppressed"] == [[22, 38]]


def test_scores_are_the_rules_own_or_the_lists(words: TermList) -> None:
    actions.change_term_list(words, score=0.4, actor=SYSTEM)
    actions.set_terms(words, "one\ntwo {score=0.9}", actor=SYSTEM)
    found = findings_in("one two", "", lookup.active_terms())
    assert [finding.score for finding in found] == [0.4, 0.9]
    with pytest.raises(Invalid):
        actions.change_term_list(words, score=1.5, actor=SYSTEM)
    with pytest.raises(Invalid):
        actions.change_term_list(words, steps=["nonsense"], actor=SYSTEM)


def test_the_tester_shows_how_a_text_is_read(
    words: TermList, client: Client, policy_admin: User
) -> None:
    from hashing.folding import Step

    signed_in(client, policy_admin)
    actions.change_term_list(words, steps=[str(step) for step in Step], actor=SYSTEM)
    actions.set_terms(words, "marker\nallow: marker pen", actor=SYSTEM)
    said = {"text": "This sentence has a m 4 r k 3 r and a MÀRKER pen in it."}
    page = client.post(reverse("hashing:try_text"), said).text
    assert "<mark>m 4 r k 3 r</mark>" in page
    assert '<mark class="mark--quiet">MÀRKER</mark>' in page
    assert "signs for letters, letters set apart" in page
    assert "put together:</span> amarker" in page
    assert '<span class="mono">en</span>' in page
    assert "Evasive" in page
    assert not Flag.objects.exists()
