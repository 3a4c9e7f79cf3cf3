"""Invented texts for classifiers: sentences of everyday words, some with marker words.

The labels are not what the words say: some confirmed texts carry no marker and some harmless ones do, as
with decisions of people.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from accounts.models import User
from core.audit import SYSTEM, Actor
from hashing import actions, jobs, labelled
from hashing.learning.splitting import Example
from hashing.models import Category, Classifier, ClassifierVersion, TrainingSet
from reports.models import Item, Source
from reports.payloads import ScanPayload

WORDS = [
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
MARKERS = ("markerword-alpha", "markerword-beta", "markerword-gamma")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def sentence(draw: random.Random, *, confirmed: bool, noise: float = 0.1) -> str:
    """Return an invented text."""
    words = [draw.choice(WORDS) for _ in range(draw.randint(5, 14))]
    if (draw.random() >= noise) == confirmed:
        words.insert(draw.randrange(len(words)), draw.choice(MARKERS))
    return " ".join(words)


def examples(count: int = 400, *, seed: int = 1, subjects: int = 0) -> list[Example]:
    """Return labelled texts, one an hour; each its own subject unless ``subjects`` share them."""
    draw, made = random.Random(seed), []
    for number in range(count):
        label = draw.random() < 0.4
        subject = f"s{draw.randrange(subjects)}" if subjects else f"s{number}"
        at = BEGIN + timedelta(hours=number)
        made.append(Example(sentence(draw, confirmed=label), label, subject, at))
    return made


def rows(count: int = 400, *, seed: int = 1) -> list[labelled.Row]:
    """Return the same as rows of a file."""
    return [
        labelled.Row(number, each.text, each.label, each.at, each.subject, "profile_text")
        for number, each in enumerate(examples(count, seed=seed), start=1)
    ]


def make(name: str = "Marker texts", **more: object) -> Classifier:
    """Create a classifier of grooming without versions."""
    said: dict[str, Any] = {"name": name, "category": Category.GROOMING, "actor": SYSTEM} | more
    return actions.create_classifier(**said)


def supplied(
    classifier: Classifier, count: int = 400, *, seed: int = 1, actor: User | Actor = SYSTEM
) -> TrainingSet:
    """Import labelled texts."""
    made = actions.import_training_set(
        classifier, labelled.to_store(rows(count, seed=seed)), file_name="rows.ndjson", actor=actor
    )
    assert isinstance(made, TrainingSet)
    return made


def trained(
    classifier: Classifier, *, actor: User | Actor = SYSTEM, **settings: object
) -> ClassifierVersion:
    """Ask for a version and let the job train it."""
    version = actions.request_training(classifier, settings=settings, actor=actor)
    jobs.train_classifier(str(version.pk))
    version.refresh_from_db()
    return version


def active(
    version: ClassifierVersion, *, second: User, threshold: float = 0.5
) -> ClassifierVersion:
    """Let a version flag, approved by ``second``."""
    asked = actions.ask_activation(version, threshold=threshold, wanted_precision=0.8, actor=SYSTEM)
    return actions.approve_activation(asked, reference=version.metrics["histogram"], actor=second)


def send(source: Source, text: str, *, account: str = "") -> Item:
    """Send a text as the platform does."""
    from reports.actions import submit_scan

    said = {
        "subject": {"account": account or f"invented-{uuid4().hex[:8]}"},
        "surface": "profile_text",
        "text": text,
    }
    return submit_scan(source, payload=ScanPayload.model_validate(said), actor=SYSTEM)
