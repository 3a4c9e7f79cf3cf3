"""Programs of the system (a HEIC converter, say) that touch what strangers send: run in the sandbox.

    ran = confined_programs.run(
        "/usr/bin/heif-convert", ["--quiet", "in.heic", "out.png"],
        given={"in.heic": data}, wanted=["out.png"], limits=Limits(seconds=20),
    )
    ran.files["out.png"]

The program gets what ``hashing.confinement`` describes: no network, no other process, no file but its own
libraries, a uid of its own when the caller is root, an empty environment, limits of memory, time and output. Its
folder holds nothing but names for ``given`` and ``wanted``: the content lies in memory (memfd), never on a disk.
Linux only; elsewhere ``NotRun`` with the code ``unavailable``.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

from hashing.confinement import STOPPED_BY, Gap, from_json

__all__ = ["LIBRARIES", "Limits", "NotRun", "Ran", "run"]

LIBRARIES = (
    "/usr/lib",
    "/usr/lib64",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/dev/urandom",
    "/sys/devices/system/cpu",
)
"""What a program may read besides itself, unless the caller says otherwise."""

_ROOT = Path(__file__).resolve().parent.parent
_START = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from hashing.confinement_launcher import main; main(sys.argv[2])"
)
_LARGEST_STATUS = 16 * 1024
_LARGEST_TALK = 64 * 1024
_PIECE = 1 << 18


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one run may cost. ``output`` is in bytes and holds for each file that is written."""

    seconds: float = 20.0
    memory: int = 1_536 * 1024 * 1024
    """Address space in bytes, the program's own code and libraries included."""
    output: int = 512 * 1024 * 1024


class NotRun(Exception):
    """The program did not do its work. ``reason`` ends the sentence “the converter …”; ``code`` is for programs.

    Codes: ``sandboxed`` (it tried what the sandbox refuses), ``too_slow``, ``too_large`` (its output),
    ``crashed`` (a signal), ``failed`` (it said so), ``not_started``, ``unavailable`` (not on this system).
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True)
class Ran:
    """What a run left: the ``wanted`` files that are not empty, the beginning of its output, what was missing.

    ``complained`` is the beginning of its standard error, where that was wanted: to be looked at, never to be shown.
    ``failed`` says how it ended, where its output was read as it came.
    """

    files: dict[str, bytes]
    said: bytes
    gaps: tuple[Gap, ...] = field(default=())
    complained: bytes = b""
    failed: NotRun | None = None


def run(
    program: str,
    arguments: Sequence[str],
    *,
    given: Mapping[str, bytes],
    wanted: Collection[str] = (),
    limits: Limits | None = None,
    readable: Collection[str] = LIBRARIES,
    reading: Callable[[bytes], bool] | None = None,
) -> Ran:
    """Run a program confined, and return what it wrote. Raises NotRun, and ValueError for a misuse.

    ``reading`` is given its standard output piece by piece, however long that is, and returns whether it wants more;
    what it raises ends the program and passes through. Then its standard error is kept too, and a program that was
    started never raises NotRun: ``Ran.failed`` tells, beside what it wrote until then.

    ``program`` is the absolute path of a machine program (no script). ``arguments`` may name the files ``given``
    and ``wanted`` by their bare names: they are in its current folder. A file that it was not given a name for
    cannot be written. Its standard output comes back (at most 64 KB), its standard error goes nowhere, since
    libraries quote files there. It ends by itself, at ``limits`` or with this process; exit statuses other than
    0 are ``failed``. With ``HOLDFAST_REQUIRE_SANDBOX`` it is not started where a part of the sandbox is missing.

    Costs about 40 ms more than the program alone.
    """
    limits = limits or Limits()
    names = [*given, *wanted]
    if len(set(names)) != len(names) or any("/" in each or each.startswith(".") for each in names):
        raise ValueError("bare names, each once")
    if not hasattr(os, "memfd_create"):
        raise NotRun("unavailable", "runs on Linux only")
    try:
        real = str(Path(program).resolve(strict=True))
        interpreter = _interpreter(real)
    except OSError:
        raise NotRun("not_started", "is not installed") from None
    with ExitStack() as stack:
        folder = stack.enter_context(_folder())
        files = {
            name: stack.enter_context(_memory(name)) for name in [*names, "said", "complained"]
        }
        for name, content in given.items():
            _fill(files[name], content)
        for name in names:
            Path(folder, name).symlink_to(f"/proc/self/fd/{files[name]}")
        status, told = os.pipe()
        stack.callback(os.close, status)
        outlet, inlet = os.pipe() if reading else (-1, -1)
        how = {
            "program": real,
            "interpreter": interpreter,
            "arguments": list(arguments),
            "readable": list(readable),
            "environment": {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"},
            "folder": folder,
            "said": told,
            "largest": limits.output,
            "seconds": int(limits.seconds) + 1,
            "memory": limits.memory,
            "is_strict": settings.HOLDFAST_REQUIRE_SANDBOX,
        }
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-B", "-c", _START, str(_ROOT), json.dumps(how)],
                stdin=subprocess.DEVNULL,
                stdout=inlet if reading else files["said"],
                stderr=files["complained"] if reading else subprocess.DEVNULL,
                pass_fds=(told, *(files[name] for name in names)),
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
                start_new_session=True,
            )
        finally:
            os.close(told)
            if reading:
                os.close(inlet)
                stack.callback(os.close, outlet)
        deadline = time.monotonic() + limits.seconds
        gaps: tuple[Gap, ...] = ()
        failed = None
        try:
            if reading is None or _read(outlet, reading, limits, deadline):
                gaps = _finish(process, status, limits, deadline)
        except NotRun as ended:
            if reading is None:
                raise
            failed = ended
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return Ran(
            {name: content for name in wanted if (content := _content(files[name], limits.output))},
            _content(files["said"], _LARGEST_TALK),
            gaps,
            _content(files["complained"], _LARGEST_TALK),
            failed,
        )


def _read(outlet: int, reading: Callable[[bytes], bool], limits: Limits, deadline: float) -> bool:
    """Hand on what comes out of a pipe. Returns whether it was read to its end. Raises NotRun at the deadline."""
    while _until(outlet, deadline, limits):
        piece = os.read(outlet, _PIECE)
        if not piece:
            return True
        if not reading(piece):
            return False
    return False


def _finish(
    process: subprocess.Popen[bytes], status: int, limits: Limits, deadline: float
) -> tuple[Gap, ...]:
    """Wait for the end; return the gaps that the launcher told of. Raises NotRun."""
    told = b""
    while piece := _until(status, deadline, limits) and os.read(status, _LARGEST_STATUS):
        told += piece
        if len(told) > _LARGEST_STATUS:
            raise NotRun("not_started", "could not be started")
    ended = os.pidfd_open(process.pid)
    try:
        _until(ended, deadline, limits)
    finally:
        os.close(ended)
    code = process.wait()
    if -code == STOPPED_BY:
        raise NotRun(
            "sandboxed", "was stopped by the sandbox: it tried what a converter never does"
        )
    if -code == signal.SIGXFSZ:
        raise NotRun("too_large", "was stopped: what it wrote is too large")
    if -code in {signal.SIGXCPU, signal.SIGKILL}:
        raise _too_slow(limits)
    if code < 0:
        raise NotRun("crashed", "crashed")
    try:
        gaps = from_json(told)
    except ValueError:
        raise NotRun("not_started", "could not be started") from None
    if settings.HOLDFAST_REQUIRE_SANDBOX and not all(each.is_covered for each in gaps):
        raise NotRun("not_started", "was not started, because the sandbox is not complete here")
    if code:
        raise NotRun("failed", "cannot read the file")
    return gaps


def _too_slow(limits: Limits) -> NotRun:
    return NotRun("too_slow", f"was stopped: it took longer than {limits.seconds:g} s")


def _until(descriptor: int, deadline: float, limits: Limits) -> bool:
    """Wait until there is something to read, and return True. Raises NotRun at the deadline."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise _too_slow(limits)
    return True


