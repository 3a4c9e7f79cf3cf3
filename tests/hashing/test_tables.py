"""One reader of tables for page, command, worker and exchanges; one writer, safe in a spreadsheet, that it reads back."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core import vault
from core.audit import SYSTEM
from core.errors import Invalid
from core.tables import LONGEST_RECORD, csv_line, plain, restored
from hashing import actions, jobs, list_access, list_files, rule_files
from hashing.actions import create_hash_list
from hashing.csv_lists import Problem, Row
from hashing.list_files import read_rows
from hashing.models import Category, HashImport, HashList
from hashing.rule_lines import parse_rule

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)

A, B, C = ("md5", "a" * 32), ("md5", "b" * 32), ("sha1", "c" * 40)
BREAK = f'md5,{A[1]},"retired, was:\nmd5,{B[1]},wrong file"\n'


class Slow(io.BytesIO):
    """A stream that gives little at a time, as a large file comes in pieces."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self._most = most

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self._most)


def read(text: str | bytes, most: int = 1 << 16) -> list[Row | Problem]:
    return list(read_rows(Slow(text if isinstance(text, bytes) else text.encode(), most), now=NOW))


def pairs(text: str) -> list[tuple[str, str]]:
    found = read(text)
    assert not [each for each in found if isinstance(each, Problem)], found
    return [(each.algorithm, each.value) for each in found if isinstance(each, Row)]


NOTES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)


@example(notes=["SIGNALTYPE"], separator=",", end="\n", heading=False, most=1)
@given(
    notes=st.lists(NOTES, min_size=1, max_size=6),
    separator=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n"]),
    heading=st.booleans(),
    most=st.sampled_from([1, 2, 3, 7, 1 << 16]),
)
def test_what_was_written_is_read_row_by_row_in_pieces_of_any_size(
    notes: list[str], separator: str, end: str, heading: bool, most: int
) -> None:
    out = io.StringIO(newline="")
    # Python's writer leaves a bare carriage return bare unless it is part of the line end.
    if end == "\n":
        writer = csv.writer(out, delimiter=separator, lineterminator=end, quoting=csv.QUOTE_ALL)
    else:
        writer = csv.writer(out, delimiter=separator, lineterminator=end)
    if heading:
        writer.writerow(["algorithm", "value", "note"])
    for number, note in enumerate(notes):
        writer.writerow(["md5", f"{number + 1:032x}", note])
    found = read(out.getvalue(), most)
    rows = [each for each in found if isinstance(each, Row)]
    assert len(found) == len(rows) == len(notes), found
    assert [row.value for row in rows] == [f"{number + 1:032x}" for number in range(len(notes))]
    assert [row.note for row in rows] == [restored(note.strip()) for note in notes]


@given(st.text(max_size=40))
def test_a_cell_that_was_made_safe_is_restored(cell: str) -> None:
    assert restored(plain(cell)) == cell
    (read_back,) = next(csv.reader(io.StringIO(csv_line([cell]), newline="")), [""])
    assert restored(read_back) == cell


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        "+31 6",
        "-2",
        "@SUM(1)",
        "\tx",
        "\rx",
        "\n=x",
        "  =1",
        "＝1",
        "＋1",
        "－1",
        "＠a",
        "'=1",
        "\u3000=1",
    ],
)
def test_no_cell_that_begins_like_a_formula_is_written_bare(cell: str) -> None:
    assert plain(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "a=1", "3-1", "a@b.example", "'tis", "' quoted'", "·=1"])
