"""What a classifier can learn from: decided items and imported texts, as values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import Now

from core import vault
from hashing import labelled
from hashing.languages import language_of
from hashing.learning.splitting import Example
from hashing.models import Classifier, ClassifierVersion, Verdict
from reports.models import Item, ItemKind

__all__ = ["Supply", "counts_of", "gather", "newest_verdicts", "recent_texts", "supply_of"]

MOST_CHARACTERS = 20_000_000
"""Of all texts together, the newest first: the counts of letters must fit a worker's memory."""

RECENT = timedelta(days=30)
MOST_RECENT = 5_000
_LONGEST = 20_000


def newest_verdicts(classifier: Classifier) -> QuerySet[Verdict]:
    """Return the verdict that counts of each decided text on the classifier's surfaces."""
    newest = Verdict.objects.filter(item=OuterRef("item")).order_by("-decided_at", "-pk")
    found = Verdict.objects.filter(
        item__kind=ItemKind.TEXT, pk=Subquery(newest.values("pk")[:1])
    ).exclude(item__text="")
    if classifier.surfaces:
        found = found.filter(item__surface__in=classifier.surfaces)
    return found


class Supply:
    """How many texts there are to learn from, before anybody trains."""

    def __init__(self, classifier: Classifier) -> None:
        verdicts = newest_verdicts(classifier)
        own = verdicts.filter(category=classifier.category)
        self.confirmed = own.filter(is_violation=True).count()
        self.cleared = verdicts.filter(is_violation=False).count()
        self.elsewhere = verdicts.filter(is_violation=True).count() - self.confirmed
        sets = classifier.training_sets.filter(withdrawn_at=None)
        pairs = list(sets.values_list("positives", "negatives"))
        self.imported_positives = sum(one for one, _ in pairs)
        self.imported_negatives = sum(two for _, two in pairs)

    @property
    def positives(self) -> int:
        """Texts that were confirmed, from both sources."""
        return self.confirmed + self.imported_positives

    @property
    def negatives(self) -> int:
        """Texts that were not, from both sources."""
        return self.cleared + self.imported_negatives


def supply_of(classifier: Classifier) -> Supply:
    """Return what there is to learn from. Costs four queries."""
    return Supply(classifier)


def gather(version: ClassifierVersion) -> tuple[list[Example], dict[str, int]]:
    """Return the examples of a training, and what was left out and why, in numbers."""
    settings, left = version.settings, Counter[str]()
    examples: list[Example] = []
    if settings.get("use_decisions", True):
        examples += _decided(version.classifier, left, others=bool(settings.get("others_negative")))
    if settings.get("use_imported", True):
        examples += _imported(version.classifier)
    return _bounded(examples, left), dict(left)


def _decided(classifier: Classifier, left: Counter[str], *, others: bool) -> Iterator[Example]:
    rows = newest_verdicts(classifier).values_list(
        "item__text",
        "is_violation",
        "category",
        "decided_at",
        "item__surface",
        "item__account_id",
        "item__group_id",
    )
    for text, is_violation, category, at, surface, account, group in rows.iterator():
        if is_violation and category != classifier.category and not others:
            left["confirmed for another category"] += 1
            continue
        yield Example(
            text[:_LONGEST],
            is_violation and category == classifier.category,
            f"account {account}" if account else f"group {group}",
            at,
            surface,
            "decisions",
        )


def _imported(classifier: Classifier) -> Iterator[Example]:
    sets = classifier.training_sets.filter(withdrawn_at=None).select_related("blob")
    for each in sets.order_by("created_at"):
        for row in labelled.from_stored(vault.read(each.blob, 4 * labelled.LARGEST_FILE)):
            subject = f"imported {row.subject}" if row.subject else f"row {each.pk} {row.number}"
            yield Example(row.text, row.label, subject, row.at, row.surface, "imported")


def _bounded(examples: list[Example], left: Counter[str]) -> list[Example]:
    characters, kept = 0, []
    newest_first = sorted(
        examples,
        key=lambda each: (each.at is not None, each.at and each.at.timestamp()),
        reverse=True,
    )
    for example in newest_first:
        characters += len(example.text)
        if characters > MOST_CHARACTERS:
            left["older than what fits"] += 1
        else:
            kept.append(example)
    return kept


def recent_texts(classifier: Classifier) -> tuple[list[str], int]:
    """Return texts received in the last 30 days on the classifier's surfaces, and how many there were.

    At most 5,000: every n-th, so that each day counts as it came.
    """
    found = Item.objects.filter(
        kind=ItemKind.TEXT, received_at__gte=Now() - RECENT, source__practice_of=None
    )
    if classifier.surfaces:
        found = found.filter(surface__in=classifier.surfaces)
    total = found.count()
    step = max(1, -(-total // MOST_RECENT))
    texts = [
        text
        for number, text in enumerate(
            found.order_by("received_at", "pk").values_list("text", flat=True).iterator()
        )
        if number % step == 0
    ]
    return [text[:_LONGEST] for text in texts], total


def counts_of(
    training: Sequence[Example], holdout: Sequence[Example], left: dict[str, int]
) -> dict[str, Any]:
    """Return the numbers of the model card."""
    together = [*training, *holdout]
    dates = [example.at for example in together if example.at]
    return {
        "training": len(training),
        "holdout": len(holdout),
        "positives": sum(example.label for example in together),
        "negatives": sum(not example.label for example in together),
        "subjects": len({example.subject for example in together}),
        "by_surface": _by_label((each.surface or "not said", each.label) for each in together),
        "by_origin": _by_label((each.origin, each.label) for each in together),
        "by_language": _languages(together),
        "from": min(dates).isoformat() if dates else None,
        "to": max(dates).isoformat() if dates else None,
        "left_out": left,
    }


def _by_label(pairs: Iterable[tuple[str, bool]]) -> list[list[Any]]:
    counted: dict[str, list[int]] = {}
    for name, label in pairs:
        counted.setdefault(name, [0, 0])[0 if label else 1] += 1
    rows = [[name, *numbers] for name, numbers in counted.items()]
    return sorted(rows, key=lambda row: (-(row[1] + row[2]), row[0]))


_LOOKED_AT = 1_000


def _languages(examples: Sequence[Example]) -> list[list[Any]]:
    """Return the languages of a sample of at most 1,000 texts."""
    step = max(1, -(-len(examples) // _LOOKED_AT))
    found = _by_label((language_of(each.text[:500]).code, each.label) for each in examples[::step])
    few = max(1, sum(yes + no for _, yes, no in found) // 100)
    common = [row for row in found if row[1] + row[2] > few][:10]
    rest = [row for row in found if row not in common]
    if rest:
        common.append(["others", sum(row[1] for row in rest), sum(row[2] for row in rest)])
    return common
