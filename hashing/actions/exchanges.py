"""Exchanges: setting them up, and taking what they say page by page."""

from __future__ import annotations

import json
import uuid
from collections.abc import Container
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit import Actor, AuditEvent
from core.crypto import seal, unseal
from core.errors import Invalid, Refused
from core.jobs import enqueue
from core.leases import LEASE, kept
from hashing.actions.hash_lists import content_changed, create_hash_list, raise_version
from hashing.csv_lists import check_listable, normalised
from hashing.exchanges import FIELDS, OPTIONAL, Page
from hashing.models import (
    Exchange,
    ExchangeKind,
    ExchangeRecord,
    ExchangeRun,
    HashEntry,
    HashList,
)

__all__ = [
    "begin_fetch",
    "change_exchange",
    "create_exchange",
    "due_exchanges",
    "end_fetch",
    "exchange_credentials",
    "fetch_now",
    "pause_exchange",
    "record_connection_test",
    "reseal_exchanges",
    "resume_exchange",
    "take_page",
]

_SAMPLE = 50
_ADDRESSES = ("url", "base_url")
"""Settings that say where the secrets go."""
TYPE_AGAIN = (
    "The address leads to another place. Put this in again: the one kept is not sent there."
)


@transaction.atomic
def create_exchange(
    *,
    kind: str,
    name: str,
    category: str,
    values: dict[str, str],
    actor: User,
    every_minutes: int = 60,
) -> Exchange:
    """Set up an exchange with a list of its own. Nothing is contacted before its schedule or *fetch now*.

    Raises Invalid. Can be undone by ``pause_exchange``; the list can be switched off.
    """
    require(actor, Permission.HASHING_EXCHANGES_MANAGE)
    if kind not in ExchangeKind.values:
        raise Invalid({"kind": ["Choose a kind."]})
    name = name.strip()
    open_values, secrets_ = _split(kind, values)
    _check_schedule(every_minutes)
    if Exchange.objects.filter(name=name).exists():
        raise Invalid({"name": ["There is an exchange of this name already."]})
    hash_list = create_hash_list(
        name=name, category=category, origin=ExchangeKind(kind).label, actor=actor
    )
    HashList.objects.filter(pk=hash_list.pk).update(kind="exchange")
    exchange = Exchange(
        kind=kind,
        name=name,
        hash_list=hash_list,
        settings=open_values,
        every_minutes=every_minutes,
        changed_by=actor,
    )
    exchange.sealed_credentials = seal(json.dumps(secrets_).encode(), _context(exchange))
    exchange.save(force_insert=True)
    audit.record(
        AuditEvent.EXCHANGE_CREATED, actor=actor, subject=exchange, kind=kind, hash_list=hash_list
    )
    exchange.refresh_from_db()
    return exchange


@transaction.atomic
def change_exchange(
    exchange: Exchange, *, values: dict[str, str], every_minutes: int, actor: User
) -> Exchange:
    """Change settings and schedule; a secret that is left empty stays. Raises Invalid. Undone by another change.

    With another host secrets have to be typed again: whoever changes the address alone must not receive them.

    Whoever names the place or the account that hashes come from decides what is on the list: if it acts
    automatically, it does no longer, and two people have to want that again.
    """
    require(actor, Permission.HASHING_EXCHANGES_MANAGE)
    exchange = Exchange.objects.select_for_update(no_key=True).get(pk=exchange.pk)
    _check_schedule(every_minutes)
    known = exchange_credentials(exchange)
    kept = {key: values.get(key) or known.get(key, "") for key in FIELDS[exchange.kind]}
    moved = any(
        _origin(values[at]) != _origin(known.get(at)) for at in _ADDRESSES if values.get(at)
    )
    secret = [key for key, (_, is_secret, _) in FIELDS[exchange.kind].items() if is_secret]
    untyped = [key for key in secret if kept[key] and not values.get(key)]
    if moved and untyped:
        raise Invalid({key: [TYPE_AGAIN] for key in untyped})
    if base := values.get("base_url") or known.get("base_url"):
        kept["base_url"] = (
            base  # Not on the form: where a test environment is, if somebody set it up so.
        )
    open_values, secrets_ = _split(exchange.kind, kept)
    exchange.settings, exchange.every_minutes = open_values, every_minutes
    exchange.sealed_credentials = seal(json.dumps(secrets_).encode(), _context(exchange))
    exchange.changed_by = actor
    exchange.save()
    if {**known, **open_values, **secrets_} != known:
        hash_list = HashList.objects.select_for_update(no_key=True).get(pk=exchange.hash_list_id)
        content_changed(
            hash_list, what="changed where its exchange fetches from", by=actor, ends=True
        )
    audit.record(
        AuditEvent.EXCHANGE_CHANGED,
        actor=actor,
        subject=exchange,
        every_minutes=every_minutes,
        secrets_changed=sorted(key for key in secrets_ if values.get(key)),
    )
    return exchange


