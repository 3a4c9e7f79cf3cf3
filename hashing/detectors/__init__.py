"""The registry: every detector that looks at items, in the order they run."""

from __future__ import annotations

from hashing.contract import Detector
from hashing.detectors.known_image import KnownImage
from hashing.detectors.terms import Terms

__all__ = ["DETECTORS"]

DETECTORS: tuple[Detector, ...] = (KnownImage(), Terms())
