"""How a text rule is written: one rule a line. Values in, values out.

::

    marker word                         a term: these words, nothing longer
    *marker*                            anywhere, also inside a word (marker*: beginning, *marker: end)
    /mark(er|ing) \\d+/                  a regular expression
    "alpha" near 5 "beta"               both, with at most five words between them
    "alpha" and "beta"                  both, anywhere in the text
    "alpha" without "gamma"             the first, unless the text holds the second
    allow: marker word of honour        matches inside this phrase do not count
    \\/not a pattern/                    a backslash in front: the rest is a plain term

Behind a rule, in braces, what it has of its own: ``{score=0.9 lang=en,de level=exact}``. Behind a tab, a note.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from hashing.folding import LEVELS, fold
from hashing.patterns import check_pattern
from hashing.terms import Bound

__all__ = [
    "LONGEST_NOTE",
    "LONGEST_TERM",
    "Joint",
    "Operand",
    "Part",
    "Rule",
    "RuleKind",
    "parse_rule",
]

LONGEST_TERM = 200
LONGEST_NOTE = 500
MOST_PARTS = 5
MOST_WORDS = 100
"""The farthest that two parts of a rule may be apart, in words."""


class RuleKind(StrEnum):
    """What a rule is."""

    TERM = "term"
    PATTERN = "pattern"
    COMBINATION = "combination"
    ALLOW = "allow"


class Joint(StrEnum):
    """How a part of a rule belongs to its first one."""

    FIRST = "first"
    NEAR = "near"
    AND = "and"
    WITHOUT = "without"


@dataclass(frozen=True)
class Operand:
    """Something to look for: a term with its bound, or a pattern (``bound`` is None)."""

    text: str
    bound: Bound | None = Bound.WORD

    def __str__(self) -> str:
        if self.bound is None:
            return f"/{self.text}/"
        before = "*" if self.bound in {Bound.SUFFIX, Bound.PART} else ""
        after = "*" if self.bound in {Bound.PREFIX, Bound.PART} else ""
        return f"{before}{self.text}{after}"

    @property
    def quoted(self) -> str:
        """The operand as a part of a combination."""
        if self.bound is None:
            return str(self)
        escaped = str(self).replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'


@dataclass(frozen=True)
class Part:
    """One operand of a rule and how it is joined; ``distance`` in words, for ``near`` only."""

    joint: Joint
    operand: Operand
    distance: int = 0


@dataclass(frozen=True)
class Rule:
    """One rule. ``score`` None, ``level`` and ``languages`` empty: what the list says."""

    kind: RuleKind
    parts: tuple[Part, ...]
    score: float | None = None
    languages: tuple[str, ...] = ()
    level: str = ""
    note: str = ""

    def __str__(self) -> str:
        """Return the rule as it is written, without its options and note."""
        if self.kind == RuleKind.COMBINATION:
            words = [self.parts[0].operand.quoted]
            for part in self.parts[1:]:
                distance = f" {part.distance}" if part.joint == Joint.NEAR else ""
                words.append(f"{part.joint}{distance} {part.operand.quoted}")
            return " ".join(words)
        text = str(self.parts[0].operand)
        if self.kind == RuleKind.ALLOW:
            return f"allow: {text}"
        bare = replace(self, score=None, languages=(), level="", note="")
        if self.kind == RuleKind.TERM and not _reads_as(text, bare):
            return f"\\{text}"
        return text

    @property
    def line(self) -> str:
        """The rule as a line of a list, with its options and its note."""
        options = self.options
        written = f"{self} {{{options}}}" if options else str(self)
        return f"{written}\t{self.note}" if self.note else written

    @property
    def options(self) -> str:
        """What the rule has of its own, as it is written between braces."""
        found = []
        if self.score is not None:
            found.append(f"score={self.score:g}")
        if self.languages:
            found.append(f"lang={','.join(self.languages)}")
        if self.level:
            found.append(f"level={self.level}")
        return " ".join(found)

    @property
    def identity(self) -> str:
        """What makes two lines the same rule: what they look for, however it is written."""
        shown = "".join(
            f"{part.joint}\x1f{part.distance}\x1f{part.operand.bound or 'pattern'}\x1f"
            f"{part.operand.text if part.operand.bound is None else _compared(part.operand.text, self.level)}\x1e"
            for part in self.parts
        )
        return f"{self.kind}\x1e{shown}"


def _compared(text: str, level: str) -> str:
    return fold(text, LEVELS["exact" if level == "exact" else "folded"]).text


_OPTIONS = re.compile(r"\s+\{([^{}\t]*=[^{}\t]*)\}\s*$")
_QUOTED = r'"(?:[^"\\]|\\.)+"|/(?:[^/\\]|\\.)+/'
_JOINED = re.compile(rf"\s+(?:(near)\s+(\d+)|(and)|(without))\s+({_QUOTED})(?=\s|$)")
_FIRST = re.compile(rf"({_QUOTED})(?=\s|$)")
_LANGUAGE = re.compile(r"[a-z]{2,3}")


def parse_rule(line: str) -> Rule:
    """Read one line. Raises ValueError with a sentence that says what is wrong with it."""
    if "\x00" in line:
        raise ValueError("A zero byte cannot be looked for.")
    body, _, note = line.partition("\t")
    note = " ".join(note.split())
    if len(note) > LONGEST_NOTE:
        raise ValueError(f"The note is longer than {LONGEST_NOTE} characters.")
    body = body.strip()
    options: dict[str, object] = {}
    if found := _OPTIONS.search(body):
        options = _options(found.group(1))
        body = body[: found.start()]
    kind, parts = _parts(body)
    for part in parts:
        _check(part.operand)
    rule = Rule(kind, parts, note=note, **options)  # type: ignore[arg-type]  # _options names fields
    if kind == RuleKind.ALLOW and (rule.score is not None or rule.languages):
        raise ValueError("An allowed phrase has no score and no language of its own.")
    return rule


def _parts(body: str) -> tuple[RuleKind, tuple[Part, ...]]:
    if body.startswith("\\"):
        return RuleKind.TERM, (Part(Joint.FIRST, Operand(" ".join(body[1:].split()))),)
    if body.startswith("allow:"):
        return RuleKind.ALLOW, (Part(Joint.FIRST, _operand(body.removeprefix("allow:").strip())),)
    if body[:1] in {'"', "/"} and (joined := _combination(body)):
        return RuleKind.COMBINATION, joined
    operand = _operand(body)
    kind = RuleKind.PATTERN if operand.bound is None else RuleKind.TERM
    return kind, (Part(Joint.FIRST, operand),)


def _combination(body: str) -> tuple[Part, ...]:
    first = _FIRST.match(body)
    if first is None:
        return ()
    parts = [Part(Joint.FIRST, _quoted(first.group(1)))]
    at = first.end()
    while found := _JOINED.match(body, at):
        near, distance, both, without, operand = found.groups()
        joint = Joint(near or both or without)
        words = int(distance) if distance else 0
        if joint == Joint.NEAR and not 0 <= words <= MOST_WORDS:
            raise ValueError(f"“near” takes 0 to {MOST_WORDS} words.")
        parts.append(Part(joint, _quoted(operand), words))
        at = found.end()
    rest = body[at:].strip()
    if len(parts) == 1:
        if re.match(r"(near|and|without)\b", rest):
            raise ValueError(
                "This is not a combination yet. Write for example: "
                '"alpha" near 5 "beta", "alpha" and "beta" or "alpha" without "beta".'
            )
        return ()
    if rest:
        raise ValueError(f"“{rest[:40]}” at the end cannot be read.")
    if len(parts) > MOST_PARTS:
        raise ValueError(f"A combination has at most {MOST_PARTS} parts.")
    return tuple(parts)


def _quoted(text: str) -> Operand:
    if text.startswith("/"):
        return _operand(text)
    return _operand(re.sub(r"\\(.)", r"\1", text[1:-1]))


def _operand(text: str) -> Operand:
    if len(text) > 2 and text.startswith("/") and text.endswith("/"):
        return Operand(text[1:-1], None)
    text = " ".join(text.split())
    starts, ends = text.startswith("*"), text.endswith("*") and len(text) > 1
    inner = text[1 if starts else 0 : len(text) - 1 if ends else len(text)].strip()
    if (not starts and not ends) or not any(char.isalnum() for char in inner):
        return Operand(text)
    if starts and ends:
        return Operand(inner, Bound.PART)
    return Operand(inner, Bound.SUFFIX if starts else Bound.PREFIX)


def _check(operand: Operand) -> None:
    if operand.bound is None:
        check_pattern(operand.text)
        return
    if not operand.text:
        raise ValueError("There is nothing to look for.")
    folded = fold(operand.text).text
    if not folded.strip():
        raise ValueError("It holds only invisible characters.")
    if len(operand.text) > LONGEST_TERM or len(folded) > 2 * LONGEST_TERM:
        raise ValueError(f"It is longer than {LONGEST_TERM} characters.")
    if not any(char.isalnum() for char in folded):
        raise ValueError("It holds no letter and no digit.")


def _options(text: str) -> dict[str, object]:
    found: dict[str, object] = {}
    for word in text.split():
        name, _, value = word.partition("=")
        if name == "score":
            try:
                score = float(value)
            except ValueError:
                score = -1.0
            if not 0.0 < score <= 1.0:
                raise ValueError("A score is above 0 and at most 1, for example {score=0.8}.")
            found["score"] = score
        elif name == "lang":
            codes = tuple(sorted({code for code in value.split(",") if code}))
            if not codes or not all(_LANGUAGE.fullmatch(code) for code in codes):
                raise ValueError("Languages are ISO 639 codes, for example {lang=en,de}.")
            found["languages"] = codes
        elif name == "level":
            if value not in LEVELS:
                raise ValueError("A level is exact, folded or evasive.")
            found["level"] = value
        else:
            raise ValueError(f"“{name[:20]}” is no option: use score, lang or level.")
    return found


def _reads_as(text: str, rule: Rule) -> bool:
    try:
        return parse_rule(text) == rule
    except ValueError:
        return False
