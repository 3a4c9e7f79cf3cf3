"""What a text costs against a list of 100,000 terms, and what the list costs to compile and hold.

    python benchmarks/text.py [--quick] [--json]

Invented words over texts of 1,024 bytes, in Latin letters and in Cyrillic ones. Side by side in one run, on one core:
Holdfast's rules (folded: capitals, width, invisible characters; evasive: every disguise), the same automaton
without folding and without word bounds, ``re`` with one large alternation, a loop of ``term in text`` (as Coop's
text signal does it), and FlashText. Times are processor time of this process, the best of some rounds.

Texts that hold nothing are what a platform mostly has; those with three terms each cost the finding of places,
the folding that explains them, and the language. The others only say that something is there.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import ahocorasick

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from flashtext import KeywordProcessor

from hashing.folding import LEVELS
from hashing.languages import language_of
from hashing.rule_lines import parse_rule
from hashing.rulebook import Entry, Rulebook

BYTES = 1024
SYLLABLES = {
    "Latin": [a + b for a in "bcdfghklmnprstvz" for b in "aeiou"],
    "Cyrillic": [a + b for a in "бвгджзклмнпрст" for b in "аеиоу"],
}


def words(script: str, count: int, seed: int, ending: str) -> list[str]:
    """Return invented words; those with different endings are never the same."""
    chance = random.Random(seed)
    found: set[str] = set()
    while len(found) < count:
        found.add("".join(chance.choices(SYLLABLES[script], k=chance.randint(3, 5))) + ending)
    return sorted(found)


def texts(script: str, count: int, listed: Sequence[str], hits: int) -> list[str]:
    """Return texts of 1,024 bytes in words that are not listed, with ``hits`` that are."""
    chance = random.Random(7)
    ending = "q" if script == "Latin" else "ы"
    plain = words(script, 5000, 3, ending)
    made = []
    for _ in range(count):
        some = chance.choices(plain, k=200)
        for at in range(hits):
            some[at * 7] = chance.choice(listed)
        text = " ".join(some).capitalize().replace(" ", ", ", 3)
        made.append(text.encode()[:BYTES].decode(errors="ignore"))
    return made


def cost(run: Callable[[str], Any], some: Sequence[str], rounds: int) -> float:
    """Return microseconds a text, the best of some rounds, in processor time."""
    best = float("inf")
    for _ in range(rounds):
        begin = time.process_time()
        for text in some:
            run(text)
        best = min(best, (time.process_time() - begin) / len(some))
    return best * 1e6


def built(make: Callable[[], Any]) -> tuple[Any, float]:
    """Return what was made and the seconds of processor time that it took."""
    begin = time.process_time()
    made = make()
    return made, time.process_time() - begin


def traced(make: Callable[[], Any]) -> tuple[Any, float]:
    """Return what was made and how many MB of Python's memory it holds."""
    tracemalloc.start()
    made = make()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return made, held / 1e6


def automaton(terms: Sequence[str]) -> Any:
    """Return the bare automaton."""
    bare = ahocorasick.Automaton()
    for number, term in enumerate(terms):
        bare.add_word(term, number)
    bare.make_automaton()
    return bare


def flash(terms: Sequence[str]) -> KeywordProcessor:
    """Return FlashText's trie."""
    trie = KeywordProcessor(case_sensitive=False)
    trie.add_keywords_from_list(list(terms))
    return trie


def parsed(terms: Sequence[str], level: str) -> list[Entry]:
    """Return every term as a rule of one level of folding."""
    return [Entry(n, "list", parse_rule(term), LEVELS[level]) for n, term in enumerate(terms)]


def measure(script: str, size: int, *, rounds: int, count: int) -> list[dict[str, Any]]:
    """Return one row for each contender."""
    terms = words(script, size, 1, "")
    clean, hit = texts(script, count, terms, 0), texts(script, count, terms, 3)
    few = clean[:2]
    rows = []

    def row(name: str, seconds: float, run: Callable[[str], Any], *, slow: bool, mb: float) -> None:
        some = few if slow else clean
        rows.append(
            {
                "script": script,
                "terms": size,
                "contender": name,
                "us_clean": round(cost(run, some, 1 if slow else rounds), 1),
                "us_with_3_terms": round(
                    cost(run, hit[:2] if slow else hit, 1 if slow else rounds), 1
                ),
                "compile_s": round(seconds, 2),
                "mb": round(mb, 1),
            }
        )

    for level in ("folded", "evasive"):
        entries, parse_s = built(partial(parsed, terms, level))
        book, seconds = built(partial(Rulebook, entries))
        size_mb = book.bytes / 1e6
        row(f"Holdfast, {level}", seconds + parse_s, book.read, slow=False, mb=size_mb)
        # Every tenth term a phrase of two words, which takes a look of its own at each text.
        phrases = [
            f"{term} {terms[n - 1]}" if n % 10 == 0 else term for n, term in enumerate(terms)
        ]
        entries, parse_s = built(partial(parsed, phrases, level))
        book, seconds = built(partial(Rulebook, entries))
        size_mb = book.bytes / 1e6
        row(f"Holdfast, {level}, phrases", seconds + parse_s, book.read, slow=False, mb=size_mb)
        del book, entries
    bare, seconds = built(lambda: automaton(terms))
    size_mb = bare.get_stats()["total_size"] / 1e6
    row(
        "Automaton alone",
        seconds,
        lambda text: list(bare.iter(text.lower())),
        slow=False,
        mb=size_mb,
    )
    (trie, mb), seconds = built(lambda: traced(lambda: flash(terms)))
    row("FlashText", seconds, trie.extract_keywords, slow=False, mb=mb)
    row(
        "term in text, one by one",
        0.0,
        lambda text: [term for term in terms if term in text.lower()],
        slow=True,
        mb=0.0,
    )
    pattern, seconds = built(lambda: re.compile(r"\b(?:" + "|".join(terms) + r")\b", re.IGNORECASE))
    row("re, one alternation", seconds, pattern.findall, slow=True, mb=0.0)
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="10,000 terms, few texts")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    size, rounds, count = (10_000, 3, 50) if options.quick else (100_000, 7, 200)
    language_of("warm the model up, which is loaded when it is first asked for")
    rows = [
        found for script in SYLLABLES for found in measure(script, size, rounds=rounds, count=count)
    ]
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    print(
        f"{size:,} terms, texts of {BYTES:,} bytes, one core; microseconds of processor time a text"
    )
    head = f"{'script':<9} {'':<27} {'nothing':>10} {'3 terms':>10} {'compile s':>10} {'MB':>8}"
    print(head)
    for found in rows:
        print(
            f"{found['script']:<9} {found['contender']:<27} {found['us_clean']:>10,.1f} "
            f"{found['us_with_3_terms']:>10,.1f} {found['compile_s']:>10.2f} {found['mb']:>8.1f}"
        )


if __name__ == "__main__":
    main()
