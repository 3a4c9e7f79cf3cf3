"""What the platform tells of many accounts and groups at once: one lock, one statement for each table, one line of the log.

One account or group is many of them, one at a time: there is one way in which a fact is written. What does not change
anything writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from django.db import connection, transaction

from core import bulk
from core.audit import Actor, AuditEvent
from core.errors import Refused
from core.ids import rising_id
from reports.actions.chains import record_intake
from reports.actions.subjects import keep_links, note_changes
from reports.actions.submissions import scan_texts
from reports.audit_directory import ACCOUNT_FIELDS, GROUP_FIELDS, identifier_digest, ip_digest
from reports.choices import PlatformStatus, Surface
from reports.facts import clock_ahead, confirmed, is_stale, new_fact, told_at
from reports.models import Account, AccountIdentifier, Group, IpEvent, Source
from reports.payloads import AccountPayload, GroupPayload, Identifier, IpUse

S = TypeVar("S", Account, Group)
P = TypeVar("P", AccountPayload, GroupPayload)


@dataclass(frozen=True, slots=True)
class Description(Generic[P]):
    """What one line or request says of an account or a group. ``digest`` is that of its meaning, to know it again."""

    external_id: str
    payload: P
    digest: str = ""


@dataclass(slots=True)
class Known(Generic[S]):
    """An account or a group after something was told of it, and what that changed, as the log says it."""

    row: S
    at: datetime
    written_at: datetime
    is_new: bool = False
    changed: dict[str, list[Any]] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    stale: list[str] = field(default_factory=list)
    is_confirmed: bool = False
    clock_ahead: list[str] = field(default_factory=list)

    @property
    def updated_at(self) -> datetime:
        """When a field of it last changed."""
        return self.written_at if self.changed and not self.is_new else self.row.updated_at

    @property
    def is_unchanged(self) -> bool:
        """Return whether nothing was learnt."""
        return not (self.is_new or self.changed or any(self.more.values()))

    def said(self) -> dict[str, Any]:
        """Return what the log says of it."""
        return {"changed": self.changed, "at": self.at.isoformat()} | self.more


@transaction.atomic
def upsert_accounts(
    source: Source, told: Sequence[Description[AccountPayload]], *, actor: Actor
) -> list[Known[Account]]:
    """Create or complete accounts. Members left out stay; identifiers and IP events are added.

    Of an account that is told of twice each mention counts, in their order. Cannot be undone, only corrected by
    another call. Raises Refused for a source that does not speak for the platform.
    """
    check_own_platform(source)

    def apply(known: list[Known[Account]], lines: list[Description[AccountPayload]]) -> None:
        _add_identifiers(known, [line.payload.identifiers for line in lines], source)
        _add_ip_events(known, [line.payload.ip_events for line in lines])
        note_changes(accounts=[each.row for each in known if not each.is_unchanged])
        _scan(source, known, lines, _ACCOUNT_TEXTS, actor)

    events = AuditEvent.ACCOUNT_UPSERTED, AuditEvent.ACCOUNTS_UPSERTED
    return _upsert(Account, ACCOUNT_FIELDS, source, told, actor, events, apply)


@transaction.atomic
def upsert_groups(
    source: Source, told: Sequence[Description[GroupPayload]], *, actor: Actor
) -> list[Known[Group]]:
    """Create or complete groups, as ``upsert_accounts`` does with accounts."""
    check_own_platform(source)

    def apply(known: list[Known[Group]], lines: list[Description[GroupPayload]]) -> None:
        keep_links(
            (each.row.pk, each.row.invite_link)
            for each in known
            if "invite_link" in each.changed and not each.row.is_practice
        )
        note_changes(groups=[each.row for each in known if not each.is_unchanged])
        _scan(source, known, lines, _GROUP_TEXTS, actor)

    events = AuditEvent.GROUP_UPSERTED, AuditEvent.GROUPS_UPSERTED
    return _upsert(Group, GROUP_FIELDS, source, told, actor, events, apply)


_ACCOUNT_TEXTS = {
    Surface.PROFILE_NAME: ("display_name", "username"),
    Surface.PROFILE_TEXT: ("profile_text",),
}
_GROUP_TEXTS = {
    Surface.GROUP_NAME: ("name",),
    Surface.GROUP_DESCRIPTION: ("description",),
}


def _scan(
    source: Source,
    known: Sequence[Known[S]],
    lines: Sequence[Description[P]],
    texts: Mapping[Surface, tuple[str, ...]],
    actor: Actor,
) -> None:
    """Let names and texts that changed be scanned, those of one surface as one item, a line each."""
    scan_texts(
        source,
        [
            (each.row, surface, "\n".join(said))
            for each, line in zip(known, lines, strict=True)
            if line.payload.scan
            for surface, names in texts.items()
            if (
                said := [
                    getattr(each.row, n)
                    for n in names
                    if n in each.changed and getattr(each.row, n).strip()
                ]
            )
        ],
        actor=actor,
    )


def check_own_platform(source: Source) -> None:
    """Refuse whoever does not speak for the platform: the directory is what the platform says of itself.

    What others say of an account stands in their reports, with their name.
    """
    if not source.is_own_platform:
        raise Refused(
            "Only a source that an administrator marked as the platform's own may describe accounts, "
            "groups and memberships. Say what you know in a report.",
            code="not_own_platform",
            status=403,
        )


def locked(model: type[S], external_ids: Iterable[str]) -> tuple[dict[str, S], set[str]]:
    """Return rows by external id, held until the transaction ends, and the ids of those that were not there.

    Those are not made yet. Rows are locked in the order of their ids. FOR NO KEY UPDATE: a report that refers to one
    of them meanwhile does not wait.
    """
    wanted = sorted(set(external_ids))
    rows = model._default_manager.select_for_update(no_key=True)  # noqa: SLF001 — Django's own name
    known = {
        row.external_id: row for row in rows.filter(external_id__in=wanted).order_by("external_id")
    }
    return known, set(wanted) - set(known)


def _upsert(
    model: type[S],
    fields: tuple[str, ...],
    source: Source,
    told: Sequence[Description[P]],
    actor: Actor,
    events: tuple[AuditEvent, AuditEvent],
    apply: Callable[[list[Known[S]], list[Description[P]]], None],
) -> list[Known[S]]:
    """Write what is told of rows and return them in the order told; ``apply`` adds what is not a field of theirs."""
    result: dict[int, Known[S]] = {}
    for numbers in _rounds([one.external_id for one in told]):
        lines = [told[number] for number in numbers]
        known = _write_fields(model, fields, source, lines)
        apply(known, lines)
        record_intake(
            events,
            source,
            [(each.row, each.said()) for each in known if not each.is_unchanged],
            actor=actor,
        )
        result |= dict(zip(numbers, known, strict=True))
    return [result[number] for number in range(len(told))]


def _rounds(names: Sequence[str]) -> Iterator[list[int]]:
    """Yield the places of each name's first mention, then of each second one, and so on."""
    rounds: list[list[int]] = []
    seen: dict[str, int] = {}
    for place, name in enumerate(names):
        turn = seen.get(name, 0)
        seen[name] = turn + 1
        if turn == len(rounds):
            rounds.append([])
        rounds[turn].append(place)
    yield from rounds


