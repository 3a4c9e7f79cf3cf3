"""The platform's side: a server on a real loopback socket that checks signatures and remembers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook


class Receiver:
    """Answers with ``status`` and keeps each message that carried a valid signature."""

    def __init__(self, port: int = 0) -> None:
        self.secret = ""
        self.status = 204
        self.headers: dict[str, str] = {}
        self.delay = 0.0
        self.messages: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.signatures: list[str] = []
        self.bad = 0
        receiver = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.take(body, dict(self.headers.items()))
                time.sleep(receiver.delay)
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Door)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hooks"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def take(self, body: bytes, headers: dict[str, str]) -> None:
        lower = {name.lower(): value for name, value in headers.items()}
        try:
            message = Webhook(self.secret).verify(body, lower)
        except Exception:  # noqa: BLE001 — whatever is wrong with it, it is not ours
            self.bad += 1
            return
        self.messages.append(message)
        self.ids.append(lower["webhook-id"])
        self.signatures.append(lower["webhook-signature"])

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    """Return a running receiver; the installation may contact loopback addresses."""
    settings.HOLDFAST_WEBHOOK_ALLOW_PRIVATE = True
    found = Receiver()
    yield found
    found.close()
