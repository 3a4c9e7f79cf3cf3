"""What the operator gave in the environment: secrets in files, and names that nobody reads. Imports no Django."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, MutableMapping
from pathlib import Path

SECRETS = (
    "DATABASE_URL",
    "DATABASE_OWNER_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "HOLDFAST_MASTER_KEYS",
    "HOLDFAST_ANCHOR_WEBHOOK_SECRET",
)
"""What may lie in a file that ``NAME_FILE`` names: Docker, Kubernetes and systemd hand secrets over so."""

SETTINGS = frozenset(
    [
        "ALLOWED_HOSTS",
        "CSRF_TRUSTED_ORIGINS",
        "DATABASE_OWNER_URL",
        "DATABASE_URL",
        "HOST",
        "PG_BIN",
        "PG_SYSTEM_USER",
        "PORT",
        "PYTHON",
        "REDIS_URL",
        "SAMPLE",
        "SECRET_KEY",
        "STORES",
        "VALKEY_SERVER",
        "HOLDFAST_ADDRESS",
        "HOLDFAST_ALLOWED_SIGNERS_FILE",
        "HOLDFAST_ANCHOR_ALLOW_PRIVATE",
        "HOLDFAST_ANCHOR_ROOT",
        "HOLDFAST_ANCHOR_WEBHOOK_SECRET",
        "HOLDFAST_ANCHOR_WEBHOOK_URL",
        "HOLDFAST_BEHIND_PROXY",
        "HOLDFAST_CLASSIFIER_ALLOW_PRIVATE",
        "HOLDFAST_CONTACT",
        "HOLDFAST_DIGESTS",
        "HOLDFAST_DISK_RESERVE_BYTES",
        "HOLDFAST_DOMAIN",
        "HOLDFAST_ESCROW_RECIPIENT",
        "HOLDFAST_EXCHANGE_ALLOW_PRIVATE",
        "HOLDFAST_EXCHANGE_DIR",
        "HOLDFAST_FFMPEG",
        "HOLDFAST_HEIC",
        "HOLDFAST_HTTPS",
        "HOLDFAST_POLICY_ADDRESS",
        "HOLDFAST_IDLE_MINUTES",
        "HOLDFAST_INDEX_DIR",
        "HOLDFAST_INTAKE_LONGEST_WAIT",
        "HOLDFAST_INTAKE_MOST_WAITING",
        "HOLDFAST_INTAKE_SOURCE_WAITING",
        "HOLDFAST_KEYRING",
        "HOLDFAST_LEASE_SECONDS",
        "HOLDFAST_LOG_LEVEL",
        "HOLDFAST_MASTER_KEYS",
        "HOLDFAST_MAX_UPLOAD_BYTES",
        "HOLDFAST_ORGANISATION",
        "HOLDFAST_PLUGIN_PATH",
        "HOLDFAST_PRACTICE_DAYS",
        "HOLDFAST_REAUTH_MINUTES",
        "HOLDFAST_REQUIRE_SANDBOX",
        "HOLDFAST_ROUTE_ANYWAY_SECONDS",
        "HOLDFAST_S3_BUCKET",
        "HOLDFAST_S3_ENDPOINT",
        "HOLDFAST_S3_REGION",
        "HOLDFAST_SAMPLE",
        "HOLDFAST_SCAN_LANES",
        "HOLDFAST_SIGNING_KEY_FILE",
        "HOLDFAST_STAGE_LIMITS",
        "HOLDFAST_SWEEP_SECONDS",
        "HOLDFAST_TSA_CA_FILE",
        "HOLDFAST_TSA_URL",
        "HOLDFAST_UNDO_SECONDS",
        "HOLDFAST_VAR",
        "HOLDFAST_VAULT_ROOT",
        "HOLDFAST_WEBHOOK_ALLOW_PRIVATE",
        "HOLDFAST_WEB_PROCESSES",
        "HOLDFAST_WEB_THREADS",
        "HOLDFAST_WORKER_MEMORY_MB",
    ]
)
"""Every setting. A test compares the list with what the code reads and what docs/operations.md says."""

OURS = "HOLDFAST_"
_FOR_TESTS = {"HOLDFAST_TESTING"}


class Unreadable(Exception):
    """A secret's file cannot be used. The message says which and why."""


def read_secret_files(environ: MutableMapping[str, str]) -> None:
    """Put the content of each ``NAME_FILE`` in the place of ``NAME``, without the line's end. Raises Unreadable.

    The name of the file goes: what is started from here is given the value, and not two that may differ.
    """
    for name in SECRETS:
        path = environ.get(f"{name}_FILE", "")
        if not path:
            continue
        if environ.get(name):
            raise Unreadable(f"Both {name} and {name}_FILE are set: which one counts? Unset one.")
        try:
            value = Path(path).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            raise Unreadable(f"{name}_FILE names {path}, which does not exist.") from None
        except (OSError, UnicodeDecodeError) as failed:
            why = getattr(failed, "strerror", None) or "it is not text"
            raise Unreadable(f"{name}_FILE names {path}, which cannot be read: {why}.") from None
        if not value:
            raise Unreadable(f"{name}_FILE names {path}, which is empty.")
        environ[name] = value
        del environ[f"{name}_FILE"]


def unread(names: Iterable[str]) -> dict[str, str]:
    """Return the names that look like settings of ours and are none, each with the nearest real one or nothing."""
    known = SETTINGS | {f"{name}_FILE" for name in SECRETS} | _FOR_TESTS
    found = {}
    for name in sorted(set(names) - known):
        of_ours = name.startswith(OURS) or (
            name.endswith("_FILE") and name.removesuffix("_FILE") in SETTINGS
        )
        if of_ours:
            near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.8)
            found[name] = near[0] if near else ""
    return found
