"""``make up`` as a person meets it: one start, faults while it runs, Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.stack import REPOSITORY, free_port, wait_until

pytestmark = pytest.mark.runtime

OWN_SETTINGS = {"DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE"}
LINUX = sys.platform == "linux"


def _environment(var: Path, **changes: str) -> dict[str, str]:
    usual = {
        name: value
        for name, value in os.environ.items()
        if name not in OWN_SETTINGS and not name.startswith(("HOLDFAST_", "PYTEST_"))
    }
    return usual | {"HOLDFAST_VAR": str(var), "SAMPLE": "0", **changes}


class Installation:
    """One data folder and the launcher on it; what the launcher prints is kept."""

    def __init__(self, var: Path) -> None:
        self.var = var
        self.port = free_port()
        self.output: list[str] = []
        self.process = self._launch()

    def _launch(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "config.runtime.up"],
            cwd=REPOSITORY,
            env=_environment(self.var, PORT=str(self.port)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(process,))
        self._reader.start()
        return process

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        with process.stdout as lines:
            self.output.extend(lines)

    def start_again(self) -> None:
        self._reader.join()
        self.output.clear()
        self.process = self._launch()

    def await_ready(self) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, "".join(self.output)
            return any("Holdfast is ready" in line for line in self.output) and self.complete()

        wait_until(ready, seconds=120, what="a running installation")

    def complete(self) -> bool:
        """Say whether all programs of this installation run."""
        return len(self.programs()) == 9

    def programs(self) -> dict[str, psutil.Process]:
        """Return the processes that the launcher started itself, by what they do."""
        marks = {
            "web": "config.runtime.web",
            "scheduler": "scheduler",
            "case-worker": "intake",
            "sender": "deliver",
            "scan-worker": "scan",
            "package-worker": "package",
            "index-worker": "index",
            "video-worker": "video",
            "long-worker": "long",
        }
        found: dict[str, psutil.Process] = {}
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):  # It may end while it is looked at.
                line = child.cmdline()
                found |= {name: child for name, mark in marks.items() if mark in line}
        return found

    def store(self, name: str) -> psutil.Process | None:
        """Return the private server that the launcher started, if it is alive."""
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):
                if name in child.name() and child.status() != psutil.STATUS_ZOMBIE:
                    return child
        return None

    def run_file(self) -> dict[str, Any]:
        return json.loads((self.var / "run.json").read_text())

    def healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5) as page:
                return page.status == 200
        except OSError:
            return False

    def leftovers(self) -> list[str]:
        """Return the command lines of living processes that belong to this folder."""
        found = []
        for process in psutil.process_iter():
            try:
                words = process.cmdline()
                ours = process.environ().get("HOLDFAST_VAR") == str(self.var)
            except psutil.Error:
                continue
            if words and (ours or any(str(self.var) in word for word in words)):
                found.append(" ".join(words))
        return found

    def log_ends(self) -> list[str]:
        """Return the last lines of every program's log, for a failure to show."""
        return [
            f"{file.name}: {line}"
            for file in sorted((self.var / "log").glob("*.log"))
            for line in file.read_text(errors="replace").splitlines()[-8:]
        ]

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
        self._reader.join()


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    with tempfile.TemporaryDirectory(prefix="holdfast-up-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)
        running = Installation(Path(name) / "var")
        try:
            running.await_ready()
            yield running
        finally:
            running.close()


def _refused(var: Path, **changes: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "config.runtime.up"],
        cwd=REPOSITORY,
        env=_environment(var, **changes),
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_it_answers_and_invites_the_first_administrator(installation: Installation) -> None:
    wait_until(installation.healthy, what="a web server that answers")
    invitation = "The first administrator makes one here"
    wait_until(lambda: invitation in "".join(installation.output), what="the invitation")
    assert f"http://127.0.0.1:{installation.port}/" in "".join(installation.output)


def test_what_it_leaves_on_disk_is_for_its_own_account(installation: Installation) -> None:
    var = installation.var
    for name in ("keys", "log", "vault", "packages", "valkey"):
        assert (var / name).stat().st_mode & 0o077 == 0, name
    for file in [var / "run.json", *(var / "keys").iterdir(), *(var / "log").iterdir()]:
        assert file.stat().st_mode & 0o077 == 0, file


@pytest.mark.skipif(not LINUX, reason="macOS does not show the settings of a process")
def test_only_the_package_worker_knows_the_signing_key(installation: Installation) -> None:
    settings = {name: process.environ() for name, process in installation.programs().items()}
    with_key = {name for name, env in settings.items() if "HOLDFAST_SIGNING_KEY_FILE" in env}
    assert with_key == {"package-worker"}
    assert not [name for name, env in settings.items() if "DATABASE_OWNER_URL" in env]
    assert all("holdfast_app" in env["DATABASE_URL"] for env in settings.values())


def test_a_second_start_on_the_same_data_is_refused(installation: Installation) -> None:
    said = _refused(installation.var, PORT=str(free_port()))
    assert f"already runs on the data in {installation.var}" in said
    assert f"http://127.0.0.1:{installation.port}/" in said
    assert installation.healthy()


@pytest.mark.parametrize("name", ["case-worker", "sender", "scan-worker", "scheduler", "web"])
def test_a_killed_program_comes_back(installation: Installation, name: str) -> None:
    killed = installation.programs()[name]
    killed.kill()

    def back() -> bool:
        present = installation.programs().get(name)
        return present is not None and present.pid != killed.pid and installation.healthy()

    wait_until(back, seconds=60, what=f"a new {name}")


@pytest.mark.parametrize("name", ["postgres", "valkey-server"])
def test_a_killed_store_comes_back(installation: Installation, name: str) -> None:
    killed = installation.store(name)
    assert killed is not None
    killed.kill()

    def back() -> bool:
        present = installation.store(name)
        return present is not None and present.pid != killed.pid and installation.healthy()

    wait_until(back, seconds=60, what=f"a new {name}")
    wait_until(installation.complete, seconds=60, what="all programs beside it")


@pytest.mark.skipif(not LINUX, reason="elsewhere the next start ends what is left")
def test_nothing_outlives_a_killed_launcher_and_the_next_start_works(
    installation: Installation,
) -> None:
    installation.process.kill()
    installation.process.wait()
    try:
        wait_until(
            lambda: not installation.leftovers(), seconds=30, what="the end of all processes"
        )
    except BaseException:
        print("left:", *installation.leftovers(), *installation.log_ends(), sep="\n")
        raise

    installation.start_again()
    installation.await_ready()

    wait_until(installation.healthy, what="a web server that answers")
    assert "Preparing" not in "".join(installation.output)  # Nothing had changed: a warm start.


def test_ctrl_c_stops_everything(installation: Installation) -> None:
    installation.process.send_signal(signal.SIGINT)

    assert installation.process.wait(60) == 0

    assert installation.leftovers() == []
    assert not (installation.var / "run.json").exists()


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = _refused(tmp_path, PORT=str(port))
    assert f"Port {port} of 127.0.0.1 cannot be used" in said
    assert "make up PORT=" in said


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"PORT": "eighty"}, "PORT must be a number from 1 to 65535, not 'eighty'"),
        ({"SAMPLE": "maybe"}, "SAMPLE must be 1 or 0, not 'maybe'"),
        (
            {"DATABASE_URL": "postgresql://nobody:secret-word@127.0.0.1:1/none"},
            "Cannot use the database that DATABASE_URL names",
        ),
        (
            {"DATABASE_URL": "postgresql:///x", "REDIS_URL": "redis://127.0.0.1:1/0"},
            "Cannot use the Valkey or Redis server that REDIS_URL names",
        ),
    ],
)
def test_a_wrong_setting_is_told_in_a_sentence(
    short_folder: Path, changes: dict[str, str], sentence: str
) -> None:
    said = _refused(short_folder, **{"PORT": str(free_port()), **changes})
    assert sentence in said
    assert "secret-word" not in said
