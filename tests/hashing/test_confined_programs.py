"""Programs of the system in the sandbox: they read and write what they were given, and reach nothing else."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from django.test import override_settings

from hashing import confined_programs
from hashing.confined_programs import Limits, NotRun

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")

SHELL = shutil.which("dash") or "/bin/sh"


def _cat(*names: str) -> str:
    return f"exec {shutil.which('cat')} {' '.join(names)}"


def _says(script: str, **given: bytes) -> bytes:
    """Run a line of shell; what needs no other process works in it."""
    return confined_programs.run(
        SHELL, ["-c", script], given=given, wanted=["out"], limits=Limits(seconds=10)
    ).said


def test_a_program_reads_and_writes_only_the_files_it_was_given() -> None:
    ran = confined_programs.run(
        SHELL,
        ["-c", "read line < in; echo \"was $line\" > out; echo 'done'"],
        given={"in": b"marker\n"},
        wanted=["out", "unused"],
    )
    assert ran.files == {"out": b"was marker\n"}
    assert ran.said == b"done\n"
    assert not [each for each in ran.gaps if not each.is_covered]


def test_its_files_never_lie_on_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert _says("read line < in; echo $line", **{"in": b"marker\n"}) == b"marker\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "attempt",
    [
        "read line < /etc/hostname",
        "read line < /proc/self/environ",
        "read line < /proc/1/environ",
        "echo x > new",
        "echo x > /tmp/holdfast-sandbox-was-left",
        f"cd {Path(__file__).parent} && read line < {Path(__file__).name}",
    ],
)
def test_other_files_are_refused(attempt: str) -> None:
    """The shell goes on after a refusal, and says so."""
    assert _says(f"if {attempt}; then echo reached; else echo refused; fi") == b"refused\n"
    assert not Path("/tmp/holdfast-sandbox-was-left").exists()


@pytest.mark.parametrize("attempt", ["(echo child)", "kill -0 $PPID", "kill -9 1"])
def test_processes_and_signals_end_it(attempt: str) -> None:
    with pytest.raises(NotRun) as stopped:
        _says(f"{attempt}; echo reached")
    assert stopped.value.code == "sandboxed"
    assert "stopped by the sandbox" in stopped.value.reason


def test_no_other_program_takes_its_place() -> None:
    with pytest.raises(NotRun) as stopped:
        _says(_cat("in"), **{"in": b"marker"})
    assert stopped.value.code == "failed"


def test_sockets_end_it() -> None:
    """``getent`` asks the name service, which opens a socket."""
    with pytest.raises(NotRun) as stopped:
        confined_programs.run(str(shutil.which("getent")), ["ahosts", "127.0.0.1"], given={})
    assert stopped.value.code == "sandboxed"


def test_limits_of_time_and_output_are_told_apart() -> None:
    with pytest.raises(NotRun) as slow:
        confined_programs.run(
            SHELL, ["-c", "while :; do :; done"], given={}, limits=Limits(seconds=0.5)
        )
    assert slow.value.code == "too_slow"
    with pytest.raises(NotRun) as large:
        confined_programs.run(str(shutil.which("yes")), [], given={}, limits=Limits(output=1 << 20))
    assert large.value.code == "too_large"


def test_what_cannot_be_started_says_so() -> None:
    with pytest.raises(NotRun, match="is not installed"):
        confined_programs.run("/usr/bin/no-such-converter", [], given={})
    with pytest.raises(NotRun, match="not a machine program"):
        confined_programs.run(__file__, [], given={})


def test_an_incomplete_sandbox_is_refused_when_it_is_required(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on a kernel without Landlock: the launcher is told that there is none."""
    start = confined_programs._START.replace(
        "from hashing.confinement_launcher",
        "from hashing import confinement_kernel as kernel; kernel.landlock_abi = lambda: 0; "
        "from hashing.confinement_launcher",
    )
    monkeypatch.setattr(confined_programs, "_START", start)
    ran = confined_programs.run(SHELL, ["-c", "echo ran"], given={})
    assert (ran.said, [each.code for each in ran.gaps]) == (b"ran\n", ["landlock"])
    with override_settings(HOLDFAST_REQUIRE_SANDBOX=True), pytest.raises(NotRun) as refused:
        confined_programs.run(SHELL, ["-c", "echo ran"], given={})
    assert refused.value.code == "not_started"
