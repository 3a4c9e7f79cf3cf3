"""Child processes: born in their own group, ended with their parent, recognised without guessing."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

PR_SET_PDEATHSIG = 1
# sun_path holds 108 bytes on Linux and 104 on macOS, the closing zero included.
SOCKET_PATH_LIMIT = 100


class ServiceError(RuntimeError):
    """Something the launcher needs did not start. The message is a sentence for the operator."""


def die_with_parent(sig: signal.Signals) -> Callable[[], None] | None:
    """Return a ``preexec_fn`` that has the kernel send ``sig`` when the launcher dies, or None.

    Linux only: it covers ``kill -9`` of the launcher, which no handler can. Elsewhere leftovers are
    found by their recorded identity at the next start (``same_process``).
    """
    if not hasattr(os, "pidfd_open") and not Path("/proc/self/status").exists():
        return None
    libc = ctypes.CDLL(
        None, use_errno=True
    )  # Loaded before the fork: nothing is imported after it.

    def preexec() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(sig), 0, 0, 0)

    return preexec


def socket_dir(preferred: Path) -> Path:
    """Return a directory for unix sockets: ``preferred``, or a short private one for long paths.

    Raises ServiceError when the short directory exists and belongs to somebody else.
    """
    longest = preferred / ".s.PGSQL.5432.lock"
    if len(os.fsencode(longest)) < SOCKET_PATH_LIMIT:
        preferred.mkdir(parents=True, exist_ok=True)
        return preferred
    digest = hashlib.sha256(os.fsencode(preferred)).hexdigest()[:12]
    short = Path(tempfile.gettempdir()) / f"holdfast-{os.getuid()}-{digest}"
    if len(os.fsencode(short / ".s.PGSQL.5432.lock")) >= SOCKET_PATH_LIMIT:
        short = Path("/tmp") / short.name  # noqa: S108 — TMPDIR itself may be too long, as on macOS.
    with contextlib.suppress(FileExistsError):
        short.mkdir(mode=0o700)
    # The name can be foretold, so a stranger could have made the directory first.
    info = short.lstat()
    if not short.is_dir() or short.is_symlink() or info.st_uid not in _own_uids(preferred):
        raise ServiceError(f"{short} belongs to somebody else; set TMPDIR to a private folder")
    return short


def _own_uids(preferred: Path) -> set[int]:
    """Return who may own the short socket folder: us, or the account that PostgreSQL runs as."""
    data = preferred.parent / "data"
    return {os.geteuid()} | ({data.stat().st_uid} if data.exists() else set())


def command_line(pid: int) -> str:
    """Return the command line of a living process; empty when it is gone, or dead and unreaped."""
    if not shutil.which("ps"):
        with contextlib.suppress(OSError):
            raw = Path(f"/proc/{pid}/cmdline").read_bytes()  # Empty for a zombie.
            return raw.replace(b"\0", b" ").decode(errors="replace").strip()
        return ""
    shown = subprocess.run(
        ["ps", "-ww", "-o", "stat=,args=", "-p", str(pid)],
        check=False,
        capture_output=True,
        text=True,
    ).stdout.strip()
    state, _, arguments = shown.partition(" ")
    return "" if state.startswith("Z") else arguments.strip()


def birth(pid: int) -> str:
    """Return when a process began, as a word that a reused process number cannot repeat.

    Empty when there is no such process.
    """
    with contextlib.suppress(OSError):
        # Field 22 counts clock ticks since boot; the name in field 2 may hold spaces and brackets.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    if not shutil.which("ps"):
        return ""
    shown = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"LC_ALL": "C", "TZ": "UTC"},
    )
    return shown.stdout.strip()


def same_process(pid: int, born: str) -> bool:
    """Say whether ``pid`` still is the process that ``birth`` described, and not a stranger."""
    return bool(born) and birth(pid) == born


def end_group(process: subprocess.Popen[bytes] | subprocess.Popen[str], timeout: float) -> bool:
    """Ask a child to stop, then kill its whole group. Returns False when it had to be killed.

    Cannot be undone. Never raises for a process that is already gone.
    """
    willing = True
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            willing = False
    kill_group(process.pid)
    process.wait()
    return willing


def kill_group(group: int) -> None:
    """Kill what is left of a child's process group, for example the job of a killed worker."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
