"""Which characters the fonts inside typst can show, and what stands for the others.

PDF/UA-1 refuses a document with a character that no font has, and only the fonts inside typst give
the same bytes on every machine. So a character outside the table below is written as its code
point, ``[U+4E2D U+6587]``; the exact text is always in the package's metadata. The same happens to
control and direction characters, with which a hostile name could make a line read as another.
"""

from __future__ import annotations

import re
from functools import lru_cache

# Measured with typst 0.15.2: Libertinus Serif, New Computer Modern, DejaVu Sans Mono, each
# character set alone under PDF/UA-1. `tests/referrals/test_package_summary.py` measures it again.
_COVERED = """
    20-7e a0-ac ae-377 37a-37f 384-38a 38c 38e-3a1 3a3-4ff 510-513 51a-51d 531-556 559-58a
    58d-58f 591-5c7 5d0-5ea 5ef-5f4 606-60c 615 61b 61f 621-63a 640-655 65a 660-66d 674
    679-67b 67e-680 683-684 686-687 691 698 6a4 6a9 6af 6be 6cc 6f0-6f9 900-97f e3f e81-e82
    e84 e87-e88 e8a e8d e94-e97 e99-e9f ea1-ea3 ea5 ea7 eaa-eab ead-eb9 ebb-ebc ec8-ecd
    10d0-10ff 115f-1160 13a0-13f5 13f8-13fd 17b4-17b5 17c1-17c3 180b-180d 180f 1ab0-1ace
    1d00-1f15 1f18-1f1d 1f20-1f45 1f48-1f4d 1f50-1f57 1f59 1f5b 1f5d 1f5f-1f7d 1f80-1fb4
    1fb6-1fc4 1fc6-1fd3 1fd6-1fdb 1fdd-1fef 1ff2-1ff4 1ff6-1ffe 2000-200a 2010-2027
    202f-2040 2042 2044-2052 2054-205f 2070-2071 2074-208e 2090-209c 20a0-20c0 20d0-20f0
    2100-211e 2120 2122 2124 2126-2151 2153-2184 2189 2190-23ff 2422-2423 2460-262f
    2638-268b 2690-269c 26a0-26a7 26aa-26b2 2701-2704 2706-2709 270c-2727 2729-274b 274d
    274f-2752 2756 2758-275e 2761-277f 2794 2798-27af 27b1-2b73 2b76-2b95 2b97-2bff
    2c60-2cf3 2cf9-2cff 2e02-2e05 2e08-2e0a 2e17-2e18 2e1f 2e22-2e25 2e2e a640-a641
    a648-a649 a656-a657 a708-a716 a71b-a727 a72d a730 a735 a765 a789-a78e a790-a791 a793
    a7aa a7f8-a7f9 ab52 ab66 fb00-fb06 fb13-fb17 fb1d-fb36 fb38-fb3c fb3e fb40-fb41
    fb43-fb44 fb46-fb4f fe00-fe0f fe20-fe2f fffd
"""

_LONG_WORD = re.compile(r"\S{41,}")
_PIECE = re.compile(r"\S{10}(?=\S)")
_BREAK = "\u200b"  # zero width space: a place where a long word may break


@lru_cache(maxsize=1)
def ranges() -> tuple[tuple[int, int], ...]:
    """The covered code points as (first, last) pairs, ascending."""
    found = []
    for part in _COVERED.split():
        first, _dash, last = part.partition("-")
        found.append((int(first, 16), int(last or first, 16)))
    return tuple(found)


@lru_cache(maxsize=1)
def _covered() -> frozenset[str]:
    return frozenset(chr(code) for first, last in ranges() for code in range(first, last + 1))


def printable(text: str, *, limit: int, ascii_only: bool = False) -> str:
    """`text` as one paragraph that surely prints, at most about `limit` characters of it.

    White space becomes one space; long words may break; what cannot be shown is spelt out. A longer text ends with
    the number of characters that are missing.
    """
    words = " ".join(text[: limit + 1].split())
    is_cut = len(text) > limit
    known = frozenset(map(chr, range(0x20, 0x7F))) if ascii_only else _covered()
    spelt: list[str] = []
    codes: list[str] = []
    for character in [*words[:limit], ""]:
        if character and character not in known:
            codes.append(f"U+{ord(character):04X}")
            continue
        if codes:
            spelt.append(f"[{' '.join(codes)}]")
            codes.clear()
        spelt.append(character)
    ending = f" [and {len(text) - limit:,} more characters]" if is_cut else ""
    return _LONG_WORD.sub(_breakable, "".join(spelt)) + ending


def _breakable(word: re.Match[str]) -> str:
    return _PIECE.sub(lambda piece: piece.group() + _BREAK, word.group())