@transaction.atomic
def pause_exchange(exchange: Exchange, *, actor: User) -> Exchange:
    """Contact an exchange no more; its list stays as it is. Can be undone by ``resume_exchange``."""
    require(actor, Permission.HASHING_EXCHANGES_MANAGE)
    return _switch(exchange, is_active=False, actor=actor)


@transaction.atomic
def resume_exchange(exchange: Exchange, *, actor: User) -> Exchange:
    """Contact an exchange by its schedule again. Can be undone by ``pause_exchange``."""
    require(actor, Permission.HASHING_EXCHANGES_MANAGE)
    return _switch(exchange, is_active=True, actor=actor)


@transaction.atomic
def fetch_now(exchange: Exchange, *, actor: User) -> Exchange:
    """Fetch at once. Raises Refused while it pauses or is being fetched. Cannot be undone."""
    require(actor, Permission.HASHING_EXCHANGES_MANAGE)
    exchange = Exchange.objects.select_for_update(no_key=True).get(pk=exchange.pk)
    if not exchange.is_active:
        raise Refused("This exchange pauses. Resume it first.", code="paused")
    if Exchange.objects.filter(pk=exchange.pk, leased_until__gt=Now()).exists():
        raise Refused("It is being fetched at this moment.", code="fetching")
    Exchange.objects.filter(pk=exchange.pk).update(due_at=Now(), failures=0)
    audit.record(AuditEvent.EXCHANGE_FETCH_ASKED, actor=actor, subject=exchange)
    enqueue("fetch_exchange", exchange.pk)
    return exchange


def record_connection_test(exchange: Exchange, *, came_to: str, actor: User) -> None:
    """Note that somebody tested the connection."""
    require(actor, Permission.HASHING_EXCHANGES_MANAGE)
    audit.record(AuditEvent.EXCHANGE_TESTED, actor=actor, subject=exchange, came_to=came_to[:200])


def due_exchanges() -> QuerySet[Exchange]:
    """Return the exchanges that are due and that nobody fetches."""
    return Exchange.objects.filter(is_active=True, due_at__lte=Now()).filter(
        Q(leased_until=None) | Q(leased_until__lte=Now())
    )


@transaction.atomic
def begin_fetch(exchange: Exchange) -> tuple[Exchange, ExchangeRun] | None:
    """Take an exchange for fetching; None if it is not due or somebody has it."""
    taken = (
        due_exchanges()
        .select_for_update(no_key=True, skip_locked=True, of=("self",))
        .select_related("hash_list")
        .filter(pk=exchange.pk)
        .first()
    )
    if taken is None:
        return None
    taken.lease = uuid.uuid4()
    Exchange.objects.filter(pk=taken.pk).update(lease=taken.lease, leased_until=Now() + LEASE)
    return taken, ExchangeRun.objects.create(exchange=taken, is_cut=True)


def keep_fetch(exchange: Exchange) -> AbstractContextManager[None]:
    """Keep an exchange that was taken for fetching from others while the block fetches and its process lives."""
    rows = Exchange.objects.filter(pk=exchange.pk, lease=exchange.lease)
    return kept(rows, field="leased_until")


