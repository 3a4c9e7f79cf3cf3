"""The web server as it is installed: strangers, headers, large bodies, the end; and nginx in front of it."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from django.conf import settings

from config.demo.browser import Browser, DemoFailed, Page
from config.runtime.processes import end_group
from config.runtime.services import private_services
from config.sample.people import code_now
from tests.stack import REPOSITORY, PrivateStack, free_port, wait_until
from tests.web.conftest import read_answer
from tests.web.proxy import NAME, Proxy, proxy

pytestmark = pytest.mark.runtime

BOUNDARY = b"a-boundary-that-no-random-bytes-hold"
TOKEN = "t0k3n-" + "a" * 37
MAKE_KEY = """
import django; django.setup()
from core.audit import SYSTEM
from reports import actions
from reports.models import Scope, SourceKind
source = actions.create_source(
    slug="web", name="Web", kind=SourceKind.PLATFORM, is_own_platform=True, actor=SYSTEM
)
print(actions.issue_key(source, scopes=Scope.values, rate_per_minute=60000, actor=SYSTEM)[1])
"""
PASSWORD = "an invented pass phrase of a test"
MAKE_WORK = f"""
import django; django.setup()
import json, sys
from accounts import actions
from accounts.permissions import Role
from accounts.totp import new_secret
from config.sample.people import code_now
from tests.casework import Casework, grant_all
secret = new_secret()
person = actions.create_person(
    email="beside@example.org", name="Beside", role=Role.REVIEWER, password={PASSWORD!r}
)
# The code of the step before: the one of now is left for the sign-in.
actions.enable_totp(person, secret=secret, code=code_now(secret, steps=-1), actor=person)
case = Casework().case("subject-beside")
grant_all(person)
json.dump({{"email": person.email, "secret": secret, "case": str(case.pk)}}, sys.stdout)
"""
BEHIND_A_PROXY = {"HOLDFAST_HTTPS": "1", "HOLDFAST_BEHIND_PROXY": "1"}


class Web:
    """The real web server on an installation of its own, and the key of a source."""

    def __init__(self, stack: PrivateStack, key: str) -> None:
        self.stack, self.key = stack, key
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def start(self, **settings: str) -> None:
        """Start the web server anew with these settings."""
        self.end()
        self.port = free_port()
        self.process = self.stack.spawn(
            *("-m", "config.runtime.web", "--port", str(self.port)),
            DJANGO_SETTINGS_MODULE="config.settings",
            ALLOWED_HOSTS=f"localhost,127.0.0.1,{NAME}",
            **settings,
        )
        wait_until(self.answers, seconds=60, what="the web server")

    def end(self) -> None:
        """End it, if it runs."""
        if self.process is not None:
            end_group(self.process, timeout=20)

    def answers(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/healthz", timeout=10).status_code == 200
        except httpx.TransportError:
            return False

    def client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=60)

    def connect(self, data: bytes) -> socket.socket:
        link = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        link.sendall(data)
        return link

    def ask(self, data: bytes) -> bytes:
        with self.connect(data) as link:
            return read_answer(link)


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    with ExitStack() as opened:
        folder = opened.enter_context(
            tempfile.TemporaryDirectory(prefix="holdfast-web-", ignore_cleanup_errors=True)
        )
        Path(folder).chmod(0o711)
        services = opened.enter_context(private_services(Path(folder), durable=False))
        stack = PrivateStack(Path(folder), services)
        opened.callback(stack.close)
        for name in ("static", "temporary"):
            (stack.var / name).mkdir()
        stack.manage("init_keys")
        stack.manage("migrate", "--no-input")
        made = subprocess.run(
            [sys.executable, "-c", MAKE_KEY],
            cwd=REPOSITORY,
            env=stack.env(DJANGO_SETTINGS_MODULE="config.settings"),
            check=True,
            capture_output=True,
            text=True,
        )
        yield Web(stack, made.stdout.split()[-1])


@pytest.fixture(scope="module")
def direct(web: Web) -> Web:
    """The server without a proxy, its temporary folder its own."""
    web.start(TMPDIR=str(web.stack.var / "temporary"))
    return web


def half_requests() -> list[bytes]:
    """Return the ways to send half a request: to pages and API, with and without a token, small and large."""
    form = b"POST /sign-in/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
    encoded = form + b"application/x-www-form-urlencoded\r\n"
    multipart = form + b"multipart/form-data; boundary=x\r\n"
    name = settings.CSRF_COOKIE_NAME.encode()
    cookie = b"Cookie: " + name + b"=" + b"a" * 32 + b"; __Host-csrf=" + b"a" * 32 + b"\r\n"
    api = b"POST /api/v1/reports HTTP/1.1\r\nHost: localhost\r\n"
    return [
        b"GET /sign-in/ HTTP/1.1\r\nHost: loc",
        encoded + cookie + b"Content-Length: 100000\r\n\r\nabcdefg",
        encoded + b"Content-Length: 100000\r\n\r\nabcdefg",
        multipart + cookie + b"Content-Length: 90000000\r\n\r\n--x",
        multipart + cookie + b"Cookie: session=abc\r\nContent-Length: 90000000\r\n\r\n--x",
        encoded + cookie + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        api + b"Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n{",
        api
        + b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 90000000\r\n\r\n--x",
    ]


def multipart(payload: bytes, key: str) -> tuple[bytes, bytes]:
    """Return what stands before and after a file in an upload to the API."""
    before = (
        b"--" + BOUNDARY + b'\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n'
        b"Content-Type: image/png\r\n\r\n"
    )
    after = b"\r\n--" + BOUNDARY + b"--\r\n"
    length = len(before) + len(payload) + len(after)
    head = (
        f"POST /api/v1/media HTTP/1.1\r\nHost: {NAME}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY.decode()}\r\nContent-Length: {length}\r\n\r\n"
    )
    return head.encode() + before, after


def report(external_id: str) -> dict[str, Any]:
    """Return a report with one text."""
    return {
        "external_id": external_id,
        "subject": {"account": "u-1"},
        "reason": "spam",
        "items": [{"surface": "reported_message", "text": "markerword-alpha"}],
    }


@pytest.fixture(scope="module")
def work(web: Web) -> dict[str, str]:
    """A reviewer with a second factor, and a case that waits: ``email``, ``secret``, ``case``."""
    # At the turn of a time step the code may grow too old on its way; the second time it has all of a step.
    for attempt in (1, 2):
        made = subprocess.run(
            [sys.executable, "-c", MAKE_WORK],
            cwd=REPOSITORY,
            env=web.stack.env(DJANGO_SETTINGS_MODULE="config.settings"),
            check=False,
            capture_output=True,
            text=True,
        )
        if made.returncode == 0 or attempt == 2:
            break
    assert made.returncode == 0, made.stderr
    found: dict[str, str] = json.loads(made.stdout.splitlines()[-1])
    return found


def sign_in(browser: Browser, work: dict[str, str]) -> Page:
    """Go from the sign-in page over password and code to the home page."""
    page = browser.get("/sign-in/")
    page = browser.send(page, page.form(having="password"), email=work["email"], password=PASSWORD)
    form = page.form(having="code")
    return browser.send(page, form, code=code_now(work["secret"]))


def work_goes_on(web: Web, name: str, work: dict[str, str]) -> None:
    """Do what people and platforms do: sign in whole, open a case, claim it, report; ten seconds for each."""
    with Browser(f"http://127.0.0.1:{web.port}") as browser:
        browser.http.timeout = httpx.Timeout(10)
        for _ in range(5):
            assert browser.get("/healthz").status == 200
        page = browser.get("/sign-in/")
        form = page.form(having="password")
        with pytest.raises(DemoFailed, match="422"):
            browser.send(page, form, email="nobody@example.org", password="no")
        home = sign_in(browser, work)
        assert httpx.URL(home.url).path == "/"
        page = browser.get(f"/cases/{work['case']}/")
        claimed = browser.send(page, page.form("/claim/"))
        assert "/extend/" in claimed.text, "the case is not in the person's hands"
    with web.client() as client:
        sent = client.post("/api/v1/reports", json=report(name), timeout=10)
        assert sent.status_code == 201


def test_two_hundred_strangers_with_half_a_request_slow_nobody_down(
    direct: Web, work: dict[str, str]
) -> None:
    ways = half_requests()
    strangers = [direct.connect(ways[number % len(ways)]) for number in range(200)]
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.5):
            for stranger in strangers:
                try:
                    stranger.send(b"a")
                except OSError:
                    continue

    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        work_goes_on(direct, "beside-strangers", work)
    finally:
        stop.set()
        dripping.join()
        for stranger in strangers:
            stranger.close()


def test_a_strangers_large_body_is_refused_before_it_is_sent(direct: Web) -> None:
    multipart = half_requests()[4]

    said = direct.ask(multipart)

    assert said.startswith(b"HTTP/1.1 403 ")
    assert b"Nothing of it was kept" in said
    assert direct.ask(half_requests()[7]).startswith(b"HTTP/1.1 401 ")


def test_a_cookie_of_another_application_locks_nobody_out(direct: Web) -> None:
    page = direct.ask(b"GET /sign-in/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
    name = settings.CSRF_COOKIE_NAME
    token = re.search(rf"{name}=(\w+)".encode(), page)
    field = re.search(rb'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token
    assert field
    body = b"csrfmiddlewaretoken=" + field[1] + b"&email=nobody%40example.org&password=no"
    head = (
        "POST /sign-in/ HTTP/1.1\r\nHost: localhost\r\nCookie: city=Zürich; "
        f"{name}={token[1].decode()}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )

    said = direct.ask(head.encode() + body)

    assert said.split(b" ")[1] == b"422", said[:200]


def test_an_idempotency_key_in_another_alphabet_is_refused_not_lost(direct: Web) -> None:
    body = json.dumps(report("cyrillic")).encode()
    head = (
        f"POST /api/v1/reports HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {direct.key}\r\n"
        f"Idempotency-Key: ключ-1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )

    for _ in range(2):
        said = direct.ask(head.encode() + body)
        assert said.startswith(b"HTTP/1.1 422 ")
        assert b"visible ASCII characters" in said


def large_files(web: Web) -> list[Path]:
    """Return the files of more than a megabyte that the server has open, nameless ones included."""
    assert web.process
    found = []
    for process in psutil.Process(web.process.pid).children(recursive=True):
        for link in Path(f"/proc/{process.pid}/fd").glob("*"):
            with suppress(OSError):
                about = link.stat()
                if stat.S_ISREG(about.st_mode) and about.st_size > 1_000_000:
                    found.append(link)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="the files a process has open are in /proc")
def test_an_upload_lies_on_no_disk_in_clear_while_it_arrives(direct: Web) -> None:
    payload = b"markerword-alpha " * 600_000  # About 10 MB.
    start, end = multipart(payload, direct.key)
    link = direct.connect(start)
    link.sendall(payload)
    # What is encrypted already; there is no other copy, in the folder for temporary files neither.
    wait_until(lambda: large_files(direct), what="an upload on its way into the vault")
    for file in large_files(direct):
        assert b"markerword" not in file.read_bytes()
    assert list((direct.stack.var / "temporary").iterdir()) == []
    link.sendall(end)
    said = read_answer(link)
    link.close()
    assert said.startswith(b"HTTP/1.1 201 "), said


# ── Behind nginx ──────────────────────────────────────────────────────────────────────────────
BIG = 20_000_000


@pytest.fixture(scope="module")
def proxied(web: Web) -> Iterator[Proxy]:
    """The server as docs/operations.md has it behind nginx, with one large file to send."""
    (web.stack.var / "static" / "big.bin").write_bytes(os.urandom(BIG))
    web.start(**BEHIND_A_PROXY)
    with proxy(web.stack.var / "nginx", web.port) as running:
        yield running


def through(running: Proxy, data: bytes = b"", timeout: float = 60) -> ssl.SSLSocket:
    """Return a TLS connection to nginx on which ``data`` was sent."""
    trusted = ssl.create_default_context(cafile=running.folder / "fullchain.pem")
    link = socket.create_connection(("127.0.0.1", running.port), timeout=timeout)
    secured = trusted.wrap_socket(link, server_hostname=NAME)
    secured.sendall(data)
    return secured


def request(path: str, *more: str) -> bytes:
    """Return a GET that closes its connection."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {NAME}", "Connection: close", *more]
    return "\r\n".join([*lines, "", ""]).encode()


