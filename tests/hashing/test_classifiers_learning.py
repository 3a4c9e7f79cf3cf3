"""What classifiers learn: honest splits, the same figures as scikit-learn, explanations, safe files."""

from __future__ import annotations

import hashlib
import json
import random
import struct
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashing import labelled
from hashing.folding import fold
from hashing.learning import drift, features, figures
from hashing.learning.fitting import Settings, fit
from hashing.learning.model import MAGIC, CannotLoad, Model
from hashing.learning.splitting import Example, TooLittle, split
from tests.hashing.classifying import BEGIN, MARKERS, WORDS, examples, sentence


def quiet(percent: int, stage: str) -> None:
    assert 0 <= percent <= 100
    assert stage


@pytest.fixture(scope="module")
def model() -> Model:
    return fit(examples(300), Settings(), quiet)


TEXTS = st.lists(
    st.sampled_from([*WORDS, *MARKERS, "Straße", "ＦＵＬＬ", "été", "日本"]), max_size=20
).map(" ".join)


# ── Splitting ─────────────────────────────────────────────────────────────────────────────────
@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.integers(0, 60),
            st.one_of(st.none(), st.integers(0, 50)),
            st.integers(0, 90),
        ),
        min_size=100,
        max_size=200,
    ),
    st.sampled_from([0.1, 0.25, 0.4]),
)
@settings(max_examples=40, deadline=None)
def test_nobody_and_no_text_is_on_both_sides_and_the_holdout_is_the_newest(
    drawn: list[tuple[bool, int, int | None, int]], share: float
) -> None:
    made = [
        Example(
            f"text {text}", label, f"s{who}", None if day is None else BEGIN + timedelta(days=day)
        )
        for label, who, day, text in drawn
    ]
    try:
        divided = split(made, share=share, seed=3)
    except TooLittle:
        return
    assert not {e.subject for e in divided.training} & {e.subject for e in divided.holdout}
    assert not {fold(e.text).text for e in divided.training} & {
        fold(e.text).text for e in divided.holdout
    }
    dated = [e.at for e in divided.training if e.at]
    if dated and divided.cut:
        assert all(e.at is not None and e.at >= max(dated) for e in divided.holdout)
    left = divided.left_out_subject + divided.left_out_text
    assert len(divided.training) + len(divided.holdout) + left == len(made)
    assert divided == split(made[::-1], share=share, seed=3)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ([], "There are 0 texts that were confirmed; at least 40 are needed"),
        (examples(30), "texts that were not confirmed; at least 40"),
        ([Example(f"t{n}", n % 2 == 0, "one", BEGIN) for n in range(200)], "come from 1 accounts"),
        (
            [
                Example(f"t{n}", n % 2 == 0, f"s{n % 40}", BEGIN + timedelta(hours=n))
                for n in range(400)
            ],
            "are of subjects that were learned from",
        ),
    ],
)
def test_too_little_to_learn_from_is_said_in_words(made: list[Example], words: str) -> None:
    with pytest.raises(TooLittle) as little:
        split(made, share=0.25, seed=1)
    assert words in " ".join(little.value.sentences)


# ── Training ──────────────────────────────────────────────────────────────────────────────────
def test_the_same_texts_in_another_order_give_the_same_bytes() -> None:
    first = split(examples(300), share=0.25, seed=1)
    again = split(examples(300)[::-1], share=0.25, seed=1)
    assert fit(first.training, Settings(), quiet).to_bytes() == (
        fit(again.training, Settings(), quiet).to_bytes()
    )


def test_scores_are_those_of_the_scikit_learn_pipeline(model: Model) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    def block(read: object, most: int) -> TfidfVectorizer:
        return TfidfVectorizer(analyzer=read, min_df=2, max_features=most, sublinear_tf=True)

    made = examples(300)
    plain = make_pipeline(
        make_union(block(features.words, 40_000), block(features.letters, 60_000)),
        LogisticRegression(C=8.0, max_iter=500),
    ).fit([each.text for each in made], [each.label for each in made])
    draw = random.Random(9)
    unseen = [sentence(draw, confirmed=at % 2 == 0) for at in range(50)] + ["", "nothing known"]
    ours = [model.log_odds(text) for text in unseen]
    assert np.allclose(plain.decision_function(unseen), ours, atol=1e-9)


def test_a_training_says_when_texts_share_no_word() -> None:
    made = [Example(chr(0x4E00 + n), n % 2 == 0, f"s{n}", None) for n in range(100)]
    with pytest.raises(TooLittle, match="share no words"):
        fit(made, Settings(), quiet)


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibrated_scores_are_probabilities_and_keep_the_order(method: str) -> None:
    fitted = fit(examples(300), Settings(calibration=method), quiet)
    scores = fitted.calibration.apply(np.linspace(-8, 8, 500))
    assert ((scores > 0) & (scores < 1)).all()
    assert (np.diff(scores) >= 0).all()


