"""The whole way on real labelled texts: Django's own messages, Portuguese against Spanish."""

from __future__ import annotations

import pytest

from core.audit import SYSTEM
from hashing import actions, classifying, labelled
from hashing.models import TrainingSet, VersionState
from tests.hashing.classifying import make, trained
from tests.translations import translations

pytestmark = pytest.mark.django_db


def test_translations_that_django_ships_are_told_apart() -> None:
    texts = translations()
    assert len(texts) > 700
    rows = [
        labelled.Row(number, each.text, each.label, None, each.subject[:200])
        for number, each in enumerate(texts, start=1)
    ]
    classifier = make("Portuguese, not Spanish")
    kept = actions.import_training_set(classifier, labelled.to_store(rows), actor=SYSTEM)
    assert isinstance(kept, TrainingSet)
    version = trained(classifier)
    assert version.state == VersionState.TRAINED, version.failure
    assert version.metrics["average_precision"] > 0.95
    assert version.metrics["brier"] < version.metrics["brier_of_the_share"] / 3
    assert {row[0] for row in version.counts["by_language"]} >= {"pt", "es"}
    model = classifying.load(version)
    assert model.score("A página não foi encontrada") > 0.9
    assert model.score("No se ha encontrado la página") < 0.1
    terms = {term.text: term.weight for term in model.explain("A página não foi encontrada").terms}
    assert terms["não"] > 0.5
