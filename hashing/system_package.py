"""The version of a program of the system, as its distribution names it: with the number of its corrections."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from pathlib import Path

__all__ = ["version_of"]


@functools.cache
def version_of(path: str, *, debian: str, rpm: str, says: str = "") -> str:
    """Return the version of the package ``debian`` or ``rpm``, else what the program at ``path`` says.

    ``says`` is a pattern for that, whose group is the version.
    """
    for command in (
        ["dpkg-query", "--show", "--showformat=${Version}", debian],
        ["rpm", "--query", "--queryformat", "%{VERSION}-%{RELEASE}", rpm],
    ):
        if program := shutil.which(command[0]):
            asked = subprocess.run(
                [program, *command[1:]], capture_output=True, text=True, check=False, timeout=10
            )
            if asked.returncode == 0 and asked.stdout.strip():
                return asked.stdout.strip()
    said = subprocess.run([path, "-h"], capture_output=True, text=True, check=False, timeout=10)
    version = re.search(says or r"version:? (\S+)", said.stdout + said.stderr)
    return version[1] if version else f"unknown ({Path(path).name} does not say)"
