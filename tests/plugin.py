"""pytest plugin: private PostgreSQL and Valkey for the run, a folder and a database per process.

A ``-p`` plugin, because pytest-django reads the settings before any conftest. With pytest-xdist the
controller starts the stores and every worker process takes a Valkey database, a test database and a
data folder of its own. A ``DATABASE_URL`` from outside is used as it is (its role must be a superuser,
see tests/conftest.py); Valkey is always private, because every test empties it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from config.runtime.postgres import OWNER
from config.runtime.services import private_services

_running = ExitStack()


def _start() -> None:
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        # Short, since a unix socket's path is limited; open to traversal, since as root PostgreSQL
        # runs under an account of its own.
        root = Path(tempfile.mkdtemp(prefix="holdfast-test-"))
        root.chmod(0o711)
        _running.callback(shutil.rmtree, root, ignore_errors=True)
        outside = os.environ.get("DATABASE_URL")
        services = _running.enter_context(
            private_services(root, durable=False, postgres=not outside)
        )
        assert services.valkey is not None
        if services.postgres:
            os.environ["DATABASE_URL"] = services.postgres.url(OWNER)
        os.environ["HOLDFAST_TEST_VALKEY"] = services.valkey.url()
        os.environ["HOLDFAST_TEST_ROOT"] = str(root)
        number, name = 0, "main"
    else:
        number, name = int(worker.removeprefix("gw")) + 1, worker
    valkey = os.environ["HOLDFAST_TEST_VALKEY"].partition("?")[0]
    os.environ["REDIS_URL"] = f"{valkey}?db={number}"
    os.environ["HOLDFAST_VAR"] = f"{os.environ['HOLDFAST_TEST_ROOT']}/{name}"
    Path(os.environ["HOLDFAST_VAR"]).mkdir(mode=0o700, exist_ok=True)
    # Tests are served from the sources; WhiteNoise warns when the collected folder is missing.
    Path(os.environ["HOLDFAST_VAR"], "static").mkdir(exist_ok=True)


for _name in list(os.environ):  # The operator's settings must not change what the tests see.
    if _name.startswith("HOLDFAST_") and "PYTEST_XDIST_WORKER" not in os.environ:
        del os.environ[_name]
os.environ.pop("DATABASE_OWNER_URL", None)
os.environ["HOLDFAST_TESTING"] = "1"
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # pytest-playwright keeps an event loop running.
_start()


def pytest_unconfigure(config: pytest.Config) -> None:
    _running.close()


@pytest.fixture(autouse=True)
def empty_valkey() -> None:
    """Begin every test without jobs, counters or cached values of the one before."""
    import redis

    with redis.Redis.from_url(os.environ["REDIS_URL"]) as link:
        link.flushdb()


@pytest.fixture(autouse=True)
def usual_scheduling() -> Iterator[None]:
    """Fail a test that leaves its process before all others: what is started from it later would inherit that."""
    before = os.sched_getscheduler(0)
    yield
    after = os.sched_getscheduler(0)
    if after != before:
        os.sched_setscheduler(0, before, os.sched_param(0))
    assert after == before, (
        "the test changed how its process is scheduled (see tests.clips.unhurried)"
    )
