"""What classifiers of texts cost and find, beside scikit-learn's own pipeline and a list of keywords.

    python benchmarks/classifiers.py [--quick] [--json]

Two labelled sets: Django's own messages in Portuguese against Spanish (real, short, two near languages; no
message on both sides), and an invented one of noisy sentences with marker words (2 % confirmed, as rare as
in use). All systems learn from the same texts and are measured on the same hold-out. Scoring is one text at
a time, as a scan does it, on one core; sklearn's pipeline is shown in one batch as well. The keyword
list holds the 50 words that tell the labels best apart in the training texts.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from threadpoolctl import threadpool_limits

from hashing.learning.figures import measure
from hashing.learning.fitting import Settings, fit
from hashing.learning.splitting import Example, split
from tests.translations import translations

Scores = Callable[[Sequence[str]], Any]
WORDS = [
    f"{first}{last}"
    for first in ["ba", "ce", "di", "fo", "gu"]
    for last in ["rin", "lot", "mas", "ved"]
]
MARKERS = ("markerword-alpha", "markerword-beta", "markerword-gamma")


def invented(count: int) -> list[Example]:
    """Return noisy sentences; a tenth of the confirmed ones carry no marker, 1 % of the others do."""
    draw, made = random.Random(5), []
    for number in range(count):
        label = draw.random() < 0.02
        words = [draw.choice(WORDS) + draw.choice(("", "s", "a", "en")) for _ in range(20)]
        if draw.random() < (0.9 if label else 0.01):
            marker = list(draw.choice(MARKERS))
            if draw.random() < 0.3:  # A letter is left out, as people do.
                del marker[draw.randrange(len(marker))]
            words.insert(draw.randrange(len(words)), "".join(marker))
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
        made.append(Example(" ".join(words), label, f"s{number}", at))
    return made


def holdfast(training: list[Example]) -> tuple[Scores, Scores]:
    """Return one-by-one and batch scoring of a model of this application."""
    model = fit(training, Settings(), lambda *_: None)
    return (lambda texts: np.array([model.score(text) for text in texts])), model.scores


def sklearn_pipeline(training: list[Example]) -> tuple[Scores, Scores]:
    """Return scoring by the usual pipeline, calibrated like ours, without the split by subject."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    union = make_union(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, max_features=40_000, sublinear_tf=True),
        TfidfVectorizer(
            analyzer="char_wb", ngram_range=(2, 4), min_df=2, max_features=60_000, sublinear_tf=True
        ),
    )
    learner = LogisticRegression(C=8.0, max_iter=500)
    calibrated = CalibratedClassifierCV(learner, cv=5, ensemble=False)
    pipeline = make_pipeline(union, calibrated)
    pipeline.fit([each.text for each in training], [each.label for each in training])
    return (
        lambda texts: np.array([pipeline.predict_proba([text])[0, 1] for text in texts]),
        lambda texts: pipeline.predict_proba(texts)[:, 1],
    )


def keywords(training: list[Example]) -> tuple[Scores, Scores]:
    """Return the share of a text's words that are on a list of the 50 most telling ones."""
    seen: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for each in training:
        seen[each.label].update(set(re.findall(r"\w+", each.text.lower())))
    totals = {label: sum(each.label is label for each in training) for label in seen}

    def tells(word: str) -> float:
        yes, no = seen[True][word], seen[False][word]
        return yes * math.log((yes + 0.5) / totals[True] / ((no + 0.5) / totals[False]))

    chosen = set(sorted(seen[True], key=tells, reverse=True)[:50])

    def score(texts: Sequence[str]) -> Any:
        found = []
        for text in texts:
            words = re.findall(r"\w+", text.lower())
            found.append(sum(word in chosen for word in words) / max(1, len(words)))
        return np.array(found)

    return score, score


SYSTEMS = {"holdfast": holdfast, "sklearn": sklearn_pipeline, "keywords": keywords}


def run(*, quick: bool) -> list[dict[str, Any]]:
    """Return one row for each set and system."""
    rows = []
    for corpus, examples in (
        ("translations pt/es", translations()),
        ("invented, 2 % confirmed", invented(8_000 if quick else 60_000)),
    ):
        divided = split(examples, share=0.25, seed=1)
        texts = [each.text for each in divided.holdout]
        labels = [each.label for each in divided.holdout]
        for system, learn in SYSTEMS.items():
            began = time.perf_counter()
            one_by_one, batch = learn(divided.training)
            trained = time.perf_counter() - began
            few = texts[: 300 if quick else 2_000]
            one_by_one(few[:20])
            began = time.perf_counter()
            one_by_one(few)
            single = len(few) / (time.perf_counter() - began)
            began = time.perf_counter()
            scores = np.asarray(batch(texts))
            many = len(texts) / (time.perf_counter() - began)
            figures = measure(labels, scores)
            rows.append(
                {
                    "corpus": corpus,
                    "system": system,
                    "training": len(divided.training),
                    "holdout": len(texts),
                    "train_s": round(trained, 2),
                    "texts_per_s": round(single),
                    "texts_per_s_batch": round(many),
                    "average_precision": round(figures["average_precision"], 4),
                    "brier": None if system == "keywords" else round(figures["brier"], 4),
                }
            )
    return rows


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer texts")
    parser.add_argument("--json", action="store_true", help="a list of rows")
    options = parser.parse_args()
    with threadpool_limits(limits=1):
        rows = run(quick=options.quick)
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print(
        f"{'set':<26}{'system':<10}{'texts':>8}{'train s':>9}{'one by one/s':>14}{'batch/s':>10}{'AP':>8}{'Brier':>8}"
    )
    for row in rows:
        brier = "–" if row["brier"] is None else f"{row['brier']:.4f}"
        print(
            f"{row['corpus']:<26}{row['system']:<10}{row['training']:>8,}{row['train_s']:>9.2f}"
            f"{row['texts_per_s']:>14,}{row['texts_per_s_batch']:>10,}"
            f"{row['average_precision']:>8.4f}{brier:>8}"
        )


if __name__ == "__main__":
    main()