def test_other_cells_stay_as_they_are(cell: str) -> None:
    assert plain(cell) == restored(cell) == cell


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (BREAK, [A]),
        (BREAK.replace(B[1], "no row at all"), [A]),
        (f"md5,{A[1]},\n,,\n\n;\nmd5,{B[1]},\n".replace("\n;\n", "\n"), [A, B]),
        (f"# a list\nmd5,{A[1]},\n  # md5,{B[1]},\nsha1,{C[1]},\n", [A, C]),
        (f'md5,{A[1]},"a\n# no comment\nb"\nmd5,{B[1]},\n', [A, B]),
        (f"\ufeffnote,algorithm,value\n#1 of it,md5,{A[1]}\n", [A]),
        (f"sep=;\r\nalgorithm;value;note\r\nmd5;{A[1]};a, b, c, d\r\n", [A]),
        (f"md5|{A[1]}|a\nmd5|{B[1]}|b\n", [A, B]),
        (f"md5;{A[1]};one, two, three, four\nmd5;{B[1]};\n", [A, B]),
        (f"md5 {A[1]} a note, with commas\nmd5 {B[1]}\n", [A, B]),
        (f"md5,{A[1]},a\rmd5,{B[1]},b\r", [A, B]),
        (f"signal_type,signal_val\nmd5,{A[1]}\n", [A]),
    ],
)
def test_no_row_is_invented_and_none_is_lost(text: str, rows: list[tuple[str, str]]) -> None:
    assert pairs(text) == rows
    assert read(text) == read(text, 1)
    parsed = list_files.parse(io.BytesIO(text.encode()), most_rows=100, now=NOW)
    assert [(row.algorithm, row.value) for row in parsed.rows] == rows


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (f'md5,{A[1]},"never closed\nmd5,{B[1]},\n'.encode(), "line 1 is never closed"),
        (f'md5,{A[1]},"a" b\n'.encode(), "Line 1 .* text follows a closing quotation mark"),
        ((f'md5,{A[1]},"' + "a\n" * LONGEST_RECORD).encode(), "line 1 is longer than"),
        (f"md5,{A[1]},\n".encode("utf-16"), "UTF-16"),
        (f"md5,sha1,file\n{A[1]},{C[1]},a.jpg\n".encode(), "a column for each kind of digest"),
        (f"md5,note\n{A[1]},a\n".encode(), "a column for each kind of digest"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_words(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read(data)
    with pytest.raises(ValueError, match=words):
        list_files.parse(io.BytesIO(data), most_rows=10, now=NOW)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("md5,1B2M2Y8AsgTpgAmY7PhCfg==,", "looks like base64"),
        ("md5,1.23456E+31,", "took it for a number"),
        (f"md5,'{A[1]},", "spreadsheet's sign for text"),
        (f'md5,"=""{A[1]}""",', "spreadsheet's sign for text"),
        (A[1], "A digest stands where the algorithm belongs"),
        (f"md5,{A[1]},a,b", "is a separator inside a note"),
        (f"pdq,{'0' * 64},", "pictures without any detail"),
        ("md5,D41D8CD98F00B204E9800998ECF8427E,", "that of the empty file"),
    ],
)
def test_a_row_that_cannot_be_taken_is_named_in_words_that_help(line: str, words: str) -> None:
    (_, problem) = read(f"md5,{B[1]},\n{line}\n")
    assert isinstance(problem, Problem)
    assert words in problem.reason


@pytest.mark.parametrize(
    "text",
    [
        f"algorithm,value,deleted\nmd5,{A[1]},\nmd5,{B[1]},yes\n",
        f"algorithm,value,status\nmd5,{A[1]},active\nmd5,{B[1]},withdrawn\n",
        f'{{"algorithm":"md5","value":"{A[1]}","deleted":false}}\n{{"algorithm":"md5","value":"{B[1]}","deleted":true}}\n',
        f'[{{"algorithm":"md5","value":"{A[1]}"}},{{"algorithm":"md5","value":"{B[1]}","false_positive":1}}]',
    ],
)
def test_what_may_take_a_row_out_of_force_is_never_passed_over(text: str) -> None:
    good, bad = read(text)
    assert isinstance(good, Row)
    assert isinstance(bad, Problem)
    assert "may take the row out of force" in bad.reason


@pytest.mark.parametrize(
    "heading",
    [
        "algorithm,value,value",
        "algorithm,value,Hash",
        "type;algo;value",
        "value,algorithm,status,Status",
        "algorithm,value,retired_at,retired-at",
        "algorithm,value,tags,tags",
    ],
)
def test_a_heading_that_names_something_twice_is_refused(heading: str) -> None:
    separator = ";" if ";" in heading else ","
    row = separator.join(("md5", A[1], B[1]))
    with pytest.raises(ValueError, match="keep one of them"):
        list_files.parse(io.BytesIO(f"{heading}\n{row}\n".encode()), most_rows=9, now=NOW)


def test_of_two_columns_for_notes_the_second_is_named_as_not_read() -> None:
    text = f"algorithm,value,note,description\nmd5,{A[1]},kept,left\n"
    parsed = list_files.parse(io.BytesIO(text.encode()), most_rows=9, now=NOW)
    assert [row.note for row in parsed.rows] == ["kept"]
    assert parsed.ignored == ("description",)


@pytest.mark.parametrize("heading", ["rule,term,note", "rule,note,note", "rule,score,weight"])
def test_a_heading_of_rules_that_names_something_twice_is_refused(heading: str) -> None:
    with pytest.raises(Invalid) as refused:
        rule_files.lines_of_csv(f"{heading}\nmarkerword-alpha,x,y\n")
    assert "keep one of them" in refused.value.errors["file"][0]


@pytest.mark.parametrize(
    "entry",
    [
        f'{{"algorithm":"md5","value":"{A[1]}","value":"{B[1]}"}}',
        f'{{"algorithm":"md5","value":"{A[1]}","Value":"{B[1]}"}}',
        f'{{"algorithm":"md5","value":"{A[1]}","hash":"{B[1]}"}}',
    ],
)
def test_an_entry_that_says_two_digests_is_refused(entry: str) -> None:
    for text in (f"{entry}\n", f"[{entry}]"):
        (bad,) = read(text)
        assert isinstance(bad, Problem)
        assert "nobody can tell which one counts" in bad.reason


