"""What makes the next start prepare again, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.runtime import fingerprint


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for name in (
        "requirements.txt",
        "static/css/base.css",
        "core/static/core/x.js",
        "core/migrations/0001_initial.py",
        "core/management/commands/grant_app_role.py",
        "config/management/commands/prepare.py",
        "core/views.py",
        "var/static/css/base.css",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("one")
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "is_code", "is_static"),
    [
        ("requirements.txt", True, True),
        ("core/migrations/0001_initial.py", True, False),
        ("core/migrations/0002_new.py", True, False),
        ("core/management/commands/grant_app_role.py", True, False),
        ("config/management/commands/prepare.py", True, False),
        ("static/css/base.css", False, True),
        ("static/css/new.css", False, True),
        ("core/static/core/x.js", False, True),
        ("core/views.py", False, False),
        ("var/static/css/base.css", False, False),  # Collected files are the result, not the cause.
    ],
)
def test_a_change_is_noticed_where_it_matters(
    base: Path, changed: str, is_code: bool, is_static: bool
) -> None:
    before = fingerprint.code(base), fingerprint.static(base)
    (base / changed).write_text("two")
    after = fingerprint.code(base), fingerprint.static(base)
    assert (before[0] != after[0], before[1] != after[1]) == (is_code, is_static)