def test_the_proxy_tells_who_asks_and_how(web: Web, proxied: Proxy) -> None:
    forged = ("X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: http")
    with through(proxied, request("/sign-in/", *forged)) as link:
        said = read_answer(link).lower()
    assert said.startswith(b"http/1.1 200 ")
    assert b"; secure" in said
    with through(proxied, request("/healthz", "X_Forwarded_For: 192.0.2.1")) as link:
        assert read_answer(link).startswith(b"HTTP/1.1 400 ")
    with socket.create_connection(("127.0.0.1", proxied.plain_port), timeout=20) as plain:
        plain.sendall(request("/cases/"))
        assert f"location: https://{NAME}/cases/".encode() in read_answer(plain).lower()


def test_an_upload_lies_in_no_temporary_file_of_the_proxy(web: Web, proxied: Proxy) -> None:
    payload = os.urandom(BIG)
    start, end = multipart(payload, web.key)
    with through(proxied, start) as link:
        link.sendall(payload)
        assert proxied.temporary() == []
        link.sendall(end)
        said = read_answer(link)
    assert said.startswith(b"HTTP/1.1 201 "), said
    assert proxied.temporary() == []


def test_the_same_upload_would_lie_there_by_nginx_own_defaults(web: Web, proxied: Proxy) -> None:
    payload = os.urandom(BIG)
    start, _ = multipart(payload, web.key)
    left_out = "proxy_request_buffering off;"
    folder = web.stack.var / "nginx-careless"
    with (
        proxy(folder, web.port, without=left_out) as careless,
        through(careless, start) as link,
    ):
        link.sendall(payload)
        wait_until(careless.temporary, what="a temporary file")