def _write_fields(
    model: type[S], fields: tuple[str, ...], source: Source, lines: Sequence[Description[P]]
) -> list[Known[S]]:
    now = database_now()
    found, missing = locked(model, (line.external_id for line in lines))

    def know(line: Description[P], row: S | None) -> Known[S]:
        known = Known(
            row or model(id=rising_id(), external_id=line.external_id),
            told_at(line.payload.as_of, now),
            now,
            is_new=row is None,
            clock_ahead=clock_ahead(line.payload, now),
        )
        _change(known, line, fields, str(source.pk))
        return known

    known = {line.external_id: know(line, found.get(line.external_id)) for line in lines}
    new = [known[external_id] for external_id in sorted(missing)]
    if new:
        made = {row.pk for row in bulk.insert([each.row for each in new], unless_there=True)}
        # Somebody else made it at this moment: what is told completes theirs.
        late = {each.row.external_id for each in new if each.row.pk not in made}
        if late:
            found, _ = locked(model, late)
            known |= {
                line.external_id: know(line, found[line.external_id])
                for line in lines
                if line.external_id in late
            }
    result = [known[line.external_id] for line in lines]
    there = [(each, line) for each, line in zip(result, lines, strict=True) if not each.is_new]
    changed = [each.row for each, _ in there if each.changed]
    bulk.update(changed, [*fields, "facts"], now="updated_at")
    bulk.update(
        [each.row for each, _ in there if each.is_confirmed and not each.changed], ["facts"]
    )
    others = [each.row for each, line in there if each.row.told_digest != line.digest]
    for each, line in there:
        each.row.told_digest = line.digest
    bulk.update(others, ["told_digest"])
    return result


def _change(known: Known[S], line: Description[P], fields: tuple[str, ...], source: str) -> None:
    """Set what is told, differs and is not older than what is known; keep old and new value, for the log."""
    row, payload = known.row, line.payload
    for name in fields:
        value = getattr(payload, name)
        if value is None:
            continue
        fact, before = row.facts.get(name), getattr(row, name)
        if isinstance(value, PlatformStatus):
            value = value.value
        if is_stale(fact, payload.as_of, known.at):
            if value != before:
                known.stale.append(name)
        elif value != before:
            setattr(row, name, value)
            known.changed[name] = [before, value]
            row.facts[name] = new_fact(source, known.at)
        elif payload.as_of is not None and fact and (again := confirmed(fact, known.at)) != fact:
            row.facts[name] = again
            known.is_confirmed = True
    if known.is_new:
        row.told_digest = line.digest


