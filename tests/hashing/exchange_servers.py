"""Stand-ins for exchanges on loopback: they speak the real formats and misbehave on request."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

Answer = tuple[int, str, bytes] | tuple[int, str, bytes, dict[str, str]]


@dataclass
class StandIn:
    """A server that gives what ``answers`` says; ``asked`` holds (path, query, headers)."""

    answers: Callable[[str, dict[str, list[str]], dict[str, str]], Answer]
    asked: list[tuple[str, dict[str, list[str]], dict[str, str]]] = field(default_factory=list)
    sent: list[tuple[str, str, bytes]] = field(default_factory=list)
    """What was posted or put: (method, path, body)."""
    url: str = ""


@contextmanager
def serving(answers: Callable[..., Answer]) -> Iterator[StandIn]:
    """Serve on a free port of loopback while the block lasts."""
    stand_in = StandIn(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query, headers = parse_qs(parts.query), dict(self.headers)
            stand_in.asked.append((parts.path, query, headers))
            if length := int(headers.get("Content-Length", 0)):
                stand_in.sent.append((self.command, parts.path, self.rfile.read(length)))
            status, kind, body, *more = stand_in.answers(parts.path, query, headers)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            for name, value in (more[0] if more else {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PUT = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    stand_in.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield stand_in
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def as_json(document: Any, status: int = 200) -> Answer:
    return status, "application/json", json.dumps(document).encode()


def ncmec_entries(images: str, videos: str = "", next_: str = "") -> Answer:
    """Return a page of NCMEC's hash sharing, version 2."""
    paging = f"<paging><next>{escape(next_)}</next></paging>" if next_ else ""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<queryResult xmlns="https://hashsharing.ncmec.org/hashsharing/v2">'
        f'{paging}<images count="1" maxTimestamp="2026-10-20T21:57:42Z">{images}</images>'
        f'<videos count="1" maxTimestamp="2026-10-20T21:57:42Z">{videos}</videos></queryResult>'
    )
    return 200, "application/xml", body.encode()


def ncmec_entry(id_: str, prints: dict[str, str], *, tag: str = "image", more: str = "") -> str:
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in prints.items())
    return (
        f'<{tag}><member id="42">Invented</member><timestamp>2026-10-20T21:57:42Z</timestamp>'
        f"<id>{id_}</id><classification>A1</classification><fingerprints>{inner}</fingerprints>{more}</{tag}>"
    )
