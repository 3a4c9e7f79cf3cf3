"""The recipe of an officer and our script refuse every forged package, and say so with their status."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from config.settings import BASE_DIR
from referrals import bag
from referrals.recipe import recipe
from tests.referrals.authority import authority
from tests.referrals.forging import (
    FORGERIES,
    ONLY_THE_SCRIPT,
    SEALED,
    asked,
    followed,
    prepared,
    seal,
    steps,
)
from tests.referrals.sealing import ID, Opened, spec

TOOLS = (
    *("sha256sum", "age", "tar", "grep", "wc", "mkdir", "ssh-keygen"),
    *("sha512sum", "cut", "cmp", "find", "cat", "tr", "awk"),
)


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("genuine"))


@pytest.fixture
def folder(genuine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(genuine, tmp_path / "officer"))


@pytest.fixture
def path(age_command: str) -> str:
    return f"{Path(age_command).parent}:/usr/local/bin:/usr/bin:/bin"


@pytest.mark.parametrize("shell", [name for name in ("sh", "dash", "bash") if shutil.which(name)])
def test_a_genuine_package_passes(folder: Path, path: str, shell: str) -> None:
    done = followed(folder, steps(), path=path, shell=shell)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith(f"VERIFIED: {ID} is complete")
    assert asked(folder, sys.executable).returncode == 3  # No registry and no trusted time.


def test_a_genuine_package_passes_with_the_tools_of_a_small_system(folder: Path, path: str) -> None:
    """BusyBox is the shell and the tools of small systems, and of many rescue disks."""
    busybox = shutil.which("busybox", path=path)
    for name in (*TOOLS, "sh") if busybox else ():
        own = name in ("age", "ssh-keygen")
        (folder / "tools").mkdir(exist_ok=True)
        (folder / "tools" / name).symlink_to(
            str((shutil.which(name, path=path) if own else None) or busybox)
        )
    path = str(folder / "tools") if busybox else path
    done = followed(folder, steps(), path=path, shell=f"{path}/sh" if busybox else "sh")
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(folder / ID)
    FORGERIES["an added empty folder"](folder)
    done = followed(folder, steps(), path=path, shell=f"{path}/sh" if busybox else "sh")
    assert done.returncode == 1, done.stdout + done.stderr


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_package_fails_the_recipe_and_the_script(
    folder: Path, path: str, forgery: str
) -> None:
    FORGERIES[forgery](folder)
    signers = (folder / "allowed_signers").read_bytes()

    done = followed(folder, steps(), path=path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "VERIFIED:" not in done.stdout
    assert "NOT VERIFIED: " in done.stderr.splitlines()[-1]
    assert (folder / "allowed_signers").read_bytes() == signers
    assert not (folder / "escaped.txt").exists()

    said = asked(folder, sys.executable)
    assert said.returncode == 2, said.stdout + said.stderr


@pytest.mark.parametrize("change", ONLY_THE_SCRIPT)
def test_what_the_recipe_cannot_see_the_script_refuses_and_no_file_is_another(
    folder: Path, path: str, change: str
) -> None:
    ONLY_THE_SCRIPT[change](folder)
    assert asked(folder, sys.executable).returncode == 2
    done = followed(folder, steps(), path=path)
    assert done.returncode == 0, (
        done.stderr
    )  # Once it is not, it belongs to the forgeries, and the docs change.
    package = folder / ID
    unpacked = {
        found.relative_to(package).as_posix(): found.read_bytes()
        for found in package.rglob("*")
        if found.is_file()
    }
    assert unpacked == Opened.of().files


@pytest.mark.parametrize("missing", TOOLS)
def test_a_tool_that_is_missing_ends_it(folder: Path, path: str, missing: str) -> None:
    tools = folder / "tools"
    tools.mkdir()
    for name in (*TOOLS, "sh"):
        found = shutil.which(name, path=path)
        assert found, name
        if name != missing:
            (tools / name).symlink_to(found)
    done = followed(folder, steps(), path=str(tools))
    assert done.returncode == 1, done.stdout + done.stderr
    # The shell says so, or find, which runs one of them.
    assert re.search(rf"{missing}'?: (not found|No such file)", done.stderr), done.stderr
    assert "NOT VERIFIED: " in done.stderr.splitlines()[-1]


def test_a_step_that_cannot_enter_the_folder_ends_it(folder: Path, path: str) -> None:
    (folder / ID).write_text("a file where the folder should be")
    done = followed(folder, steps(), path=path)
    assert done.returncode == 1
    assert f"move the folder {ID} away" in done.stderr


def test_a_recipe_that_was_cut_off_verifies_nothing(folder: Path, path: str) -> None:
    lines = steps().splitlines(keepends=True)
    for kept in range(1, len(lines)):
        done = followed(folder, "".join(lines[:kept]), path=path)
        assert done.returncode != 0
        assert not (folder / "p.tar").exists()


def test_pasted_lines_do_the_same_and_leave_the_shell_open(folder: Path, path: str) -> None:
    FORGERIES["a replaced file"](folder)
    done = followed(folder, f'{steps()}echo "status $?"\n', path=path)
    assert done.stdout.splitlines()[-1] == "status 1"


def test_a_package_with_a_trusted_time_has_one_line_and_one_file_more(
    folder: Path, path: str
) -> None:
    prepared(folder, spec(timestamp=lambda signature: b"not a token"))
    readme = Opened.of(spec(timestamp=lambda signature: b"not a token")).files["data/README.txt"]
    assert _indented(readme.decode()) == steps(timestamped=True)
    done = followed(folder, steps(), path=path)
    assert "NOT VERIFIED: the package has a trusted time" in done.stderr
    shutil.rmtree(folder / ID)
    done = followed(folder, steps(timestamped=True), path=path)
    assert done.returncode == 1
    assert "NOT VERIFIED: the trusted time" in done.stderr


def test_a_token_is_verified_and_nothing_stands_behind_it(folder: Path, path: str) -> None:
    with authority() as tsa:
        token: list[bytes] = []

        def stamped(signature: bytes) -> bytes:
            """Tokens differ each time they are asked for."""
            if not token:
                query = subprocess.run(
                    ["openssl", "ts", "-query", "-data", "/dev/stdin", "-sha256", "-cert"],
                    input=signature,
                    capture_output=True,
                    check=True,
                ).stdout
                token.append(httpx.post(tsa.url, content=query).content)
            return token[0]

        description = spec(timestamp=stamped)
        prepared(folder, description)
        shutil.copy(tsa.ca_file, folder / "tsa-ca.pem")
    done = followed(folder, steps(timestamped=True), path=path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert asked(folder, sys.executable).returncode == 3

    shutil.rmtree(folder / ID)
    attack = Opened.of(description)
    attack.files[bag.TIMESTAMP] += b"forged note"
    seal(folder, attack.tar())
    done = followed(folder, steps(timestamped=True), path=path)
    assert "NOT VERIFIED: something was added to the trusted time" in done.stderr
    assert asked(folder, sys.executable).returncode == 2


def test_the_readme_of_a_package_and_the_docs_hold_this_recipe() -> None:
    assert _indented(Opened.of().files["data/README.txt"].decode()) == steps()
    docs = (BASE_DIR / "docs" / "legal.md").read_text(encoding="utf-8")
    documented = recipe(
        ID,
        principal="packages@platform.example",
        namespace="escalation-package@platform.example",
    )
    assert f"```sh\n{documented}```\n" in docs


def test_the_script_that_cannot_run_never_gives_a_good_answer(folder: Path) -> None:
    """An interpreter that fails ends with 1, which must mean nothing."""
    done = asked(folder, shutil.which("false") or os.devnull)
    assert done.returncode not in (0, 3)
    assert SEALED.startswith(ID)


def _indented(text: str) -> str:
    lines = text.splitlines()
    start, end = lines.index("    ("), lines.index("    )")
    return "".join(f"{line[4:]}\n" for line in lines[start : end + 1])
