"""What is known of many groups or accounts at once, as ``hashing.risk`` counts it. Reads only.

Each fact is one statement for the whole batch, so that a million memberships are a few thousand statements.
What a decision found not violating does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from hashing.models import FlagKind
from hashing.risk import AccountFacts, GroupFacts
from reports.practice import MARK

__all__ = [
    "BANNED",
    "GONE",
    "REPORT_DAYS",
    "account_facts",
    "group_facts",
    "moved_in",
    "outward_of",
]

BANNED = ("banned", "suspended", "disabled", "removed")
"""What platforms call an account that may not be used any more (lower case)."""
GONE = (*BANNED, "closed", "deleted")
REPORT_DAYS = 90
"""Reports count for this long."""
RECENT_DAYS = 7
IP_DAYS = 30
SHARED_BY_MOST = 50
"""Devices, addresses and number blocks with more accounts than this say nothing: a carrier's address, a device
id that an app fills with zeros. It also bounds the work for each of them."""

THINGS_OF_ONE = 200
"""Devices, addresses or numbers of one account that are compared with those of others in its group."""

_TEXT_KINDS = (FlagKind.TERM_MATCH, FlagKind.CLASSIFIER)
_HIT = "f.kind = 'hash_match' AND f.score >= 0.5"
"""A weak match (a picture with little detail) is no known material."""

# Of the verdicts about an item the newest counts: decisions are overturned. Each is asked for by its item, as a value:
# as a join, a planner that last saw the tables empty compares each verdict with each, for each item.
_LAST = """
    (SELECT (array_agg(w.{field} ORDER BY w.decided_at DESC, w.id DESC))[1]
        FROM hashing_verdict w WHERE w.item_id = {item})
"""
_NEWEST = f"v.id = {_LAST.format(field='id', item='v.item_id')}"
_STANDS = f"{_LAST.format(field='is_violation', item='i.id')} IS NOT FALSE"

# A finding stands on a surface of its own, or in what was reported of it; a reporter's words are neither.
_WHERE = ("own", "sent")
_TEXT = "max(score) FILTER (WHERE place = '{place}' AND is_text AND kind = ANY(%(texts)s))"
_PHOTO = (
    "max(score) FILTER (WHERE place = '{place}' AND NOT is_text "
    "AND (kind = 'classifier' OR (kind = 'note' AND is_priority)))"
)
_SUREST = ", ".join(each.format(place=place) for each in (_TEXT, _PHOTO) for place in _WHERE)
_FOUND = f"""
    i.id AS item, i.kind = 'text' AS is_text, f.score, f.kind,
    CASE i.surface WHEN 'reported_message' THEN 'sent' WHEN 'report_description' THEN '' ELSE 'own' END AS place,
    f.evidence @> '{{"priority": true}}' AS is_priority, {_HIT} AS is_hit
"""

_GROUP_FLAGS = f"""
    SELECT owner, {_SUREST}, count(DISTINCT item) FILTER (WHERE is_hit)
    FROM (
        SELECT i.group_id AS owner, {_FOUND}
        FROM reports_item i JOIN hashing_flag f ON f.item_id = i.id AND f.superseded_at IS NULL
        WHERE i.group_id = ANY(%(ids)s) AND {_STANDS}
    ) found GROUP BY owner
"""  # noqa: S608 — constants of this module

_MEMBERS = f"""
    SELECT m.group_id,
        count(*) FILTER (WHERE m.left_at IS NULL),
        count(*) FILTER (WHERE m.left_at IS NULL AND r.is_banned),
        count(*) FILTER (WHERE m.left_at IS NULL AND r.is_reported AND NOT r.is_banned),
        count(*) FILTER (WHERE m.left_at IS NULL AND r.is_hit),
        count(*) FILTER (WHERE m.left_at IS NULL AND r.is_linked AND NOT r.is_banned),
        count(*) FILTER (WHERE m.left_at IS NULL
            AND m.joined_at >= now() - interval '{RECENT_DAYS} days' AND m.joined_at <= now()),
        count(*) FILTER (WHERE m.left_at >= now() - interval '{RECENT_DAYS} days'
            AND m.left_at <= now())
    FROM reports_membership m LEFT JOIN hashing_riskscore r ON r.account_id = m.account_id
    WHERE m.group_id = ANY(%(ids)s)
    GROUP BY m.group_id
