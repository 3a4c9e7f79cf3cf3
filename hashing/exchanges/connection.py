"""How an exchange is talked to, whichever client speaks: one host, no redirect, bounded bytes and time."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import requests

from core.outbound import PinnedAdapter
from hashing.exchanges.contract import Trouble

__all__ = ["LARGEST", "careful"]

LARGEST = 64 * 1024 * 1024
"""Bytes of one answer, unpacked."""
CONNECT_SECONDS = 10
SILENT_SECONDS = 60
"""How long an answer may be silent; a whole answer has ``ANSWER_SECONDS``."""
ANSWER_SECONDS = 300.0
_PIECE = 64 * 1024


def careful(session: requests.Session, *, base: str, allow_private: bool) -> requests.Session:
    """Return a session that contacts the host of ``base`` only and bounds what it takes from it.

    Each request connects to an address that was checked (``core.outbound``). The number of retries that a
    client set up stays. Raises Trouble from within its requests.
    """
    session.max_redirects = 0
    session.trust_env = False
    own = {
        prefix: adapter for prefix, adapter in session.adapters.items() if base.startswith(prefix)
    }
    retries = max(
        (getattr(adapter, "max_retries", None) for adapter in own.values()),
        key=lambda each: getattr(each, "total", None) or 0,
        default=None,
    )
    session.adapters.clear()
    for prefix in ("http://", "https://"):
        session.mount(prefix, _Careful(base, retries, allow_private=allow_private))
    return session


class _Careful(PinnedAdapter):
    def __init__(self, base: str, retries: Any, *, allow_private: bool) -> None:
        super().__init__(max_retries=retries or 0, allow_private=allow_private)
        self._host = urlsplit(base).netloc.lower()

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: FBT001, FBT002 — the signature is that of requests
        timeout: Any = None,
        verify: bool | str = True,  # noqa: FBT001, FBT002 — as above
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        if urlsplit(request.url or "").netloc.lower() != self._host:
            raise Trouble("It names an address on another host, which is not contacted.")
        until = time.monotonic() + ANSWER_SECONDS
        answer = super().send(
            request,
            stream=True,
            timeout=(CONNECT_SECONDS, SILENT_SECONDS),
            verify=verify,
            cert=cert,
            proxies=proxies,
        )
        body = bytearray()
        try:
            for piece in answer.iter_content(_PIECE):
                body += piece
                if len(body) > LARGEST:
                    raise Trouble(f"An answer is larger than {LARGEST // 1024**2} MB.")
                if time.monotonic() > until:
                    raise Trouble("It answers too slowly.")
        finally:
            answer.close()
        answer._content = bytes(body)  # noqa: SLF001 — what Response.content itself keeps
        answer._content_consumed = True  # noqa: SLF001 — and this with it
        return answer
