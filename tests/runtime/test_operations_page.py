"""docs/operations.md stays true: every setting is listed, every listed one is read, its SQL works."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from config import given
from config.runtime.postgres import APP, OWNER
from core.stages import stages
from tests.stack import REPOSITORY, PrivateStack

ROOMS = ("config", "core", "accounts", "reports", "hashing", "moderation", "referrals")
READERS = {
    "get",
    "setdefault",
    "env_bool",
    "env_int",
    "env_list",
    "env_numbers",
    "env_program",
    "secret",
}
MAPPINGS = {"environ", "env"}
NAME = re.compile(r"[A-Z][A-Z0-9_]{3,}")
# Set by the launcher or the tests for their own processes; no operator sets them.
INTERNAL = {
    "DJANGO_SETTINGS_MODULE",
    "HOLDFAST_TESTING",
    "PYTHONPATH",
    "PYTHONUNBUFFERED",
    "OBJC_DISABLE_INITIALIZE_FORK_SAFETY",
    "OPENCV_FFMPEG_CAPTURE_OPTIONS",
    "OPENCV_FFMPEG_LOGLEVEL",
    "OPENCV_LOG_LEVEL",
}
IN_SHELL = {"PYTHON"}  # Read by config/runtime/venv.sh.


def _page() -> str:
    return (REPOSITORY / "docs" / "operations.md").read_text()


def _listed() -> set[str]:
    table = _page().split("## Settings")[1].split("\n## ")[0]
    first_cells = re.findall(r"^\| (`[^|]*) \|", table, flags=re.MULTILINE)
    return {name for cell in first_cells for name in re.findall(r"`([A-Z0-9_]+)`", cell)}


def _names_in(path: Path) -> Iterator[str]:
    """Yield the names that a module asks the environment for."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = node.func
            called = function.attr if isinstance(function, ast.Attribute) else ""
            called = called or (function.id if isinstance(function, ast.Name) else "")
            owner = function.value if isinstance(function, ast.Attribute) else None
            if called in {"get", "setdefault"} and not _is_environment(owner):
                continue
            if called in READERS:
                yield str(node.args[0].value)
        if (
            isinstance(node, ast.Subscript)
            and _is_environment(node.value)
            and isinstance(node.slice, ast.Constant)
        ):
            yield str(node.slice.value)


def _is_environment(node: ast.AST | None) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr in MAPPINGS
    return isinstance(node, ast.Name) and node.id in MAPPINGS


def _read() -> set[str]:
    files = [path for room in ROOMS for path in (REPOSITORY / room).rglob("*.py")]
    return {name for path in files for name in _names_in(path) if NAME.fullmatch(name)}


def test_every_setting_that_is_read_is_on_the_page_and_the_other_way_round() -> None:
    read = (_read() - INTERNAL) | IN_SHELL
    assert "DATABASE_URL" in read
    assert read - _listed() == set(), "read by the code, missing on the page"
    assert _listed() - read == set(), "on the page, read by nobody"
    assert read == given.SETTINGS, "whatever else is set is called unread"


def test_the_page_names_each_secret_that_may_lie_in_a_file() -> None:
    sentence = _page().split("## Settings")[1].split("| name |")[0]
    assert set(re.findall(r"`([A-Z_]+)`", sentence)) - {"NAME", "NAME_FILE"} == set(given.SECRETS)


def test_the_development_lock_holds_all_of_the_other_one() -> None:
    def pins(name: str) -> set[str]:
        lines = (REPOSITORY / name).read_text().splitlines()
        # Without the platforms: where another library asks for it as well, it may be for more of them.
        return {line.partition(" ")[0] for line in lines if line[:1].isalnum()}

    assert pins("requirements.txt") <= pins("requirements-dev.txt")


def test_the_locks_name_no_host() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        text = (REPOSITORY / name).read_text()
        assert "://" not in text
        assert "--index-url" not in text


@pytest.mark.runtime
def test_the_statements_for_an_own_database_are_enough(private_stack: PrivateStack) -> None:
    statements = _page().split("```sql\n")[1].split("```")[0]
    with psycopg.connect(private_stack.postgres.url(OWNER, "postgres"), autocommit=True) as link:
        # The private cluster has roles and a database of these names; here they are strangers.
        for statement in statements.replace("holdfast", "elsewhere").split(";"):
            if statement.strip():
                link.execute(statement)

    def url(role: str) -> str:
        password = re.search(rf"ROLE {role} LOGIN PASSWORD '([^']*)'", statements)
        assert password
        name = role.replace("holdfast", "elsewhere")
        secret = password[1].replace(" ", "%20")
        return (
            f"postgresql://{name}:{secret}@/elsewhere"
            f"?host={private_stack.postgres.socket_dir}&port=5432"
        )

    private_stack.manage(
        "prepare",
        "--no-static",
        "--app-role",
        "elsewhere_app",
        DATABASE_URL=url(OWNER),
        HOLDFAST_SIGNING_KEY_FILE=str(private_stack.var / "keys" / "signing_key"),
    )

    with psycopg.connect(url(APP)) as link:
        assert link.execute("SELECT count(*) FROM reports_report").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            link.execute("UPDATE core_auditentry SET event = 'nothing'")


def test_every_stage_stands_on_the_page_with_its_limit() -> None:
    table = _page().split("| stage (`HOLDFAST_STAGE_LIMITS`)")[1].split("\n\n")[0]
    shown: dict[str, int] = {}
    for row in table.splitlines()[2:]:
        names, limits = row.strip("| ").split(" | ")
        keys = re.findall(r"`([a-z_]+)`", names)
        numbers = [int(number) for number in limits.split(", ")]
        assert len(keys) == len(numbers), row
        shown |= dict(zip(keys, numbers, strict=True))
    assert shown == {stage.key: stage.limit for stage in stages()}


def test_the_sentence_that_the_page_shows_names_a_process_of_the_launcher(settings: Any) -> None:
    (named,) = re.findall(r"The process “([^”]+)” does it", _page())
    assert named in settings.HOLDFAST_PROCESSES