"""  # noqa: S608

_REPORTERS = f"""
    SELECT {{subject}}, count(DISTINCT coalesce(
        reporter_account_id::text,
        CASE WHEN reporter_ref <> '' THEN source_id::text || ':' || reporter_ref END,
        source_id::text))
    FROM reports_report
    WHERE {{subject}} = ANY(%(ids)s) AND NOT scan_only
        AND received_at >= now() - make_interval(days => %(days)s)
        AND (SELECT coalesce(bool_and({_STANDS}), TRUE)
            FROM reports_item i WHERE i.report_id = reports_report.id)
    GROUP BY {{subject}}
"""  # noqa: S608

# What test keys say of accounts, groups and files of practice says nothing of the platform's.
_LIVE_ITEM = (
    "o.source_id NOT IN (SELECT p.id FROM reports_source p WHERE p.practice_of_id IS NOT NULL)"
)
_LIVE = f"AND NOT EXISTS (SELECT FROM reports_account p WHERE p.id = {{}}.account_id AND left(p.external_id, 1) = '{MARK}')"

_LISTINGS = """
    SELECT g.group_id, count(DISTINCT l.place)
    FROM reports_grouplink g JOIN hashing_listedlink l ON l.key = g.key AND l.withdrawn_at IS NULL
    WHERE g.group_id = ANY(%(ids)s)
    GROUP BY g.group_id
"""

_GROUPS_WITH_SAME_MEDIA = f"""
    SELECT mine.group_id, count(DISTINCT other.group_id)
    FROM (SELECT DISTINCT i.group_id, i.blob_id FROM reports_item i
          WHERE i.group_id = ANY(%(ids)s) AND i.blob_id IS NOT NULL AND {_STANDS}) mine
    CROSS JOIN LATERAL (
        SELECT o.group_id FROM reports_item o
        WHERE o.blob_id = mine.blob_id AND o.group_id <> mine.group_id AND {_LIVE_ITEM} LIMIT {SHARED_BY_MOST}) other
    GROUP BY mine.group_id
"""  # noqa: S608

_ELSEWHERE = f"""
    SELECT mine.account_id, count(DISTINCT coalesce(other.group_id, other.account_id))
    FROM (SELECT DISTINCT i.account_id, i.blob_id FROM reports_item i
          WHERE i.account_id = ANY(%(ids)s) AND i.blob_id IS NOT NULL AND {_STANDS}) mine
    CROSS JOIN LATERAL (
        SELECT o.group_id, o.account_id FROM reports_item o
        WHERE o.blob_id = mine.blob_id AND o.account_id IS DISTINCT FROM mine.account_id AND {_LIVE_ITEM}
        LIMIT {SHARED_BY_MOST}) other
    GROUP BY mine.account_id
"""  # noqa: S608

# Each member's own things are looked up by an index (the limits keep the planner from turning the loops round, and
# bound what one account can cost).
_SAME_DEVICE = f"""
    SELECT group_id, count(DISTINCT account_id) FROM (
        SELECT m.group_id, m.account_id, count(*) OVER (PARTITION BY m.group_id, a.value) AS sharing
        FROM reports_membership m CROSS JOIN LATERAL (
            SELECT DISTINCT value FROM reports_accountidentifier
            WHERE account_id = m.account_id AND kind = 'device' LIMIT {THINGS_OF_ONE}) a
        WHERE m.group_id = ANY(%(ids)s) AND m.left_at IS NULL
    ) pairs WHERE sharing BETWEEN 2 AND {SHARED_BY_MOST} GROUP BY group_id
"""  # noqa: S608

_SAME_IP = f"""
    SELECT group_id, count(DISTINCT account_id) FROM (
        SELECT m.group_id, m.account_id, count(*) OVER (PARTITION BY m.group_id, e.ip) AS sharing
        FROM reports_membership m CROSS JOIN LATERAL (
            SELECT DISTINCT ip FROM reports_ipevent
            WHERE account_id = m.account_id AND at >= now() - make_interval(days => %(ip_days)s)
            LIMIT {THINGS_OF_ONE}) e
        WHERE m.group_id = ANY(%(ids)s) AND m.left_at IS NULL
    ) pairs WHERE sharing BETWEEN 2 AND {SHARED_BY_MOST} GROUP BY group_id
