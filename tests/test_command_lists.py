"""Commands that a page tells people to paste end at the first that fails: what follows would work on half of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from config.settings import BASE_DIR

BASH = shutil.which("bash") or "bash"
PAGES = [BASE_DIR / "README.md", BASE_DIR / "CONTRIBUTING.md", *(BASE_DIR / "docs").rglob("*.md")]
WATCHED = """
set -T
trap 'status=$?; [ $status = 0 ] || [ "${BASH_COMMAND%% *}" = no ] || [ "${FUNCNAME-}" = no ] || echo "WENT ON with: $BASH_COMMAND" >&2' DEBUG
"""
"""Bash asks this before each command, with the status of the one before. ``no`` is the recipe's word for the end."""


def blocks() -> dict[str, str]:
    """The blocks of all pages that are commands, by page and first line."""
    found = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in re.finditer(r"^```sh[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            line = text[: block.start()].count("\n") + 1
            found[f"{page.relative_to(BASE_DIR)}:{line}"] = block.group(1)
    return found


def pasted(commands: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run commands as lines, on a machine on which every program is missing."""
    return subprocess.run(
        [BASH, "--norc", "-c", WATCHED + commands],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
        env={"PATH": os.fspath(folder / "nothing"), "HOLDFAST_KEY": "a-key", "REPORT": "1"},
    )


@pytest.mark.parametrize("place", blocks())
def test_a_list_of_commands_ends_at_the_first_that_fails(place: str, tmp_path: Path) -> None:
    done = pasted(blocks()[place], tmp_path)
    assert "WENT ON" not in done.stderr, done.stderr
    has_programs = not all(line.startswith("export ") for line in blocks()[place].splitlines())
    assert (done.returncode != 0) == has_programs, done.stderr


def test_the_lists_that_matter_most_are_among_them() -> None:
    text = "".join(blocks().values())
    for command in ("pg_dump", "pg_restore", "verify_vault", "VERIFY.txt", "ssh-keygen"):
        assert command in text


@pytest.mark.parametrize("commands", ["missing-one\nmissing-two\n", "missing-one; missing-two\n"])
def test_a_list_that_goes_on_is_noticed(commands: str, tmp_path: Path) -> None:
    assert "WENT ON with: missing-two" in pasted(commands, tmp_path).stderr
