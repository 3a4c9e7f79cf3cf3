"""The workers and the scheduler, in the process of the test."""

from __future__ import annotations

from typing import Any

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
            if job.description == "make_anchor" and not settings.HOLDFAST_SIGNING_KEY_FILE:
                continue  # Only the package worker signs; this process plays the others.
            import_string(str(job.func_name))(*job.args)
    pytest.fail("the background work came to no end")


def answer_lookups_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files that the API is asked about be looked at before it begins to wait for a worker."""
    from hashing import actions, api, jobs

    ask = actions.ask_about_files

    def ask_and_look(*said: Any, **more: Any) -> list[Any]:
        rows = ask(*said, **more)
        for row in rows:
            jobs.look_up(str(row.pk))
        return rows

    monkeypatch.setattr(api.actions, "ask_about_files", ask_and_look)
