"""A trained text classifier as plain arrays: scoring, explaining, and a file format that runs nothing.

The model is a logistic regression over two TF-IDF blocks (words, letters), each with sublinear counts and
unit length, followed by a calibration from log-odds to probability: Platt's sigmoid (Platt 1999) or
isotonic steps (Zadrozny & Elkan 2002; compared by Niculescu-Mizil & Caruana 2005). It gives the same
figures as the scikit-learn pipeline it was trained with, without scikit-learn.

The file: 8 bytes of magic, the length of a JSON header (unsigned 64 bits, little-endian), the header, the
arrays it names one after the other as little-endian 64-bit floats, and the SHA-256 of all before. Nothing
in it is code, no archive is unpacked, and every length is checked before anything is read.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashing.folding import Folded, fold
from hashing.learning import features
from hashing.learning.features import FEATURES_VERSION, LETTERS, WORDS

__all__ = ["LARGEST_MODEL", "Block", "Calibration", "CannotLoad", "Explanation", "Model", "Term"]

MAGIC = b"HOLDCLS\x01"
LARGEST_MODEL = 64 * 1024 * 1024
"""Bytes. A model with the most features that training keeps has about a tenth of that."""

_MOST_TERMS = 1_000_000
_SHOWN = 8
_SPANS = 10
_WORDS_KEPT, _LONGEST_KEPT = 20_000, 32
Floats = NDArray[np.float64]


class CannotLoad(Exception):
    """The bytes are not a model that may be used. ``reason`` is a plain sentence, ``code`` is stable."""

    def __init__(self, reason: str, code: str = "model_damaged") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


@dataclass(frozen=True)
class Term:
    """What a word, or two in a row, added to the log-odds, and where it stands in the text as written.

    ``letters`` are the strongest letter n-grams within the word; all of them are part of ``weight``.
    """

    text: str
    weight: float
    spans: tuple[tuple[int, int], ...]
    letters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """A score and what it consists of: ``base + sum of all weights = log_odds``.

    ``terms`` are the strongest, those that speak for it first; ``rest`` is the sum of all others.
    """

    score: float
    log_odds: float
    base: float
    rest: float
    terms: tuple[Term, ...]

    def deciding(self) -> list[Term]:
        """Return the terms that speak for it and weigh at least a fifth of the heaviest: to be marked."""
        heaviest = max((term.weight for term in self.terms), default=0.0)
        return [term for term in self.terms if term.weight > 0 and term.weight >= heaviest / 5]


@dataclass(frozen=True)
class Calibration:
    """From log-odds to probability. ``sigmoid``: slope, offset; ``isotonic``: points x, y."""

    method: str
    x: Floats
    y: Floats

    def apply(self, log_odds: Floats) -> Floats:
        """Return probabilities from 0 to 1."""
        if self.method == "sigmoid":
            slope, offset = float(self.x[0]), float(self.y[0])
            return np.asarray(1.0 / (1.0 + np.exp(np.clip(slope * log_odds + offset, -700, 700))))
        return np.clip(np.interp(log_odds, self.x, self.y), 0.0, 1.0)


@dataclass(frozen=True)
class Block:
    """One kind of features: term → place, its inverse document frequencies and coefficients."""

    name: str
    vocabulary: dict[str, int]
    idf: Floats
    coef: Floats

    def added(self, found: Iterable[str]) -> dict[str, float]:
        """Return the known features among those found, and what each adds to the log-odds."""
        get = self.vocabulary.get
        counts = Counter(found)
        known = [(term, place) for term in counts if (place := get(term)) is not None]
        weights = self._weights([place for _, place in known], [counts[term] for term, _ in known])
        return {term: weight for (term, _), weight in zip(known, weights.tolist(), strict=True)}

    def sum(self, found: Iterable[str]) -> float:
        """Return what all features found add to the log-odds."""
        get = self.vocabulary.get
        return self.sum_of_places(place for term in found if (place := get(term)) is not None)

    def sum_of_places(self, places: Iterable[int]) -> float:
        """Return the same for features given by their places, each as often as it stands there."""
        counts = Counter(places)
        return float(self._weights(list(counts), list(counts.values())).sum())

    def _weights(self, places: list[int], counts: list[int]) -> Floats:
        if not places:
            return np.empty(0)
        values = (1.0 + np.log(counts)) * self.idf[places]
        values /= math.sqrt(float(values @ values))
        return np.asarray(values * self.coef[places])


_READ = {WORDS: features.words, LETTERS: features.letters}


@dataclass(frozen=True)
class Model:
    """A trained classifier. ``about`` is what the training wrote down; it is shown, never used."""

    blocks: tuple[Block, ...]
    intercept: float
    calibration: Calibration
    about: dict[str, Any]
    _letters_of: dict[str, tuple[int, ...]] = field(default_factory=dict, repr=False, compare=False)

    def log_odds(self, text: str) -> float:
        """Return the uncalibrated score of a text. Linear in its length."""
        folded = fold(text).text
        total = self.intercept
        for block in self.blocks:
            if block.name == LETTERS:
                words = features.single_words(folded)
                places = chain.from_iterable(self._places(block, word) for word in words)
                total += block.sum_of_places(places)
            else:
                total += block.sum(features.words(folded))
        return total

    def _places(self, block: Block, word: str) -> tuple[int, ...]:
        """Return the places of the letter n-grams of a word. Texts repeat their words: they are kept."""
        known = self._letters_of.get(word)
        if known is None:
            get = block.vocabulary.get
            known = tuple(
                place for gram in features.letters(word) if (place := get(gram)) is not None
            )
            if len(self._letters_of) >= _WORDS_KEPT:
                self._letters_of.clear()
            if len(word) <= _LONGEST_KEPT:
                self._letters_of[word] = known
        return known

    def score(self, text: str) -> float:
        """Return the probability (0 to 1) that people would confirm the text."""
        return float(self.calibration.apply(np.array([self.log_odds(text)]))[0])

    def scores(self, texts: Sequence[str]) -> Floats:
        """Return the probabilities of many texts."""
        return self.calibration.apply(
            np.array([self.log_odds(text) for text in texts], dtype=float)
        )

    def explain(self, text: str, *, most: int = _SHOWN) -> Explanation:
        """Return the score with the ``most`` strongest terms.

        The weight of a letter n-gram is shared out to the words in which it stands.
        """
        folded = fold(text)
        added = {block.name: block.added(_READ[block.name](folded.text)) for block in self.blocks}
        total = self.intercept + sum(sum(each.values()) for each in added.values())
        found = _terms(folded, added[WORDS], added[LETTERS])
        found.sort(key=lambda term: (-abs(term.weight), term.text))
        chosen = sorted(
            (term for term in found[:most] if term.weight), key=lambda term: -term.weight
        )
        rest = total - self.intercept - sum(term.weight for term in chosen)
        score = float(self.calibration.apply(np.array([total]))[0])
        return Explanation(score, total, self.intercept, rest, tuple(chosen))

    def strongest(self, most: int = 20) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
        """Return the words that speak most for and most against, whatever the text.

        Ranked is the coefficient by the root of how common the word is: a pair that stood in two texts
        has a large coefficient and matters to nobody.
        """
        (block,) = [block for block in self.blocks if block.name == WORDS]
        names = list(block.vocabulary)
        order = np.argsort(block.coef * np.exp(-block.idf / 2), kind="stable")
        pick = [(_composed(names[at]), float(block.coef[at])) for at in order]
        against = [pair for pair in pick[:most] if pair[1] < 0]
        return [pair for pair in pick[::-1][:most] if pair[1] > 0], against

    # ── The file ──────────────────────────────────────────────────────────────────────────────
    def to_bytes(self) -> bytes:
        """Return the model as a file. The same model gives the same bytes."""
        arrays: list[Floats] = [np.array([self.intercept])]
        described = []
        for block in self.blocks:
            described.append({"name": block.name, "terms": list(block.vocabulary)})
            arrays += [block.idf, block.coef]
        arrays += [self.calibration.x, self.calibration.y]
        header = {
            "features": FEATURES_VERSION,
            "blocks": described,
            "calibration": self.calibration.method,
            "lengths": [len(array) for array in arrays],
            "about": self.about,
        }
        document = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
        body = b"".join(np.ascontiguousarray(array, dtype="<f8").tobytes() for array in arrays)
        whole = MAGIC + struct.pack("<Q", len(document)) + document + body
        return whole + hashlib.sha256(whole).digest()

    @classmethod
    def from_bytes(cls, data: bytes) -> Model:
        """Return the model of a file. Raises CannotLoad for anything that ``to_bytes`` did not write."""
        if len(data) > LARGEST_MODEL:
            raise CannotLoad("the file is larger than any model may be")
        if not data.startswith(MAGIC):
            raise CannotLoad("the file is not a model of this application", "model_foreign")
        if len(data) < len(MAGIC) + 8 + 32:
            raise CannotLoad("the file is cut off")
        if hashlib.sha256(data[:-32]).digest() != data[-32:]:
            raise CannotLoad("the file was changed or is cut off: its checksum is wrong")
        try:
            return cls._read(data[:-32])
        except CannotLoad:
            raise
        except (ValueError, TypeError, KeyError, IndexError, RecursionError, struct.error):
            raise CannotLoad("the file does not hold what a model consists of") from None

    @classmethod
    def _read(cls, data: bytes) -> Model:
        (length,) = struct.unpack_from("<Q", data, len(MAGIC))
        start = len(MAGIC) + 8 + length
        header = json.loads(data[len(MAGIC) + 8 : start])
        if header["features"] != FEATURES_VERSION:
            raise CannotLoad(
                "it was trained with another way of reading texts; train it anew", "model_outdated"
            )
        lengths = header["lengths"]
        if not all(isinstance(each, int) and 0 <= each <= _MOST_TERMS for each in lengths):
            raise CannotLoad("its arrays have impossible lengths")
        if start > len(data) or sum(lengths) * 8 != len(data) - start:
            raise CannotLoad("its arrays are not as long as it says")
        arrays = []
        for each in lengths:
            array = np.frombuffer(data, dtype="<f8", count=each, offset=start).astype(np.float64)
            if not np.isfinite(array).all():
                raise CannotLoad("it holds values that are not numbers")
            arrays.append(array)
            start += each * 8
        (intercept,) = arrays[0]
        blocks = []
        for position, said in enumerate(header["blocks"]):
            idf, coef = arrays[1 + 2 * position], arrays[2 + 2 * position]
            vocabulary = {str(term): place for place, term in enumerate(said["terms"])}
            if not len(vocabulary) == len(said["terms"]) == len(idf) == len(coef):
                raise CannotLoad("its vocabulary does not fit its arrays")
            if said["name"] not in _READ or (idf <= 0).any():
                raise CannotLoad("it holds a kind of features that is not known")
            blocks.append(Block(said["name"], vocabulary, idf, coef))
        method, (x, y) = header["calibration"], arrays[-2:]
        fits = (len(x) == len(y) == 1) if method == "sigmoid" else len(x) == len(y) >= 1
        if (
            method not in {"sigmoid", "isotonic"}
            or not fits
            or (np.diff(x) < 0).any()
            or len(arrays) != 3 + 2 * len(blocks)
            or sorted(block.name for block in blocks) != sorted(_READ)
            or not isinstance(header["about"], dict)
        ):
            raise CannotLoad("its calibration is not usable")
        return cls(tuple(blocks), float(intercept), Calibration(method, x, y), header["about"])


def _terms(folded: Folded, words: dict[str, float], letters: dict[str, float]) -> list[Term]:
    """Return every word and pair of words of a text with what it added."""
    spans: dict[str, list[tuple[int, int]]] = {}
    standing = features.word_places(folded.text)
    for word, start, end in standing:
        spans.setdefault(word, []).append(folded.span(start, end))
    within = {word: Counter(features.letters(word)) for word in spans}
    everywhere: Counter[str] = Counter()
    for word, own in within.items():
        for gram, count in own.items():
            everywhere[gram] += count * len(spans[word])
    terms = []
    for word, own in within.items():
        shares = {
            gram: letters[gram] * count * len(spans[word]) / everywhere[gram]
            for gram, count in own.items()
            if gram in letters
        }
        weight = words.get(word, 0.0) + sum(shares.values())
        strongest = sorted(shares, key=lambda gram: -shares[gram] if weight > 0 else shares[gram])
        terms.append(
            Term(_composed(word), weight, tuple(spans[word][:_SPANS]), tuple(strongest[:3]))
        )
    pairs: dict[str, list[tuple[int, int]]] = {}
    for (one, start, _), (two, _, end) in pairwise(standing):
        pairs.setdefault(f"{one} {two}", []).append(folded.span(start, end))
    terms += [
        Term(_composed(pair), words[pair], tuple(where[:_SPANS]))
        for pair, where in pairs.items()
        if pair in words
    ]
    return terms


def _composed(term: str) -> str:
    """Return a term as people write it: folded text is decomposed."""
    return unicodedata.normalize("NFC", term)