@transaction.atomic
def take_page(exchange: Exchange, run: ExchangeRun, page: Page) -> bool:
    """Put a page's updates on the list and keep its checkpoint, in one transaction. Safe to repeat.

    A digest that is not well formed and a record that cannot be read are counted and named, never stored, and what
    is known of such a record stays; so does one of which some value is not known, which is named. An id that stands
    on several pages of a fetch is one record with all its digests; a fetch that was cut off goes on in the next run.
    A record's digests that it no longer has, and those of a withdrawn one, are retired unless another record of the
    exchange holds them. Returns False when the exchange was paused or is somebody else's by now.
    """
    known = (
        Exchange.objects.select_for_update(no_key=True)
        .filter(pk=exchange.pk, lease=exchange.lease, is_active=True)
        .first()
    )
    if known is None:
        return False
    hash_list = HashList.objects.select_for_update(no_key=True).get(pk=known.hash_list_id)
    good: dict[str, list[tuple[str, str, str]]] = {}
    gone: list[str] = []
    rejected: list[dict[str, str]] = []
    named: list[dict[str, str]] = []
    unsure: set[str] = set()
    unsupported = 0
    for update in page.updates:
        unsupported += len(update.unsupported)
        id_ = update.id[:80]
        named += [{"id": id_, "reason": f"Not known here, and kept: {odd}."} for odd in update.odd]
        if update.trouble:
            rejected.append({"id": id_, "reason": update.trouble[:200]})
            unsure.add(update.id)
            continue
        if update.is_withdrawn:
            gone.append(update.id)
            good.pop(update.id, None)
            continue
        rows = []
        for algorithm, value in update.digests:
            try:
                if "\n" in value or "\r" in value:
                    raise ValueError("The value holds a line end.")  # noqa: TRY301
                row = normalised(algorithm, value)
                check_listable(*row)
                rows.append((*row, update.note))
            except ValueError as wrong:
                rejected.append({"id": id_, "reason": str(wrong)[:200]})
                unsure.add(update.id)
        good.setdefault(update.id, []).extend(rows)
        if update.id in gone:
            gone.remove(update.id)
    raise_version(hash_list)
    added = _add(known, run, hash_list, good)
    withdrawn = _withdraw(known, hash_list, [*gone], keep={})
    withdrawn += _withdraw(
        known,
        hash_list,
        [id_ for id_ in good if id_ not in unsure],
        keep=good,
        keep_of=run.runs_of_fetch(),
    )
    if page.is_whole:
        old = known.records.exclude(run=run).values_list("remote_id", flat=True).distinct()
        withdrawn += _withdraw(known, hash_list, list(old), keep={})
    counts = {
        "added": added,
        "withdrawn": withdrawn,
        "rejected": len(rejected),
        "unsupported": unsupported,
    }
    ExchangeRun.objects.filter(pk=run.pk).update(
        pages=F("pages") + 1,
        records=F("records") + len(page.updates),
        **{name: F(name) + count for name, count in counts.items()},
    )
    # What was refused is named before what is only odd.
    run.rejected_sample = [*run.rejected_sample, *rejected, *named][:_SAMPLE]
    ExchangeRun.objects.filter(pk=run.pk).update(
        rejected_sample=run.rejected_sample, odd=F("odd") + len(named)
    )
    Exchange.objects.filter(pk=known.pk).update(
        checkpoint=dict(page.checkpoint) or known.checkpoint,
        leased_until=Now() + LEASE,
        **{name: F(name) + count for name, count in counts.items()},
    )
    return True


def _add(
    exchange: Exchange,
    run: ExchangeRun,
    hash_list: HashList,
    good: dict[str, list[tuple[str, str, str]]],
) -> int:
    wanted = {(a, v): note for rows in good.values() for a, v, note in rows}
    if not wanted:
        return 0
    before = HashEntry.objects.filter(hash_list=hash_list, retired_at=None).count()
    HashEntry.objects.bulk_create(
        [
            HashEntry(
                hash_list=hash_list,
                algorithm=algorithm,
                value=value,
                note=note,
                list_version=hash_list.version,
            )
            for (algorithm, value), note in sorted(wanted.items())
        ],
        ignore_conflicts=True,
        batch_size=5000,
    )
    values = {value for _, value in wanted}
    rows = HashEntry.objects.filter(hash_list=hash_list, value__in=values)
    entries = {(row.algorithm, row.value): row for row in rows}
    # What the exchange itself had withdrawn comes back with it; what a person retired stays retired.
    back = [
        row.pk
        for key, row in entries.items()
        if key in wanted and row.retired_at is not None and row.retired_reason == _reason(exchange)
    ]
    HashEntry.objects.filter(pk__in=back).update(
        retired_at=None, retired_reason="", list_version=hash_list.version
    )
    ExchangeRecord.objects.bulk_create(
        [
            ExchangeRecord(
                exchange=exchange, remote_id=remote, entry=entries[algorithm, value], run=run
            )
            for remote, digests in good.items()
            for algorithm, value, _ in digests
        ],
        update_conflicts=True,
        unique_fields=["exchange", "remote_id", "entry"],
        update_fields=["run"],
        batch_size=5000,
    )
    return HashEntry.objects.filter(hash_list=hash_list, retired_at=None).count() - before


def _withdraw(
    exchange: Exchange,
    hash_list: HashList,
    remote_ids: list[str],
    *,
    keep: dict[str, list[tuple[str, str, str]]],
    keep_of: Container[int | None] = (),
) -> int:
    """Take digests off records, but those to ``keep`` and those that these runs put there; return how many retired."""
    stale = []
    for row in ExchangeRecord.objects.filter(
        exchange=exchange, remote_id__in=remote_ids
    ).select_related("entry"):
        kept = {(algorithm, value) for algorithm, value, _ in keep.get(row.remote_id, [])}
        if (row.entry.algorithm, row.entry.value) not in kept and row.run_id not in keep_of:
            stale.append(row)
    ExchangeRecord.objects.filter(pk__in=[row.pk for row in stale]).delete()
    entries = {row.entry_id for row in stale}
    held = set(
        ExchangeRecord.objects.filter(exchange=exchange, entry__in=entries).values_list(
            "entry", flat=True
        )
    )
    return HashEntry.objects.filter(pk__in=entries - held, retired_at=None).update(
        retired_at=Now(), retired_reason=_reason(exchange), list_version=hash_list.version
    )


