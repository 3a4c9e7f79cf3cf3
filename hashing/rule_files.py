"""Reading rules from text and from CSV, with errors by line. Values in, values out.

Text has one rule a line, in the syntax of ``hashing.rule_lines``. CSV has a heading that names its columns:
``rule`` (or ``term``), ``note``, ``score``, ``languages``, ``level``, in any order; comma, semicolon or tab.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from core.errors import Invalid
from core.tables import csv_line, restored
from hashing.csv_lists import check_named_once
from hashing.rule_lines import Rule, RuleKind, parse_rule

__all__ = ["COLUMNS", "MOST_TERMS", "csv_of", "lines_of_csv", "parse_terms"]

MOST_TERMS = 200_000
MOST_PATTERNS = 2_000
_PROBLEMS = 50

COLUMNS = ("rule", "score", "languages", "level", "note")
_HEADINGS = {
    "rule": "rule",
    "term": "rule",
    "terms": "rule",
    "text": "rule",
    "phrase": "rule",
    "keyword": "rule",
    "score": "score",
    "weight": "score",
    "language": "languages",
    "languages": "languages",
    "lang": "languages",
    "level": "level",
    "note": "note",
    "notes": "note",
    "comment": "note",
}


def parse_terms(terms: str | Iterable[str]) -> dict[str, Rule]:
    """Return rules by what they look for. Raises Invalid by line number.

    Blank lines are skipped; of two lines that look for the same the first stands.
    """
    lines = terms.splitlines() if isinstance(terms, str) else terms
    found: dict[str, Rule] = {}
    problems = []
    patterns = 0
    for number, line in enumerate(lines, start=1):
        if not line.partition("\t")[0].strip() and "\x00" not in line:
            continue
        try:
            rule = parse_rule(line)
        except ValueError as problem:
            problems.append(_by_line(number, str(problem)))
            continue
        patterns += sum(part.operand.bound is None for part in rule.parts)
        found.setdefault(rule.identity, rule)
    if len(found) > MOST_TERMS:
        problems.append(f"A list holds at most {MOST_TERMS:,} rules.")
    if patterns > MOST_PATTERNS:
        problems.append(f"A list holds at most {MOST_PATTERNS:,} patterns.")
    if problems:
        raise Invalid({"terms": problems[:_PROBLEMS]})
    return found


def _by_line(number: int, problem: str) -> str:
    """Return a problem that names its line, in one sentence where it speaks of the line itself."""
    if problem.startswith("It "):
        return f"Line {number} {problem.removeprefix('It ')}"
    if problem.startswith("The note "):
        return f"The note on line {number} {problem.removeprefix('The note ')}"
    if problem.startswith("A zero byte "):
        return f"Line {number} holds a zero byte, which cannot be looked for."
    return f"Line {number}: {problem}"


def lines_of_csv(text: str) -> list[str]:
    """Return CSV rows as lines of rules, one for each line of the file so that numbers agree.

    Raises Invalid, at ``file``, when it is not CSV with a column ``rule``.
    """
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    lines: list[str] = []
    order: dict[str, int] = {}
    try:
        for row in reader:
            while len(lines) < reader.line_num - 1:
                lines.append("")  # A quoted value went over several lines.
            if not order:
                order = _columns(row)
                lines.append("")
                continue
            lines.append(_line(row, order))
    except csv.Error as broken:
        raise Invalid({"file": [f"The file is not readable as CSV: {broken}."]}) from None
    if not order:
        raise Invalid({"file": ["The file is empty."]})
    return lines


def _columns(row: list[str]) -> dict[str, int]:
    try:
        check_named_once(row, _HEADINGS)
    except ValueError as twice:
        raise Invalid({"file": [str(twice)]}) from None
    order: dict[str, int] = {}
    for at, name in enumerate(row):
        if known := _HEADINGS.get(name.strip().lower()):
            order.setdefault(known, at)
    if "rule" not in order:
        raise Invalid(
            {
                "file": [
                    f"The first line must name the columns: {', '.join(COLUMNS)}. “rule” is missing."
                ]
            }
        )
    return order


def _line(row: list[str], order: dict[str, int]) -> str:
    cell = {name: restored(row[at].strip()) for name, at in order.items() if at < len(row)}
    rule = " ".join(cell.get("rule", "").splitlines()).replace("\t", " ")
    if not rule:
        return ""
    options = []
    if score := cell.get("score"):
        options.append(f"score={score}")
    if languages := cell.get("languages"):
        options.append(f"lang={','.join(languages.replace(',', ' ').split())}")
    if level := cell.get("level"):
        options.append(f"level={level}")
    written = f"{rule} {{{' '.join(options)}}}" if options else rule
    note = " ".join(cell.get("note", "").split())
    return f"{written}\t{note}" if note else written


def csv_of(rules: Iterable[Rule]) -> str:
    """Return rules as CSV that can be imported again."""
    found = [csv_line(COLUMNS)]
    for rule in rules:
        score = f"{rule.score:g}" if rule.score is not None else ""
        found.append(csv_line((str(rule), score, " ".join(rule.languages), rule.level, rule.note)))
    return "".join(found)


def kinds_of(rules: Iterable[Rule]) -> dict[RuleKind, int]:
    """Return how many rules there are of each kind."""
    found: dict[RuleKind, int] = {}
    for rule in rules:
        found[rule.kind] = found.get(rule.kind, 0) + 1
    return found
