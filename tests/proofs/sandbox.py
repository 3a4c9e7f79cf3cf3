"""What is promised of hostile files: whoever takes a decoder over holds nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from tests.hashing import intruder
from tests.proofs import proof
from tests.proofs.installation import Installation

ROOT = Path(__file__).resolve().parents[2]
ONLY_REFUSED = {"ask whether a file is there", "be readable again"}


@proof("Whoever takes the decoder over reaches no key, no process and no network", quick=True)
def nothing_within_reach(place: Installation) -> str:
    web = next(one for one in place.programs() if "config.runtime.web" in " ".join(one.cmdline()))
    sockets = sorted(path for path in place.var.rglob("*") if path.is_socket())
    with tempfile.TemporaryDirectory() as folder:
        statements = intruder.attempts(
            victim=web.pid,
            secrets={
                "key ring": str(place.var / "keys" / "masterkeys.json"),
                "signing key": str(place.var / "keys" / "signing_key"),
                "database passwords": str(place.var / "run.json"),
            },
            unix=str(sockets[0]) if sockets else "/nowhere",
            port=urlsplit(place.address).port or 80,
            new=str(Path(folder, "new")),
        )
        ran = subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.hashing.intruder",
                json.dumps({"statements": statements, "is_video": False}),
            ],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=120,
        )
        found = json.loads(ran.stdout)
    wanted = {name: "refused" if name in ONLY_REFUSED else "stopped" for name in statements}
    wrong = {name: came for name, came in found.items() if came != wanted[name]}
    assert not wrong, f"it came otherwise: {wrong}"
    return f"{len(found)} attempts, none reached anything"


@proof("Every running decoder is confined, as the kernel sees it", quick=True)
def confined(place: Installation) -> str:
    def decoders() -> list[psutil.Process]:
        return [one for one in place.programs() if "hashing.decoder" in one.cmdline()]

    running = place.wait("a decoder that runs", decoders)
    for one in running:
        # One that is still loading has no filter yet; the worker gives it no file before it is ready.
        place.wait("the filter of a decoder", partial(_is_filtered, one.pid))
        status = _status(one.pid)
        assert status["NoNewPrivs"] == "1", "it could gain privileges"
        assert int(status["CapEff"], 16) == 0, "it has capabilities"
        worker = one.parent()
        assert worker is not None, "its worker is gone"
        if worker.uids().real == 0:
            assert one.uids().real >= 1_900_000_000, f"it runs as uid {one.uids().real}"
    return f"{len(running)} decoders, each with a filter and without privileges"


def _is_filtered(pid: int) -> bool:
    return _status(pid)["Seccomp"] == "2"


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines)
