"""How Holdfast says no (RFC 9457), and how it is said that nobody answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Problem(Exception):
    """Holdfast answered with an error, and sending the same again would not help (any more).

    ``code`` is stable and for programs; treat one that you do not know by ``status``. ``errors`` names fields of
    what was sent. ``document`` is everything that was answered.
    """

    def __init__(self, status: int, document: Mapping[str, Any], request_id: str = "") -> None:
        self.status = status
        self.document = dict(document)
        self.code = str(document.get("code", ""))
        self.detail = str(document.get("detail", ""))
        self.errors: dict[str, list[str]] = dict(document.get("errors") or {})
        self.request_id = request_id
        said = self.detail or str(document.get("title", ""))
        super().__init__(f"{status} {self.code}: {said} (request {request_id or 'unknown'})")


class NotReached(Exception):
    """No answer came, however often it was tried. Whether it was done is not known: send the same again.

    With the same idempotency key it is done once.
    """
