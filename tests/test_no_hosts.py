"""No file says from where packages are fetched: whoever installs decides that, and locks hold digests only."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Put together here, so that this file does not name them either.
HOSTS = [".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"))]
HOSTS += [".".join(parts) for parts in (("npmjs", "com"), ("yarnpkg", "com"), ("crates", "io"))]


def test_no_file_names_a_registry() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    names = [name for name in listed.stdout.split("\0") if name]
    assert len(names) > 500, "the search for files broke"
    found = []
    for name in names:
        path = ROOT / name
        if path.is_file():
            text = path.read_bytes().decode("utf-8", "replace").lower()
            found += [f"{name}: {host}" for host in HOSTS if host in text]
    assert not found


def test_the_lock_of_node_says_what_a_package_is_and_not_where_it_lies() -> None:
    folder = ROOT / "tests/clients/typescript"
    assert "omit-lockfile-registry-resolved=true" in (folder / ".npmrc").read_text().splitlines()
    lock = (folder / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert lock.count('"integrity": "sha512-') > 20
