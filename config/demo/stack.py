"""The installation that the demo talks to: the one that runs already, or one of its own."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings

from config.demo.browser import DemoFailed
from config.sample.people import Credential

START_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Installation:
    """Where it answers and with what one signs in."""

    address: str
    people: list[Credential]
    keys: dict[str, str]
    is_own: bool

    def person(self, role: str, *, skip: int = 0) -> Credential:
        """Return the sample person of a role, or the next one of that role."""
        found = [person for person in self.people if person["role"] == role]
        if len(found) <= skip:
            raise DemoFailed(f"the sample data has no {role} number {skip + 1}")
        return found[skip]


@contextlib.contextmanager
def installation(log: Path) -> Iterator[Installation]:
    """Yield the running sample installation, or start one in a temporary folder and stop it again."""
    var = Path(settings.VAR_DIR)
    running = _running(var)
    if running is not None:
        yield running
        return
    with tempfile.TemporaryDirectory(prefix="holdfast-demo-") as folder:
        own = Path(folder)
        own.chmod(0o711)
        with _started(own, log):
            yield _known(own, is_own=True)


def _running(var: Path) -> Installation | None:
    """Return the installation under ``var`` if it answers and holds sample data."""
    address = _read(var / "run.json").get("address", "")
    if not address:
        return None
    try:
        httpx.get(f"{address}healthz", timeout=5)
    except httpx.HTTPError:
        return None
    if not (var / "sample_credentials.json").exists():
        raise DemoFailed(
            "An installation without sample data is running here. Stop it, or set HOLDFAST_VAR to an "
            "empty folder, so that the demo can start one of its own."
        )
    return _known(var, is_own=False)


def _known(var: Path, *, is_own: bool) -> Installation:
    return Installation(
        address=_read(var / "run.json")["address"],
        people=json.loads((var / "sample_credentials.json").read_text()),
        keys=_read(var / "sample_api.json"),
        is_own=is_own,
    )


@contextlib.contextmanager
def _started(var: Path, log: Path) -> Iterator[None]:
    private = ("HOLDFAST_", "DATABASE_", "REDIS_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(private)}
    env.pop("SAMPLE", None)
    env |= {"HOLDFAST_VAR": str(var), "PORT": str(_free_port()), "HOST": "127.0.0.1"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "config.runtime.up"],
            cwd=settings.BASE_DIR,
            env=env,
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        end = time.monotonic() + START_SECONDS
        while b"Holdfast is ready" not in log.read_bytes():
            if process.poll() is not None:
                raise DemoFailed(f"the installation did not start:\n{log.read_text()[-2000:]}")
            if time.monotonic() > end:
                raise DemoFailed(f"the installation was not ready after {START_SECONDS} s")
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as link:
        link.bind(("127.0.0.1", 0))
        return int(link.getsockname()[1])


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
