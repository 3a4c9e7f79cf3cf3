"""Every process works again soon after the database lost its sessions, with the pool of real installations.

The programs are those that the launcher starts, by its own commands and with its own settings.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import httpx
import psycopg
import pytest
import redis
from django.conf import settings as django_settings
from rq import Queue
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from config.runtime.postgres import OWNER
from config.runtime.services import private_services
from config.runtime.up import Launcher, read_wishes
from tests.faults.waiting import wait_until
from tests.stack import PrivateStack, free_port

pytestmark = pytest.mark.runtime

SOON = 15.0
"""Seconds in which everything works again, as DESIGN and docs/operations.md promise."""

# A job of each queue that asks the database for a row that is not there, and so ends well at once.
LOOKS = {
    "publish": "moderation.jobs.publish_due",
    "intake": "moderation.jobs.route_waiting",
    "deliver": "moderation.delivery_jobs.send_due",
    "match": "hashing.jobs.look_up",
    "scan": "moderation.jobs.make_preview",
    "video": "hashing.jobs.scan_video",
    "anchor": "referrals.jobs.keep_anchors",
    "package": "referrals.jobs.build_package",
    "index": "hashing.jobs.build_index",
    "default": "hashing.jobs.score_recent",
    "long": "hashing.jobs.read_links",
}

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "publish": (),
    "intake": (),
    "deliver": (),
    "anchor": (),
    "index": (0,),
    "default": (0,),
}


class Running:
    """The launcher's programs on private stores."""

    def __init__(self, stack: PrivateStack) -> None:
        self.stack = stack
        self.base = f"http://127.0.0.1:{free_port()}"
        settings = stack.env(
            HOLDFAST_TESTING="0",
            SECRET_KEY="invented-" * 8,
            DJANGO_SETTINGS_MODULE="config.settings",
            HOLDFAST_SWEEP_SECONDS="1",
        )
        wishes = read_wishes({"HOLDFAST_VAR": str(stack.var), "PORT": self.base.rsplit(":", 1)[1]})
        launcher = Launcher(wishes, settings)
        for program in [launcher._web(settings), *launcher._background(settings)]:
            stack.spawn(*program.command[1:], **program.env)
        self.valkey = redis.Redis.from_url(stack.valkey.url())

    def look(self, queue: str) -> bool:
        """Let a worker of ``queue`` ask the database for something. False when that failed."""
        target = Queue(queue, connection=self.valkey, serializer=JSONSerializer)
        made = target.enqueue_call(
            LOOKS[queue],
            args=ARGUMENTS.get(queue, (str(uuid.uuid4()),)),
            timeout=60,
            result_ttl=0,
            failure_ttl=60,
        )
        ended: dict[str, bool] = {}

        def has_ended() -> bool:
            try:
                found = Job.fetch(made.id, connection=self.valkey, serializer=JSONSerializer)
                return found.get_status() == JobStatus.FAILED
            except (NoSuchJobError, InvalidJobOperation):  # Gone, perhaps between the two looks.
                ended["well"] = True
                return True

        wait_until(has_ended, what=f"the end of a job in {queue}")
        return "well" in ended

    def healthy(self) -> bool:
        try:
            return httpx.get(f"{self.base}/healthz", timeout=20).status_code == 200
        except httpx.TransportError:
            return False

    def swept_since(self, at: Any) -> bool:
        with psycopg.connect(self.stack.postgres.url(OWNER)) as link:
            found = link.execute(
                "SELECT at FROM core_heartbeat WHERE name = 'scheduler'"
            ).fetchone()
        return found is not None and bool(found[0] > at)

    def now(self) -> Any:
        with psycopg.connect(self.stack.postgres.url(OWNER)) as link:
            row = link.execute("SELECT now()").fetchone()
        assert row
        return row[0]

    def assert_all_work_within(self, seconds: float) -> None:
        """Fail unless every process has asked the database something and got its answer in time."""
        began, at = time.monotonic(), self.now()
        left: dict[str, Callable[[], bool]] = {
            "web": self.healthy,
            "scheduler": lambda: self.swept_since(at),
            **{name: partial(self.look, name) for name in LOOKS},
        }
        while left:
            left = {name: works for name, works in left.items() if not works()}
            assert time.monotonic() - began <= seconds, f"do not work: {sorted(left)}"


@pytest.fixture
def running(short_folder: Any) -> Iterator[Running]:
    with ExitStack() as opened:
        services = opened.enter_context(private_services(short_folder, durable=False))
        stack = PrivateStack(short_folder, services)
        opened.callback(stack.close)
        stack.manage("init_keys")
        stack.manage("migrate", "-v0")
        found = Running(stack)
        wait_until(found.healthy, what="the web server")
        for queue in LOOKS:
            wait_until(partial(found.look, queue), what=f"the worker of {queue}")
        yield found


def test_each_queue_is_looked_at_here() -> None:
    assert set(LOOKS) == set(django_settings.RQ_QUEUES)


def test_every_process_works_again_after_its_sessions_were_ended(running: Running) -> None:
    for _ in range(2):
        with psycopg.connect(running.stack.postgres.url(OWNER), autocommit=True) as link:
            ended = link.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchone()
        assert ended
        assert ended[0] > 0
        running.assert_all_work_within(SOON)

    running.stack.kill_postgres()
    wait_until(lambda: not running.healthy(), what="a web server that says so")
    running.stack.postgres.start()
    wait_until(running.now, what="the database")
    running.assert_all_work_within(SOON)
