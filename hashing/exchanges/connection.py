"""How an exchange is talked to, whichever client speaks: one host, no redirect, bounded bytes and time."""

from __future__ import annotations

import codecs
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
_FAILS_AT_TIMES = frozenset({500, 502, 503, 504})
_AGAIN = (0.2, 0.4, None)
"""Seconds before a reading that failed at the server is repeated."""


def careful(session: requests.Session, *, base: str, allow_private: bool) -> requests.Session:
    """Return a session that contacts the host of ``base`` only and bounds what it takes from it.

    Each request connects to an address that was checked (``core.outbound``). A reading that fails at the server is
    repeated twice at once, unless it says how long to wait: then whoever plans fetches obeys (``asked_to_wait``). A
    byte order mark before an answer is taken off. Raises Trouble from within its requests.
    """
    session.max_redirects = 0
    session.trust_env = False
    session.adapters.clear()
    for prefix in ("http://", "https://"):
        session.mount(prefix, _Careful(base, allow_private=allow_private))
    return session


class _Careful(PinnedAdapter):
    def __init__(self, base: str, *, allow_private: bool) -> None:
        # urllib3 would sleep as long as a server says, in the worker.
        super().__init__(max_retries=0, allow_private=allow_private)
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
        for pause in _AGAIN:
            answer = super().send(
                request,
                stream=True,
                timeout=(CONNECT_SECONDS, SILENT_SECONDS),
                verify=verify,
                cert=cert,
                proxies=proxies,
            )
            is_final = request.method != "GET" or answer.status_code not in _FAILS_AT_TIMES
            if is_final or "Retry-After" in answer.headers or pause is None:
                break
            answer.close()
            time.sleep(pause)
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
        body = body.removeprefix(codecs.BOM_UTF8)
        answer._content = bytes(body)  # noqa: SLF001 — what Response.content itself keeps
        answer._content_consumed = True  # noqa: SLF001 — and this with it
        return answer
