"""Detectors of other authors: found by their entry point, run in a process of their own.

The group is ``holdfast.detectors`` (``docs/detection/plugins.md``). Nothing of a plug-in is imported here: a
web process and a worker know of it only what its process says in JSON, and that is checked.

The process lives on from item to item in its worker, since starting it may cost seconds; it ends with the
worker, after ``MOST_CALLS``, and at once when it hangs, breaks or needs more memory than it may.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import importlib.metadata
import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings

from hashing import sandbox, settings_schema
from hashing.confinement import STOPPED_BY, from_json
from hashing.contract import ModelCard
from hashing.images import Frame
from hashing.models import Category
from hashing.plugin_host import GIVEN, LARGEST_ANSWER, SAID
from hashing.settings_schema import BadSchema, Setting

__all__ = [
    "GROUP",
    "Installed",
    "PluginFailed",
    "ask",
    "describe",
    "find",
    "installed",
    "read_description",
    "stop_all",
]

GROUP = "holdfast.detectors"
MOST_CALLS = 1000
START_SECONDS = 20.0
DEFAULT_SECONDS, DEFAULT_MEMORY_MB = 5.0, 512
MOST_SECONDS, MOST_MEMORY_MB = 10.0, 4096
"""More time than this for each of several detectors would outlive the lease of a batch of scans."""
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_PIPE = 1 << 20
"""Bytes: a picture then crosses in one step, not in a dozen changes between two processes."""

_ROOT = Path(__file__).resolve().parent.parent
_START = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from hashing.plugin_host import run; "
    "del sys.path[0]; run()"
)
"""Isolated from the environment and the current folder; the application is importable for these two modules only."""
_CARD_TEXTS = ("summary", "source", "licence", "data", "measured")


class PluginFailed(Exception):
    """The plug-in did not answer. ``reason`` ends the sentence “the plug-in …”; ``code`` is for programs."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Installed:
    """A plug-in as its package's metadata name it."""

    name: str
    module: str
    attribute: str
    distribution: str
    version: str


def installed() -> list[Installed]:
    """Return the plug-ins of this installation, by name. Reads metadata, imports nothing.

    A name that is not small letters, digits and hyphens is passed over, as is one that was found already.
    """
    path = [*sys.path, *django_settings.HOLDFAST_PLUGIN_PATH]
    found: dict[str, Installed] = {}
    for distribution in importlib.metadata.distributions(path=path):
        for entry in distribution.entry_points:
            if entry.group != GROUP or not _NAME.fullmatch(entry.name) or entry.name in found:
                continue
            found[entry.name] = Installed(
                name=entry.name,
                module=entry.module,
                attribute=entry.attr,
                distribution=distribution.metadata["Name"],
                version=distribution.version[:40],
            )
    return [found[name] for name in sorted(found)]


def find(name: str) -> Installed | None:
    """Return a plug-in by its name."""
    return next((each for each in installed() if each.name == name), None)


def describe(plugin: Installed) -> dict[str, Any]:
    """Start a plug-in, ask what it says of itself, end it. Raises PluginFailed."""
    child = _Child(plugin, MOST_MEMORY_MB)
    child.end()
    return child.said


def ask(
    plugin: Installed,
    item: Mapping[str, Any],
    frames: Sequence[Frame],
    *,
    settings: Mapping[str, Any],
    seconds: float,
    memory_mb: int,
) -> object:
    """Show an item to a plug-in and return its answer, not checked yet. Raises PluginFailed.

    It is killed after ``seconds`` (starting it has a limit of its own). Pixels cross as they are.
    """
    document = dict(item) | {
        "settings": dict(settings),
        "frames": [[each.index, *each.pixels.size] for each in frames],
    }
    pixels = b"".join(each.pixels.tobytes() for each in frames)
    with _lock:
        child = _running(plugin, memory_mb)
        try:
            said = child.ask(json.dumps(document).encode(), pixels, seconds)
        except BaseException:
            # Also the time limit of the job: the next item must never read the answer about this one.
            _stop(plugin.name)
            raise
        if child.calls >= MOST_CALLS:
            _stop(plugin.name)
    if "failed" in said:
        raise PluginFailed("failed", f"failed on it ({str(said['failed'])[:60]})")
    return said.get("answer")


# ── Processes ─────────────────────────────────────────────────────────────────────────────────
_lock = threading.Lock()
_children: dict[str, _Child] = {}


def stop_all() -> None:
    """End the plug-in processes of this process."""
    for name in list(_children):
        _stop(name)


atexit.register(stop_all)


def _stop(name: str) -> None:
    child = _children.pop(name, None)
    if child is not None:
        child.end()


