"""The supervisor: what dies is started again, with growing waits, and what stops stops together."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.runtime.processes import ServiceError, birth
from config.runtime.supervisor import Program, Supervisor, python
from tests.stack import wait_until

pytestmark = pytest.mark.runtime


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str]) -> Iterator[Supervisor]:
    made = Supervisor(tmp_path, tmp_path, said.append)
    yield made
    made.stop()


def _program(name: str, code: str, grace: float = 5) -> Program:
    return Program(name, python("-c", code), dict(os.environ), grace)


def test_a_crash_is_shown_with_its_last_words_and_started_again(
    supervisor: Supervisor, said: list[str]
) -> None:
    supervisor.start(_program("worker", "print('the reason'); raise SystemExit(3)"))
    wait_until(lambda: not supervisor.alive("worker"))

    supervisor.tend()

    assert "worker stopped (status 3); it starts again in 0.5 s" in said[0]
    assert said[1].strip() == "the reason"
    wait_until(lambda: supervisor.tend() or len(said) > 2, what="the second crash")  # type: ignore[func-returns-value]
    assert "it starts again in 1.0 s" in said[2]


def test_a_killed_program_is_running_again_soon(supervisor: Supervisor, said: list[str]) -> None:
    supervisor.start(_program("web", "import time; time.sleep(600)"))
    supervisor.kill("web")

    supervisor.tend()

    assert "was killed (signal 9)" in said[0]
    wait_until(lambda: supervisor.tend() or supervisor.alive("web"), seconds=5)  # type: ignore[func-returns-value]


def test_a_program_that_does_not_stop_in_its_time_is_ended(
    supervisor: Supervisor, said: list[str], tmp_path: Path
) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); "
    supervisor.start(_program("deaf", deaf + "time.sleep(600)", grace=0.2))
    wait_until(lambda: supervisor.last_words("deaf") == ["deaf"])

    began = time.monotonic()
    supervisor.stop()

    assert said == ["deaf is still busy after 0 s; it is ended now"]
    assert time.monotonic() - began < 10


def test_a_store_that_will_not_start_does_not_end_the_rest(
    supervisor: Supervisor, said: list[str]
) -> None:
    class Broken:
        starts = 0

        def died(self) -> bool:
            return True

        def start(self) -> object:
            self.starts += 1
            raise ServiceError("no space left")

    broken = Broken()
    supervisor.stores["PostgreSQL"] = broken

    supervisor.tend()
    supervisor.tend()

    assert said == ["PostgreSQL stopped; starting it again", "no space left"]
    assert broken.starts == 1


def test_leftovers_of_a_killed_launcher_are_ended_and_strangers_are_not(
    tmp_path: Path, said: list[str]
) -> None:
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    leftover = subprocess.Popen(sleep, start_new_session=True)
    stranger = subprocess.Popen(sleep, start_new_session=True)
    try:
        (tmp_path / "processes").write_text(
            f"{leftover.pid} {birth(leftover.pid)}\n{stranger.pid} 12345\n"
        )

        Supervisor(tmp_path, tmp_path, said.append).reap_leftovers()

        assert leftover.wait(5) == -9
        assert stranger.poll() is None
    finally:
        for process in (leftover, stranger):
            process.kill()
            process.wait()


def test_a_large_log_is_put_aside(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("config.runtime.supervisor.LOG_LIMIT", 10)
    (tmp_path / "web.log").write_text("x" * 11)

    supervisor.start(_program("web", "print('new')"))

    wait_until(lambda: supervisor.last_words("web") == ["new"])
    assert (tmp_path / "web.log.1").read_text() == "x" * 11
