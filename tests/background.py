"""The workers and the scheduler, in the process of the test."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.utils.module_loading import import_string

from core.jobs import queue, run_sweeps


def work() -> None:
    """Do what workers and scheduler do, until nothing is left to do now. Needs real commits."""
    for _ in range(20):
        run_sweeps()
        waiting = [job for name in settings.RQ_QUEUES for job in queue(name).jobs]
        if not waiting:
            return
        for job in waiting:
            job.delete()
            import_string(job.func_name)(*job.args)
    pytest.fail("the background work came to no end")