def _running(plugin: Installed, memory_mb: int) -> _Child:
    child = _children.get(plugin.name)
    if child is not None and (
        (child.plugin, child.memory_mb) != (plugin, memory_mb)
        or child.owner != os.getpid()
        or child.process.poll() is not None
    ):
        _stop(plugin.name)
        child = None
    if child is None:
        child = _children[plugin.name] = _Child(plugin, memory_mb)
    return child


class _Child:
    """A running plug-in and the pipes to it."""

    def __init__(self, plugin: Installed, memory_mb: int) -> None:
        self.plugin, self.memory_mb, self.owner, self.calls = plugin, memory_mb, os.getpid(), 0
        how = {
            "module": plugin.module,
            "attribute": plugin.attribute,
            "memory": memory_mb * 1024 * 1024,
            "path": list(django_settings.HOLDFAST_PLUGIN_PATH),
            "parent": os.getpid(),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-c", _START, str(_ROOT), json.dumps(how)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # A plug-in may quote an item in what it prints.
            cwd="/",
            # Nothing of the worker's own environment, which holds passwords and keys.
            env={
                "PATH": "/usr/bin:/bin",
                "LC_ALL": "C.UTF-8",
                "OPENBLAS_NUM_THREADS": "1",
                "OMP_NUM_THREADS": "1",
            },
            start_new_session=True,
            bufsize=0,
        )
        given, said = self.process.stdin, self.process.stdout
        if given is None or said is None:
            raise RuntimeError("a plug-in's process has no pipes")
        self._in, self._out = given.fileno(), said.fileno()
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(OSError):  # Beyond what an unprivileged user may have.
                fcntl.fcntl(self._in, fcntl.F_SETPIPE_SZ, _PIPE)
        os.set_blocking(self._in, False)
        try:
            self.said = self._started()
        except PluginFailed:
            self.end()
            raise

    def _started(self) -> dict[str, Any]:
        try:
            first = self._answer(time.monotonic() + START_SECONDS)
        except TimeoutError:
            why = f"was stopped: it took longer than {START_SECONDS:g} s to start"
            raise PluginFailed("not_started", why) from None
        except PluginFailed as failed:
            raise PluginFailed("not_started", f"{failed.reason} at its start") from None
        said = first.get("ready")
        if not isinstance(said, dict):
            kind = str(first.get("failed", "NoDescription"))[:60]
            raise PluginFailed("not_started", f"cannot be started ({kind})")
        try:
            sandbox.insist(from_json(json.dumps(first.get("gaps"))))
        except ValueError:
            raise PluginFailed("not_started", "cannot be started (NoSandbox)") from None
        except sandbox.SandboxIncomplete:
            why = "was not started: the sandbox is not complete here, and this installation requires it"
            raise PluginFailed("not_started", why) from None
        return said

    def ask(self, document: bytes, pixels: bytes, seconds: float) -> dict[str, Any]:
        """Send one item and return what comes back. Raises PluginFailed; the process is spent then."""
        self.calls += 1
        deadline = time.monotonic() + seconds
        try:
            for part in (GIVEN.pack(len(document), len(pixels)), document, pixels):
                self._write(part, deadline)
            said = self._answer(deadline)
        except TimeoutError:
            raise PluginFailed(
                "too_slow", f"was stopped: it took longer than {seconds:g} s"
            ) from None
        except BrokenPipeError:
            raise self._ended() from None
        if said.get("failed") == "MemoryError":
            raise PluginFailed(
                "too_much_memory", f"was stopped: it needed more than {self.memory_mb} MB"
            )
        return said

    def _answer(self, deadline: float) -> dict[str, Any]:
        (length,) = SAID.unpack(self._exactly(SAID.size, deadline))
        if length > LARGEST_ANSWER:
            raise PluginFailed("bad_answer", "gave an answer that is too long")
        try:
            said = json.loads(self._exactly(length, deadline))
        except (ValueError, RecursionError):
            raise PluginFailed("bad_answer", "gave an answer that is no JSON") from None
        if not isinstance(said, dict):
            raise PluginFailed("bad_answer", "gave an answer that is no JSON object")
        return said

    def _write(self, data: bytes, deadline: float) -> None:
        view = memoryview(data)
        poll = select.poll()
        poll.register(self._in, select.POLLOUT)
        while view:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise TimeoutError
            view = view[os.write(self._in, view[:_PIPE]) :]

    def _exactly(self, length: int, deadline: float) -> bytes:
        """Raises TimeoutError, and PluginFailed when the process ended."""
        parts = bytearray()
        poll = select.poll()
        poll.register(self._out, select.POLLIN)
        while len(parts) < length:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise TimeoutError
            piece = os.read(self._out, length - len(parts))
            if not piece:
                raise self._ended()
            parts += piece
        return bytes(parts)

    def _ended(self) -> PluginFailed:
        """Return why the process ended by itself."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        if self.process.returncode == -STOPPED_BY:
            return PluginFailed(
                "sandboxed",
                "was stopped by the sandbox: it wanted a file, a module, a connection or another program, "
                "which it can only have in prepare()",
            )
        return PluginFailed("crashed", "crashed")

    def end(self) -> None:
        """Kill the process with all that it started, and close the pipes. After a fork only the pipes."""
        if self.owner == os.getpid():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        else:
            self.process.returncode = 0  # Not our child: nothing may wait for it or warn about it.
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


# ── What a plug-in says of itself ─────────────────────────────────────────────────────────────
LIMITS = (
    Setting(
        name="limit_seconds",
        label="Seconds for an item",
        kind="float",
        default=DEFAULT_SECONDS,
        minimum=0.1,
        maximum=MOST_SECONDS,
        help="Its process is killed when it takes longer.",
    ),
    Setting(
        name="limit_memory_mb",
        label="Memory in MB",
        kind="int",
        default=DEFAULT_MEMORY_MB,
        minimum=32,
        maximum=MOST_MEMORY_MB,
        help="Its process is ended when it needs more.",
    ),
    Setting(
        name="limit_failures",
        label="Failures until it is paused",
        kind="int",
        default=5,
        minimum=1,
        maximum=50,
        help="In a row. Then it is asked again after 30 seconds, a minute, … at most 15 minutes.",
    ),
)
"""Settings that every plug-in has; the first two start at what it says it needs."""


def read_description(said: Mapping[str, Any]) -> tuple[str, dict[str, Any], dict[str, float]]:
    """Return label, description and thresholds of what a plug-in says of itself. Raises PluginFailed."""
    try:
        return _read_description(said)
    except BadSchema as bad:
        raise PluginFailed("bad_description", f"describes itself wrongly: {bad}") from None


def _read_description(said: Mapping[str, Any]) -> tuple[str, dict[str, Any], dict[str, float]]:
    label = _text(said, "label", 80)
    card = said.get("card")
    if not label or not isinstance(card, Mapping) or not _text(card, "summary", 2000):
        raise BadSchema("it has no label or no card with a summary")
    limits = card.get("limits", [])
    if not isinstance(limits, list | tuple) or len(limits) > 20:
        raise BadSchema("“limits” of its card is not a list of at most 20 sentences")
    model_card = ModelCard(
        **{name: _text(card, name, 2000) for name in _CARD_TEXTS},
        limits=tuple(_text({"limits": each}, "limits", 500) for each in limits),
    )
    own = settings_schema.parse(said.get("settings", []))
    if any(each.name.startswith("limit_") for each in own):
        raise BadSchema("names of settings that begin with “limit_” are Holdfast's own")
    schema = settings_schema.parse([_plain(each) for each in (*own, *_limits(said))])
    categories = _words(said, "categories", tuple(Category.values))
    thresholds = said.get("thresholds", {})
    if not isinstance(thresholds, Mapping) or not set(thresholds) <= set(categories):
        raise BadSchema("“thresholds” names a category that is not among its own")
    description = {
        "card": asdict(model_card) | {"limits": list(model_card.limits)},
        "settings": [_plain(each) for each in schema],
        "kinds": _words(said, "kinds", ("image", "text")),
        "categories": categories,
    }
    return label, description, {each: _share(thresholds.get(each, 0.5)) for each in categories}


def _plain(setting: Setting) -> dict[str, Any]:
    return asdict(setting) | {"choices": [list(pair) for pair in setting.choices]}


def _limits(said: Mapping[str, Any]) -> list[Setting]:
    needs = said.get("needs", {})
    if not isinstance(needs, Mapping):
        raise BadSchema("“needs” is not an object")
    given = {"limit_seconds": needs.get("seconds"), "limit_memory_mb": needs.get("memory_mb")}
    found = []
    for each in LIMITS:
        wanted = given.get(each.name)
        found.append(each if wanted is None else replace(each, default=wanted))
    return found


def _text(said: Mapping[Any, Any], name: str, longest: int) -> str:
    text = said.get(name, "")
    if (
        not isinstance(text, str)
        or len(text) > longest
        or not all(char.isprintable() or char == "\n" for char in text)
    ):
        raise BadSchema(f"“{name}” is not a text of at most {longest} characters")
    return text.strip()


def _words(said: Mapping[str, Any], name: str, known: Sequence[str]) -> list[str]:
    found = said.get(name)
    if (
        not isinstance(found, list | tuple)
        or not found
        or not all(isinstance(each, str) and each in known for each in found)
    ):
        raise BadSchema(f"“{name}” is not a list of some of: {', '.join(known)}")
    return sorted(set(found))


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise BadSchema("a threshold is not between 0 and 1")
    return float(value)
