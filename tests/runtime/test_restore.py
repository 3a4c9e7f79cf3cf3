"""Backup and restore, exactly as docs/operations.md says: its lines are taken from the page and run."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.test_up import _environment
from tests.stack import REPOSITORY, free_port, wait_until

pytestmark = pytest.mark.runtime

MAKE = """
import django; django.setup()
from core import vault
from core.audit import SYSTEM
from reports.actions import create_source
create_source(slug="kept", name="Kept", kind="platform", actor=SYSTEM)
print(vault.store_bytes(b"an invented original").pk)
"""
LOOK = """
import django; django.setup()
from core import vault
from core.models import Blob
from reports.models import Source
print(Source.objects.get(slug="kept").name, vault.read(Blob.objects.get(), limit=99).decode())
"""


def lines_of(name: str) -> str:
    """Return the lines of the page's block of that name."""
    page = (REPOSITORY / "docs" / "operations.md").read_text()
    found = re.findall(rf"^```sh {name}\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    assert len(found) == 1
    return str(found[0])


class Machine:
    """A checkout as an operator has it: the code by links, `var` of its own, one shell."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for entry in REPOSITORY.iterdir():
            if entry.name not in {"var", ".git", ".venv"}:
                (root / entry.name).symlink_to(entry)
        # The page's commands name `.venv`; the tests may run from any environment.
        (root / ".venv").symlink_to(sys.prefix)
        self.env = _environment(root / "var", PORT=str(free_port()), STORES="1")

    def shell(self, commands: str) -> str:
        done = subprocess.run(
            ["sh", "-eu", "-c", commands],
            cwd=self.root,
            env=self.env,
            check=False,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def python(self, program: str) -> str:
        env = self.env | {"DJANGO_SETTINGS_MODULE": "config.settings"}
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=self.root,
            env=env,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextlib.contextmanager
    def stores(self) -> Iterator[None]:
        """What ``make up STORES=1`` runs, until Ctrl-C."""
        process = subprocess.Popen(
            [sys.executable, "-m", "config.runtime.up"],
            cwd=self.root,
            env=self.env,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            run = self.root / "var" / "run.json"
            wait_until(
                lambda: run.exists() or process.poll() is not None, seconds=90, what="stores"
            )
            assert process.poll() is None
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def test_what_was_backed_up_as_the_page_says_is_restored_as_the_page_says(
    short_folder: Path,
) -> None:
    root = short_folder / "m"
    root.mkdir(mode=0o711)
    machine = Machine(root)
    with machine.stores():
        machine.shell(".venv/bin/python manage.py prepare --no-static --app-role holdfast_app")
        machine.python(MAKE)
        machine.shell(lines_of("backup"))
    shutil.rmtree(root / "var")
    with machine.stores():
        said = machine.shell(
            lines_of("restore").replace("manage.py prepare", "manage.py prepare --no-static")
        )
        assert "intact" in said
        assert "all are as they were received" in said
        assert machine.python(LOOK).strip() == "Kept an invented original"
        # Nothing worked on the database while it was half there.
        logs = {path.stem for path in (root / "var" / "log").iterdir()}
        assert logs == {"postgres", "valkey"}