def test_a_large_answer_waits_for_its_reader_in_no_file(web: Web, proxied: Proxy) -> None:
    with through(proxied, request("/static/big.bin")) as link:
        got = len(link.recv(1000))
        # nginx has taken what it holds in memory; by its defaults it would go on into a file.
        assert proxied.temporary() == []
        while piece := link.recv(1 << 20):
            got += len(piece)
        assert proxied.temporary() == []
    assert got > BIG


def test_half_requests_through_the_proxy_slow_nobody_down(web: Web, proxied: Proxy) -> None:
    ways = half_requests()
    strangers = [through(proxied, ways[number % len(ways)]) for number in range(80)]
    try:
        for _ in range(5):
            with through(proxied, request("/healthz"), timeout=15) as link:
                assert read_answer(link).startswith(b"HTTP/1.1 200 ")
    finally:
        for stranger in strangers:
            stranger.close()


def test_what_is_too_large_is_refused_in_our_words(web: Web, proxied: Proxy) -> None:
    head = f"POST /api/v1/media HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 5000000000\r\n\r\n"
    with through(proxied, head.encode() + b"a" * 100_000) as link:
        said = read_answer(link)
    assert said.startswith(b"HTTP/1.1 413 "), said
    assert b"this installation takes 216 MB at once" in said


