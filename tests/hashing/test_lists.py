"""Hash lists and term lists: what may come in, who changed what, and what can be undone."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from accounts.models import User
from core.audit import SYSTEM
from core.errors import Invalid, Refused
from core.models import AuditEntry
from hashing import actions, csv_lists, list_files, term_access
from hashing.models import Category, HashEntry, HashImport, HashList, TermChange, TermList
from hashing.sealing import ListSeal

MD5, SHA1, SHA256 = "a" * 32, "b" * 40, "c" * 64
PDQ, PHASH = "d" * 64, "e" * 16

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def parse(text: str | bytes, most_rows: int = 1000) -> csv_lists.Parsed:
    data = text if isinstance(text, bytes) else text.encode()
    return list_files.parse(io.BytesIO(data), most_rows=most_rows, now=NOW)


def take(hash_list: HashList, text: str | bytes, **more: Any) -> actions.ImportResult:
    data = text if isinstance(text, bytes) else text.encode()
    return actions.import_csv(hash_list, io.BytesIO(data), actor=SYSTEM, **more)


@pytest.mark.parametrize(
    "text",
    [
        f"algorithm,value,note\nmd5,{MD5},first\npdq,{PDQ},",
        f"md5,{MD5},first\npdq,{PDQ}",
        f"\ufeffAlgorithm;Hash;Comment\r\nMD5;{MD5};first\r\nPDQ;{PDQ};\r\n",
        f"note\tvalue\thash_type\nfirst\t{MD5.upper()}\t MD-5 \n\n\t {PDQ} \tpdq\n",
        f'"algorithm","value","note"\n"md5","{MD5}","first"\n"pdq","{PDQ}",""\n',
    ],
)
def test_usual_writings_of_a_csv_file_are_read(text: str) -> None:
    parsed = parse(text)
    assert [(row.algorithm, row.value) for row in parsed.rows] == [("md5", MD5), ("pdq", PDQ)]
    assert parsed.rows[0].note == "first"
    assert not parsed.refused


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"md6,{MD5},", "“md6” is not an algorithm that is known here"),
        (f",{MD5},", "algorithm is missing"),
        ("md5,,", "value is missing"),
        (f"md5,{MD5[:-1]},", "32 hexadecimal digits, this one has 31"),
        (f"sha256,{SHA1},", "64 hexadecimal digits, this one has 40"),
        (f"md5,{MD5[:-1]}z,", "is not hexadecimal"),
        ("pdq", "value is missing"),
        (f"md5,{MD5},{'n' * 501}", "note is longer than 500"),
    ],
)
def test_bad_rows_are_named_by_line_and_reason(line: str, words: str) -> None:
    parsed = parse(f"algorithm,value,note\nmd5,{'1' * 32},\n{line}\n")
    (problem,) = parsed.problems
    assert problem.number == 3
    assert words in problem.reason
    assert len(parsed.rows) == 1


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"algorithm,value\n", "holds no rows"),
        (b"\xff\xfe\x00m\x00d", "not text in UTF-8"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\xff", "not text in UTF-8"),
        (b"value,note\nabc,def\n", "names no column “algorithm”"),
        (b'md5,"' + b"a" * 200_000, "Line 1 is longer than"),
    ],
)
def test_files_that_are_no_lists_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(data)


def test_too_many_rows_are_refused() -> None:
    lines = "".join(f"md5,{number:032x},\n" for number in range(11))
    with pytest.raises(ValueError, match="more than 10 rows"):
        parse(lines, most_rows=10)


@pytest.mark.django_db
def test_an_import_counts_what_it_did(known: HashList) -> None:
    result = take(known, f"md5,{MD5},one\nmd5,{MD5.upper()},again\nsha1,{SHA1},\n")
    assert result.is_done
    assert (result.rows, result.added, result.duplicates, result.known) == (3, 2, 1, 0)
    before = HashList.objects.get(pk=known.pk).version
    again = take(known, f"md5,{MD5},other note\nphash,{PHASH},\n")
    assert (again.added, again.known) == (1, 1)
    assert known.entries.get(algorithm="md5").note == "one"
    assert HashList.objects.get(pk=known.pk).version == before + 1
    assert HashImport.objects.filter(hash_list=known).count() == 2
    assert AuditEntry.objects.filter(event="hashing.list.imported").count() == 2


@pytest.mark.django_db
def test_an_import_that_adds_nothing_makes_no_new_version(known: HashList) -> None:
    take(known, f"md5,{MD5},\n")
    version = HashList.objects.get(pk=known.pk).version
    assert take(known, f"md5,{MD5},\n").added == 0
    assert HashList.objects.get(pk=known.pk).version == version


@pytest.mark.django_db
def test_one_bad_row_stops_the_import_unless_told(known: HashList) -> None:
    text = f"md5,{MD5},\nmd5,short,\n"
    refused = take(known, text)
    assert not refused.is_done
    assert [problem.number for problem in refused.problems] == [2]
    assert not HashEntry.objects.exists()
    assert not HashImport.objects.exists()
    taken = take(known, text, skip_bad_rows=True)
    assert (taken.is_done, taken.added, taken.refused) == (True, 1, 1)
    assert HashImport.objects.get().problems[0]["row"] == 2


@pytest.mark.django_db
def test_only_bad_rows_are_no_import_even_when_told(known: HashList) -> None:
    assert not take(known, "md5,short,\n", skip_bad_rows=True).is_done


@pytest.mark.django_db
def test_a_retired_entry_stays_retired_when_it_is_imported_again(known: HashList) -> None:
    take(known, f"md5,{MD5},\n")
    entry = actions.retire_entry(known.entries.get(), reason="a mistake", actor=SYSTEM)
    result = take(known, f"md5,{MD5},\nsha1,{SHA1},\n")
    assert (result.added, result.known, result.retired) == (1, 1, 1)
    entry.refresh_from_db()
    assert entry.retired_at is not None


@pytest.mark.django_db
def test_the_same_value_of_another_algorithm_does_not_count_as_retired(known: HashList) -> None:
    take(known, f"sha256,{PDQ},\nmd5,{MD5},\n")
    actions.retire_entry(known.entries.get(value=PDQ), reason="a mistake", actor=SYSTEM)
    result = take(known, f"pdq,{PDQ},\nmd5,{MD5},\n")
    assert (result.added, result.known, result.retired) == (1, 1, 0)


@pytest.mark.django_db
def test_retiring_needs_a_reason_and_happens_once(known: HashList, policy_admin: User) -> None:
    entry = actions.add_entry(known, algorithm="md5", value=MD5, actor=policy_admin)
    with pytest.raises(Invalid):
        actions.retire_entry(entry, reason="  ", actor=policy_admin)
    actions.retire_entry(entry, reason="a mistake", actor=policy_admin)
    with pytest.raises(Refused):
        actions.retire_entry(entry, reason="again", actor=policy_admin)
    with pytest.raises(Refused, match="Restore"):
        actions.add_entry(known, algorithm="md5", value=MD5, actor=policy_admin)
    entry = actions.restore_entry(entry, actor=policy_admin)
    assert (entry.retired_at, entry.retired_reason) == (None, "")
    with pytest.raises(Refused):
        actions.restore_entry(entry, actor=policy_admin)
    events = AuditEntry.objects.filter(subject_id=str(entry.pk)).order_by("pk")
    assert [line.event for line in events] == [
        "hashing.entry.added",
        "hashing.entry.retired",
        "hashing.entry.restored",
    ]


@pytest.mark.django_db
def test_a_digest_stands_once_on_a_list(known: HashList) -> None:
    actions.add_entry(known, algorithm="SHA-256", value=SHA256.upper(), actor=SYSTEM)
    with pytest.raises(Refused):
        actions.add_entry(known, algorithm="sha256", value=SHA256, actor=SYSTEM)
    with pytest.raises(Invalid):
        actions.add_entry(known, algorithm="sha256", value=MD5, actor=SYSTEM)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("algorithm", "value"), [("md5", MD5.upper()), ("pdq", MD5), ("phash", PHASH + "\n")]
)
def test_the_database_refuses_a_digest_that_could_never_match(
    known: HashList, algorithm: str, value: str
) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        HashEntry.objects.create(hash_list=known, algorithm=algorithm, value=value)


@pytest.mark.django_db
def test_settings_of_a_list_are_checked_and_recorded(known: HashList) -> None:
    for wrong in (
        {"pdq_threshold": 129},
        {"phash_threshold": 33},
        {"name": ""},
        {"category": "other"},
        {"origin": "x" * 201},
        {"name": "x" * 121},
    ):
        with pytest.raises(Invalid):
            actions.change_hash_list(known, **wrong, actor=SYSTEM)
    with pytest.raises(TypeError):
        actions.change_hash_list(known, slug="other", actor=SYSTEM)
    changed = actions.change_hash_list(known, pdq_threshold=20, actor=SYSTEM)
    assert changed.version == known.version + 1
    line = AuditEntry.objects.get(event="hashing.list.changed")
    assert line.data["changes"] == {"pdq_threshold": [31, 20]}
    assert actions.change_hash_list(changed, pdq_threshold=20, actor=SYSTEM).version == 2
    with pytest.raises(Invalid):
        actions.create_hash_list(name="Drawn pictures", category="csam_known", actor=SYSTEM)
    with pytest.raises(Invalid):
        actions.create_hash_list(name="日本", category="csam_known", actor=SYSTEM)


@pytest.mark.django_db
def test_the_command_imports_or_says_why_not(
    known: HashList, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "list.csv"
    file.write_text(f"md5,{MD5},\nmd5,short,\n")
    with pytest.raises(CommandError, match="nothing was imported"):
        call_command("import_hashes", known.slug, str(file))
    assert "line 2" in capsys.readouterr().err
    call_command("import_hashes", known.slug, str(file), "--skip-bad-rows")
    assert "1 added" in capsys.readouterr().out
    with pytest.raises(CommandError, match="drawn-pictures"):
        call_command("import_hashes", "no-such-list", str(file))
    with pytest.raises(CommandError, match="Cannot read"):
        call_command("import_hashes", known.slug, str(tmp_path / "absent.csv"))
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(CommandError, match="UTF-8"):
        call_command("import_hashes", known.slug, str(file))


# ── Terms ─────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def words(db: None) -> TermList:
    return actions.create_term_list(
        name="Marker words",
        category=Category.GROOMING,
        terms="markerword-alpha\tthe first\nmarkerword-beta\n\n",
        actor=SYSTEM,
    )


def in_force(term_list: TermList) -> list[str]:
    return sorted(str(rule) for rule in term_access.rules_of(term_list))


def test_every_change_of_terms_is_a_version(words: TermList, policy_admin: User) -> None:
    assert words.version == 1
    changed = actions.set_terms(
        words, "MARKERWORD-ALPHA\tthe first\nmarkerword-gamma", actor=policy_admin
    )
    assert changed.version == 2
    assert in_force(words) == ["MARKERWORD-ALPHA", "markerword-gamma"]
    newest = TermChange.objects.filter(term_list=words).first()
    assert newest is not None
    assert (newest.version, newest.changed_by) == (2, policy_admin)
    lines = ListSeal(words).lines_of(newest)
    assert (lines.added, lines.removed) == (["markerword-gamma"], ["markerword-beta"])
    assert lines.rewritten == [("markerword-alpha\tthe first", "MARKERWORD-ALPHA\tthe first")]
    same = actions.set_terms(changed, "markerword-gamma\nMARKERWORD-ALPHA\tthe first", actor=SYSTEM)
    assert same.version == 2
    back = actions.set_terms(same, "markerword-beta", actor=SYSTEM)
    assert in_force(back) == ["markerword-beta"]
    assert words.terms.count() == 3  # A retired term came back as the row it was.


def test_two_people_do_not_overwrite_each_other(words: TermList) -> None:
    actions.set_terms(words, "one", version=1, actor=SYSTEM)
    with pytest.raises(Refused, match="version 2"):
        actions.set_terms(words, "two", version=1, actor=SYSTEM)
    assert in_force(words) == ["one"]


@pytest.mark.parametrize(
    ("terms", "words_said"),
    [
        ("good\n\u200b\u200b", "Line 2 holds only invisible"),
        ("x" * 201, "Line 1 is longer"),
        ("!!!", "no letter and no digit"),
        ("a\t" + "n" * 501, "note on line 1"),
        ("a\x00b", "zero byte"),
    ],
)
def test_bad_terms_are_named_by_line(words: TermList, terms: str, words_said: str) -> None:
    with pytest.raises(Invalid) as invalid:
        actions.set_terms(words, terms, actor=SYSTEM)
    assert words_said in invalid.value.errors["terms"][0]
    assert TermList.objects.get(pk=words.pk).version == 1


def test_terms_that_fold_to_the_same_are_one(words: TermList) -> None:
    actions.set_terms(words, ["Straße", "STRASSE", "strasse "], actor=SYSTEM)
    assert in_force(words) == ["Straße"]


def test_settings_of_a_term_list_are_a_version_too(words: TermList) -> None:
    changed = actions.change_term_list(words, surfaces=["profile_name"], actor=SYSTEM)
    assert changed.version == 2
    newest = TermChange.objects.filter(term_list=words).first()
    assert newest is not None
    assert newest.settings == {"surfaces": [[], ["profile_name"]]}
    for wrong in ({"surfaces": ["nowhere"]}, {"name": ""}, {"category": "x"}, {"name": "x" * 121}):
        with pytest.raises(Invalid):
            actions.change_term_list(words, **wrong, actor=SYSTEM)
    with pytest.raises(TypeError):
        actions.change_term_list(words, slug="x", actor=SYSTEM)
    with pytest.raises(Invalid):
        actions.create_term_list(name="Marker words", category="grooming", actor=SYSTEM)
    with pytest.raises(Invalid):
        actions.create_term_list(name="日本", category="grooming", actor=SYSTEM)
    assert actions.change_term_list(changed, name="Marker words", actor=SYSTEM).version == 2
