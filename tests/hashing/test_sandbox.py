"""The sandbox of decoder and plug-ins, from inside: everything is tried, nothing is reached, files still decode."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import platform
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from django.core import checks as levels
from django.template.loader import render_to_string
from django.test import override_settings

from core import operations
from hashing import checks, confinement, images, plugins, sandbox
from hashing.confinement import Gap
from hashing.images import CannotDecode, decode
from tests import clips, pictures
from tests.hashing import intruder

ROOT = Path(__file__).resolve().parents[2]
REFUSED = {
    "ask whether a file is there",  # Libraries ask in passing; the answer is always no.
    "be readable again",
}
"""What fails and does not end the process."""


@pytest.fixture
def statements(tmp_path: Path, settings: Any) -> Iterator[dict[str, str]]:
    """Yield what is tried, with real victims: this process, its keys and its sockets."""
    signing = tmp_path / "signing_key"
    signing.write_text("an invented key")
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "s"))
        unix.listen()
        yield intruder.attempts(
            victim=os.getpid(),
            secrets={"key ring": str(settings.HOLDFAST_KEYRING), "signing key": str(signing)},
            unix=str(tmp_path / "s"),
            port=tcp.getsockname()[1],
            new=str(tmp_path / "new"),
        )


def _expected(statements: dict[str, str]) -> dict[str, str]:
    return {name: "refused" if name in REFUSED else "stopped" for name in statements}


def _in_the_decoder(statements: dict[str, str], *, is_video: bool = False) -> dict[str, str]:
    return _run({"statements": statements, "is_video": is_video})


def _run(asked: dict[str, Any]) -> dict[str, str]:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.hashing.intruder", json.dumps(asked)],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        check=True,
        timeout=120,
    )
    found: dict[str, str] = json.loads(ran.stdout)
    return found


def test_nothing_is_reached_from_the_decoder(statements: dict[str, str], tmp_path: Path) -> None:
    assert _in_the_decoder(statements) == _expected(statements)
    assert not (tmp_path / "new").exists()


def test_nothing_is_reached_where_videos_are_decoded(statements: dict[str, str]) -> None:
    some = {
        name: text for name, text in statements.items() if re.search("read the|by TCP|UDP", name)
    }
    assert _in_the_decoder(some, is_video=True) == _expected(some)


def test_without_the_sandbox_the_same_attempts_succeed(statements: dict[str, str]) -> None:
    """The proof of the proof: what is tried above would work. (Tracing and the like need more than a process.)"""
    for name in (
        "read the key ring",
        "read the environment of another process",
        "connect by TCP",
        "connect to a unix socket",
        "fork",
        "signal another process",
        "ask whether a file is there",
        "start a program",
    ):
        child = os.fork()
        if not child:
            intruder.tries(statements[name])()
        assert intruder.outcome(os.waitpid(child, 0)[1]) == "reached", name


def test_nothing_is_reached_from_a_plugin(
    statements: dict[str, str], tmp_path: Path, settings: Any
) -> None:
    settings.HOLDFAST_PLUGIN_PATH = [str(tmp_path)]
    cases = "".join(
        f"        if item['text'] == {name!r}:\n            {text}\n"
        for name, text in statements.items()
    )
    (tmp_path / "plug_intruder.py").write_text(
        f"{intruder.MODULES}\n{intruder.LIBRARY}\n"
        "class Plug:\n"
        "    label, kinds, categories = 'Intruder', ('text',), ('spam_other',)\n"
        "    card = {'summary': 'Invented.'}\n"
        "    def look(self, item, settings):\n"
        f"{cases}"
        "        return [{'label': 'reached'}]\n"
    )
    plugin = plugins.Installed(
        name="intruder", module="plug_intruder", attribute="Plug", distribution="x", version="1"
    )
    found = {}
    try:
        for name in statements:
            try:
                plugins.ask(plugin, {"text": name}, [], settings={}, seconds=5, memory_mb=256)
                found[name] = "reached"
            except plugins.PluginFailed as failed:
                found[name] = {"sandboxed": "stopped", "failed": "refused"}.get(
                    failed.code, failed.reason
                )
    finally:
        plugins.stop_all()
    assert found == _expected(statements)


# ── Each layer alone ──────────────────────────────────────────────────────────────────────────
LAYERS = {
    "Landlock alone keeps files, TCP and signals away": (
        "kernel.no_new_privileges(); kernel.restrict_files({})",
        [
            "read the key ring",
            "list a folder",
            "connect by TCP",
            "listen by TCP",
            "signal another process",
        ],
    ),
    "the network namespace alone keeps connections away": (
        "confinement.begin()",
        ["connect by TCP"],
    ),
    "the filter alone keeps files, sockets and processes away": (
        "kernel.no_new_privileges(); confinement._filtered(confinement._of_computing)",
        ["read the key ring", "connect by TCP", "fork", "signal another process", "write a file"],
    ),
    "a uid of its own alone keeps keys and processes away": (
        "os.geteuid() or (confinement._own_uid(), kernel.drop_capabilities())",
        ["read the key ring", "read the environment of another process", "signal another process"],
    ),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_each_layer_holds_without_the_others(layer: str, statements: dict[str, str]) -> None:
    if "uid" in layer and os.geteuid() != 0:
        return  # An ordinary user has no other uid to change to; said by the check of the workers.
    code, tried = LAYERS[layer]
    from hashing import confinement_kernel as kernel

    for name in tried:
        attempt = intruder.tries(statements[name])
        child = os.fork()
        if not child:
            try:
                exec(code, {"kernel": kernel, "confinement": confinement, "os": os})  # noqa: S102
            except BaseException:  # noqa: BLE001
                os._exit(11)
            attempt()
        assert intruder.outcome(os.waitpid(child, 0)[1]) in {"refused", "stopped"}, name


# ── The running decoder ───────────────────────────────────────────────────────────────────────
def test_the_running_decoder_is_confined_as_the_kernel_sees_it() -> None:
    decode(pictures.jpeg())
    pid = images.decoder_pid()
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    assert (status["NoNewPrivs"], status["Seccomp"], status["Threads"]) == ("1", "2", "1")
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    # Not dumpable: its entries belong to root, whoever it runs as.
    assert Path(f"/proc/{pid}/environ").stat().st_uid == 0
    if os.geteuid() == 0:
        uids = {int(each) for each in status["Uid"].split()}
        assert len(uids) == 1
        assert min(uids) >= 1_900_000_000
        assert status["Groups"].strip() == ""
        assert Path(f"/proc/{pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    assert sandbox.gaps() == () or all(gap.is_covered for gap in sandbox.gaps())


def test_a_decoder_that_is_stopped_says_so_and_the_next_picture_gets_a_fresh_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images.stop()
    program = (
        "import hashing.decoder as decoder\n"
        "decoder._send_picture = lambda *_: open('/etc/passwd')\n"
        "decoder.main()"
    )
    with monkeypatch.context() as patched:
        patched.setattr(images, "COMMAND", [sys.executable, "-c", program])
        with pytest.raises(CannotDecode) as refused:
            decode(pictures.jpeg())
    assert refused.value.code == "sandboxed"
    assert "stopped by the sandbox" in refused.value.reason
    assert decode(pictures.jpeg()).frames_total == 1


def test_a_stopped_decoder_becomes_a_flag_and_never_no_match(
    scanned: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hashing.contract import FlagKind
    from reports.models import ScanState
    from tests.hashing.conftest import flags_of

    images.stop()
    program = (
        "import hashing.decoder as decoder\n"
        "decoder._send_picture = lambda *_: open('/etc/passwd')\n"
        "decoder.main()"
    )
    monkeypatch.setattr(images, "COMMAND", [sys.executable, "-c", program])
    try:
        item = scanned(pictures.jpeg())
    finally:
        images.stop()
    assert item.scan_state == ScanState.PARTLY
    flag = next(each for each in flags_of(item) if each.kind == FlagKind.COULD_NOT_SCAN)
    assert flag.evidence["code"] == "sandboxed"
    assert "stopped by the sandbox" in flag.summary


# ── What is missing is said ───────────────────────────────────────────────────────────────────
GRAVE = Gap("landlock", "The kernel has no Landlock.")
SLIGHT = Gap("network", "No network namespace can be had.", is_covered=True)


def test_checks_say_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "gaps", lambda: (SLIGHT, GRAVE))
    assert sandbox.what_is_missing() == [GRAVE.sentence, SLIGHT.sentence]
    found = checks.the_sandbox_is_complete()
    assert [(type(each), each.msg) for each in found] == [
        (levels.Info, SLIGHT.sentence),
        (levels.Warning, GRAVE.sentence),
    ]
    with override_settings(HOLDFAST_REQUIRE_SANDBOX=True):
        assert [type(each) for each in checks.the_sandbox_is_complete()] == [
            levels.Info,
            levels.Error,
        ]
        with pytest.raises(SystemExit, match=r"does not start\. .* The kernel has no Landlock\.$"):
            sandbox.refuse_to_start()
    sandbox.refuse_to_start()  # Not required: started.
    monkeypatch.setattr(sandbox, "gaps", lambda: (SLIGHT,))
    with override_settings(HOLDFAST_REQUIRE_SANDBOX=True):
        sandbox.refuse_to_start()


def test_a_worker_says_what_is_missing_at_its_start_and_on_the_jobs_page(
    db: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sandbox, "gaps", lambda: (GRAVE, SLIGHT))
    with caplog.at_level(logging.INFO, logger="hashing.sandbox"):
        sandbox.say_at_start()
    assert [(each.levelname, each.message.rpartition(": ")[2]) for each in caplog.records] == [
        ("WARNING", GRAVE.sentence),
        ("INFO", SLIGHT.sentence),
    ]
    where = f"sandbox on {platform.node()}"
    assert operations.overview().unconfined == [(where, GRAVE.sentence), (where, SLIGHT.sentence)]
    page = render_to_string("accounts/_jobs.html", {"overview": operations.overview()})
    assert GRAVE.sentence in page
    monkeypatch.setattr(sandbox, "gaps", lambda: ())
    sandbox.say_at_start()
    assert operations.overview().unconfined == []


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user keeps its uid, which is no gap")
def test_a_real_start_is_refused_with_one_sentence() -> None:
    """As in a container that takes CAP_KILL away: the decoder could not be given a uid of its own."""

    def drop_cap_kill() -> None:
        ctypes.CDLL(None).prctl(24, 5, 0, 0, 0)  # PR_CAPBSET_DROP, CAP_KILL

    for required, says in (("1", "Holdfast does not start. HOLDFAST_REQUIRE_SANDBOX"), ("0", "")):
        ran = subprocess.run(
            [sys.executable, "manage.py", "prepare", "--help"],
            cwd=ROOT,
            env=os.environ | {"HOLDFAST_REQUIRE_SANDBOX": required},
            preexec_fn=drop_cap_kill,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert ran.returncode == int(required)
        assert ran.stderr.startswith(says)
        assert len(ran.stderr.splitlines()) == int(required)
        assert ("a uid of their own" in ran.stderr) == (required == "1")


def test_a_decoder_that_misses_something_is_refused_where_all_is_required(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images.stop()
    program = (
        "from hashing import confinement_kernel as kernel, decoder\n"
        "kernel.landlock_abi = lambda: 0\n"
        "decoder.main()"
    )
    monkeypatch.setattr(images, "COMMAND", [sys.executable, "-c", program])
    try:
        with (
            override_settings(HOLDFAST_REQUIRE_SANDBOX=True),
            pytest.raises(sandbox.SandboxIncomplete, match="no Landlock"),
        ):
            decode(pictures.jpeg())
        assert decode(pictures.jpeg()).frames_total == 1, "without the setting it works on"
    finally:
        images.stop()


def test_off_linux_it_says_that_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process of its own: the limits that it sets would stay."""
    child = os.fork()
    if not child:
        monkeypatch.setattr(sys, "platform", "darwin")
        found = confinement.begin() + confinement.confine()
        told = [(each.code, each.is_covered, "not Linux" in each.sentence) for each in found]
        os._exit(0 if told == [("platform", False, True)] else 1)
    assert os.waitpid(child, 0)[1] == 0


