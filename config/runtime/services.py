"""The private stores of one installation: a PostgreSQL and a Valkey that belong to one folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.runtime.postgres import OWNER, Postgres
from config.runtime.processes import ServiceError
from config.runtime.valkey import Valkey


@dataclass(frozen=True)
class Services:
    """What runs privately; a store that the operator provides is None."""

    postgres: Postgres | None
    valkey: Valkey | None

    def environment(self) -> dict[str, str]:
        """Return the settings that lead other processes to these stores."""
        env: dict[str, str] = {}
        if self.postgres:
            env["DATABASE_URL"] = self.postgres.url()
            env["DATABASE_OWNER_URL"] = self.postgres.url(OWNER)
        if self.valkey:
            env["REDIS_URL"] = self.valkey.url()
        return env


@contextmanager
def locked(var: Path) -> Iterator[None]:
    """Hold the folder for one launcher. Raises ServiceError when another one has it.

    The lock is the kernel's, so a killed launcher leaves nothing to clean up.
    """
    var.mkdir(mode=0o711, parents=True, exist_ok=True)
    descriptor = os.open(var / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServiceError(f"Holdfast already runs on the data in {var}") from None
        yield
    finally:
        os.close(descriptor)


@contextmanager
def private_services(
    var: Path, *, durable: bool = True, postgres: bool = True, valkey: bool = True
) -> Iterator[Services]:
    """Run the wanted private stores under ``var`` for as long as the block lasts.

    ``durable=False`` trades safety for speed and is for tests. Raises ServiceError.
    """
    (var / "log").mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as stack:
        cache = Valkey(var / "valkey", var / "log") if valkey else None
        if cache:
            stack.callback(cache.stop)
            cache.start()
        database = Postgres(var / "postgres", var / "log", durable=durable) if postgres else None
        if database:
            stack.callback(database.stop)
            database.start()
        yield Services(database, cache)
