"""``python -m config.runtime.up``: the whole installation in one terminal. Ctrl-C ends all of it.

Imports no Django, so that it can say what is wrong before Django could, and stays small beside its
children. What it starts, and with which settings, is told in docs/operations.md.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import unquote, urlsplit

from config import given
from config.runtime import banner, fingerprint
from config.runtime.processes import ServiceError, die_with_parent, end_group
from config.runtime.services import Services, locked, private_services
from config.runtime.supervisor import Program, Supervisor, python

BASE = Path(__file__).resolve().parent.parent.parent
JOBS_OF_A_WARM_WORKER = 20_000
WEB_ATTEMPTS = 3
BACKLOG = 1024
"""Callers that the kernel keeps waiting while the web server starts."""
WARM, FORKING = "WarmWorker", "AppWorker"
# Only the process that builds packages may sign them; only preparing may change the schema.
PRIVATE_SETTINGS = ("HOLDFAST_SIGNING_KEY_FILE", "DATABASE_OWNER_URL")


class Ended(Exception):
    """The operator asked to stop while the installation was starting."""


@dataclass(frozen=True)
class Wishes:
    """What the operator asked for, from the environment. ``sample`` is None when not said.

    With ``only_stores`` nothing but PostgreSQL and Valkey runs, with whatever they hold: for a restore.
    """

    var: Path
    host: str
    port: int
    sample: bool | None
    only_stores: bool = False

    @property
    def address(self) -> str:
        shown = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104 — shown only
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{self.port}/"


def read_wishes(env: Mapping[str, str]) -> Wishes:
    """Read ``HOLDFAST_VAR``, ``HOST``, ``PORT``, ``SAMPLE``, ``STORES``. Raises ServiceError on nonsense."""
    port = env.get("PORT", "") or "8000"
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise ServiceError(f"PORT must be a number from 1 to 65535, not {port!r}")
    sample = env.get("SAMPLE", "")
    if sample not in {"", "0", "1"}:
        raise ServiceError(f"SAMPLE must be 1 or 0, not {sample!r}")
    stores = env.get("STORES", "")
    if stores not in {"", "0", "1"}:
        raise ServiceError(f"STORES must be 1 or 0, not {stores!r}")
    return Wishes(
        var=Path(env.get("HOLDFAST_VAR", "") or BASE / "var").resolve(),
        host=env.get("HOST", "") or "127.0.0.1",
        port=int(port),
        sample=None if sample == "" else sample == "1",
        only_stores=stores == "1",
    )


class Launcher:
    """One start of the installation, from the checks to the last process ended."""

    def __init__(self, wishes: Wishes, environ: Mapping[str, str]) -> None:
        self.wishes = wishes
        self.environ = environ
        self.began = time.monotonic()
        self._stops = 0
        self._command: subprocess.Popen[str] | None = None
        self._port: socket.socket | None = None
        self.supervisor = Supervisor(wishes.var, wishes.var / "log", banner.say)

    def run(self) -> int:
        """Start everything, keep it running until a signal, end it. Returns the exit status.

        Raises ServiceError, with a sentence, when the installation cannot start.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        try:
            with self._opened() as services:
                self._start_all(services)
                while not self._stops:
                    self.supervisor.tend()
                    time.sleep(0.2)
        except Ended:
            pass
        banner.say("Everything has stopped.")
        return 0

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stops += 1
        if self._command:
            self._command.terminate()
        if self._stops == 2:
            raise KeyboardInterrupt  # Waiting for a busy process is cut short.

    def _unless_stopped(self) -> None:
        if self._stops:
            raise Ended

    @contextmanager
    def _opened(self) -> Iterator[Services]:
        """Take the folder and start the private stores; on the way out end everything."""
        var = self.wishes.var
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(var))
            except ServiceError as error:
                address = _read_json(var / "run.json").get("address")
                at = f": {address}" if address else ""
                raise ServiceError(f"{error}{at}") from None
            var.chmod(
                0o711
            )  # As root PostgreSQL runs under an account of its own, which passes by.
            for name in ("keys", "log", "vault", "packages", "anchors"):
                (var / name).mkdir(mode=0o700, exist_ok=True)
            self._port = stack.enter_context(take_port(self.wishes))
            self.supervisor.reap_leftovers()
            banner.say("Holdfast is starting.")
            with banner.step("PostgreSQL and Valkey"):
                services = stack.enter_context(
                    private_services(
                        var,
                        postgres=not self.environ.get("DATABASE_URL"),
                        valkey=not self.environ.get("REDIS_URL"),
                    )
                )
                if services.valkey is None:
                    _check_valkey(self.environ["REDIS_URL"])
            stack.callback((var / "run.json").unlink, missing_ok=True)
            stack.callback(self._stop_programs)
            yield services

    def _stop_programs(self) -> None:
        banner.say("Stopping …")
        with suppress(KeyboardInterrupt):
            self.supervisor.stop()
            return
        for program in self.supervisor.programs:
            self.supervisor.kill(program)

    # ── Starting ──────────────────────────────────────────────────────────────────────────────
    def _start_all(self, services: Services) -> None:
        self._unless_stopped()
        env = self._environment(services)
        owner_url = env.get("DATABASE_OWNER_URL") or env["DATABASE_URL"]
        if self.wishes.only_stores:
            self._write_run_file(env)
            self._watch(services)
            banner.say(
                "Only the stores run. Restore, then stop them with Ctrl-C and start as usual."
            )
            return
        sample = self._prepare(env, owner_url, private=services.postgres is not None)
        env["HOLDFAST_SAMPLE"] = "1" if sample else "0"
        self._write_run_file(env)
        self._watch(services)
        with banner.step("Web server"):
            self.supervisor.start(self._web(env))
            self._await_web()
        # The rest starts after the first page can be served: it competes for the same processors.
        for program in self._background(env):
            self.supervisor.start(program)
        banner.ready(self.wishes.address, self.wishes.var, seconds=time.monotonic() - self.began)
        if sample:
            banner.sign_ins(_read_json(self.wishes.var / "sample_credentials.json"))
        elif _has_nobody(owner_url):
            base = self.wishes.address.rstrip("/")
            for link in self._manage("first_admin_link", "--base", base, env=_public(env)):
                banner.first_administrator(link)

    def _watch(self, services: Services) -> None:
        if services.postgres:
            self.supervisor.stores["PostgreSQL"] = services.postgres
        if services.valkey:
            self.supervisor.stores["Valkey"] = services.valkey

    def _environment(self, services: Services) -> dict[str, str]:
        keys = self.wishes.var / "keys"
        secret = keys / "secret_key"
        if not secret.exists():
            secret.touch(mode=0o600)
            secret.write_text(secrets.token_urlsafe(50))
        env = dict(self.environ) | services.environment()
        env |= {
            "HOLDFAST_VAR": str(self.wishes.var),
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PYTHONPATH": str(BASE),
            "PYTHONUNBUFFERED": "1",
            "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES",  # macOS: RQ forks for every job.
        }
        env.setdefault("HOLDFAST_ADDRESS", self.wishes.address.rstrip("/"))
        env.setdefault("HOLDFAST_SIGNING_KEY_FILE", str(keys / "signing_key"))
        return env

    def _prepare(self, env: dict[str, str], owner_url: str, *, private: bool) -> bool:
        """Bring tables, rights and files up to date if anything changed. Returns: sample data in?"""
        stamp_file = self.wishes.var / "prepared.json"
        stamp = _read_json(stamp_file)
        found = _applied(owner_url)
        # A database that the operator provides stays empty unless sample data is asked for.
        wanted = private if self.wishes.sample is None else self.wishes.sample
        sampled = bool(stamp.get("sample")) and bool(found)
        sample_due = wanted and not sampled and (not found or stamp.get("sample_due") is True)
        code, static = fingerprint.code(BASE), fingerprint.static(BASE)
        tables_current = bool(found) and (stamp.get("code"), stamp.get("applied")) == (code, found)
        static_current = stamp.get("static") == static
        if tables_current and static_current and not sample_due:
            return sampled
        # Noted first: a start that is killed half-way loads the samples the next time.
        _write_json(stamp_file, {"sample_due": sample_due, "sample": sampled})
        options = ["--no-static"] * static_current + ["--sample"] * sample_due
        if "DATABASE_OWNER_URL" in env:
            options += ["--app-role", unquote(urlsplit(env["DATABASE_URL"]).username or "")]
        else:
            banner.say(
                "DATABASE_OWNER_URL is not set, so the application owns its tables and could switch "
                "the audit log's triggers off; docs/operations.md tells how to part the two roles."
            )
        banner.say("Preparing keys, tables and files:")
        for line in self._manage("prepare", *options, env=env | {"DATABASE_URL": owner_url}):
            banner.say(f"  {line}")
        _write_json(
            stamp_file,
            {
                "code": code,
                "static": static,
                "applied": _applied(owner_url),
                "sample": sampled or sample_due,
            },
        )
        return sampled or sample_due

    def _manage(self, *arguments: str, env: Mapping[str, str]) -> Iterator[str]:
        """Run a management command to its end and yield the lines it prints.

        Ctrl-C ends it. Raises Ended then, and ServiceError with its last words when it fails.
        """
        log = self.wishes.var / "log" / f"{arguments[0]}.log"
        with log.open("wb") as out:
            self._command = process = subprocess.Popen(
                python(str(BASE / "manage.py"), *arguments),
                env=dict(env),
                stdout=subprocess.PIPE,
                stderr=out,
                stdin=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGTERM),
            )
        try:
            for line in process.stdout or ():
                yield line.rstrip()
            process.wait()
        finally:
            self._command = None
            end_group(process, timeout=5)
        self._unless_stopped()
        if process.returncode:
            lines = log.read_text(errors="replace").splitlines()
            if lines and lines[-1].startswith("CommandError: "):
                raise ServiceError(lines[-1].removeprefix("CommandError: "))
            tail = "\n".join(lines[-15:])
            raise ServiceError(f"manage.py {arguments[0]} failed; {log} ends:\n{tail}")

    def _web(self, env: Mapping[str, str]) -> Program:
        command = python("-m", "config.runtime.web")
        command += ["--host", self.wishes.host, "--port", str(self.wishes.port)]
        if self._port is None:
            return Program("web", command, _public(env))
        handed = self._port.fileno()
        return Program("web", [*command, "--fd", str(handed)], _public(env), sockets=(handed,))

    def _background(self, env: Mapping[str, str]) -> list[Program]:
        def worker(name: str, queues: str, settings: Mapping[str, str], kind: str) -> Program:
            command = python(str(BASE / "manage.py"), "rqworker", *queues.split())
            command += ["--worker-class", f"config.runtime.worker.{kind}"]
            if kind == WARM:
                command += ["--max-jobs", str(JOBS_OF_A_WARM_WORKER)]
            # django-rq reads the serializer from the settings when enqueuing, but not here.
            command += ["--serializer", "rq.serializers.JSONSerializer"]
            return Program(name, command, settings)

        public = _public(env)
        signing = {name: env[name] for name in ("HOLDFAST_SIGNING_KEY_FILE",) if name in env}
        # What waits for a network, a long film or a large file has a process of its own: nothing else
        # stands behind it. Within a process the queue named first goes first.
        return [
            Program("scheduler", python(str(BASE / "manage.py"), "scheduler"), public),
            worker("case-worker", "publish intake", public, WARM),
            worker("scan-worker", "match scan", public, WARM),
            worker("sender", "deliver", public, WARM),
            # Anchors before packages, not apart from them: one process alone knows the signing key, and a build
            # makes an anchor when it begins.
            worker("package-worker", "anchor package", public | signing, FORKING),
            worker("index-worker", "index", public, FORKING),
            worker("video-worker", "video default", public, FORKING),
            worker("long-worker", "default long", public, FORKING),
        ]

    def _await_web(self) -> None:
        deaths = 0
        while not _answers(self.wishes):
            self._unless_stopped()
            if not self.supervisor.alive("web"):
                deaths += 1
                self.supervisor.tend()
                if deaths >= WEB_ATTEMPTS:
                    raise ServiceError(f"The web server does not start; see {self.supervisor.logs}")
                while not self.supervisor.alive("web"):
                    self._unless_stopped()
                    self.supervisor.tend()
                    time.sleep(0.1)
            time.sleep(0.1)

    def _write_run_file(self, env: Mapping[str, str]) -> None:
        """Leave word for other commands, such as ``manage.py demo``, where this start can be found."""
        names = ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "HOLDFAST_SAMPLE")
        settings = {name: env[name] for name in names if name in env}
        _write_json(
            self.wishes.var / "run.json",
            {"address": self.wishes.address, "pid": os.getpid(), "env": settings},
        )


