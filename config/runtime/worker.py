"""The RQ workers of this installation."""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis
from rq import SimpleWorker, Worker

from config.runtime.processes import die_with_parent

if TYPE_CHECKING:
    from rq.job import Job
    from rq.queue import Queue
    from rq.worker import BaseWorker

log = logging.getLogger(__name__)

# RQ's own intervals let the job of a killed worker lie for about ten minutes.
MAINTENANCE_SECONDS = 30
MONITORING_SECONDS = 5
# RQ waits up to a minute between two attempts to reach Valkey.
RECONNECT_SECONDS = 5.0
SIGN_OF_LIFE_SECONDS = 5.0


def _say_what_the_sandbox_lacks() -> None:
    from hashing import sandbox

    sandbox.say_at_start()


class AppWorker(Worker):
    """Runs each job in a process of its own, which may take long and is ended with the worker.

    Notices abandoned jobs within about a minute, and takes its running job along when it dies: a job that
    outlived its worker would run beside the repetition that the sweep starts.
    """

    max_connection_wait_time = RECONNECT_SECONDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("maintenance_interval", MAINTENANCE_SECONDS)
        kwargs.setdefault("job_monitoring_interval", MONITORING_SECONDS)
        super().__init__(*args, **kwargs)

    def work(self, *args: Any, **kwargs: Any) -> bool:
        """Compile what searches, once for all jobs that are forked from here, then work."""
        _say_what_the_sandbox_lacks()
        if "video" in self.queue_names():
            from hashing import lookup

            lookup.warm()
        show_life(self)
        return super().work(*args, **kwargs)

    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        """Fork, with nothing open that both sides could use (``core.forks``)."""
        from core import forks

        forks.close_stores()
        super().fork_work_horse(job, queue)

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        if bind := die_with_parent(signal.SIGKILL):
            bind()
        super().main_work_horse(job, queue)


class WarmWorker(SimpleWorker):
    """Runs jobs in its own process, for queues of many short ones: scanning, routing, publishing, sending.

    A fork for each job would throw away what makes them short: the database connection, the decoder beside
    the process, the mapped index, the compiled term lists. What strangers send is decoded by the decoder and
    not here, so a hostile file does not cost the worker; a job that never ends is ended by its time limit, and
    a worker that has grown beyond ``HOLDFAST_WORKER_MEMORY_MB`` ends after its job. Start it with
    ``--max-jobs``: whatever leaks is given back when a successor takes over.
    """

    max_connection_wait_time = RECONNECT_SECONDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("maintenance_interval", MAINTENANCE_SECONDS)
        super().__init__(*args, **kwargs)

    def work(self, *args: Any, **kwargs: Any) -> bool:
        """Warm up, then work."""
        if {"scan", "match"} & set(self.queue_names()):
            from hashing import images, lookup

            _say_what_the_sandbox_lacks()
            images.decoder_pid()
            lookup.warm()
        show_life(self)
        return super().work(*args, **kwargs)

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run a job here; afterwards stop if this process has grown too large."""
        from django.conf import settings

        super().execute_job(job, queue)
        if (size := resident_mb()) > settings.HOLDFAST_WORKER_MEMORY_MB:
            log.warning("this worker holds %d MB and makes room for a fresh one", size)
            self._stop_requested = True

    def handle_warm_shutdown_request(self) -> None:
        """Let the job that runs come to an end soon."""
        from core import jobs

        jobs.stop_soon()
        super().handle_warm_shutdown_request()


def show_life(worker: BaseWorker) -> None:
    """Write a sign of life to Valkey every few seconds, from a thread that ends with the process.

    By it ``core.jobs`` tells a job that runs from one whose worker was killed. RQ's own heartbeat says so only
    after the time limit of the job.
    """
    from core import jobs

    ended = threading.Event()
    owner = os.getpid()

    def beat() -> None:
        while os.getpid() == owner:
            try:
                jobs.note_life(worker.name)
            except (redis.RedisError, OSError):
                log.debug("no sign of life: Valkey is away")
            ended.wait(SIGN_OF_LIFE_SECONDS)

    threading.Thread(target=beat, name="sign-of-life", daemon=True).start()


def resident_mb() -> int:
    """Return the memory that this process holds, in MB; 0 where the kernel does not say (macOS)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20
