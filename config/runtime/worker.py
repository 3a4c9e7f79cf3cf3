"""The RQ workers of this installation."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from rq import SimpleWorker, Worker

from config.runtime.processes import die_with_parent

if TYPE_CHECKING:
    from rq.job import Job
    from rq.queue import Queue

# RQ's own intervals let the job of a killed worker lie for about ten minutes.
MAINTENANCE_SECONDS = 30
MONITORING_SECONDS = 5
# RQ waits up to a minute between two attempts to reach Valkey.
RECONNECT_SECONDS = 5.0


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
    """Runs jobs in its own process, for queues of many short ones: scanning and looking things up.

    A fork for each job would throw away what makes them short: the decoder beside the process, the
    database connection, the mapped index, the compiled term lists. What strangers send is decoded by the
    decoder and not here, so a hostile file does not cost the worker; a job that never ends is ended by
    its time limit. Start it with ``--max-jobs``: whatever leaks is given back when a successor takes over.
    """

    max_connection_wait_time = RECONNECT_SECONDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("maintenance_interval", MAINTENANCE_SECONDS)
        super().__init__(*args, **kwargs)

    def work(self, *args: Any, **kwargs: Any) -> bool:
        """Warm up, then work."""
        from hashing import images, lookup

        _say_what_the_sandbox_lacks()
        images.decoder_pid()
        lookup.warm()
        return super().work(*args, **kwargs)