@contextmanager
def _folder() -> Iterator[str]:
    """Yield a new folder that another uid can pass through, and remove it with the names in it."""
    with tempfile.TemporaryDirectory(prefix="holdfast-") as folder:
        Path(folder).chmod(0o711)  # Its content are links to memory that only the program has open
        yield folder


@contextmanager
def _memory(name: str) -> Iterator[int]:
    """Yield a file in memory, open for reading and writing by whichever uid it is handed to."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _fill(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)


def _content(descriptor: int, most: int) -> bytes:
    size = min(os.fstat(descriptor).st_size, most)
    return os.pread(descriptor, size, 0)


_PT_INTERP = 3


def _interpreter(program: str) -> str:
    """Return the dynamic loader that a program names (``elf(5)``), or the program itself if it names none.

    Raises NotRun for what is no 64-bit machine program, OSError if it cannot be read.
    """
    with Path(program).open("rb") as file:
        head = file.read(64)
        if len(head) < 64 or head[:6] != b"\x7fELF\x02\x01":
            raise NotRun("not_started", "is not a machine program")
        (table,), (size, count) = (
            struct.unpack_from("<Q", head, 32),
            struct.unpack_from("<HH", head, 54),
        )
        file.seek(table)
        for _ in range(count):
            entry = file.read(size)
            if struct.unpack_from("<I", entry)[0] == _PT_INTERP:
                at, length = (
                    struct.unpack_from("<Q", entry, 8)[0],
                    struct.unpack_from("<Q", entry, 32)[0],
                )
                file.seek(at)
                return os.path.realpath(os.fsdecode(file.read(length).rstrip(b"\0")))
    return program
