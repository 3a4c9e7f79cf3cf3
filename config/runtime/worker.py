"""The RQ worker of this installation."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from rq import Worker

from config.runtime.processes import die_with_parent

if TYPE_CHECKING:
    from rq.job import Job
    from rq.queue import Queue


class AppWorker(Worker):
    """Notices abandoned jobs within about a minute, and takes its running job along when it dies.

    RQ's own intervals let the job of a killed worker lie for about ten minutes. A job that outlived
    its worker would run beside the repetition that the sweep starts.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("maintenance_interval", 30)
        kwargs.setdefault("job_monitoring_interval", 5)
        super().__init__(*args, **kwargs)

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        if bind := die_with_parent(signal.SIGKILL):
            bind()
        super().main_work_horse(job, queue)
