"""Asks one native library for its version: run as ``python -I core/bundled_asking.py HOW FILE``, a process each.

A process each because a library that is asked in the wrong way may end it, and because two builds of one library in
one process answer for each other. Standard library only. Prints the version, or nothing.
"""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys
from pathlib import Path

NUMBER = re.compile(r"\d+(?:\.\d+)+[a-z]?")


def main(how: str, path: str) -> str:
    """Return the version that a library says, in the way ``how`` names.

    ``text:f`` calls a function that returns a text, ``packed:f`` one that returns 0x00MMmmpp, ``twelve:f`` one
    with twelve bits for minor and patch each, ``libpq:f`` and ``lcms:f`` decimal numbers, ``inside:regex`` looks for
    bytes in the file, ``run:`` runs the program with ``--version``, ``name:`` reads the file's name, ``import:m:e``
    evaluates an expression with a module of the wheel as ``it``.
    """
    kind, _, what = how.partition(":")
    if kind == "name":
        return Path(path).name.partition(".so")[2].lstrip(".")
    if kind == "run":
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
        return _number(said.stdout)
    if kind == "inside":
        found = re.search(what.encode(), Path(path).read_bytes())
        return found[1].decode() if found else ""
    if kind == "import":
        return _imported(what)
    return _called(kind, what, path)


def _called(kind: str, name: str, path: str) -> str:
    function = getattr(ctypes.CDLL(path), name)
    if kind == "text":
        function.restype = ctypes.c_char_p
        # An argument that most of these functions do not read: OpenSSL's number of the wanted text, libpng's NULL.
        return _number((function(None) or b"").decode())
    function.restype = ctypes.c_uint
    value = int(function())
    parts = {
        "packed": (value >> 16 & 255, value >> 8 & 255, value & 255),
        "twelve": (value >> 24, value >> 12 & 4095, value & 4095),
        "libpq": (value // 10_000, value % 10_000),
        "lcms": (value // 1000, value % 1000 // 10),
    }[kind]
    return ".".join(map(str, parts))


def _imported(what: str) -> str:
    import importlib

    module, _, expression = what.partition(":")
    it = importlib.import_module(module)
    return _number(str(eval(expression, {"it": it})))  # noqa: S307 — the expressions stand in core/bundled.py


def _number(text: str) -> str:
    found = NUMBER.search(text)
    return found[0] if found else ""


if __name__ == "__main__":
    print(main(*sys.argv[1:3]))
