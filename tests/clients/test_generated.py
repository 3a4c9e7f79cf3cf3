"""Strangers' generators make clients of the served description; both compile and walk along the API."""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TYPESCRIPT = HERE / "typescript"
PUBLIC = ("PATH", "HOME", "LANG", "TMPDIR")

WALKED = [
    "directory user-1001",
    "media other 17",
    "report received 2 true",
    "status received 1",
    "batch 2 1 unknown_type",
    "match a 0",
    "problem 422 invalid subject.account",
]


def run(*command: str | Path, folder: Path, **more: str) -> str:
    env = {name: os.environ[name] for name in PUBLIC if name in os.environ}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=env | {"no_proxy": "*"} | more,
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_openapi_python_client(way: dict[str, str], tmp_path: Path) -> None:
    run(
        *(sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning"),
        *("--url", f"{way['HOLDFAST']}/api/v1/openapi.json", "--meta", "none"),
        *("--config", HERE / "openapi_python_client.yml", "--output-path", "generated"),
        folder=tmp_path,
    )
    assert compileall.compile_dir(tmp_path / "generated", quiet=1)
    every = (
        "import importlib, pkgutil, generated\n"
        "for each in pkgutil.walk_packages(generated.__path__, 'generated.'):\n"
        "    importlib.import_module(each.name)\n"
    )
    run(sys.executable, "-W", "error", "-c", every, folder=tmp_path)
    walked = run(sys.executable, HERE / "walk.py", folder=tmp_path, PYTHONPATH=str(tmp_path), **way)
    assert walked.splitlines() == WALKED


def test_openapi_typescript(way: dict[str, str], tmp_path: Path) -> None:
    run("sh", TYPESCRIPT / "install.sh", folder=TYPESCRIPT)
    for name in ("package.json", "tsconfig.json", "walk.ts"):
        shutil.copy(TYPESCRIPT / name, tmp_path)
    modules = tmp_path / "node_modules"
    modules.symlink_to(TYPESCRIPT / "node_modules")
    programs = modules / ".bin"
    address = f"{way['HOLDFAST']}/api/v1/openapi.json"
    run(programs / "openapi-typescript", address, "--output", "api.d.ts", folder=tmp_path)
    # Emits what it checked; a wrong type fails it like --noEmit.
    run(programs / "tsc", "--project", ".", folder=tmp_path)
    walked = run("node", "--preserve-symlinks", "out/walk.js", folder=tmp_path, **way)
    assert walked.splitlines() == WALKED