# ── Explanation ───────────────────────────────────────────────────────────────────────────────
@given(TEXTS)
@settings(max_examples=60, deadline=None)
def test_an_explanation_adds_up_and_its_spans_are_the_terms(text: str) -> None:
    fitted = _model()
    said = fitted.explain(text)
    assert said.score == pytest.approx(fitted.score(text))
    total = said.base + said.rest + sum(term.weight for term in said.terms)
    assert total == pytest.approx(said.log_odds)
    for term in said.terms:
        for start, end in term.spans:
            assert fold(text[start:end]).text == fold(term.text).text or " " in term.text


_fitted: list[Model] = []


def _model() -> Model:
    if not _fitted:
        _fitted.append(fit(examples(300), Settings(), quiet))
    return _fitted[0]


def test_the_strongest_term_is_the_marker_where_it_was_written(model: Model) -> None:
    text = "A walk by the ＲＩＶＥＲ, then Markerword-Alpha again"
    said = model.explain(text)
    found = {term.text: term for term in said.terms}
    start = text.index("Markerword")
    assert found["markerword"].spans == ((start, start + 10),)
    assert max(said.terms, key=lambda term: term.weight).text in {"markerword", "alpha"}
    assert found["markerword"].letters


# ── The file ──────────────────────────────────────────────────────────────────────────────────
def test_a_model_comes_back_from_its_file_as_it_was(model: Model) -> None:
    again = Model.from_bytes(model.to_bytes())
    assert again.to_bytes() == model.to_bytes()
    text = "river markerword-beta garden"
    assert again.explain(text) == model.explain(text)


def sealed(body: bytes) -> bytes:
    return body + hashlib.sha256(body).digest()


def test_what_is_not_a_model_is_refused(model: Model) -> None:
    data = model.to_bytes()
    for damaged in (b"", data[:20], data[:-1], data + b"x", data[:100] + b"\x00" + data[101:]):
        with pytest.raises(CannotLoad):
            Model.from_bytes(damaged)
    with pytest.raises(CannotLoad, match="not a model of this application") as foreign:
        Model.from_bytes(sealed(b"\x80\x04\x95" + bytes(100)))
    assert foreign.value.code == "model_foreign"


@pytest.mark.parametrize(
    "change",
    [
        {"features": 99},
        {"lengths": [10**12]},
        {"lengths": [1]},
        {"lengths": "many"},
        {"calibration": "magic"},
        {"blocks": []},
        {"blocks": [{"name": "words", "terms": ["a", "a"]}]},
        {"about": []},
    ],
)
def test_a_file_with_a_right_checksum_and_a_wrong_content_is_refused(
    model: Model, change: dict[str, object]
) -> None:
    data = model.to_bytes()
    (length,) = struct.unpack_from("<Q", data, len(MAGIC))
    start = len(MAGIC) + 8
    header = json.loads(data[start : start + length]) | change
    document = json.dumps(header).encode()
    body = MAGIC + struct.pack("<Q", len(document)) + document + data[start + length : -32]
    with pytest.raises(CannotLoad):
        Model.from_bytes(sealed(body))


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_no_bytes_at_all_make_the_reader_fail_otherwise(junk: bytes) -> None:
    for data in (junk, sealed(MAGIC + junk), sealed(MAGIC + struct.pack("<Q", len(junk)) + junk)):
        with pytest.raises(CannotLoad):
            Model.from_bytes(data)


def test_a_changed_reading_of_texts_needs_a_new_version_number() -> None:
    """Models learned these features; if this fails, raise FEATURES_VERSION and write down the new ones."""
    text = fold("Straße, ＡＢ été não हिन्दी markerword-alpha x").text
    said = json.dumps([features.words(text), features.letters(text)], ensure_ascii=False)
    digest = hashlib.sha256(said.encode()).hexdigest()[:16]
    assert (features.FEATURES_VERSION, digest) == (1, "49be06192ff9e58c")


# ── Figures ───────────────────────────────────────────────────────────────────────────────────
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=20, max_size=80))
@settings(max_examples=60, deadline=None)
def test_figures_are_those_of_scikit_learn(drawn: list[tuple[bool, int]]) -> None:
    from sklearn.metrics import average_precision_score, brier_score_loss

    labels = np.array([label for label, _ in drawn])
    scores = np.array([score / 20 for _, score in drawn])
    if not 0 < labels.sum() < len(labels):
        return
    metrics = figures.measure(labels.tolist(), scores)
    assert metrics["average_precision"] == pytest.approx(average_precision_score(labels, scores))
    assert metrics["brier"] == pytest.approx(brier_score_loss(labels, scores))
    for threshold in (0.0, 0.31, 0.5, 1.0):
        at = figures.at_threshold(metrics, threshold)
        assert at.flagged == (scores >= threshold).sum()
        assert at.right == (labels & (scores >= threshold)).sum()
    assert sum(metrics["histogram"]) == len(labels)