"""  # noqa: S608

_SAME_BLOCK = f"""
    SELECT group_id, max(sharing) FROM (
        SELECT m.group_id, count(DISTINCT m.account_id) AS sharing
        FROM reports_membership m CROSS JOIN LATERAL (
            SELECT DISTINCT left(value, -3) AS block FROM reports_accountidentifier
            WHERE account_id = m.account_id AND kind = 'phone' AND length(value) > 6
            LIMIT {THINGS_OF_ONE}) a
        WHERE m.group_id = ANY(%(ids)s) AND m.left_at IS NULL
        GROUP BY m.group_id, a.block
    ) blocks WHERE sharing > 1 GROUP BY group_id
"""  # noqa: S608

_ACCOUNT_FLAGS = f"""
    SELECT owner, {_SUREST}, count(DISTINCT item) FILTER (WHERE is_hit)
    FROM (
        SELECT i.account_id AS owner, {_FOUND}
        FROM reports_item i JOIN hashing_flag f ON f.item_id = i.id AND f.superseded_at IS NULL
        WHERE i.account_id = ANY(%(ids)s) AND {_STANDS}
            -- A report tells what others sent, too: that is not the accused's.
            AND (i.sender_id IS NULL OR i.sender_id = i.account_id)
        UNION ALL
        SELECT i.sender_id, i.id, FALSE, f.score, f.kind, '', FALSE, {_HIT}
        FROM reports_item i JOIN hashing_flag f ON f.item_id = i.id AND f.superseded_at IS NULL
        WHERE i.sender_id = ANY(%(ids)s) AND i.surface <> 'report_description' AND {_STANDS}
    ) found GROUP BY owner
"""  # noqa: S608

_CONFIRMED = f"""
    SELECT owner, count(DISTINCT decision) FROM (
        SELECT i.account_id AS owner, v.decision FROM reports_item i
            JOIN hashing_verdict v ON v.item_id = i.id AND v.is_violation AND {_NEWEST}
            WHERE i.account_id = ANY(%(ids)s)
        UNION ALL
        SELECT i.sender_id, v.decision FROM reports_item i
            JOIN hashing_verdict v ON v.item_id = i.id AND v.is_violation AND {_NEWEST}
            WHERE i.sender_id = ANY(%(ids)s) AND i.surface <> 'report_description'
    ) said GROUP BY owner
"""  # noqa: S608

_RISKY_GROUPS = """
    SELECT m.account_id, count(*), count(*) FILTER (WHERE m.role IN ('owner', 'admin'))
    FROM reports_membership m JOIN hashing_riskscore r ON r.group_id = m.group_id AND r.is_above
    WHERE m.account_id = ANY(%(ids)s) AND m.left_at IS NULL
    GROUP BY m.account_id
"""

# For each thing that an account used: who else did, how many in all, how many of them are banned.
_SHARERS = """
    SELECT account_id, count(DISTINCT other) FILTER (WHERE is_banned) FROM (
        SELECT mine.account_id, o.account_id AS other, r.is_banned,
            count(*) OVER (PARTITION BY mine.account_id, mine.thing) AS sharing
        FROM ({mine}) mine
        CROSS JOIN LATERAL ({others} LIMIT %(enough)s) o
        LEFT JOIN hashing_riskscore r ON r.account_id = o.account_id
    ) pairs WHERE sharing < %(enough)s GROUP BY account_id
