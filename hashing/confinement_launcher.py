"""Becomes a program of the system, confined. Started by ``hashing.confined_programs``, never imported by others.

It says which parts of the sandbox are missing on a pipe that closes when the program begins, so that the end of
the pipe means "running". Standard library only.
"""

from __future__ import annotations

import json
import os
import resource
import signal
from typing import NoReturn

from hashing import confinement

NOT_STARTED = 127


def main(argument: str) -> NoReturn:
    """Confine this process as ``argument`` (JSON) says, then become the program. Never returns."""
    how = json.loads(argument)
    said = int(how["said"])
    try:
        os.set_inheritable(said, False)  # noqa: FBT003 — the standard library's own way
        gaps = confinement.begin()
        os.chdir(how["folder"])
        os.umask(0o077)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        resource.setrlimit(resource.RLIMIT_FSIZE, (how["largest"], how["largest"]))
        resource.setrlimit(resource.RLIMIT_CPU, (how["seconds"], how["seconds"] + 1))
        for number in (
            signal.SIGPIPE,
            signal.SIGXFSZ,
        ):  # Python ignores them, and execve hands that on.
            signal.signal(number, signal.SIG_DFL)
        gaps += confinement.enter_program(how["program"], how["readable"], how["interpreter"])
        os.write(said, confinement.as_json(gaps).encode())
        if how["is_strict"] and not all(each.is_covered for each in gaps):
            os._exit(NOT_STARTED)
        # Last: Python itself needs more room than the program may have.
        resource.setrlimit(resource.RLIMIT_AS, (how["memory"], how["memory"]))
        os.execve(how["program"], [how["program"], *how["arguments"]], how["environment"])  # noqa: S606
    except BaseException:  # noqa: BLE001 — the parent sees that it did not start
        os._exit(NOT_STARTED)
