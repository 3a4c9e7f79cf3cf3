"""Regular expressions from people, matched without backtracking. Values in, values out.

RE2 (R. Cox: Regular Expression Matching in the Wild, 2010) answers in time linear in the text for every
pattern, and refuses what would need backtracking: back references and looking around. A slow pattern is
therefore impossible, and a large one is refused when it is written.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import re2

__all__ = ["LONGEST_PATTERN", "MOST_SPANS", "Patterns", "check_pattern"]

Key = TypeVar("Key", bound=Hashable)

LONGEST_PATTERN = 500
MOST_INSTRUCTIONS = 5_000
"""Size of a compiled pattern, in RE2's instructions: ``\\w{1,200}`` has more than that in Unicode."""

MOST_SPANS = 200
"""Places of one pattern in one text that are looked at."""

_PATTERN_MEMORY = 8 << 20
_SET_MEMORY = 64 << 20
_SET_INSTRUCTIONS = 50_000
"""Instructions of patterns that are looked for together. RE2 needs room for some twenty states, each of about
eight bytes an instruction; with 64 MB it can never run out and so never miss a match."""

_FEW = 8
_SURROGATE = re.compile("[\ud800-\udfff]")

_SENTENCES = (
    ("invalid perl operator: (?=", "looking ahead, (?=…), needs backtracking and is not possible"),
    ("invalid perl operator: (?!", "looking ahead, (?!…), needs backtracking and is not possible"),
    ("invalid perl operator: (?<", "looking behind, (?<…), needs backtracking and is not possible"),
    ("invalid named capture group", "looking behind or a group's name that cannot be read"),
    ("invalid escape sequence", "a backslash with something that has no meaning here"),
    ("missing ): ", "a bracket “(” is never closed"),
    ("missing )", "a bracket “(” is never closed"),
    ("unexpected ): ", "a bracket “)” was never opened"),
    ("unexpected )", "a bracket “)” was never opened"),
    ("missing ]", "a bracket “[” is never closed"),
    ("no argument for repetition", "a *, + or ? has nothing before it to repeat"),
    ("bad repetition operator", "two of *, +, ? stand behind each other"),
    ("invalid repetition size", "a repetition is larger than 1,000"),
    ("pattern too large", "it is too large"),
    ("trailing \\", "it ends in a backslash"),
)


def _options(memory: int, *, is_exact: bool) -> re2.Options:
    options = re2.Options()
    options.max_mem = memory
    options.log_errors = False
    options.case_sensitive = is_exact
    return options


def check_pattern(pattern: str) -> None:
    """Raise ValueError, with a sentence that says what is wrong, unless a pattern may be used."""
    if len(pattern) > LONGEST_PATTERN:
        raise ValueError(f"The pattern is longer than {LONGEST_PATTERN} characters.")
    if _SURROGATE.search(pattern) or "\x00" in pattern:
        raise ValueError("The pattern holds characters that no text has.")
    if re.search(r"(?<!\\)(?:\\\\)*\\[1-9]", pattern):
        raise ValueError(
            "The pattern cannot be used: a back reference needs backtracking and is not possible."
        )
    try:
        compiled = re2.compile(pattern, _options(_PATTERN_MEMORY, is_exact=False))
    except re2.error as refused:
        said = refused.args[0] if refused.args else ""
        said = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        why = next((sentence for start, sentence in _SENTENCES if said.startswith(start)), said)
        raise ValueError(f"The pattern cannot be used: {why}.") from None
    finally:
        re2.purge()
    if compiled.programsize > MOST_INSTRUCTIONS or compiled.reverseprogramsize > MOST_INSTRUCTIONS:
        raise ValueError("The pattern cannot be used: it is too large. Use smaller repetitions.")
    if compiled.search("") is not None:
        raise ValueError("The pattern matches an empty text, and so every text.")


class Patterns(Generic[Key]):
    """Patterns that are looked for together: RE2's sets say which occur, and only these are placed."""

    def __init__(self, patterns: Iterable[tuple[Key, str]], *, is_exact: bool = False) -> None:
        """Raises ValueError for a pattern that ``check_pattern`` refuses."""
        self._compiled: list[tuple[Key, Any]] = []
        self._sets: list[tuple[int, re2.Set]] = []
        for key, pattern in patterns:
            check_pattern(pattern)
            made = re2.compile(pattern, _options(_PATTERN_MEMORY, is_exact=is_exact))
            self._compiled.append((key, made))
        if len(self._compiled) > _FEW:
            self._combine(is_exact=is_exact)

    def _combine(self, *, is_exact: bool) -> None:
        current: re2.Set | None = None
        size = 0
        for index, (_, made) in enumerate(self._compiled):
            if current is None or size + made.programsize > _SET_INSTRUCTIONS:
                if current is not None:
                    current.Compile()
                current = re2.Set.SearchSet(_options(_SET_MEMORY, is_exact=is_exact))
                self._sets.append((index, current))
                size = 0
            current.Add(made.pattern)
            size += made.programsize
        if current is not None:
            current.Compile()

    def __len__(self) -> int:
        return len(self._compiled)

    def find(self, text: str) -> list[tuple[Key, int, int]]:
        """Return (key, start, end) of what matches, at most ``MOST_SPANS`` places of each pattern."""
        if not self._compiled or not text:
            return []
        text = _SURROGATE.sub("\ufffd", text)
        found = []
        for index in self._candidates(text):
            key, compiled = self._compiled[index]
            for count, match in enumerate(compiled.finditer(text)):
                if count == MOST_SPANS:
                    break
                if match.end() > match.start():
                    found.append((key, match.start(), match.end()))
        return found

    def _candidates(self, text: str) -> Sequence[int]:
        if not self._sets:
            return range(len(self._compiled))
        data = text.encode()
        return [first + at for first, some in self._sets for at in some.Match(data) or ()]