def _reason(exchange: Exchange) -> str:
    return f"Withdrawn by {exchange.get_kind_display()}."


@transaction.atomic
def end_fetch(
    exchange: Exchange,
    run: ExchangeRun,
    *,
    problem: str = "",
    wait: float = 0.0,
    is_cut: bool = False,
    actor: Actor = audit.SYSTEM,
) -> None:
    """Record how a fetch ended, and when the next one is due: by schedule, or after a growing pause.

    ``is_cut``: there was more, and the next one goes on. Not before ``wait`` seconds: the exchange asked for it.
    """
    known = Exchange.objects.select_for_update(no_key=True).get(pk=exchange.pk)
    ExchangeRun.objects.filter(pk=run.pk).update(
        ended_at=Now(), problem=problem[:300], is_cut=is_cut or bool(problem)
    )
    if known.lease != exchange.lease:
        return
    failures = known.failures + 1 if problem else 0
    pause = timedelta(
        minutes=min(known.every_minutes, 5 * 2 ** min(failures - 1, 8))
        if problem
        else known.every_minutes
    )
    pause = max(pause, timedelta(seconds=wait))
    changes: dict[str, Any] = {
        "lease": None,
        "leased_until": None,
        "due_at": Now() + pause,
        "failures": failures,
        "last_error": problem[:300],
    }
    if not problem:
        changes["last_success_at"] = Now()
    Exchange.objects.filter(pk=known.pk).update(**changes)
    run.refresh_from_db()
    audit.record(
        AuditEvent.EXCHANGE_FETCHED,
        actor=actor,
        subject=exchange,
        run=run.pk,
        added=run.added,
        withdrawn=run.withdrawn,
        rejected=run.rejected,
        problem=problem,
    )


def exchange_credentials(exchange: Exchange) -> dict[str, str]:
    """Return settings and secrets together. Never show or log them. Raises Unsealable."""
    opened = unseal(bytes(exchange.sealed_credentials or b""), _context(exchange))
    return {**exchange.settings, **json.loads(opened)}


def reseal_exchanges() -> int:
    """Seal every exchange's secrets with the current master key; return how many. Safe to repeat."""
    done = 0
    for pk in list(Exchange.objects.values_list("pk", flat=True)):
        with transaction.atomic():
            exchange = Exchange.objects.select_for_update().get(pk=pk)
            context = _context(exchange)
            opened = unseal(bytes(exchange.sealed_credentials or b""), context)
            exchange.sealed_credentials = seal(opened, context)
            exchange.save(update_fields=["sealed_credentials"])
            done += 1
    return done


def _context(exchange: Exchange) -> bytes:
    return f"exchange:{exchange.pk}".encode()


def _switch(exchange: Exchange, *, is_active: bool, actor: User) -> Exchange:
    exchange = Exchange.objects.select_for_update(no_key=True).get(pk=exchange.pk)
    if exchange.is_active == is_active:
        raise Refused(
            "It is contacted by its schedule." if is_active else "It pauses already.", code="state"
        )
    exchange.is_active = is_active
    Exchange.objects.filter(pk=exchange.pk).update(
        is_active=is_active, changed_by=actor, failures=0, due_at=Now()
    )
    audit.record(AuditEvent.EXCHANGE_CHANGED, actor=actor, subject=exchange, is_active=is_active)
    return exchange


def _split(kind: str, values: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    errors = {
        key: ["Fill this in."]
        for key in FIELDS[kind]
        if not values.get(key) and key not in OPTIONAL and key != "environment"
    }
    if errors:
        raise Invalid(errors)
    open_values = {
        k: values.get(k, "").strip() for k, (_, secret, _) in FIELDS[kind].items() if not secret
    }
    if values.get("base_url"):
        open_values["base_url"] = values["base_url"]
    return open_values, {
        k: values.get(k, "") for k, (_, secret, _) in FIELDS[kind].items() if secret
    }


def _origin(url: str | None) -> tuple[str, str]:
    parts = urlsplit(url or "")
    return parts.scheme.lower(), parts.netloc.lower()


def _check_schedule(every_minutes: int) -> None:
    if not 5 <= every_minutes <= 43_200:
        raise Invalid({"every_minutes": ["Use 5 minutes to 30 days (43,200 minutes)."]})
