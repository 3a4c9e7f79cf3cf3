"""The scheduler as a process: one at work, restarts survived, a clean end."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import Any

import psycopg

from config.runtime.postgres import OWNER
from tests.stack import PrivateStack, wait_until


def beat(stack: PrivateStack) -> tuple[Any, dict[str, Any]] | None:
    try:
        with psycopg.connect(stack.postgres.url(OWNER), connect_timeout=2) as link:
            row = link.execute(
                "SELECT at, detail FROM core_heartbeat WHERE name = 'scheduler'"
            ).fetchone()
    except psycopg.Error:
        return None
    if row is None:
        return None
    return row[0], row[1] if isinstance(row[1], dict) else json.loads(row[1])


def pid(stack: PrivateStack) -> int:
    found = beat(stack)
    return found[1]["pid"] if found else 0


def start(stack: PrivateStack) -> subprocess.Popen[bytes]:
    return stack.spawn("manage.py", "scheduler", HOLDFAST_SWEEP_SECONDS="1")


def test_one_scheduler_works_and_another_takes_over_after_kill_9_and_a_database_restart(
    private_stack: PrivateStack,
) -> None:
    stack = private_stack
    stack.manage("init_keys")
    stack.manage("migrate", "--no-input")
    first = start(stack)
    wait_until(lambda: pid(stack) == first.pid, what="the first scheduler's heartbeat")
    second = start(stack)
    before = wait_until(lambda: beat(stack), what="its sign of life")
    assert before
    wait_until(lambda: (beat(stack) or before)[0] > before[0], what="another heartbeat")
    assert pid(stack) == first.pid

    first.send_signal(signal.SIGKILL)
    first.wait()
    wait_until(lambda: pid(stack) == second.pid, what="the second scheduler to take over")

    stack.kill_valkey()
    after_valkey = beat(stack)
    assert after_valkey
    wait_until(
        lambda: (beat(stack) or after_valkey)[0] > after_valkey[0], what="life without Valkey"
    )

    stack.kill_postgres()
    stack.postgres.start()
    after_crash = wait_until(lambda: beat(stack), what="PostgreSQL")
    wait_until(
        lambda: (beat(stack) or after_crash)[0] > after_crash[0],  # type: ignore[index]
        what="life after a crash",
    )
    assert pid(stack) == second.pid

    second.send_signal(signal.SIGTERM)
    assert second.wait(timeout=20) == 0