def database_now() -> datetime:
    """Return the database's time: hosts of the application may disagree with each other."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        return cursor.fetchone()[0].astimezone(UTC)


# ── Identifiers and uses of addresses ─────────────────────────────────────────────────────────
_IDENTIFIER_FACTS = ("detail", "verified", "first_seen_at", "last_seen_at")


def _add_identifiers(
    known: Sequence[Known[Account]], told: Sequence[Sequence[Identifier]], source: Source
) -> None:
    """Add what is new of identifiers, and note for the log how many, what differs and each one's digest."""
    wanted = {
        (each.row.pk, one.kind.value, one.value)
        for each, some in zip(known, told, strict=True)
        if not each.is_new
        for one in some
    }
    rows = {(i.account_id, i.kind, i.value): i for i in _identifiers(sorted(wanted))}
    before = {key: _facts_of(row) for key, row in rows.items()}
    mentioned: list[dict[Any, AccountIdentifier]] = []
    for each, some in zip(known, told, strict=True):
        own: dict[Any, AccountIdentifier] = {}
        for one in some:
            key = (each.row.pk, one.kind.value, one.value)
            row = own.get(key) or rows.get(key)
            if row is None:
                row = AccountIdentifier(
                    account=each.row, kind=one.kind.value, value=one.value, detail={}, source=source
                )
            own[key] = row
            # An older telling fills in what nobody said, and says no more.
            is_older = bool(each.stale) and key in rows
            row.detail = one.detail | row.detail if is_older else row.detail | one.detail
            if one.verified is not None and not (is_older and row.verified is not None):
                row.verified = one.verified
            row.first_seen_at = _earliest(row.first_seen_at, one.first_seen_at)
            row.last_seen_at = _latest(row.last_seen_at, one.last_seen_at)
        mentioned.append(own)
    changed = {
        key: fields
        for key, row in rows.items()
        if (
            fields := {
                n: [before[key][n], v] for n, v in _facts_of(row).items() if before[key][n] != v
            }
        )
    }
    bulk.update([rows[key] for key in changed], _IDENTIFIER_FACTS)
    bulk.insert([row for own in mentioned for key, row in own.items() if key not in rows])
    for each, own in zip(known, mentioned, strict=True):
        each.more["identifiers"] = sum(key not in rows for key in own)
        each.more["identifiers_changed"] = {
            str(row.pk): changed[key] for key, row in own.items() if key in changed
        }
        each.more["identifier_facts"] = {
            str(row.pk): identifier_digest(row)
            for key, row in own.items()
            if key in changed or key not in rows
        }


def _identifiers(wanted: Sequence[tuple[Any, str, str]]) -> Iterable[AccountIdentifier]:
    if not wanted:
        return ()
    return AccountIdentifier.objects.raw(
        "SELECT i.* FROM reports_accountidentifier i"
        " JOIN unnest(%s::uuid[], %s::varchar[], %s::varchar[]) AS t(account_id, kind, value)"
        " ON (i.account_id, i.kind, i.value) = (t.account_id, t.kind, t.value)",
        [list(column) for column in zip(*wanted, strict=True)],
    )


def _facts_of(row: AccountIdentifier) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _IDENTIFIER_FACTS}


def _add_ip_events(known: Sequence[Known[Account]], told: Sequence[Sequence[IpUse]]) -> None:
    """Add what is new of uses of addresses. Whoever adds holds the account's row: later rows have higher keys."""
    uses = [
        (each.row.pk, use.kind, use.ip, use.port, use.at, use.user_agent)
        for each, some in zip(known, told, strict=True)
        for use in some
    ]
    added: dict[Any, list[IpEvent]] = {}
    if uses:
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO reports_ipevent (account_id, kind, ip, port, at, user_agent)"
                " SELECT * FROM unnest(%s::uuid[], %s::varchar[], %s::inet[], %s::integer[], %s::timestamptz[],"
                " %s::varchar[]) ON CONFLICT DO NOTHING"
                " RETURNING id, account_id, kind, host(ip), port, at, user_agent",
                [list(column) for column in zip(*uses, strict=True)],
            )
            for pk, account, kind, ip, port, at, user_agent in cursor.fetchall():
                added.setdefault(account, []).append(
                    IpEvent(
                        pk=pk,
                        account_id=account,
                        kind=kind,
                        ip=ip,
                        port=port,
                        at=at,
                        user_agent=user_agent,
                    )
                )
    for each in known:
        events = sorted(added.get(each.row.pk, ()), key=lambda event: event.pk)
        each.more["ip_events"] = len(events)
        each.more["ip_facts"] = ip_digest(events) if events else None


def _earliest(one: datetime | None, other: datetime | None) -> datetime | None:
    return min(one, other) if one and other else one or other


def _latest(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(one, other) if one and other else one or other
