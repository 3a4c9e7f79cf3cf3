"""Cheap answers to "has anything changed since the last start?", without importing Django."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

APPS = ("core", "accounts", "reports", "hashing", "moderation", "referrals")


def code(base: Path) -> str:
    """Return a digest of what preparing depends on: migrations, dependencies, preparing itself.

    The lock file stands for the migrations that come with packages.
    """
    files = [base / "requirements.txt"]
    for app in APPS:
        files += base.glob(f"{app}/migrations/*.py")
        files += base.glob(f"{app}/management/commands/*.py")
    files += base.glob("config/management/commands/prepare.py")
    return _digest(base, files)


def static(base: Path) -> str:
    """Return a digest of the static files and of the packages that may bring some."""
    files = [base / "requirements.txt", *base.glob("static/**/*")]
    for app in APPS:
        files += base.glob(f"{app}/static/**/*")
    return _digest(base, files)


def applied(owner_url: str) -> str:
    """Return a digest of the migrations that the database has seen; empty when it has seen none.

    Raises psycopg.Error when the database cannot be reached.
    """
    import psycopg

    with psycopg.connect(owner_url, connect_timeout=10) as link:
        known = link.execute("SELECT to_regclass('public.django_migrations') IS NOT NULL")
        if known.fetchone() != (True,):
            return ""
        rows = link.execute("SELECT app, name FROM django_migrations ORDER BY app, name").fetchall()
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _digest(base: Path, files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(set(files)):
        if path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(base)}\0{content}\n".encode())
    return digest.hexdigest()