"""
_IDENTIFIERS = (
    "SELECT DISTINCT account_id, value AS thing FROM reports_accountidentifier "
    "WHERE account_id = ANY(%(ids)s) AND kind = 'device'"
)
_BY_DEVICE = _SHARERS.format(
    mine=_IDENTIFIERS,
    others=(
        "SELECT a.account_id FROM reports_accountidentifier a WHERE a.kind = 'device' "  # noqa: S608 — names of ours; values are parameters
        "AND a.value = mine.thing AND a.account_id <> mine.account_id " + _LIVE.format("a")
    ),
)
_BY_BLOCK = _SHARERS.format(
    mine=(
        "SELECT DISTINCT account_id, left(value, -3) AS thing FROM reports_accountidentifier "
        "WHERE account_id = ANY(%(ids)s) AND kind = 'phone' AND length(value) > 6"
    ),
    others=(
        "SELECT a.account_id FROM reports_accountidentifier a WHERE a.kind = 'phone' "  # noqa: S608 — names of ours; values are parameters
        "AND left(a.value, -3) = mine.thing AND a.account_id <> mine.account_id "
        + _LIVE.format("a")
    ),
)
_BY_IP = _SHARERS.format(
    mine=(
        "SELECT DISTINCT account_id, ip AS thing FROM reports_ipevent "
        "WHERE account_id = ANY(%(ids)s) AND at >= now() - make_interval(days => %(ip_days)s)"
    ),
    others=(
        "SELECT DISTINCT e.account_id FROM reports_ipevent e WHERE e.ip = mine.thing "  # noqa: S608 — names of ours; values are parameters
        "AND e.at >= now() - make_interval(days => %(ip_days)s) AND e.account_id <> mine.account_id "
        + _LIVE.format("e")
    ),
)
# The same the other way round: whom a ban of these accounts concerns.
_WHO_SHARES = f"""
    SELECT DISTINCT account_id FROM (
        SELECT o.account_id FROM ({_IDENTIFIERS}) mine CROSS JOIN LATERAL (
            SELECT a.account_id FROM reports_accountidentifier a
            WHERE a.kind = 'device' AND a.value = mine.thing LIMIT %(enough)s) o
        UNION ALL
        SELECT o.account_id FROM (
            SELECT DISTINCT left(value, -3) AS thing FROM reports_accountidentifier
            WHERE account_id = ANY(%(ids)s) AND kind = 'phone' AND length(value) > 6) mine
        CROSS JOIN LATERAL (
            SELECT a.account_id FROM reports_accountidentifier a
            WHERE a.kind = 'phone' AND left(a.value, -3) = mine.thing LIMIT %(enough)s) o
        UNION ALL
        SELECT o.account_id FROM (
            SELECT DISTINCT ip AS thing FROM reports_ipevent
            WHERE account_id = ANY(%(ids)s) AND at >= now() - make_interval(days => %(ip_days)s)) mine
        CROSS JOIN LATERAL (
            SELECT e.account_id FROM reports_ipevent e WHERE e.ip = mine.thing
            AND e.at >= now() - make_interval(days => %(ip_days)s) LIMIT %(enough)s) o
    ) found WHERE account_id <> ALL(%(ids)s)
