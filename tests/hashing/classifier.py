"""A stand-in for a classifier outside: a server on a real loopback socket, in any mood."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

RIGHT = {
    "model": "stand-in 3",
    "results": [{"category": "csam_suspected", "score": 0.93, "label": "a drawn shape"}],
}


class Classifier:
    """Answers ``answer`` signed with its secret; remembers requests that were signed rightly.

    ``mood`` is one of right, garbage, slow, error, busy, redirect, huge, unsigned, other_id, html, gzip. The slow one
    waits until ``go_on`` is set.
    """

    def __init__(self) -> None:
        self.secret = ""
        self.mood = "right"
        self.answer: Any = RIGHT
        self.requests: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.bad = 0
        self.asked = 0
        self.go_on = threading.Event()
        stand_in = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                stand_in.serve(self, body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/classify"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def serve(self, door: BaseHTTPRequestHandler, body: bytes) -> None:
        self.asked += 1
        headers = {name.lower(): value for name, value in door.headers.items()}
        try:
            self.requests.append(Webhook(self.secret).verify(body, headers))
        except Exception:  # noqa: BLE001 — whatever is wrong with it, it is not signed by us
            self.bad += 1
            self._say(door, 401, b"{}")
            return
        self.ids.append(headers["webhook-id"])
        if self.mood == "slow":
            self.go_on.wait(30)
        if self.mood in {"error", "busy"}:
            self._say(door, 500 if self.mood == "error" else 503, b"{}")
            return
        if self.mood == "redirect":
            self._say(door, 307, b"", {"Location": self.url})
            return
        said = json.dumps(self.answer).encode()
        if self.mood == "garbage":
            said = b'{"results": [{"category": "csam_suspected", "sc'
        if self.mood == "huge":
            said = json.dumps({"results": [], "padding": "x" * 200_000}).encode()
        at = datetime.now(UTC)
        answers = "msg_another" if self.mood == "other_id" else headers["webhook-id"]
        signed = {
            "webhook-id": answers,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(self.secret).sign(answers, at, said.decode()),
        }
        if self.mood == "unsigned":
            signed["webhook-signature"] = "v1,bm90IGEgc2lnbmF0dXJl"
        if self.mood == "gzip":
            said = gzip.compress(said)
            signed["Content-Encoding"] = "gzip"
        if self.mood == "html":
            signed["Content-Type"] = "text/html"
        self._say(door, 200, said, signed)

    def _say(
        self,
        door: BaseHTTPRequestHandler,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
    ) -> None:
        door.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | (headers or {})).items():
            door.send_header(name, value)
        door.send_header("Content-Length", str(len(body)))
        door.end_headers()
        try:
            door.wfile.write(body)
        except OSError:
            return  # Whoever asked has gone; that is what some of the tests are about.

    def close(self) -> None:
        self.go_on.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def classifier(settings: Any) -> Iterator[Classifier]:
    """Return a running stand-in; this installation may ask loopback addresses."""
    settings.HOLDFAST_CLASSIFIER_ALLOW_PRIVATE = True
    found = Classifier()
    yield found
    found.close()
