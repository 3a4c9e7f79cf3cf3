"""Start-up checks: refuse to run, or warn, when the installation is not safe. Each has a number and a hint."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004
from django.db import connections

from core import crypto, identity

UPLOAD_HANDLERS = ["core.uploads.VaultUploadHandler"]
TRIGGERS = {
    ("core_auditentry", "holdfast_audit_caller"),
    ("core_auditentry", "holdfast_audit_check"),
    ("core_auditentry", "holdfast_audit_no_change"),
    ("core_auditentry", "holdfast_audit_no_truncate"),
    ("core_auditentry", "holdfast_audit_number"),
    ("core_auditanchor", "holdfast_anchor_no_change"),
    ("core_auditanchor", "holdfast_anchor_stays"),
    ("core_auditanchor", "holdfast_anchor_no_truncate"),
    ("core_audithead", "holdfast_audit_head_guard"),
    ("core_audithead", "holdfast_audit_head_no_truncate"),
}


@register(Tags.security)
def originals_stay_encrypted(**_: Any) -> list[CheckMessage]:
    """E001, E002, E005: nothing writes an upload in clear, nothing prints evidence."""
    found: list[CheckMessage] = []
    if list(settings.FILE_UPLOAD_HANDLERS) != UPLOAD_HANDLERS:
        found.append(
            Error(
                "FILE_UPLOAD_HANDLERS holds something other than the vault's handler.",
                hint=f"Django's handlers write plaintext to disk. Set it to {UPLOAD_HANDLERS!r}.",
                id="core.E001",
            )
        )
    if settings.DEBUG:
        found.append(
            Error(
                "DEBUG is on.",
                hint="Its error pages print local variables, which may hold evidence. Turn it off.",
                id="core.E002",
            )
        )
    vault = settings.STORAGES.get("vault", {}).get("BACKEND", "")
    default = settings.STORAGES.get("default", {}).get("BACKEND", "")
    if not vault or (vault.endswith("InMemoryStorage") and not settings.TESTING):
        found.append(
            Error(
                "STORAGES has no lasting 'vault'.",
                hint="Leave it a folder (HOLDFAST_VAULT_ROOT) or set HOLDFAST_S3_BUCKET.",
                id="core.E005",
            )
        )
    if not default.endswith("InMemoryStorage"):
        found.append(
            Error(
                "STORAGES['default'] could keep files outside the vault.",
                hint="Leave it an InMemoryStorage: nothing may use it.",
                id="core.E006",
            )
        )
    return found


@register(Tags.security)
def no_second_writer(**_: Any) -> list[CheckMessage]:
    """E003: Django's admin would write case data without rules and without the audit log."""
    if "django.contrib.admin" in settings.INSTALLED_APPS:
        return [
            Error(
                "Django's admin is installed.",
                hint="It is a second, unaudited writer. Remove it from INSTALLED_APPS.",
                id="core.E003",
            )
        ]
    return []


@register(Tags.security)
def keys_are_private(**_: Any) -> list[CheckMessage]:
    """E004, W001: the key ring is there, readable, and nobody else's business."""
    try:
        crypto.key_ring()
    except crypto.KeyRingError as failed:
        absent = not Path(settings.HOLDFAST_KEYRING).exists() and not os.environ.get(
            "HOLDFAST_MASTER_KEYS"
        )
        kind, number = (Warning, "core.W001") if absent else (Error, "core.E004")
        return [kind(str(failed), hint="Run manage.py init_keys, or restore the file.", id=number)]
    if not crypto.ring_is_private():
        return [
            Error(
                "Other users of this machine may read the master key ring.",
                hint=f"chmod 600 {settings.HOLDFAST_KEYRING}; a group may read it (640) where root owns it.",
                id="core.E004",
            )
        ]
    return []


@register(Tags.security, deploy=True)
def secrets_last(**_: Any) -> list[CheckMessage]:
    """E007, E008: secrets that a restart would lose sign nothing that must hold."""
    found: list[CheckMessage] = []
    if not identity.has_lasting_secret():
        found.append(
            Error(
                "SECRET_KEY is made up anew at each start.",
                hint="Run manage.py prepare, which makes it, or set SECRET_KEY_FILE. Otherwise each process has its own, and sign-ins fail.",
                id="core.E007",
            )
        )
    try:
        crypto.key_ring()
    except crypto.KeyRingError as failed:
        found.append(
            Error(str(failed), hint="Without it no original can be stored or read.", id="core.E008")
        )
    return found


@register(Tags.database)
def audit_log_is_guarded(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """E010: the triggers that keep the audit log append-only exist and are switched on."""
    if not databases or "default" not in databases:
        return []
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT to_regclass('core_auditentry'), to_regclass('core_audithead')")
        if None in cursor.fetchone():
            return []  # Not migrated yet.
        cursor.execute(
            "SELECT tgrelid::regclass::text, tgname FROM pg_trigger"
            " WHERE NOT tgisinternal AND tgenabled IN ('O', 'A')"
            " AND starts_with(tgname, 'holdfast_')"
        )
        missing = TRIGGERS - set(cursor.fetchall())
        if missing and not _is_recorded(cursor):
            return []
    if missing:
        names = ", ".join(sorted(name for _, name in missing))
        return [
            Error(
                f"The audit log's triggers are missing or switched off: {names}.",
                hint="Somebody with the owner's rights did this. Find out who, run verify_audit, "
                "then ALTER TABLE … ENABLE TRIGGER.",
                id="core.E010",
            )
        ]
    return []


def _is_recorded(cursor: Any) -> bool:
    cursor.execute(
        "SELECT 1 FROM django_migrations WHERE app = 'core' AND name = '0008_audit_numbers'"
    )
    return cursor.fetchone() is not None


@register(Tags.database, deploy=True)
def application_role_is_bound(
    databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """E011: the application's role cannot switch the triggers off."""
    if not databases or "default" not in databases:
        return []
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT r.rolsuper, pg_has_role(current_user, c.relowner, 'MEMBER')"
            " FROM pg_class c, pg_roles r"
            " WHERE c.oid = to_regclass('core_auditentry') AND r.rolname = current_user"
        )
        found = cursor.fetchone()
    if found is not None and any(found):
        return [
            Error(
                "The application connects as the owner of the audit log, or as a superuser.",
                hint="Create a role of its own, run manage.py grant_app_role as the owner, and put "
                "the new role into DATABASE_URL.",
                id="core.E011",
            )
        ]
    return []


@register(Tags.database, deploy=True)
def application_role_makes_no_tables(
    databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """E012: a temporary table of the application's role could be taken for a real one."""
    if not databases or "default" not in databases:
        return []
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT has_database_privilege(current_database(), 'TEMPORARY')")
        may = cursor.fetchone()[0]
    if may:
        return [
            Error(
                "The application's role may make temporary tables, which a statement could take for the real ones.",
                hint="As the owner of the database: REVOKE TEMPORARY ON DATABASE ... FROM PUBLIC; manage.py "
                "grant_app_role does it where it may.",
                id="core.E012",
            )
        ]
    return []
