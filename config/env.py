"""Reading settings from the environment: plain types, secrets from files, clear errors."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from config import given
from core.postgres_link import LimitedConnection

# Commands that change tables or rights, and so connect as the owner.
OWNER_COMMANDS = frozenset({"migrate", "prepare", "grant_app_role"})


def env_bool(name: str, *, default: bool) -> bool:
    """Return a yes/no setting. Raises ImproperlyConfigured on any other word."""
    raw = os.environ.get(name, "").strip().lower()
    if raw == "":
        return default
    if raw in {"1", "true", "yes", "on"}:
        return True
    if raw in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} must be 1 or 0, not {raw!r}")


def env_int(name: str, default: int) -> int:
    """Return a whole-number setting. Raises ImproperlyConfigured when it is not one."""
    raw = os.environ.get(name, "").strip()
    try:
        return int(raw) if raw else default
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {raw!r}") from None


def env_program(name: str) -> str:
    """Return an optional program: its absolute path, ``1`` for the usual one, or nothing for none.

    Raises ImproperlyConfigured for anything else.
    """
    raw = os.environ.get(name, "").strip()
    if raw.startswith("/"):
        return raw
    return "1" if env_bool(name, default=False) else ""


def env_list(name: str, default: list[str]) -> list[str]:
    """Return a comma-separated setting as a list without blanks."""
    raw = os.environ.get(name, "")
    return [part.strip() for part in raw.split(",") if part.strip()] or default


def env_numbers(name: str) -> dict[str, int]:
    """Return ``a=1,b=2`` as a dictionary. Raises ImproperlyConfigured when a value is no whole number."""
    found: dict[str, int] = {}
    for part in env_list(name, []):
        key, _, value = part.partition("=")
        if not value.strip().isdigit():
            raise ImproperlyConfigured(
                f"{name} must look like routing=60,scanning=120, not {part!r}"
            )
        found[key.strip()] = int(value)
    return found


def secret(name: str, path: Path) -> str:
    """Return a secret from ``NAME`` (``given`` reads ``NAME_FILE``) or from the file that ``prepare`` makes.

    A process without any of them (a build step, ``check`` on a fresh clone) gets a random value that
    lives as long as the process: nothing can be signed with it that would hold tomorrow. What serves or works refuses
    to start so (``core.identity``).
    """
    if value := os.environ.get(name):
        return value
    if path.exists():
        return path.read_text().strip()
    from django.core.management.utils import get_random_secret_key

    return get_random_secret_key()


def read_secret_files() -> None:
    """Read each ``NAME_FILE``. Raises ImproperlyConfigured when one cannot be used."""
    try:
        given.read_secret_files(os.environ)
    except given.Unreadable as failed:
        raise ImproperlyConfigured(str(failed)) from None


def store(name: str, folder: Path) -> dict[str, Any]:
    """Return where a kind of file is kept: ``folder``, or a prefix of ``HOLDFAST_S3_BUCKET``.

    What lies there is encrypted before it arrives, so neither place ever holds it in clear.
    """
    bucket = os.environ.get("HOLDFAST_S3_BUCKET")
    if not bucket:
        return {
            "BACKEND": "core.vault.folder.DurableFolder",
            "OPTIONS": {
                "location": str(folder),
                "file_permissions_mode": 0o600,
                "directory_permissions_mode": 0o700,
            },
        }
    return {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": bucket,
            "location": name,
            "endpoint_url": os.environ.get("HOLDFAST_S3_ENDPOINT") or None,
            "region_name": os.environ.get("HOLDFAST_S3_REGION") or None,
            "default_acl": None,
            "file_overwrite": False,
        },
    }


def attach(var: Path) -> None:
    """Lead a command to the private stores of a running ``make up``, unless told where to go.

    The launcher leaves their addresses in ``run.json``. What the environment says comes first.
    """
    try:
        settings = json.loads((var / "run.json").read_text())["env"]
    except (OSError, ValueError, KeyError):
        return
    if "DATABASE_URL" not in os.environ:
        for name, value in settings.items():
            os.environ.setdefault(name, value)


_POOL = {"min_size": 0, "timeout": 6, "max_idle": 120, "reconnect_timeout": 2}
"""How long a query waits for a session, and how long the pool goes on trying by itself, in seconds.

The pool doubles its waits up to ``reconnect_timeout``, and nobody else may try meanwhile: with the five minutes
that psycopg sets, a process would notice up to a minute late that the database is back."""

_NOTICE_DEAD_PEERS = {
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 2,
    "tcp_user_timeout": 10_000,
}
"""A server that vanished without a word (a failover, a firewall that forgot) is noticed after about 10 s, not
after the kernel's two hours. Of no effect on unix sockets."""


def database(*, testing: bool, command: str = "") -> dict[str, Any]:
    """Return Django's database settings from ``DATABASE_URL`` (postgresql://…).

    ``DATABASE_OWNER_URL`` replaces it for commands that change the schema: the application's own
    role may not own the tables, or it could switch the audit log's triggers off.
    """
    url = os.environ.get("DATABASE_URL", "postgresql:///holdfast")
    if command in OWNER_COMMANDS:
        url = os.environ.get("DATABASE_OWNER_URL", url)
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured("DATABASE_URL must start with postgresql://")
    query = dict(parse_qsl(parts.query))
    host = query.pop("host", None) or parts.hostname or ""
    port = query.pop("port", None) or parts.port or ""
    options: dict[str, Any] = {"connect_timeout": 5, **_NOTICE_DEAD_PEERS, **query}
    if not testing:
        # One for each thread of a web process, and a few for whatever else runs beside them.
        most = env_int("HOLDFAST_WEB_THREADS", 12) + 4
        options["pool"] = {**_POOL, "max_size": most, "connection_class": LimitedConnection}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or "holdfast",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(port),
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }
