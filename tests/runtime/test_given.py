"""Secrets in files, and settings that nobody reads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from config import given
from tests.stack import REPOSITORY

PYTHON = "import django; django.setup(); from django.conf import settings; print({})"


def run(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=REPOSITORY,
        env={"PATH": "/usr/bin:/bin", "DJANGO_SETTINGS_MODULE": "config.settings"} | env,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("name", given.SECRETS)
def test_each_secret_is_read_from_its_file(name: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("a value\n")
    environ = {f"{name}_FILE": str(file)}
    given.read_secret_files(environ)
    assert environ == {name: "a value"}


def test_the_settings_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "db").write_text("postgresql://someone:secret@db.holdfast.example:6000/cases\n")
    (tmp_path / "valkey").write_text("redis://valkey.holdfast.example:6379/3\n")
    done = run(
        "-c",
        PYTHON.format("settings.DATABASES['default']['HOST'], settings.REDIS_URL"),
        env={
            "DATABASE_URL_FILE": str(tmp_path / "db"),
            "REDIS_URL_FILE": str(tmp_path / "valkey"),
            "HOLDFAST_VAR": str(tmp_path),
        },
    )
    assert done.stdout.split() == ["db.holdfast.example", "redis://valkey.holdfast.example:6379/3"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "which does not exist"),
        (b"", "which is empty"),
        (b"\n", "which is empty"),
        (b"\xff\xfe", "it is not text"),
    ],
)
def test_a_file_that_cannot_be_used_stops_the_start(
    content: bytes | None, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(given.Unreadable, match=said):
        given.read_secret_files({"DATABASE_URL_FILE": str(file)})


def test_a_secret_given_twice_stops_the_start(tmp_path: Path) -> None:
    environ = {"REDIS_URL": "redis://one:1/0", "REDIS_URL_FILE": str(tmp_path / "two")}
    with pytest.raises(given.Unreadable, match="which one counts"):
        given.read_secret_files(environ)


def test_a_setting_that_nobody_reads_is_named_with_the_one_that_was_meant(tmp_path: Path) -> None:
    done = run(
        "manage.py",
        "check",
        env={
            "HOLDFAST_VAR": str(tmp_path),
            "HOLDFAST_UNDO_SECOND": "30",
            "HOLDFAST_COFFEE": "1",
            "HOLDFAST_DOMAIN_FILE": "/etc/domain",
            "LANG": "C.UTF-8",
        },
    )
    assert "setting HOLDFAST_UNDO_SECOND." in done.stderr
    assert "Did you mean HOLDFAST_UNDO_SECONDS?" in done.stderr
    assert "setting HOLDFAST_COFFEE." in done.stderr
    assert "setting HOLDFAST_DOMAIN_FILE." in done.stderr
    assert "LANG" not in done.stderr


def test_real_settings_are_no_news() -> None:
    names = [*given.SETTINGS, *(f"{name}_FILE" for name in given.SECRETS), "MY_FILE", "EDITOR"]
    assert given.unread(names) == {}
