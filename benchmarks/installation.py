"""A private installation for a measurement: stores and web server, and workers only if asked for.

Everything lies in a temporary folder and ends with the measurement. Durable settings, as in use: a figure
taken with fsync off would be a figure of something else.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from config.runtime.postgres import APP
from config.runtime.services import private_services

REPOSITORY = Path(__file__).resolve().parent.parent


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as link:
        link.bind(("127.0.0.1", 0))
        return int(link.getsockname()[1])


@contextmanager
def installation(*, processes: int = 1, threads: int = 8) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield ``(address, environment)`` of an empty installation, its web server running."""
    with prepared() as env:
        env["HOLDFAST_WEB_THREADS"] = str(threads)
        env["HOLDFAST_WEB_PROCESSES"] = str(processes)
        with served(env, ("-m", "config.runtime.web", "--host", "{host}", "--port", "{port}")) as (
            address,
            web,
        ):
            yield address, env | {"BENCH_WEB_PID": str(web.pid)}


@contextmanager
def prepared() -> Iterator[dict[str, str]]:
    """Yield the environment of an empty installation, tables and keys made, nothing but its stores running."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        var = Path(folder)
        var.chmod(0o711)
        for name in ("keys", "log", "vault", "packages", "anchors", "static"):
            (var / name).mkdir(mode=0o700)
        with private_services(var) as services:
            env = {
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("HOLDFAST_", "DATABASE_", "REDIS_"))
            }
            env |= services.environment()
            env |= {"HOLDFAST_VAR": str(var), "SECRET_KEY": "benchmark", "PYTHONUNBUFFERED": "1"}
            owner = env | {"DATABASE_URL": env.get("DATABASE_OWNER_URL", env["DATABASE_URL"])}
            env.pop("DATABASE_OWNER_URL", None)
            _manage(owner, "prepare", "--app-role", APP)
            yield env


@contextmanager
def served(
    env: dict[str, str], command: Sequence[str]
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a web server, ``python`` with these arguments, and yield its address and its process."""
    port = free_port()
    words = [word.format(host="127.0.0.1", port=port) for word in command]
    with Path(env["HOLDFAST_VAR"], "log", "web.log").open("ab") as log:
        web = subprocess.Popen(
            [sys.executable, *words], cwd=REPOSITORY, env=env, stdout=log, stderr=log
        )
    try:
        address = f"http://127.0.0.1:{port}"
        _await(address)
        yield address, web
    finally:
        web.terminate()
        web.wait(30)


def run_python(env: dict[str, str], code: str) -> str:
    """Run a snippet with Django set up inside the installation and return what it printed."""
    script = f"import django; django.setup()\n{code}"
    settings = {"DJANGO_SETTINGS_MODULE": "config.settings", "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=REPOSITORY,
        env=env | settings,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout.strip()


def _manage(env: dict[str, str], *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=REPOSITORY,
        env=env,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _await(address: str) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            httpx.get(f"{address}/healthz", timeout=5)
            return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise SystemExit("the web server did not start")
