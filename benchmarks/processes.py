"""What programs of an installation cost: processor time and memory, as /proc counts them."""

from __future__ import annotations

import os
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def processor_seconds(pid: int, *, with_children: bool = False) -> float:
    """Return the processor seconds of a process and of its children that ended, user and system.

    ``with_children`` adds those that run, and theirs.
    """
    pids = [pid, *(_below(pid) if with_children else ())]
    found = 0.0
    for each in pids:
        with suppress(FileNotFoundError, ProcessLookupError):  # One may end meanwhile.
            found += sum(int(ticks) for ticks in _stat(each)[11:15]) / _TICKS
    return found


def memory_mb(pid: int) -> int:
    """Return the resident memory of a process in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


def parent_of(pid: int) -> int:
    """Return the process that started this one."""
    return int(_stat(pid)[1])


def _below(pid: int) -> list[int]:
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError):
                children[parent_of(int(entry.name))].append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        own = children[waiting.pop()]
        found += own
        waiting += own
    return found


def _stat(pid: int) -> list[str]:
    # After the name, which may hold anything: proc(5).
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
