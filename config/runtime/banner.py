"""What the launcher tells the person at the terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

COLUMNS = (
    ("role", "Role"),
    ("name", "Name"),
    ("email", "E-mail"),
    ("password", "Password"),
    ("totp_secret", "Authenticator key"),
)


def say(line: str = "") -> None:
    """Print one line at once, also into a pipe."""
    print(line, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Name a piece of work when it begins and its seconds when it ends."""
    began = time.monotonic()
    print(f"  {title} …", end=" ", flush=True)
    try:
        yield
    except BaseException:
        print(flush=True)
        raise
    print(f"{time.monotonic() - began:.1f} s", flush=True)


def ready(address: str, var: Path, *, seconds: float) -> None:
    """Say where the installation is, and where its logs are."""
    say()
    say(f"  Holdfast is ready after {seconds:.1f} s:  {address}")
    say(f"  Ctrl-C stops it. Logs: {var / 'log'}")


def sign_ins(credentials: Any) -> None:
    """List the sample people: objects with role, name, email, password and totp_secret."""
    people = credentials if isinstance(credentials, list) else []
    if not people:
        return
    say()
    say("  Sample people (invented; never keep them in an installation that is reached by others):")
    for line in _table(people):
        say(f"    {line}")
    say("  Their six-digit codes of this moment: .venv/bin/python manage.py sample_code")


def _table(people: Sequence[dict[str, Any]]) -> Iterator[str]:
    shown = [column for column in COLUMNS if any(person.get(column[0]) for person in people)]
    rows = [[title for _, title in shown]]
    rows += [[str(person.get(key) or "") for key, _ in shown] for person in people]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def first_administrator(link: str) -> None:
    """Print where the first administrator makes an account."""
    say()
    say("  Nobody has an account yet. The first administrator makes one here (works once):")
    say(f"    {link}")
