"""A sample classifier: invented texts, trained in about a second, in shadow, waiting for a second person."""

from __future__ import annotations

import random
from datetime import timedelta

from django.utils import timezone

from accounts.models import User
from core.audit import SYSTEM
from core.jobs import run_now
from hashing import actions, labelled
from hashing.learning import figures
from hashing.models import Category, Classifier, VersionState

NAME = "Sample: marker texts"
TEXTS = 480
PRECISION = 0.9
_WORDS = [
    "river",
    "window",
    "table",
    "walking",
    "friend",
    "garden",
    "music",
    "letter",
    "evening",
    "rain",
    "school",
    "morning",
    "coffee",
    "bread",
    "bicycle",
    "train",
    "holiday",
    "picture",
    "kitchen",
    "weather",
    "lantern",
    "pencil",
]
_MARKERS = ("markerword-alpha", "markerword-beta", "samplemarker")


def load() -> str:
    """Create and train the classifier if it is missing. Returns what there is now, in words."""
    if Classifier.objects.exists():
        return "A classifier was there already"
    policy = User.objects.get(email="pia@sample.example")
    classifier = actions.create_classifier(
        name=NAME,
        category=Category.GROOMING,
        description="Recognises invented marker words. Shows what a trained version looks like.",
        actor=SYSTEM,
    )
    actions.import_training_set(
        classifier, labelled.to_store(_rows()), file_name="sample-texts.ndjson", actor=policy
    )
    version = actions.request_training(classifier, settings={"use_decisions": False}, actor=SYSTEM)
    run_now("train_classifier", str(version.pk))
    version.refresh_from_db()
    found = figures.threshold_for(version.metrics, PRECISION) if version.metrics else None
    if version.state != VersionState.TRAINED or found is None:
        return "A classifier without a version"
    actions.choose_threshold(version, threshold=found, wanted_precision=PRECISION, actor=policy)
    actions.start_shadow(version, actor=policy)
    actions.ask_activation(
        version,
        threshold=found,
        wanted_precision=PRECISION,
        reason="Sample request: nobody else has looked yet.",
        actor=policy,
    )
    return "A classifier in shadow"


def _rows() -> list[labelled.Row]:
    draw, now = random.Random(7), timezone.now()  # noqa: S311 — invented texts, the same every time
    rows = []
    for number in range(1, TEXTS + 1):
        label = draw.random() < 0.35
        words = [draw.choice(_WORDS) for _ in range(draw.randint(5, 14))]
        if (draw.random() > 0.04) == label:
            words.insert(draw.randrange(len(words)), draw.choice(_MARKERS))
        at = (now - timedelta(hours=6 * (TEXTS - number))).replace(microsecond=0)
        rows.append(labelled.Row(number, " ".join(words), label, at, f"sample-{number}", ""))
    return rows