def _public(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name not in PRIVATE_SETTINGS}


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def _write_json(path: Path, value: Any) -> None:
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    part.write_text(json.dumps(value, indent=1))
    part.replace(path)


def take_port(wishes: Wishes) -> socket.socket:
    """Return a socket that listens at the wanted address; the web server inherits it, also each time it starts again.

    Whoever asks there meanwhile waits. Raises ServiceError when another program has the port: one that has only
    bound it would not be noticed, and would answer in our place.
    """
    family = socket.AF_INET6 if ":" in wishes.host else socket.AF_INET
    link = socket.socket(family)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        link.bind((wishes.host, wishes.port))
        link.listen(BACKLOG)
    except OSError as error:
        link.close()
        raise ServiceError(
            f"Port {wishes.port} of {wishes.host} cannot be used ({error.strerror}). "
            f"Choose another one: make up PORT={wishes.port % 65000 + 1}"
        ) from None
    return link


def _check_valkey(url: str) -> None:
    import redis

    try:
        redis.Redis.from_url(url, socket_connect_timeout=5).ping()
    except (redis.RedisError, ValueError) as error:
        raise ServiceError(
            f"Cannot use the Valkey or Redis server that REDIS_URL names: {error}"
        ) from None


def _applied(owner_url: str) -> str:
    import psycopg

    try:
        return fingerprint.applied(owner_url)
    except psycopg.Error as error:
        raise ServiceError(
            f"Cannot use the database that DATABASE_URL names: {str(error).strip()}"
        ) from None


def _has_nobody(owner_url: str) -> bool:
    import psycopg

    with psycopg.connect(owner_url) as link:
        return link.execute("SELECT NOT EXISTS (SELECT FROM accounts_user)").fetchone() == (True,)


def _answers(wishes: Wishes) -> bool:
    """Say whether the web server serves requests, whatever it thinks of this one."""
    host = wishes.address.split("//")[1].rsplit(":", 1)[0].strip("[]")
    link = http.client.HTTPConnection(host, wishes.port, timeout=5)
    try:
        link.request("GET", "/healthz")
        return link.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        link.close()


def main() -> int:
    """Run the installation. Returns 1, after a sentence, when it cannot start."""
    os.umask(0o077)  # Logs, keys and stored media are for this account alone.
    try:
        environ = dict(os.environ)
        given.read_secret_files(environ)
        return Launcher(read_wishes(environ), environ).run()
    except (ServiceError, given.Unreadable) as error:
        print(f"Holdfast cannot start. {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