def test_the_logs_of_the_proxy_hold_no_token(web: Web, proxied: Proxy) -> None:
    paths = [
        f"/originals/{TOKEN}/",
        f"/set-up/?token={TOKEN}",
        f"/invitation/{TOKEN}/",
        f"/{TOKEN}",
    ]
    for path in paths:
        with through(proxied, request(path, f"Referer: https://{NAME}/x?token={TOKEN}")) as link:
            assert read_answer(link)
    # What nginx has most to say about: a server that is away.
    with proxy(web.stack.var / "nginx-alone", free_port()) as alone:
        with through(alone, request(f"/originals/{TOKEN}/")) as link:
            assert read_answer(link).startswith(b"HTTP/1.1 502 ")
        wait_until(lambda: " 502 " in alone.logs(), what="a line in the log")
        assert TOKEN not in alone.logs()
    wait_until(lambda: proxied.logs().count(" GET /originals ") == 1, what="a line in the log")
    assert TOKEN not in proxied.logs()
    assert "?" not in proxied.logs()


# ── The processes ─────────────────────────────────────────────────────────────────────────────
def test_it_ends_as_a_service_is_ended_and_whole_requests_are_answered(web: Web) -> None:
    web.start()
    payload = os.urandom(1_000_000)
    start, end = multipart(payload, web.key)
    link = web.connect(start + payload[:500_000])
    half = web.connect(half_requests()[1])
    assert web.process
    web.process.terminate()
    wait_until(lambda: not web.answers(), what="a server that takes nothing new")
    link.sendall(payload[500_000:] + end)

    assert read_answer(link).startswith(b"HTTP/1.1 201 ")
    assert web.process.wait(20) == 0
    link.close()
    half.close()


def test_a_process_that_dies_is_replaced(web: Web) -> None:
    web.start()
    assert web.process
    parent = psutil.Process(web.process.pid)

    def serving() -> set[int]:
        found = set()
        for one in parent.children():
            with suppress(psutil.Error):  # It may end while it is looked at.
                if "spawn_main" in " ".join(one.cmdline()):
                    found.add(one.pid)
        return found

    before = serving()
    assert len(before) == 2
    killed = min(before)
    psutil.Process(killed).kill()

    wait_until(lambda: len(serving() - {killed}) == 2, what="a new process")
    wait_until(web.answers, what="an answer")


def test_a_server_that_cannot_start_says_so_and_ends(web: Web) -> None:
    environment = web.stack.env(
        DJANGO_SETTINGS_MODULE="config.settings", HOLDFAST_UNDO_SECONDS="soon"
    )
    done = subprocess.run(
        [sys.executable, "-m", "config.runtime.web", "--port", str(free_port())],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 1
    assert "HOLDFAST_UNDO_SECONDS must be a whole number" in done.stderr
