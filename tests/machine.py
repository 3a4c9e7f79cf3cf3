"""What the tests need from the machine: a Chromium, nginx, the stock ``age`` command, libheif's converter, ffmpeg.

As root a missing one is installed as a Debian package; otherwise the test fails with the sentence that
says what to do. Nothing is skipped: a run without them would prove less than it claims.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

CHROMIUM_NAMES = ("/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome")
# How long a browser waits for a page or a sentence before it is called missing. Not a measure of speed: the
# machine may be starting eight programs for the test beside.
LONGEST_WAIT_MS = 60_000
MACOS_CHROME = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"


@functools.cache
def chromium() -> dict[str, Any]:
    """Return Playwright's launch arguments for this machine's Chromium."""
    arguments = [
        # Our pages load nothing from elsewhere; a page that tried would fail its test.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-dev-shm-usage",
    ]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")  # Chromium refuses to start its sandbox as root.
    return {"executable_path": _chromium_path(), "args": arguments}


def _chromium_path() -> str:
    if chosen := os.environ.get("CHROMIUM"):
        return chosen
    if found := _first(*CHROMIUM_NAMES, MACOS_CHROME) or _playwrights_own():
        return found
    if _install("chromium") and (found := _first(*CHROMIUM_NAMES)):
        return found
    pytest.fail(
        "The browser tests need Chromium: sudo apt-get install -y chromium (Debian), or "
        ".venv/bin/playwright install chromium, or set CHROMIUM to the program.",
        pytrace=False,
    )


def _playwrights_own() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


@functools.cache
def age() -> str:
    """Return the path of the ``age`` command."""
    if found := _first("age") or (_install("age") and _first("age")):
        return found
    pytest.fail(
        "The package tests need the age command: sudo apt-get install -y age (Debian, Ubuntu) or "
        "brew install age (macOS).",
        pytrace=False,
    )


@functools.cache
def nginx() -> str:
    """Return the path of the ``nginx`` command, which may lie where only root looks."""
    names = ("nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx", "/opt/homebrew/bin/nginx")
    if found := _first(*names) or (_install("nginx-light") and _first(*names)):
        return found
    pytest.fail(
        "The proxy tests need nginx: sudo apt-get install -y nginx-light (Debian, Ubuntu) or "
        "brew install nginx (macOS).",
        pytrace=False,
    )


@functools.cache
def heif_converter() -> str:
    """Return the path of libheif's converter, ``heif-dec`` or ``heif-convert``."""
    names = ("heif-dec", "heif-convert")
    if found := _first(*names) or (_install("libheif-examples") and _first(*names)):
        return found
    pytest.fail(
        "The tests of HEIC need libheif's converter: sudo apt-get install -y libheif-examples "
        "(Debian, Ubuntu).",
        pytrace=False,
    )


@functools.cache
def ffmpeg() -> str:
    """Return the path of the system's ``ffmpeg``."""
    if found := _first("ffmpeg") or (_install("ffmpeg") and _first("ffmpeg")):
        return found
    pytest.fail(
        "The tests of interlaced and HDR films need the ffmpeg command: sudo apt-get install -y ffmpeg "
        "(Debian, Ubuntu).",
        pytrace=False,
    )


def _first(*names: str) -> str | None:
    return next((path for name in names if (path := shutil.which(name))), None)


def _install(package: str) -> bool:
    """Install a Debian package as root. Returns False where that is not possible."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    # Parallel test processes may want the same package at once; apt waits for its own lock.
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "-q", "-y"]
    subprocess.run([*apt, "update"], env=env, check=False, capture_output=True)
    done = subprocess.run(
        [*apt, "install", "--no-install-recommends", package],
        env=env,
        check=False,
        capture_output=True,
    )
    return done.returncode == 0


PILLOW_SOURCE = (
    "pillow-13.0.0.tar.gz",
    "cdcd1ba258178f7356d74170c9a81ba4eab6a5d55748bc402a5a2a6fe6be3510",
)
"""Pillow's source distribution, whose tests hold about a thousand odd and broken pictures."""


def pillow_source() -> Path:
    """Return the path of Pillow's source distribution; it is fetched once, as packages are, and checked."""
    name, digest = PILLOW_SOURCE
    kept = Path(sys.prefix) / "test-material" / name
    if not kept.exists():
        with tempfile.TemporaryDirectory() as folder:
            wanted = Path(folder, "wanted.txt")
            version = name.removesuffix(".tar.gz").replace("-", "==")
            wanted.write_text(f"{version} --hash=sha256:{digest}\n")
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary=:all:"]
            done = subprocess.run(
                [*command, "--require-hashes", "-r", str(wanted), "-d", folder],
                check=False,
                capture_output=True,
                text=True,
            )
            if done.returncode:
                pytest.fail(f"{name} could not be fetched:\n{done.stderr[-800:]}", pytrace=False)
            kept.parent.mkdir(exist_ok=True)
            # Parallel test processes may do this at once: each renames a whole file.
            own = kept.with_suffix(f".{os.getpid()}")
            shutil.copyfile(Path(folder, name), own)
            own.rename(kept)
    with kept.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == digest
    return kept
