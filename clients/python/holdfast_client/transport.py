"""Requests that are sent again until they are answered, and done once all the same."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from holdfast_client.files import File
from holdfast_client.problems import NotReached, Problem

AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which the same request may be taken."""

STILL_RUNNING = "idempotency_in_progress"


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long a request is tried. Waits double from ``first`` to ``longest`` seconds, ±50 %.

    ``Retry-After`` lengthens a wait, never shortens it. What would wait beyond ``altogether`` seconds is given up.
    """

    tries: int = 8
    first: float = 0.5
    longest: float = 60.0
    altogether: float = 600.0

    def wait(self, attempt: int, retry_after: float, chance: float) -> float:
        """Return the seconds to wait after the ``attempt``-th try (1, 2, …); ``chance`` lies in [0, 1)."""
        doubled = self.first * 2 ** min(attempt - 1, 30)
        return max(min(doubled, self.longest) * (0.5 + chance), retry_after)


class Transport:
    """One key's connections to one installation. Safe to use from several threads."""

    def __init__(
        self,
        address: str,
        key: str,
        *,
        patience: Patience,
        timeout: float,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        http: httpx.Client | None = None,
    ) -> None:
        self.patience, self._sleep, self._clock = patience, sleep, clock
        self._http = http or httpx.Client(timeout=timeout)
        self._address = address.rstrip("/") + "/api/v1"
        self._headers = {"Authorization": f"Bearer {key}", "User-Agent": "holdfast-client/0.1"}

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        content: bytes | None = None,
        content_type: str = "",
        form: Mapping[str, str] | None = None,
        files: Mapping[str, File] | list[tuple[str, File]] | None = None,
        idempotency_key: str = "",
    ) -> Any:
        """Send a request until it is answered and return the answer's document.

        A POST that writes must have an idempotency key: it is the same for every try. Raises Problem for an answer
        that stays, NotReached when none came.
        """
        headers = dict(self._headers)
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        if content_type:
            headers["Content-Type"] = content_type
        pairs = list(files.items()) if isinstance(files, Mapping) else files or []
        parts: list[Any] = [(name, (file.name, file.content)) for name, file in pairs]
        # As a part with a type of its own: a plain field would be taken for text.
        parts += [
            (name, (None, text.encode(), "application/json")) for name, text in (form or {}).items()
        ]
        began, attempt = self._clock(), 0
        while True:
            attempt += 1
            said: Problem | NotReached
            retry_after = 0.0
            try:
                answer = self._http.request(
                    method,
                    self._address + path,
                    params={k: v for k, v in (params or {}).items() if v is not None},
                    json=json,
                    content=content,
                    files=parts or None,
                    headers=headers,
                )
            except (httpx.TransportError, httpx.InvalidURL) as failed:
                if isinstance(failed, httpx.UnsupportedProtocol | httpx.InvalidURL):
                    raise NotReached(f"{self._address} is no address: {failed}") from None
                said = NotReached(f"{method} {path} was not answered: {type(failed).__name__}")
            else:
                if answer.is_success:
                    return answer.json()
                said = _problem(answer)
                if answer.status_code not in AGAIN and said.code != STILL_RUNNING:
                    raise said
                retry_after = _seconds(answer.headers.get("Retry-After", ""))
            wait = self.patience.wait(attempt, retry_after, random.random())  # noqa: S311 — no secret
            is_over = self._clock() - began + wait > self.patience.altogether
            if attempt >= self.patience.tries or is_over:
                raise said
            self._sleep(wait)


def _problem(answer: httpx.Response) -> Problem:
    try:
        document = answer.json()
    except ValueError:
        document = {}  # A proxy's own page.
    if not isinstance(document, dict):
        document = {}
    return Problem(answer.status_code, document, answer.headers.get("X-Request-Id", ""))


def _seconds(header: str) -> float:
    text = header.strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0.0
