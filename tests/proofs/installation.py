"""The installation that proofs are tried on: started as a person starts it, reached as strangers reach it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import psycopg

from config.demo.browser import Browser
from config.sample.people import STEP_SECONDS, Credential, code_now

T = TypeVar("T")
REPOSITORY = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 300.0
MARKER = "markerword-alpha"


class Installation:
    """A running installation with sample data; ``var`` is its folder, ``address`` ends with a slash."""

    def __init__(self, var: Path, process: subprocess.Popen[bytes], log: Path) -> None:
        self.var, self.process, self.log = var, process, log
        run = self.run_file()
        self.address: str = run["address"]
        self.people: list[Credential] = json.loads((var / "sample_credentials.json").read_text())
        self.keys: dict[str, str] = json.loads((var / "sample_api.json").read_text())
        self._signed_in: dict[str, Browser] = {}

    def run_file(self) -> dict[str, Any]:
        """Return what the launcher tells of itself: address, pid, env with DATABASE_URL and REDIS_URL."""
        found: dict[str, Any] = json.loads((self.var / "run.json").read_text())
        return found

    # ── People ────────────────────────────────────────────────────────────────────────────────
    def person(self, role: str, *, skip: int = 0) -> Credential:
        """Return the sample person of a role, or the next one of that role."""
        return [one for one in self.people if one["role"] == role][skip]

    def signed_in(self, role: str, *, skip: int = 0, fresh: bool = False) -> Browser:
        """Return a browser in which the sample person of a role is signed in with both factors.

        The same one each time, unless ``fresh``: each code of an authenticator works only once.
        """
        credential = self.person(role, skip=skip)
        email = credential["email"]
        if fresh or email not in self._signed_in:
            self._signed_in[email] = self._sign_in(credential)
        return self._signed_in[email]

    def _sign_in(self, credential: Credential) -> Browser:
        browser = Browser(self.address)
        page = browser.get("/sign-in/")
        page = browser.send(
            page,
            page.form(having="password"),
            email=credential["email"],
            password=credential["password"],
        )
        for _ in range(3):
            form = page.form(having="code")
            answer = browser.http.post(
                page.url,
                data={**form.values, "code": code_now(credential["totp_secret"])},
                headers={"Referer": page.url},
            )
            if answer.status_code < 400 and "/sign-in/" not in str(answer.url):
                return browser
            # Each code works once; the next one comes by itself.
            time.sleep(STEP_SECONDS - time.time() % STEP_SECONDS + 0.1)
        raise AssertionError(f"{credential['email']} could not sign in")

    # ── Machines ──────────────────────────────────────────────────────────────────────────────
    def api(
        self, method: str, path: str, *, key: str = "app-reports", **options: Any
    ) -> httpx.Response:
        """Call ``/api/v1/…`` with the key of a sample source (``sample_api.json`` names them)."""
        headers = {"Authorization": f"Bearer {self.keys[key]}", **options.pop("headers", {})}
        return httpx.request(
            method,
            f"{self.address}api/v1/{path.removeprefix('/')}",
            headers=headers,
            timeout=options.pop("timeout", 60),
            **options,
        )

    def report(self, text: str = MARKER, **changes: Any) -> httpx.Response:
        """Send one report of a text about an account of its own; return the answer."""
        tag = uuid.uuid4().hex[:12]
        body = {
            "subject": {"account": f"proof-{tag}"},
            "reason": "other",
            "items": [{"surface": "profile_text", "text": f"{text} {tag}"}],
            **changes,
        }
        return self.api("POST", "reports", json=body, headers={"Idempotency-Key": tag})

    # ── The machine itself ────────────────────────────────────────────────────────────────────
    @contextlib.contextmanager
    def database(self, *, owner: bool = False) -> Iterator[psycopg.Connection[Any]]:
        """Connect to its PostgreSQL, with the role of the application or of the tables' owner."""
        env = self.run_file()["env"]
        url = env.get("DATABASE_OWNER_URL") if owner else env["DATABASE_URL"]
        with psycopg.connect(url or env["DATABASE_URL"], autocommit=True) as link:
            yield link

    def rows(self, query: str, *values: Any, owner: bool = False) -> list[tuple[Any, ...]]:
        """Return the rows of a query, read as the application's role."""
        with self.database(owner=owner) as link:
            return link.execute(query, values).fetchall()

    def manage(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a management command on it, as an operator would, and return how it ended."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=REPOSITORY,
            env=_own_environment(self.var) | env,
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def programs(self) -> list[psutil.Process]:
        """Return the processes that the launcher started, with their children."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def healthy(self) -> bool:
        """Say whether /healthz answers 200 within five seconds."""
        try:
            return httpx.get(f"{self.address}healthz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def wait(self, what: str, claim: Callable[[], T], *, seconds: float = 60) -> T:
        """Return the first true answer of ``claim``. Raises AssertionError when none comes in time."""
        end = time.monotonic() + seconds
        while not (answer := claim()):
            assert time.monotonic() < end, f"{what} did not come true within {seconds:.0f} s"
            time.sleep(0.1)
        return answer

    def close(self) -> None:
        """Close the browsers of the people that were signed in."""
        for browser in self._signed_in.values():
            browser.http.close()


@contextlib.contextmanager
def started() -> Iterator[Installation]:
    """Start an installation with sample data in a folder of its own; end it afterwards.

    Raises AssertionError with the last lines that the launcher printed when it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="holdfast-proofs-", ignore_cleanup_errors=True) as name:
        var = Path(name)
        var.chmod(0o711)
        log = var / "launcher.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "config.runtime.up"],
                cwd=REPOSITORY,
                env=_own_environment(var) | {"PORT": str(_free_port()), "HOST": "127.0.0.1"},
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        try:
            end = time.monotonic() + START_SECONDS
            while b"Holdfast is ready" not in log.read_bytes():
                tail = log.read_text(errors="replace")[-2000:]
                assert process.poll() is None, f"the installation did not start:\n{tail}"
                assert time.monotonic() < end, f"not ready after {START_SECONDS:.0f} s:\n{tail}"
                time.sleep(0.2)
            place = Installation(var, process, log)
            try:
                yield place
            finally:
                place.close()
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _own_environment(var: Path) -> dict[str, str]:
    private = ("HOLDFAST_", "DATABASE_", "REDIS_", "DJANGO_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(private)}
    env.pop("SAMPLE", None)
    return env | {"HOLDFAST_VAR": str(var)}


def _free_port() -> int:
    with socket.socket() as link:
        link.bind(("127.0.0.1", 0))
        return int(link.getsockname()[1])