"""  # noqa: S608


def group_facts(ids: Sequence[UUID], *, limit: int) -> dict[UUID, GroupFacts]:
    """Return the facts of groups by id. ``limit``: the most members a group may have on the platform."""
    ask = _asker(ids)
    flags, members = ask(_GROUP_FLAGS), ask(_MEMBERS)
    reporters = ask(_REPORTERS.format(subject="group_id"))
    listings, media = ask(_LISTINGS), ask(_GROUPS_WITH_SAME_MEDIA)
    device, ip, block = ask(_SAME_DEVICE), ask(_SAME_IP), ask(_SAME_BLOCK)
    told = ask("SELECT id, coalesce(member_count, 0) FROM reports_group WHERE id = ANY(%(ids)s)")
    found = {}
    for key in ids:
        text, text_sent, photo, photo_sent, known = flags.get(key, (None, None, None, None, 0))
        count, banned, reported, hits, linked, joined, left = members.get(key, (0,) * 7)
        found[key] = GroupFacts(
            members=max(count, told.get(key, (0,))[0]),
            limit=limit,
            text_score=text or 0.0,
            text_sent=text_sent or 0.0,
            photo_score=photo or 0.0,
            photo_sent=photo_sent or 0.0,
            known_media=known,
            banned=banned,
            reported=reported,
            hits=hits,
            linked=linked,
            reporters=reporters.get(key, (0,))[0],
            listings=listings.get(key, (0,))[0],
            joined=joined,
            left=left,
            shared_media=media.get(key, (0,))[0],
            same_device=device.get(key, (0,))[0],
            same_ip=ip.get(key, (0,))[0],
            same_prefix=block.get(key, (0,))[0],
        )
    return found


def account_facts(ids: Sequence[UUID]) -> dict[UUID, AccountFacts]:
    """Return the facts of accounts by id."""
    ask = _asker(ids)
    flags, confirmed = ask(_ACCOUNT_FLAGS), ask(_CONFIRMED)
    reporters = ask(_REPORTERS.format(subject="account_id"))
    groups, media = ask(_RISKY_GROUPS), ask(_ELSEWHERE)
    device, ip, block = ask(_BY_DEVICE), ask(_BY_IP), ask(_BY_BLOCK)
    found = {}
    for key in ids:
        text, text_sent, photo, photo_sent, known = flags.get(key, (None, None, None, None, 0))
        member, runs = groups.get(key, (0, 0))
        found[key] = AccountFacts(
            text_score=text or 0.0,
            text_sent=text_sent or 0.0,
            photo_score=photo or 0.0,
            photo_sent=photo_sent or 0.0,
            known_media=known,
            confirmed=confirmed.get(key, (0,))[0],
            reporters=reporters.get(key, (0,))[0],
            groups=member,
            runs=runs,
            device=device.get(key, (0,))[0],
            ip=ip.get(key, (0,))[0],
            prefix=block.get(key, (0,))[0],
            shared_media=media.get(key, (0,))[0],
        )
    return found


def statuses(kind: str, ids: Sequence[UUID]) -> dict[UUID, str]:
    """Return what the platform says of accounts or groups (their status, lower case), by id."""
    table = "reports_group" if kind == "group" else "reports_account"
    rows = _asker(ids)(f"SELECT id, lower(platform_status) FROM {table} WHERE id = ANY(%(ids)s)")  # noqa: S608
    return {key: row[0] for key, row in rows.items()}


def outward_of(facts: AccountFacts, status: str) -> dict[str, bool]:
    """Return what others see of an account: the columns that groups count among their members."""
    return {
        "is_banned": status in BANNED or facts.confirmed > 0,
        "is_reported": facts.reporters > 0,
        "is_hit": facts.known_media > 0,
        "is_linked": bool(facts.device or facts.ip or facts.prefix),
    }


def groups_of(accounts: Iterable[UUID]) -> list[UUID]:
    """Return the groups that accounts are members of."""
    return _keys(
        "SELECT DISTINCT group_id FROM reports_membership "
        "WHERE account_id = ANY(%(ids)s) AND left_at IS NULL",
        list(accounts),
    )


def members_of(groups: Iterable[UUID]) -> list[UUID]:
    """Return the members of groups."""
    return _keys(
        "SELECT DISTINCT account_id FROM reports_membership "
        "WHERE group_id = ANY(%(ids)s) AND left_at IS NULL",
        list(groups),
    )


def moved_in(groups: Mapping[UUID, datetime]) -> list[UUID]:
    """Return who joined or left groups, or got another role there, since a moment for each of them."""
    if not groups:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT m.account_id FROM unnest(%s::uuid[], %s::timestamptz[]) "
            "AS g(id, since) JOIN reports_membership m ON m.group_id = g.id "
            "AND m.updated_at >= g.since",
            [list(groups), list(groups.values())],
        )
        return [row[0] for row in cursor.fetchall()]


def sharers_of(accounts: Iterable[UUID]) -> list[UUID]:
    """Return the accounts that share a device, an address or a number block with accounts; bounded for each."""
    return _keys(_WHO_SHARES, list(accounts))


def _keys(statement: str, ids: list[UUID]) -> list[UUID]:
    if not ids:
        return []
    with connection.cursor() as cursor:
        values: dict[str, Any] = {"ids": ids, "enough": SHARED_BY_MOST + 1, "ip_days": IP_DAYS}
        cursor.execute(statement, values)
        return [row[0] for row in cursor.fetchall()]


def _asker(ids: Sequence[UUID]) -> Callable[[str], dict[UUID, tuple[Any, ...]]]:
    values: dict[str, Any] = {
        "ids": list(ids),
        "texts": [each.value for each in _TEXT_KINDS],
        "days": REPORT_DAYS,
        "enough": SHARED_BY_MOST + 1,
        "ip_days": IP_DAYS,
    }

    def ask(statement: str) -> dict[UUID, tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
            return {row[0]: row[1:] for row in cursor.fetchall()}

    return ask
