"""What whoever runs it is promised: work that stands still is named, full disks are named, misfits do not start."""

from __future__ import annotations

import signal
import subprocess
import time
from urllib.parse import urlsplit

import httpx

from tests.pictures import jpeg
from tests.proofs import proof
from tests.proofs.installation import Installation

LATE_WITHIN = 75.0
"""Seconds: routing may wait 30 s, and the figures are up to 5 s old."""


@proof("Nothing starts on a database that does not fit; one sentence says why", quick=True)
def misfit(place: Installation) -> str:
    env = place.run_file()["env"]
    empty = urlsplit(env["DATABASE_OWNER_URL"])._replace(path="/postgres").geturl()
    done = place.manage("scheduler", DATABASE_URL=empty)
    said = done.stderr.strip().splitlines()[-1:]
    assert done.returncode == 1, f"the scheduler ended with {done.returncode}"
    assert said, "the scheduler said nothing"
    assert said[0].startswith("Holdfast does not start."), f"the scheduler said {said[0]!r}"
    return said[0]


@proof(
    "The doctor finds nothing wrong with a fresh installation's tables, keys and disks", quick=True
)
def doctor(place: Installation) -> str:
    said = place.manage("doctor").stdout.splitlines()
    faults = [line for line in said if line.startswith("fault")]
    wrong = [
        line
        for line in faults
        if line.split()[1] in {"database", "schema", "migrations", "keys", "disk", "clock"}
    ]
    assert not wrong, f"the doctor says {wrong}"
    return f"{len(said)} lines, {len(faults)} faults"


@proof("A worker that stands still is named, though it is alive", last=True)
def standing_still(place: Installation) -> str:
    routers = [each for each in place.programs() if "intake" in each.cmdline()]
    assert routers, "no process serves the queue that routes"
    for each in routers:
        each.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    try:
        assert place.report().status_code == 201

        def late() -> str:
            stages = httpx.get(f"{place.address}healthz?deep=1", timeout=10).json()["stages"]
            return next(
                (one["process"] for one in stages if one["late"] and "routing" in one["stage"]), ""
            )

        named = place.wait("routing to be called late", late, seconds=LATE_WITHIN)
        seconds = time.monotonic() - began
        assert httpx.get(f"{place.address}healthz", timeout=10).status_code == 200
        diagnosis = place.manage("doctor")
        assert diagnosis.returncode == 1, "the doctor found nothing"
        assert f"The process “{named}” does it" in diagnosis.stdout, diagnosis.stdout
    finally:
        for each in routers:
            each.send_signal(signal.SIGCONT)
    place.wait("routing to catch up", lambda: not late(), seconds=LATE_WITHIN)
    return f"“{named}” was named after {seconds:.0f} s"


@proof(
    "An upload on a full disk gets a sentence and Retry-After, and is taken when there is room",
    last=True,
)
def full_disk(place: Installation) -> str:
    vault = str(place.var / "vault")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k,mode=0700", "holdfast-proof", vault],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        return "not tried: this account may not mount a small disk"

    def send() -> httpx.Response:
        files = {"file": ("drawn.jpg", jpeg(int(time.time()) % 997, (640, 480)), "image/jpeg")}
        return place.api("POST", "media", files=files)

    try:
        answer = send()
        assert answer.status_code == 503, f"the upload was answered {answer.status_code}"
        assert answer.json()["code"] == "disk_full", answer.text
        assert int(answer.headers["Retry-After"]) > 0
        disk = httpx.get(f"{place.address}healthz", timeout=10).json()["disk"]
        assert "the stored originals" in disk, f"/healthz says {disk!r}"
    finally:
        subprocess.run(["umount", "-l", vault], check=True)
    assert send().status_code == 201, "it was not taken afterwards"
    return "503 disk_full, then 201"