# ── Real files ────────────────────────────────────────────────────────────────────────────────
def test_every_format_decodes_as_the_first_file_of_a_fresh_decoder(tmp_path: Path) -> None:
    """Nothing is left to be opened lazily: each file meets a decoder that has seen none."""
    picture = pictures.draw(3)
    files = {
        name: pictures.encode(picture, name)
        for name in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")
    }
    files |= {"animation": pictures.animated_gif(4), "animated PNG": pictures.animated_png(4)}
    for codec, container in (
        ("libx264", "mp4"),
        ("libx265", "mp4"),
        ("libvpx", "webm"),
        ("libvpx-vp9", "webm"),
        ("libsvtav1", "mp4"),
        ("mpeg4", "avi"),
        ("mpeg2video", "mpegts"),
    ):
        film = clips.encode(clips.frames(3, 1), codec=codec, container=container)
        files[f"video {codec}"] = film
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    motion_jpeg = cv2.VideoWriter(
        str(tmp_path / "film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 12, clips.SIZE
    )
    for frame in clips.frames(3, 1):
        motion_jpeg.write(np.asarray(frame.convert("RGB")))
    motion_jpeg.release()
    files["video mjpeg"] = b""
    (tmp_path / "film.avi").rename(tmp_path / "video mjpeg")
    found = _run({"files": {name: str(tmp_path / name) for name in files}})
    assert found == dict.fromkeys(files, "reached E")