def test_the_threshold_of_a_precision_finds_the_most() -> None:
    labels = [True] * 20 + [False] + [True] * 9 + [False] * 70
    scores = np.linspace(1, 0, 100)
    metrics = figures.measure(labels, scores)
    threshold = figures.threshold_for(metrics, 0.95)
    assert threshold is not None
    at = figures.at_threshold(metrics, threshold)
    assert (at.right, at.flagged) == (29, 30)
    assert at.precision_low < 0.95 < at.precision_high
    assert figures.threshold_for(metrics, 1.0) == pytest.approx(scores[19])
    assert figures.threshold_for(figures.measure([False, True] * 20, np.zeros(40)), 0.9) is None


def test_wilson_intervals_are_those_of_the_paper() -> None:
    assert figures.wilson(0, 0) == (0.0, 1.0)
    low, high = figures.wilson(8, 10)
    assert (round(low, 4), round(high, 4)) == (0.4902, 0.9433)


def test_stability_is_zero_for_the_same_and_large_for_another_population() -> None:
    draw = np.random.default_rng(1)
    before = figures.histogram(draw.beta(1, 12, 5000))
    again = figures.histogram(draw.beta(1, 12, 2000))
    other = figures.histogram(draw.beta(3, 4, 2000))
    assert drift.stability(before, before) == pytest.approx(0)
    assert drift.stability(before, again) < 0.1
    assert drift.stability(before, other) > drift.MOVED


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, ""),
        ({"recent": [0] * 100 + [600] + [0] * 99}, "spread differently"),
        ({"recent": [520] + [0] * 198 + [80]}, "It flags 13.33% of the texts"),
        ({"confirmed": 5, "judged": 40}, "confirmed 5 of 40"),
        ({"confirmed": 2, "judged": 10}, ""),
        ({"recent": [0] * 100 + [100] + [0] * 99}, ""),
    ],
)
def test_drift_has_a_written_rule(changed: dict[str, object], words: str) -> None:
    flat = [990] + [0] * 198 + [10]
    said = {
        "reference": flat,
        "recent": flat,
        "threshold": 0.9,
        "confirmed": 38,
        "judged": 40,
        "wanted_precision": 0.9,
    }
    watched = drift.watch(**(said | changed))  # type: ignore[arg-type]
    assert words in " ".join(watched.reasons)
    assert bool(watched.reasons) == bool(words)


# ── Labelled files ────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "text",
    [
        "text,label,date,subject\na river,yes,2026-01-31,one\nrain,no,,\n",
        "\ufefflabel;text;account;date\r\nTRUE;a river;one;2026-01-31T00:00:00Z\r\n0;rain;;\r\n",
        (
            '{"text": "a river", "label": true, "date": "2026-01-31", "subject": "one"}\n\n'
            '{"text": "rain", "label": 0}\n'
        ),
    ],
)
def test_usual_writings_of_labelled_texts_are_read(text: str) -> None:
    parsed = labelled.parse(text.encode())
    assert [(row.text, row.label, row.subject) for row in parsed.rows] == [
        ("a river", True, "one"),
        ("rain", False, ""),
    ]
    assert parsed.rows[0].at is not None
    assert parsed.rows[0].at.isoformat() == "2026-01-31T00:00:00+00:00"
    assert list(labelled.from_stored(labelled.to_store(parsed.rows))) == parsed.rows


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (",yes,,", "The text is missing"),
        ("rain,,,", "The label is missing"),
        ("rain,maybe,,", "“maybe” is not a label"),
        ("rain,yes,31.1.2026,", "is not a date"),
        (f"rain,yes,,{'s' * 201}", "subject is longer"),
        ("rain,yes,,,nowhere", "“nowhere” is not a surface"),
        (f"{'r' * 20_001},yes,,", "longer than 20,000"),
    ],
)
def test_bad_rows_are_named(row: str, words: str) -> None:
    text = f"text,label,date,subject,surface\nfine,no,,\n{row}\n"
    parsed = labelled.parse(text.encode(), surfaces={"profile_text"})
    assert (len(parsed.rows), parsed.refused) == (1, 1)
    assert parsed.problems[0].number == 3
    assert words in parsed.problems[0].reason


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "holds no rows"),
        (b"text,label\n", "holds no rows"),
        (b"text,what\nrain,yes\n", "names no column “label”"),
        (b"\xff\xfe", "not text in UTF-8"),
        (b'text,label\n"rain,yes', "not readable as CSV"),
    ],
)
def test_files_that_are_no_labelled_texts_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        labelled.parse(data)


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_read_or_refused_in_words(junk: bytes) -> None:
    for data in (junk, b"text,label\n" + junk, b'{"text": ' + junk):
        try:
            parsed = labelled.parse(data)
        except ValueError:
            continue
        assert parsed.rows or parsed.refused
