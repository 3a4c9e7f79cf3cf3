"""The program that runs one plug-in, in a process of its own. Started by ``hashing.plugins``, never imported.

Only the standard library is used here, and of the application only the sandbox: no database, no keys, no settings.
What comes in are JSON and raw pixels, what goes out is JSON, over two private pipes; the plug-in's own input
and output lead nowhere. The kernel enforces the limit of memory, and that no file is written; the parent
kills the process at its limit of time.

While the plug-in loads it can read its own folders and the interpreter's, and no socket works. Before it sees the
first item the process is confined as the decoder is (``hashing.confinement``). A plug-in that needs a file later
reads it in ``prepare()``, which is called in between, if it has one.

The frames: to the program ``>II`` (bytes of JSON, bytes of pixels) and both; from it ``>I`` and JSON.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import struct
import sys
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from hashing import confinement

GIVEN = struct.Struct(">II")
SAID = struct.Struct(">I")
LARGEST_ANSWER = 64 * 1024


class Frame(NamedTuple):
    """One frame of a picture: ``rgb`` holds ``width`` x ``height`` x 3 bytes, row by row."""

    number: int
    width: int
    height: int
    rgb: bytes


def main(arguments: list[str]) -> int:
    """Load the plug-in that the argument describes, then answer until the pipe ends. Returns 0."""
    how = json.loads(arguments[0])
    gaps = confinement.begin()
    given, said = _private_pipes()
    _limit(int(how["memory"]))
    sys.path.extend(how["path"])
    gaps += confinement.confine_loading([each for each in sys.path if Path(each).is_absolute()])
    try:
        plugin = _load(how["module"], how["attribute"])
        described = _description(plugin)
        if (prepare := getattr(plugin, "prepare", None)) is not None:
            prepare()
        gaps += confinement.confine(dies_with_parent=True)
        if os.getppid() != how["parent"]:
            return 0  # It died before the kernel was asked to say so.
        _say(said, {"ready": described, "gaps": json.loads(confinement.as_json(gaps))})
    except MemoryError:
        _say(said, {"failed": "MemoryError"})
        return 0
    except BaseException as failed:  # noqa: BLE001 — also SystemExit; the parent is told its kind
        _say(said, {"failed": type(failed).__name__})
        return 0
    while (request := _receive(given)) is not None:
        document, pixels = request
        try:
            answer = {"answer": plugin.look(_item(document, pixels), document["settings"])}
            # A generator or a tuple is as good as a list; anything else is refused by the parent.
            if not isinstance(answer["answer"], dict):
                answer["answer"] = {"results": list(answer["answer"])}
            line = json.dumps(answer, allow_nan=False)
        except MemoryError:
            _say(said, {"failed": "MemoryError"})
            return 0
        except Exception as failed:  # noqa: BLE001 — its message could quote the item: the kind must do
            line = json.dumps({"failed": type(failed).__name__})
        _say_line(said, line)
    return 0


def _private_pipes() -> tuple[int, int]:
    given, said = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    os.close(nowhere)
    return given, said


def _limit(memory: int) -> None:
    """``memory`` bytes of address space beyond what the interpreter was born with; no files, no core dump."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        ceiling = pages * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))


def _load(module: str, attribute: str) -> Any:
    found: Any = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found()


def _description(plugin: Any) -> dict[str, Any]:
    """Return what the plug-in says of itself; the parent checks every field."""
    if not callable(plugin.look):
        raise TypeError("look is not a function")
    return {
        name: getattr(plugin, name)
        for name in ("label", "card", "kinds", "categories", "settings", "thresholds", "needs")
        if hasattr(plugin, name)
    }


def _item(document: dict[str, Any], pixels: bytes) -> dict[str, Any]:
    frames, at = [], 0
    for index, width, height in document.pop("frames", []):
        size = width * height * 3
        frames.append(Frame(index, width, height, pixels[at : at + size]))
        at += size
    item = {key: value for key, value in document.items() if key != "settings"}
    return item | {"frames": frames}


def _receive(pipe: int) -> tuple[dict[str, Any], bytes] | None:
    head = _exactly(pipe, GIVEN.size)
    if head is None:
        return None
    json_size, pixel_size = GIVEN.unpack(head)
    line, pixels = _exactly(pipe, json_size), _exactly(pipe, pixel_size)
    if line is None or pixels is None:
        return None
    return json.loads(line), pixels


def _exactly(pipe: int, length: int) -> bytes | None:
    whole = bytearray(length)
    view, at = memoryview(whole), 0
    while at < length:
        count = os.readv(pipe, [view[at:]])
        if not count:
            return None
        at += count
    return bytes(whole)


def _say(pipe: int, document: dict[str, Any]) -> None:
    try:
        line = json.dumps(document, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        line = json.dumps({"failed": "NotJSON"})
    _say_line(pipe, line)


def _say_line(pipe: int, line: str) -> None:
    data = line.encode("utf-8", "replace")
    if len(data) > LARGEST_ANSWER:
        data = b'{"failed": "TooLong"}'
    view = memoryview(SAID.pack(len(data)) + data)
    while view:
        view = view[os.write(pipe, view) :]


def run() -> NoReturn:
    """Answer as ``main`` does, then end without the plug-in's own farewells."""
    with contextlib.suppress(BrokenPipeError):
        main(sys.argv[1:])
    os._exit(0)
