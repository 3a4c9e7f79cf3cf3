"""What strangers are promised not to reach: the time of others, and a disk."""

from __future__ import annotations

import re
import socket
import time
import uuid
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from django.conf import settings

from tests.proofs import proof
from tests.proofs.installation import MARKER, Installation

STRANGERS = 200
CSRF = settings.CSRF_COOKIE_NAME
COOKIE = f"Cookie: {CSRF}={'a' * 32}\r\n"
FORM = f"POST /sign-in/ HTTP/1.1\r\nHost: localhost\r\n{COOKIE}".encode()
HALF_REQUESTS = (
    b"GET /sign-in/ HTTP/1.1\r\nHost: loc",
    FORM + b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 9000\r\n\r\na",
    FORM + b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 9000000\r\n\r\n--x",
    b"POST /api/v1/reports HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n{",
)


def connect(place: Installation, data: bytes) -> socket.socket:
    """Return a connection to the web server on which something was sent."""
    parts = urlsplit(place.address)
    link = socket.create_connection((parts.hostname, parts.port or 80), timeout=30)
    link.sendall(data)
    return link


def answer(link: socket.socket) -> bytes:
    """Return the beginning of an answer."""
    with link:
        return link.recv(65536)


@proof("Two hundred strangers with half a request each slow nobody down", quick=True)
def strangers(place: Installation) -> str:
    def slowest() -> float:
        waits = []
        for _ in range(10):
            began = time.monotonic()
            for path in ("healthz", "sign-in/"):
                said = httpx.get(f"{place.address}{path}", timeout=20)
                assert said.status_code == 200, f"{path} answered {said.status_code}"
            waits.append(time.monotonic() - began)
        return max(waits)

    alone = slowest()
    with ExitStack() as held:
        for number in range(STRANGERS):
            half = HALF_REQUESTS[number % len(HALF_REQUESTS)]
            held.enter_context(connect(place, half))
        beside = slowest()
        began = time.monotonic()
        worked = _work(place)
        took = time.monotonic() - began
        sent = place.report()
    assert sent.status_code == 201, f"a report beside them was answered {sent.status_code}"
    assert beside < alone + 5, f"{alone:.2f} s alone, {beside:.2f} s beside {STRANGERS} strangers"
    return (
        f"health and sign-in page within {alone:.2f} s alone, {beside:.2f} s beside {STRANGERS}; "
        f"{worked} in {took:.1f} s"
    )


def _work(place: Installation) -> str:
    """Sign in whole, open a waiting case, claim it and give it back."""
    # Not the person at whose address other proofs guess: a browser that nobody knows waits for that.
    browser = place.signed_in("reviewer", skip=1, fresh=True)
    home = browser.get("/")
    assert urlsplit(home.url).path == "/", f"the home page was answered at {home.url}"
    ((case,),) = place.rows(
        "SELECT c.id FROM moderation_case c WHERE status <> 'decided' AND NOT EXISTS (SELECT 1 FROM "
        "moderation_claim l WHERE l.case_id = c.id AND l.ended_at IS NULL) ORDER BY c.number LIMIT 1"
    )
    page = browser.get(f"/cases/{case}/")
    page = browser.send(page, page.form("/claim/"))
    browser.send(page, page.form("/release/"), **{"release-reason": "A proof gives it back."})
    return "password, code, home page, a case opened and claimed"


@proof("A header with a byte above 0x7F never vanishes", quick=True)
def beyond_ascii(place: Installation) -> str:
    page = httpx.get(f"{place.address}sign-in/")
    field = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert field, "the sign-in page has no token"
    tried = httpx.post(
        f"{place.address}sign-in/",
        data={"csrfmiddlewaretoken": field[1], "email": "nobody@example.org", "password": "no"},
        headers={b"Cookie": f"city=Zürich; {CSRF}={page.cookies[CSRF]}".encode()},
    )
    assert tried.status_code == 422, f"a sign-in beside a strange cookie got {tried.status_code}"
    key = f"ключ-{uuid.uuid4().hex}".encode()
    items = [{"surface": "profile_text", "text": MARKER}]
    body = {"subject": {"account": "proof-key"}, "reason": "other", "items": items}
    said = place.api("POST", "reports", json=body, headers={"Idempotency-Key": key})
    assert said.status_code == 422, f"a key in Cyrillic was answered {said.status_code}"
    assert "Idempotency-Key" in said.json()["errors"], said.text
    return "a cookie named Zürich locks nobody out; a key in Cyrillic is refused by name"


@proof("An upload lies on no disk in clear while it arrives", quick=True)
def upload(place: Installation) -> str:
    payload = f"{MARKER} ".encode() * 300_000
    bound = uuid.uuid4().hex
    before = (
        f'--{bound}\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n'
        "Content-Type: image/png\r\n\r\n"
    ).encode()
    after = f"\r\n--{bound}--\r\n".encode()
    head = (
        f"POST /api/v1/media HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {place.keys['app-reports']}\r\n"
        f"Content-Type: multipart/form-data; boundary={bound}\r\n"
        f"Content-Length: {len(before) + len(payload) + len(after)}\r\n\r\n"
    )
    with connect(place, head.encode() + before + payload) as link:
        end = time.monotonic() + 20
        while not (held := _large_files(place)) and time.monotonic() < end:
            time.sleep(0.1)
        assert held, "no file of the upload was found: nothing is proved"
        for file in held:
            with suppress(OSError):
                assert MARKER.encode() not in file.read_bytes(), "an upload lies in clear"
        link.sendall(after)
        said = link.recv(65536)
    assert said.startswith(b"HTTP/1.1 201 "), said[:60]
    return f"{len(payload) // 1_000_000} MB on their way: {len(held)} open files, all encrypted"


def _large_files(place: Installation) -> list[Path]:
    """Return the files of more than a megabyte that the web server has open, nameless ones included."""
    found = []
    for process in place.programs():
        with suppress(Exception):
            if "config.runtime.web" not in " ".join(process.parent().cmdline()):
                continue
            for link in Path(f"/proc/{process.pid}/fd").glob("*"):
                with suppress(OSError):
                    if link.is_file() and link.stat().st_size > 1_000_000:
                        found.append(link)
    return found
