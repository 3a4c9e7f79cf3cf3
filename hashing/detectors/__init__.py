"""The registry: every detector that looks at items, in the order they run."""

from __future__ import annotations

from hashing.contract import Detector
from hashing.detectors import switched
from hashing.detectors.classifier import TextClassifiers
from hashing.detectors.known_file import KnownFile
from hashing.detectors.known_image import KnownImage
from hashing.detectors.known_video import KnownVideo
from hashing.detectors.terms import Terms

__all__ = ["DETECTORS", "detectors"]

DETECTORS: tuple[Detector, ...] = (
    KnownImage(),
    KnownVideo(),
    KnownFile(),
    Terms(),
    TextClassifiers(),
)
"""Always looked at."""


def detectors() -> tuple[Detector, ...]:
    """Return the detectors of this moment: the built-in ones and those that are turned on.

    Costs one small query, so that a detector that is turned on, off or set otherwise in any process counts
    from the next batch of items on. Raises database errors.
    """
    return (*DETECTORS, *switched.on())
