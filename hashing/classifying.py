"""The models of classifiers, read from the vault once per process and version.

Each look-up first asks which versions are active (one small query), so that an activation, a roll-back or a
switch counts from the next item on, in every worker.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable
from itertools import pairwise
from uuid import UUID

from core import vault
from core.errors import VaultDamage
from hashing.contract import Finding, FlagKind, could_not_scan
from hashing.learning.model import LARGEST_MODEL, CannotLoad, Model
from hashing.models import ClassifierVersion, VersionState
from hashing.trial import Piece

__all__ = ["active_versions", "finding_of", "findings_in", "forget", "load", "pieces"]

_KEPT = 16
"""Models a process keeps; the one that was used longest ago goes first."""

_lock = threading.Lock()
_models: OrderedDict[tuple[UUID, str], Model] = OrderedDict()


def active_versions() -> list[ClassifierVersion]:
    """Return the versions that flag now, with their classifiers. Costs one query."""
    return list(
        ClassifierVersion.objects.filter(state=VersionState.ACTIVE, classifier__is_active=True)
        .select_related("classifier", "blob")
        .defer("metrics", "counts", "reference", "drift")
        .order_by("classifier__slug")
    )


def load(version: ClassifierVersion) -> Model:
    """Return a version's model. Raises CannotLoad when it is missing, damaged, foreign or not its own.

    A model that failed is tried again each time: what was repaired counts at once.
    """
    key = (version.pk, version.model_sha256)
    with _lock:
        model = _models.get(key)
        if model is not None:
            _models.move_to_end(key)
            return model
    if version.blob is None:
        raise CannotLoad("there is no model yet", "model_missing")
    if version.blob.size > LARGEST_MODEL:
        raise CannotLoad("the file is larger than any model may be")
    try:
        data = vault.read(version.blob, LARGEST_MODEL)
    except VaultDamage as damage:
        raise CannotLoad(f"the stored file cannot be read ({damage.reason})") from None
    if hashlib.sha256(data).hexdigest() != version.model_sha256:
        raise CannotLoad("the file is not the one that the training stored", "model_foreign")
    model = Model.from_bytes(data)
    with _lock:
        _models[key] = model
        while len(_models) > _KEPT:
            _models.popitem(last=False)
    return model


def forget() -> None:
    """Drop every model. For tests, whose databases come and go under one process."""
    with _lock:
        _models.clear()


def findings_in(text: str, surface: str) -> list[Finding]:
    """Return what the active classifiers say about a text on a surface (any surface: empty)."""
    findings = []
    for version in active_versions():
        wanted = version.classifier.surfaces
        if surface and wanted and surface not in wanted:
            continue
        try:
            finding = finding_of(version, load(version), text)
        except CannotLoad as refused:
            findings.append(
                could_not_scan(
                    "The text",
                    f"the classifier “{version.classifier}” cannot be used: {refused.reason}",
                    code=refused.code,
                )
            )
        else:
            if finding is not None:
                findings.append(finding)
    return findings


def finding_of(version: ClassifierVersion, model: Model, text: str) -> Finding | None:
    """Return the finding of one version, or None below its threshold."""
    classifier, threshold = version.classifier, version.threshold
    score = model.score(text)
    if threshold is None or score < threshold:
        return None
    explained = model.explain(text)
    speaking = explained.deciding()
    terms = [
        {
            "term": term.text[:80],
            "weight": round(term.weight, 4),
            "letters": list(term.letters) if term.weight > 0 else [],
            "spans": [list(span) for span in term.spans],
        }
        for term in explained.terms
    ]
    spans = sorted({span for term in speaking for span in term.spans})
    shown = ", ".join(f"“{term.text[:40]}”" for term in speaking[:3])
    because = f", mostly for {shown}" if shown else ""
    return Finding(
        kind=FlagKind.CLASSIFIER,
        score=round(min(score, 1.0), 4),
        category=classifier.category,
        summary=f"“{classifier.name}” gives {score:.0%} ({threshold:.0%} flags){because}."[:300],
        evidence={
            "classifier": classifier.slug,
            "classifier_name": classifier.name,
            "classifier_version": version.number,
            "version_id": str(version.pk),
            "threshold": round(threshold, 6),
            "score": round(score, 6),
            "terms": terms,
            "base": round(explained.base, 4),
            "rest": round(explained.rest, 4),
            "log_odds": round(explained.log_odds, 4),
            "spans": [list(span) for span in spans[:40]],
        },
        classifier_version_id=version.pk,
    )


def pieces(text: str, spans: Iterable[tuple[int, int]]) -> list[Piece]:
    """Cut a text into stretches that lie in a span and such that do not."""
    marks = bytearray(len(text) + 1)
    for start, end in spans:
        marks[start:end] = b"\x01" * (end - start)
    cuts = [at for at in range(1, len(text)) if marks[at] != marks[at - 1]]
    return [
        Piece(text[begin:end], is_match=bool(marks[begin]))
        for begin, end in pairwise([0, *cuts, len(text)])
        if begin < end
    ]
