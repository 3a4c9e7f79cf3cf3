"""What of the sandbox this machine offers, tried for real, and what follows from it. See ``hashing.confinement``."""

from __future__ import annotations

import functools
import logging
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError

from core import jobs
from core.errors import describe
from core.models import Heartbeat
from hashing.confinement import Gap, from_json

__all__ = [
    "SandboxIncomplete",
    "gaps",
    "insist",
    "refuse_to_start",
    "say_at_start",
    "what_is_missing",
]

log = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parent.parent
_PROBE = (
    "import os, sys; sys.path.insert(0, sys.argv[1]); from hashing import confinement as c; "
    "gaps = c.begin(); gaps += c.confine(); os.write(1, c.as_json(gaps).encode())"
)
_SECONDS = 20.0


class SandboxIncomplete(RuntimeError):
    """``HOLDFAST_REQUIRE_SANDBOX`` is set and this machine does not offer everything. One sentence, for an operator."""


@functools.cache
def gaps() -> tuple[Gap, ...]:
    """Return what a confined process misses on this machine, when started by this one. Takes 50 ms, once.

    A process of its own confines itself and tells: what the kernel says of its features is not what a container
    or a policy allows.
    """
    try:
        probe = subprocess.run(
            [sys.executable, "-I", "-S", "-B", "-c", _PROBE, str(_ROOT)],
            check=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_SECONDS,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            cwd="/",
        )
        return from_json(probe.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as failed:
        return (
            Gap(
                "probe",
                f"Trying the sandbox failed ({type(failed).__name__}): what it lacks is unknown.",
            ),
        )


def what_is_missing() -> list[str]:
    """Return a sentence for each part of the sandbox that is missing here, the grave ones first."""
    return [each.sentence for each in sorted(gaps(), key=lambda gap: gap.is_covered)]


def insist(found: Iterable[Gap]) -> None:
    """Raise SandboxIncomplete if something grave is missing and the operator requires it all."""
    grave = [each.sentence for each in found if not each.is_covered]
    if grave and settings.HOLDFAST_REQUIRE_SANDBOX:
        raise SandboxIncomplete(
            "HOLDFAST_REQUIRE_SANDBOX is set, and the sandbox of what decodes files is not complete here: "
            + " ".join(grave)
        )


def refuse_to_start() -> None:
    """End this process with one sentence when the operator requires what this machine does not offer."""
    if not settings.HOLDFAST_REQUIRE_SANDBOX:
        return
    try:
        insist(gaps())
    except SandboxIncomplete as incomplete:
        raise SystemExit(f"Holdfast does not start. {incomplete}") from None


def say_at_start() -> None:
    """Say on a worker's start-up lines and on the jobs page what of the sandbox is missing on its machine."""
    for each in gaps():
        level = logging.INFO if each.is_covered else logging.WARNING
        log.log(level, "sandbox of decoders: %s", each.sentence)
    if not gaps():
        log.info("sandbox of decoders: complete")
    try:
        jobs.beat(
            f"sandbox on {platform.node()}"[:120], Heartbeat.Kind.WORKER, sandbox=what_is_missing()
        )
    except DatabaseError as away:
        log.warning("the jobs page does not know the sandbox of this machine: %s", describe(away))
