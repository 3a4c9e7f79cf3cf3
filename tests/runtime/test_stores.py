"""The private PostgreSQL and Valkey: they recover, and they never touch a stranger."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from config.runtime.postgres import OWNER, Postgres
from config.runtime.processes import ServiceError, birth, same_process, socket_dir
from config.runtime.services import locked
from config.runtime.valkey import Valkey
from tests.stack import PrivateStack, wait_until

pytestmark = pytest.mark.runtime


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def test_a_committed_row_survives_a_killed_postmaster(private_stack: PrivateStack) -> None:
    with psycopg.connect(private_stack.postgres.url(OWNER)) as link:
        link.execute("CREATE TABLE kept (n int)")
        link.execute("INSERT INTO kept VALUES (7)")
    private_stack.kill_postgres()
    assert private_stack.postgres.died()

    private_stack.postgres.start()

    with psycopg.connect(private_stack.postgres.url(OWNER)) as link:
        assert link.execute("SELECT n FROM kept").fetchall() == [(7,)]


def test_a_killed_valkey_starts_again(private_stack: PrivateStack) -> None:
    private_stack.kill_valkey()
    assert private_stack.valkey.died()

    private_stack.valkey.start()

    assert not private_stack.valkey.died()


def test_the_application_role_owns_nothing(private_stack: PrivateStack) -> None:
    with psycopg.connect(private_stack.postgres.url()) as link:
        assert link.execute(
            "SELECT rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        ).fetchone() == (False, False, False)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            link.execute("CREATE TABLE mine (n int)")


def test_a_stale_pid_file_never_ends_a_stranger(
    short_folder: Path, stranger: subprocess.Popen[bytes]
) -> None:
    postgres = Postgres(short_folder / "postgres", short_folder, durable=False)
    postgres.start()
    postgres.stop()
    stale = f"{stranger.pid}\n{postgres.data}\n1\n5432\n{postgres.socket_dir}\n\n0 0\nready\n"
    (postgres.data / "postmaster.pid").write_text(stale)

    postgres.start()

    assert stranger.poll() is None
    with psycopg.connect(postgres.url()) as link:
        assert link.execute("SELECT 1").fetchone() == (1,)
    postgres.stop()


@pytest.mark.parametrize("content", ["", "not a number\n"])
def test_a_damaged_pid_file_does_not_stop_the_start(short_folder: Path, content: str) -> None:
    postgres = Postgres(short_folder / "postgres", short_folder, durable=False)
    postgres.start()
    postgres.stop()
    (postgres.data / "postmaster.pid").write_text(content)

    postgres.start()

    assert not postgres.died()
    postgres.stop()


def test_servers_that_outlived_their_launcher_are_replaced(short_folder: Path) -> None:
    first = Postgres(short_folder / "postgres", short_folder, durable=False).start()
    cache = Valkey(short_folder / "valkey", short_folder).start()

    second = Postgres(short_folder / "postgres", short_folder, durable=False).start()
    other_cache = Valkey(short_folder / "valkey", short_folder).start()

    wait_until(first.died, what="the end of the first PostgreSQL")
    wait_until(cache.died, what="the end of the first Valkey")
    assert not second.died()
    assert not other_cache.died()
    second.stop()
    other_cache.stop()


def test_an_interrupted_initdb_is_begun_again(short_folder: Path) -> None:
    postgres = Postgres(short_folder / "postgres", short_folder, durable=False)
    postgres.data.mkdir(parents=True)
    (postgres.data / "half").write_text("written")

    postgres.start()

    assert not (postgres.data / "half").exists()
    postgres.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's server has one account only")
def test_data_follows_the_account_that_can_reach_it(short_folder: Path) -> None:
    home = short_folder / "home"
    home.mkdir(mode=0o711)
    kept = None
    for mode in (0o711, 0o700, 0o711):  # Public, private and public again.
        home.chmod(mode)
        postgres = Postgres(home / "postgres", short_folder, durable=False).start()
        try:
            with psycopg.connect(postgres.url(OWNER)) as link:
                link.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
                kept = link.execute("SELECT count(*) FROM kept").fetchone()
        finally:
            postgres.stop()
    assert kept == (0,)


def test_a_deep_folder_gets_a_short_socket_folder(short_folder: Path) -> None:
    deep = short_folder.joinpath(*["a-rather-long-folder-name"] * 8)
    deep.mkdir(parents=True, mode=0o711)

    postgres = Postgres(deep / "postgres", short_folder, durable=False).start()

    try:
        assert not postgres.socket_dir.is_relative_to(deep)
        with psycopg.connect(postgres.url()) as link:
            assert link.execute("SELECT 1").fetchone() == (1,)
    finally:
        postgres.stop()
        shutil.rmtree(postgres.socket_dir)


def test_a_short_socket_folder_made_by_somebody_else_is_refused(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preferred = short_folder.joinpath(*["a-rather-long-folder-name"] * 8, "s")
    short = socket_dir(preferred)
    try:
        monkeypatch.setattr("os.geteuid", lambda: 4242)
        with pytest.raises(ServiceError, match="belongs to somebody else"):
            socket_dir(preferred)
    finally:
        short.rmdir()


def test_the_folder_is_for_one_launcher_at_a_time(short_folder: Path) -> None:
    with (
        locked(short_folder),
        pytest.raises(ServiceError, match="already runs on the data in"),
        locked(short_folder),
    ):
        pass
    with locked(short_folder):
        pass


def test_a_reused_process_number_is_not_the_same_process(
    stranger: subprocess.Popen[bytes],
) -> None:
    assert same_process(stranger.pid, birth(stranger.pid))
    assert not same_process(stranger.pid, "1")
    stranger.send_signal(signal.SIGKILL)
    stranger.wait()
    assert birth(stranger.pid) == ""
    assert not same_process(stranger.pid, "")