def test_a_retirement_in_the_future_is_refused_at_its_row() -> None:
    """A day is let pass: a time without an offset may be local, and clocks differ."""
    rows = (
        f"md5,{A[1]},2099-01-01",
        f"md5,{B[1]},2026-11-28T23:30:00",
        f"{C[0]},{C[1]},2026-11-30T00:00:00+05:30",
    )
    text = "\n".join(("algorithm,value,retired_at", *rows, ""))
    first, second, third = read(text)
    assert isinstance(first, Problem)
    assert first.number == 2
    assert "lies in the future" in first.reason
    assert isinstance(second, Row)
    assert isinstance(third, Problem)


@pytest.mark.parametrize(
    "said", ["1969-07-20", "0001-01-01", "2201-01-01", "9999-12-31T23:59:59-14:00"]
)
def test_a_retirement_at_an_impossible_time_is_refused(said: str) -> None:
    (bad,) = read(f"algorithm,value,retired_at\nmd5,{A[1]},{said}\n")
    assert isinstance(bad, Problem)


def test_columns_that_are_not_read_are_named() -> None:
    text = f"algorithm,value,severity,colour\nmd5,{A[1]},9,red\n"
    assert list_files.parse(io.BytesIO(text.encode()), most_rows=9, now=NOW).ignored == (
        "severity",
        "colour",
    )
    text = f'{{"algorithm":"md5","value":"{A[1]}","severity":9}}\n'
    assert list_files.parse(io.BytesIO(text.encode()), most_rows=9, now=NOW).ignored == (
        "severity",
    )


# ── In the database ───────────────────────────────────────────────────────────────────────────
def by_page(hash_list: HashList, data: bytes) -> None:
    actions.import_csv(hash_list, io.BytesIO(data), actor=SYSTEM)


def by_worker(hash_list: HashList, data: bytes) -> None:
    blob = vault.store_bytes(data, name="list.csv")
    asked = actions.ask_import(hash_list, blob, file_name="list.csv", actor=SYSTEM)
    jobs.read_import(str(asked.pk))
    asked.refresh_from_db()
    assert asked.state == "done", asked.problem


def entries(hash_list: HashList) -> list[tuple[object, ...]]:
    names = ("algorithm", "value", "note", "retired_at", "retired_reason")
    return list(hash_list.entries.order_by("algorithm", "value").values_list(*names))


@pytest.mark.django_db
@pytest.mark.parametrize("door", [by_page, by_worker])
def test_holdfasts_own_export_keeps_retired_entries_retired_and_its_notes(
    known: HashList, door: Callable[[HashList, bytes], None]
) -> None:
    actions.add_entry(known, algorithm=A[0], value=A[1], note="=1+1", actor=SYSTEM)
    actions.add_entry(known, algorithm=B[0], value=B[1], note='two\nlines, "quoted"', actor=SYSTEM)
    actions.add_entry(known, algorithm=C[0], value=C[1], note="", actor=SYSTEM)
    actions.retire_entry(known.entries.get(value=B[1]), reason="+a false positive", actor=SYSTEM)
    wanted = entries(known)
    for form in list_access.EXPORT_FORMATS:
        other = create_hash_list(name=f"Other {form}", category=Category.CSAM_KNOWN, actor=SYSTEM)
        door(other, "".join(list_access.export_rows(known, form)).encode())
        assert entries(other) == wanted
        assert other.entries.filter(retired_at=None).count() == 2


@pytest.mark.django_db
def test_page_and_worker_make_the_same_of_one_file(known: HashList) -> None:
    text = f"algorithm,value,note,severity,retired_at\n# nothing\n{BREAK.rstrip()},1,\n,,,,\nsha1,{C[1]},,2,2026-01-02T03:04:05Z\n"
    other = create_hash_list(name="Other", category=Category.CSAM_KNOWN, actor=SYSTEM)
    by_page(known, text.encode())
    by_worker(other, text.encode())
    assert entries(known) == entries(other)
    assert [each[1] for each in entries(known)] == [A[1], C[1]]
    assert known.entries.get(value=C[1]).retired_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert list(HashImport.objects.values_list("ignored_columns", flat=True)) == [["severity"]] * 2


@pytest.mark.django_db
@pytest.mark.parametrize("value", ["0" * 64, "F" * 64])
def test_a_digest_of_nothing_is_refused_by_hand_too(known: HashList, value: str) -> None:
    with pytest.raises(Invalid, match="would match all of them"):
        actions.add_entry(known, algorithm="pdq", value=value, actor=SYSTEM)


@pytest.mark.parametrize(
    "rule", ["=HYPERLINK(…)", "+plusword", "@SUM(1)", "-minus", "'=alpha", "＝alpha"]
)
def test_rules_that_begin_like_formulas_come_back_as_they_were(rule: str) -> None:
    text = rule_files.csv_of([parse_rule(f"{rule}\t=a note")])
    row = list(csv.reader(io.StringIO(text, newline="")))[1]
    assert (row[0], row[-1]) == (f"'{rule}", "'=a note")
    assert rule_files.lines_of_csv(text)[1] == f"{rule}\t=a note"


def test_rules_in_a_file_whose_quotation_mark_is_never_closed_are_not_lost_in_silence() -> None:
    with pytest.raises(Invalid, match="not readable as CSV"):
        rule_files.lines_of_csv('rule,note\nalpha,"never closed\nbeta,\n')
