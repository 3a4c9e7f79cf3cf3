"""Training: scikit-learn fits, the result is plain arrays.

Counts of words and letters become two TF-IDF blocks (sublinear counts, unit length); a logistic regression
learns on both. The calibration is fitted on log-odds that came from models which had not seen the text:
five folds, no subject in two of them (Platt 1999; Niculescu-Mizil & Caruana 2005 on when isotonic
calibration has enough texts). Everything is drawn from the seed: the same texts give the same model.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashing.folding import fold
from hashing.learning import features
from hashing.learning.features import LETTERS, WORDS
from hashing.learning.model import Block, Calibration, Model
from hashing.learning.splitting import Example, TooLittle

__all__ = ["Settings", "fit"]

FOLDS = 5
ENOUGH_FOR_STEPS = 1000
"""Texts from which isotonic calibration beats the sigmoid (Niculescu-Mizil & Caruana 2005, figure 4)."""

_ENOUGH_OF_EACH = 200
Progress = Callable[[int, str], None]


@dataclass(frozen=True)
class Settings:
    """How a model is trained. ``strength`` is scikit-learn's C; smaller trusts single terms less."""

    seed: int = 20_240_601
    holdout_share: float = 0.25
    strength: float = 8.0
    most_words: int = 40_000
    most_letters: int = 60_000
    least_texts: int = 2
    calibration: str = "auto"

    def as_json(self) -> dict[str, Any]:
        """Return plain values for the model card."""
        return asdict(self)


def fit(examples: Sequence[Example], settings: Settings, progress: Progress) -> Model:
    """Return a model of labelled texts. Raises TooLittle when a fold lacks a label.

    Costs about a second for 10,000 short texts, and memory for some 100 numbers a text of 100 letters.
    ``progress`` is called with per cent and a few words, and may raise to stop the training.
    """
    # Their imports take a second and 80 MB, which no other user of this room needs.
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    folded = [fold(example.text).text for example in examples]
    labels = np.array([example.label for example in examples])
    counts, names = [], []
    for at, (read, most) in enumerate(
        ((features.words, settings.most_words), (features.letters, settings.most_letters))
    ):
        progress(15 + 20 * at, "Reading words" if not at else "Reading letters")
        counter = CountVectorizer(analyzer=read, min_df=settings.least_texts, max_features=most)
        try:
            counts.append(counter.fit_transform(folded))
        except ValueError:
            raise TooLittle(["The texts share no words: no word stands in two of them."]) from None
        names.append(counter.get_feature_names_out().tolist())

    def learn(rows: NDArray[np.intp]) -> tuple[list[Any], Any, bool]:
        scales = [TfidfTransformer(sublinear_tf=True).fit(each[rows]) for each in counts]
        table = hstack(
            [scale.transform(each[rows]) for scale, each in zip(scales, counts, strict=True)]
        ).tocsr()
        learner = LogisticRegression(C=settings.strength, max_iter=500, solver="lbfgs")
        with warnings.catch_warnings(record=True) as raised:
            warnings.simplefilter("always")
            learner.fit(table, labels[rows])
        return scales, learner, not raised

    def judge(scales: list[Any], learner: Any, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        table = hstack(
            [scale.transform(each[rows]) for scale, each in zip(scales, counts, strict=True)]
        ).tocsr()
        return np.asarray(learner.decision_function(table))

    # One thread: a training must not take the machine from the scans, and sums keep their order.
    with threadpool_limits(limits=1):
        unseen = np.zeros(len(examples))
        folds = _folds(examples, labels, settings.seed)
        for number, (train, test) in enumerate(folds):
            progress(50 + 6 * number, f"Calibrating, part {number + 1} of {len(folds)}")
            scales, learner, _ = learn(train)
            unseen[test] = judge(scales, learner, test)
        calibration = _calibrate(unseen, labels, settings.calibration)
        progress(82, "Learning from all texts")
        scales, learner, converged = learn(np.arange(len(examples)))

    coef, start, blocks = learner.coef_[0], 0, []
    for name, terms, scale in zip((WORDS, LETTERS), names, scales, strict=True):
        end = start + len(terms)
        vocabulary = {term: place for place, term in enumerate(terms)}
        blocks.append(Block(name, vocabulary, np.asarray(scale.idf_), coef[start:end].copy()))
        start = end
    about = {"texts": len(examples), "converged": converged, "calibration": calibration.method}
    return Model(tuple(blocks), float(learner.intercept_[0]), calibration, about)


def _folds(
    examples: Sequence[Example], labels: NDArray[np.bool_], seed: int
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    from sklearn.model_selection import StratifiedGroupKFold

    subjects = [example.subject for example in examples]
    cutter = StratifiedGroupKFold(n_splits=FOLDS, shuffle=True, random_state=seed)
    found = list(cutter.split(np.zeros(len(examples)), labels, subjects))
    if any(len(set(labels[train])) < 2 for train, _ in found):
        raise TooLittle(["One subject has nearly all texts of a label; more subjects are needed."])
    return found


def _calibrate(
    log_odds: NDArray[np.float64], labels: NDArray[np.bool_], method: str
) -> Calibration:
    from sklearn.isotonic import IsotonicRegression
    from sklearn.linear_model import LogisticRegression

    fewest = min(int(labels.sum()), int((~labels).sum()))
    if method == "auto":
        enough = len(labels) >= ENOUGH_FOR_STEPS and fewest >= _ENOUGH_OF_EACH
        method = "isotonic" if enough else "sigmoid"
    if method == "isotonic":
        # Labels as Platt smooths them at the ends: no finite number of texts makes a score certain.
        steps = IsotonicRegression(out_of_bounds="clip").fit(log_odds, labels.astype(float))
        lowest, highest = 1 / (len(labels) + 2), 1 - 1 / (len(labels) + 2)
        heights = np.clip(steps.y_thresholds_, lowest, highest)
        return Calibration("isotonic", np.asarray(steps.X_thresholds_), heights)
    # Platt's targets: (N+ + 1) / (N+ + 2) and 1 / (N- + 2), as weights of both labels.
    positives, negatives = int(labels.sum()), int((~labels).sum())
    target = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    values = np.concatenate([log_odds, log_odds])[:, None]
    both = np.repeat([True, False], len(labels))
    weights = np.concatenate([target, 1 - target])
    line = LogisticRegression(C=1e6, max_iter=500).fit(values, both, sample_weight=weights)
    slope, offset = -float(line.coef_[0, 0]), -float(line.intercept_[0])
    return Calibration("sigmoid", np.array([slope]), np.array([offset]))
