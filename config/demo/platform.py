"""The platform's side of the demo: a loopback server that receives webhooks and checks them."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

LARGEST = 1 << 20


class Platform:
    """Receives webhooks on a free loopback port. ``secret`` is set once Holdfast has shown it."""

    def __init__(self) -> None:
        self.secret = ""
        self.received: list[dict[str, Any]] = []
        self.refused = 0
        self.seen: set[str] = set()
        self._changed = threading.Condition()
        platform = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = min(int(self.headers.get("Content-Length") or 0), LARGEST)
                status = platform._take(self.rfile.read(size), dict(self.headers.items()))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: the stages say what arrived."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/holdfast"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _take(self, body: bytes, headers: dict[str, str]) -> int:
        lower = {name.lower(): value for name, value in headers.items()}
        try:
            message = Webhook(self.secret).verify(body, lower)
        except (WebhookVerificationError, ValueError):
            with self._changed:
                self.refused += 1
                self._changed.notify_all()
            return 401
        with self._changed:
            # A repeat carries the same id: it is acknowledged and not acted on again.
            if lower["webhook-id"] not in self.seen:
                self.seen.add(lower["webhook-id"])
                self.received.append(message)
            self._changed.notify_all()
        return 204

    def wait_for(self, wanted: int, *, matching: str, seconds: float) -> list[dict[str, Any]]:
        """Return messages that mention ``matching`` once there are ``wanted``, or what came in time."""

        def found() -> list[dict[str, Any]]:
            return [message for message in self.received if matching in str(message)]

        with self._changed:
            self._changed.wait_for(lambda: len(found()) >= wanted, timeout=seconds)
            return found()
