"""Everything that can be wrong with an installation, one line each: for ``manage.py doctor`` and ``/healthz?deep=1``."""

from __future__ import annotations

import platform
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import redis
from django.apps import apps
from django.conf import settings
from django.core import checks
from django.db import DatabaseError, connection
from django.db.models import Max
from django.db.models.functions import Now

from core import crypto, disk, identity, jobs, schema, stages
from core.checks import application_role_is_bound, application_role_makes_no_tables
from core.errors import describe, in_words
from core.models import Heartbeat
from core.valkey_link import valkey

OK, WARNING, FAULT = "ok", "warning", "fault"

CLOCKS_APART = timedelta(seconds=5)
"""How far the clocks of this machine and of the database may be apart: second factors allow 30 s either way."""

OLDEST_POSTGRESQL = 140000
OLDEST_VALKEY = 7


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: ``state`` is ok, warning or fault; ``says`` one sentence."""

    topic: str
    state: str
    says: str


def examine() -> Iterator[Finding]:
    """Look at everything. A part that cannot be looked at is a finding, never an exception."""
    for topic, look in _LOOKS.items():
        try:
            yield from (Finding(topic, state, says) for state, says in look())
        except DatabaseError as failed:
            yield Finding(topic, FAULT, f"The database does not answer ({describe(failed)}).")
        except Exception as failed:  # noqa: BLE001 — the other lines matter all the more
            yield Finding(topic, FAULT, f"This could not be looked at ({describe(failed)}).")


Said = Iterator[tuple[str, str]]


def _database() -> Said:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, current_database()")
        user, name = cursor.fetchone()
    yield OK, f"The database “{name}” answers to {user}."
    # These two are deployment checks for Django; here they are asked everywhere.
    for bound in (application_role_is_bound, application_role_makes_no_tables):
        for message in bound(databases=["default"]):
            yield FAULT, f"{message.msg} {message.hint} ({message.id})"


def _schema() -> Said:
    try:
        schema.check_start()
    except schema.Misfit as misfit:
        yield FAULT, str(misfit)
    found = schema.differences(apps)
    for each in found[:20]:
        yield FAULT, f"{each[0].upper()}{each[1:]}."
    if len(found) > 20:
        yield FAULT, f"{len(found) - 20} more differences between tables and models."
    if not found:
        yield OK, "Every table, column, constraint and index that the models name is there."


def _migrations() -> Said:
    missing, unknown = schema.missing_migrations(), schema.unknown_migrations()
    if missing:
        yield FAULT, f"Not applied: {', '.join(missing)}. Run manage.py prepare."
    if unknown:
        yield (
            WARNING,
            f"Applied by a newer version, which only added to the tables: {', '.join(unknown)}.",
        )
    if not missing and not unknown:
        yield OK, "All migrations of this code are applied, and no others."


def _keys() -> Said:
    try:
        ring = crypto.key_ring()
    except crypto.KeyRingError as failed:
        yield FAULT, f"{failed} Without it no original can be stored or read."
        return
    names = identity.key_names()
    differs = list(identity.differences())
    for difference in differs:
        yield FAULT, difference.says
    # What differs says it already; without a difference an original may still have been changed.
    wrong = [] if differs else [name for name in names if not identity.opens_one(name)]
    for name in wrong:
        yield (
            FAULT,
            f"The master key “{name}” does not open the originals that it sealed.",
        )
    for difference in identity.public_differences():
        yield WARNING, difference.says
    if not crypto.ring_is_private():
        yield FAULT, "Other users of this machine may read the master key ring."
    if not wrong and not differs:
        yield (
            OK,
            f"The key ring is readable; it opens originals of {len(names) or 'no'} key(s), new ones get “{ring.current}”.",
        )


def _disk() -> Said:
    for space in disk.spaces():
        left = f"{in_words(space.free)} of {in_words(space.total)} left at {space.path}"
        state = FAULT if space.is_full else OK
        yield (
            state,
            f"The disk that holds {space.holds} {'is full' if space.is_full else 'has room'}: {left}.",
        )
    for holds in disk.met():
        yield FAULT, f"Within the last two minutes the disk that holds {holds} was found full."


def _clock() -> Said:
    now = stages.database_now()
    apart = abs(now - datetime.now(UTC))
    if apart > CLOCKS_APART:
        yield (
            WARNING,
            f"The clocks of the database and of this machine are {stages.duration(apart)} apart.",
        )
    jump = clock_jump()
    if jump:
        yield FAULT, jump
    if not jump and apart <= CLOCKS_APART:
        yield OK, "The clocks of the database and of this machine agree."


def clock_jump() -> str:
    """Return that the database's clock was put back and how far, or an empty text.

    Signs of life are written with its clock: one that lies ahead of it was written before the jump.
    """
    latest = Heartbeat.objects.filter(at__gt=Now() + jobs.CLOCK_SLACK).aggregate(at=Max("at"))["at"]
    if latest is None:
        return ""
    back = stages.duration(latest - stages.database_now())
    return (
        f"The clock of the database was put back by about {back}. Work goes on; times written before lie "
        "ahead. Keep the clock of the database's machine in step (NTP)."
    )


def _versions() -> Said:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        number = int(cursor.fetchone()[0])
    shown = f"PostgreSQL {number // 10000}.{number % 10000}"
    yield (OK if number >= OLDEST_POSTGRESQL else FAULT), f"{shown} (14 or newer is needed)."
    yield OK, f"Holdfast {code_version()}, Python {platform.python_version()} on {sys.platform}."


def code_version() -> str:
    """Return the version of this code, from its project file."""
    with (Path(settings.BASE_DIR) / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def _valkey() -> Said:
    try:
        link = valkey()
        about = link.info("server")
        version = str(about.get("valkey_version") or about.get("redis_version"))
        link.set("holdfast.doctor", "1", ex=5)
    except (redis.RedisError, OSError) as failed:
        if (holds := disk.full_disk(failed)) is not None:
            yield FAULT, f"Valkey takes no wake-ups: the disk that holds {holds} is full."
        else:
            yield (
                FAULT,
                f"Valkey cannot be used ({describe(failed)}): reports are taken, no work is done.",
            )
        return
    is_new = int(version.partition(".")[0]) >= OLDEST_VALKEY
    yield (
        (OK if is_new else FAULT),
        f"Valkey {version} answers and takes writes (7 or newer is needed).",
    )


def _scheduler() -> Said:
    grace = timedelta(seconds=max(30, settings.HOLDFAST_SWEEP_SECONDS * 6))
    last = Heartbeat.objects.filter(kind=Heartbeat.Kind.SCHEDULER).order_by("-at").first()
    if last is None or last.at < stages.database_now() - grace:
        since = f"since {last.at:%Y-%m-%d %H:%M:%S} UTC" if last else "and never did"
        yield FAULT, f"The scheduler does not run ({since}): lost work is not found again."
    else:
        yield OK, "The scheduler runs."
    for beat in Heartbeat.objects.filter(kind=Heartbeat.Kind.SWEEP, detail__has_key="error"):
        if beat.name in settings.HOLDFAST_SWEEPS:
            words = stages.failure_in_words(beat.detail["error"])
            yield (
                FAULT,
                f"The sweep {beat.name} fails since {beat.detail.get('failing_since')}: {words}.",
            )


def _work() -> Said:
    late = [found for found in stages.measure() if found.is_late]
    for found in late:
        yield FAULT, found.advice
    if not late:
        yield OK, "No stage has waited longer than its limit."
    for sentence in jobs.problems():
        yield FAULT, sentence
    for record in stages.records().values():
        if record.failures:
            yield (
                WARNING,
                f"The job {record.name} failed {record.failures} time(s) since its last success: {record.in_words}.",
            )


def _system_checks() -> Said:
    found = checks.run_checks(databases=["default"])
    for message in found:
        if message.level >= checks.WARNING and not message.is_silenced():
            state = FAULT if message.level >= checks.ERROR else WARNING
            hint = f" {message.hint}" if message.hint else ""
            yield state, f"{message.msg}{hint} ({message.id})"
    if not found:
        yield OK, "Django's and Holdfast's own checks, the sandbox among them, find nothing."


_LOOKS: dict[str, Callable[[], Said]] = {
    "database": _database,
    "schema": _schema,
    "migrations": _migrations,
    "keys": _keys,
    "disk": _disk,
    "valkey": _valkey,
    "scheduler": _scheduler,
    "work": _work,
    "clock": _clock,
    "versions": _versions,
    "checks": _system_checks,
}
