"""``manage.py demo --headless``: one whole run from nothing, and what it hands out under stock tools.

The run has a network of its own with loopback only, where the machine permits that, so it also proves
that a new installation, doing the whole main job, tries to reach nobody.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.alone import alone, is_permitted
from tests.stack import REPOSITORY

pytestmark = pytest.mark.runtime

PRIVATE = ("HOLDFAST_", "DATABASE_", "REDIS_", "PYTEST_", "DJANGO_SETTINGS")
STAGES = 13  # The installation itself, and the twelve stages of the main job.


def demo(out: Path) -> list[str]:
    return [sys.executable, "manage.py", "demo", "--headless", "--out", str(out)]


def run(command: list[str], var: Path, *, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a command as somebody would who has set nothing but where the data lies."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(PRIVATE)}
    return subprocess.run(
        command,
        cwd=REPOSITORY,
        env=env | {"HOLDFAST_VAR": str(var)},
        check=False,
        capture_output=True,
        text=True,
        timeout=seconds,
    )


@dataclass(frozen=True)
class Shown:
    """One run of the demo: what it printed, left behind, and what the kernel counted."""

    done: subprocess.CompletedProcess[str]
    out: Path
    counts: dict[str, int] | None


@pytest.fixture(scope="module")
def shown() -> Iterator[Shown]:
    with tempfile.TemporaryDirectory(prefix="holdfast-demo-test-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        out, counts = folder / "out", folder / "counts.json"
        command = demo(out)
        if is_permitted():
            command = alone(command, counts)
        done = run(command, folder / "var", seconds=300)
        kept = json.loads(counts.read_text()) if counts.exists() else None
        yield Shown(done, out, kept)


@pytest.fixture
def package(shown: Shown, tmp_path: Path) -> Path:
    """Return a copy of what was handed out: verifying unpacks beside it."""
    return Path(shutil.copytree(shown.out, tmp_path / "out"))


def stock(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, check=False, capture_output=True, text=True, timeout=60
    )


def sealed_file(folder: Path) -> Path:
    (found,) = folder.glob("*.tar.age")
    return found


def test_every_stage_is_printed_with_its_time(shown: Shown) -> None:
    assert shown.done.returncode == 0, shown.done.stdout + shown.done.stderr
    timed = [line for line in shown.done.stdout.splitlines() if " s   " in line]
    assert len(timed) == STAGES, shown.done.stdout
    assert "started for this demo" in timed[0]
    assert shown.done.stderr == ""


def test_the_folder_holds_exactly_five_private_files(shown: Shown) -> None:
    package = sealed_file(shown.out).name
    assert sorted(path.name for path in shown.out.iterdir()) == sorted(
        [package, f"{package}.sha256", "recipient.agekey", "allowed_signers", "VERIFY.txt"]
    )
    assert {path.stat().st_mode & 0o077 for path in shown.out.iterdir()} == {0}


def test_the_printed_commands_work_as_printed(package: Path, age_command: str) -> None:
    done = stock(package, "sh", "-e", "VERIFY.txt")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Good " in done.stdout + done.stderr
    unpacked = package / sealed_file(package).name.removesuffix(".tar.age")
    bagit = stock(unpacked, sys.executable, "-W", "ignore", "-m", "bagit", "--validate", ".")
    assert bagit.returncode == 0, bagit.stderr


def test_the_script_in_the_package_approves_of_it(package: Path, age_command: str) -> None:
    assert stock(package, "sh", "-e", "VERIFY.txt").returncode == 0
    sealed = sealed_file(package)
    script = package / sealed.name.removesuffix(".tar.age") / "data/documentation/verify_package.py"
    done = stock(
        package,
        *(sys.executable, "-I", str(script), sealed.name, "--json"),
        *("--allowed-signers", "allowed_signers", "--identity", "recipient.agekey"),
    )
    report = json.loads(done.stdout)
    assert report["verdict"] in {"green", "amber"}, done.stdout
    assert done.returncode == {"green": 0, "amber": 3}[report["verdict"]]
    assert [check for check in report["checks"] if check["result"] == "red"] == []


@pytest.mark.parametrize("where", [0.0, 0.5, 1.0], ids=["first byte", "middle", "last byte"])
def test_one_changed_byte_is_noticed(package: Path, age_command: str, where: float) -> None:
    sealed = sealed_file(package)
    data = bytearray(sealed.read_bytes())
    data[int((len(data) - 1) * where)] ^= 1
    sealed.write_bytes(data)
    assert stock(package, "sha256sum", "-c", f"{sealed.name}.sha256").returncode != 0
    opened = stock(package, age_command, "-d", "-i", "recipient.agekey", "-o", "p.tar", sealed.name)
    assert opened.returncode != 0
    assert stock(package, "sh", "-e", "VERIFY.txt").returncode != 0


def test_nobody_outside_this_machine_was_called(shown: Shown) -> None:
    if shown.counts is None:
        pytest.skip("this machine does not let a process have a network of its own")
    assert shown.counts == {"ipv4": 0, "ipv6": 0}


CALLS = """
import socket
for family, host in [(socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")]:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(family, kind) as link:
            try:
                link.connect((host, 9))
            except OSError:
                pass
"""


def test_a_call_to_the_outside_would_be_counted(tmp_path: Path) -> None:
    if not is_permitted():
        pytest.skip("this machine does not let a process have a network of its own")
    counts = tmp_path / "counts.json"
    done = run(alone([sys.executable, "-c", CALLS], counts), tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(counts.read_text())
    assert found["ipv4"] >= 2
    assert found["ipv6"] >= (2 if Path("/proc/net/snmp6").exists() else 0)


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    done = run(demo(out), tmp_path / "var")
    assert done.returncode == 1
    assert f"{out} is not an empty folder; nothing was touched." in done.stderr
    assert [path.name for path in out.iterdir()] == ["mine.txt"]


class Stranger:
    """Something that answers at the address where an installation was; never a Holdfast."""

    def __init__(self, answers: int) -> None:
        self.left = answers
        stranger = self

        class Door(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                stranger.left -= 1
                if stranger.left < 0:  # Hangs up, as a server does that is being stopped.
                    self.close_connection = True
                    return
                self.send_response(200 if self.path == "/healthz" else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def is_at(self, var: Path, *, sample: bool = True) -> None:
        """Write what a launcher leaves behind: here it is, and these are the people."""
        var.mkdir()
        address = f"http://127.0.0.1:{self.server.server_address[1]}/"
        (var / "run.json").write_text(json.dumps({"address": address}))
        if sample:
            person = {"role": "administrator", "name": "A", "email": "a@sample.example"}
            person |= {"password": "an invented pass phrase", "totp_secret": "JBSWY3DPEHPK3PXP"}
            (var / "sample_credentials.json").write_text(json.dumps([person]))

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [(9, "answered 404"), (1, "could not be reached")],
    ids=["another program", "hangs up"],
)
def test_a_stage_that_fails_is_named_in_a_sentence(
    tmp_path: Path, answers: int, sentence: str
) -> None:
    stranger = Stranger(answers)
    try:
        stranger.is_at(tmp_path / "var")
        done = run(demo(tmp_path / "out"), tmp_path / "var")
    finally:
        stranger.close()
    assert done.returncode == 1
    assert "Stage “The platform's webhook address” failed" in done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_an_installation_without_sample_data_is_not_touched(tmp_path: Path) -> None:
    stranger = Stranger(9)
    try:
        stranger.is_at(tmp_path / "var", sample=False)
        done = run(demo(tmp_path / "out"), tmp_path / "var")
    finally:
        stranger.close()
    assert done.returncode == 1
    assert "An installation without sample data is running here." in done.stderr
    assert stranger.left == 8  # Asked whether it lives, and nothing else.
