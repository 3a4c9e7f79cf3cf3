"""Whether a list counts: pauses, the flood guard, and what reviews say of its entries."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import (
    Count,
    Q,
    QuerySet,
)
from django.db.models.functions import Now
from django.utils import timezone

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit import Actor, AuditEvent, Person
from core.errors import Invalid, Refused
from core.jobs import enqueue
from hashing.actions.hash_lists import content_changed, raise_version, retire_entry
from hashing.models import (
    Flag,
    FlagKind,
    HashEntry,
    HashList,
    LongWork,
    LongWorkKind,
    Verdict,
)
from reports.models import Item

__all__ = [
    "disable_list",
    "enable_list",
    "guard_against_floods",
    "list_media",
    "release_list",
    "retire_refuted_entries",
]

FLOOD_WINDOW = timedelta(hours=1)
FLOOD_LEAST = 20
"""Flags within the window below which no list is held: a share of few says nothing."""
LONGEST_LIST_PAUSE = timedelta(days=90, minutes=5)
"""The page asks for 90 days; the minutes are those between its making and its sending."""
VERDICTS = 500
"""New verdicts that are weighed at once."""
LEAST_PDQ_QUALITY = 50
"""Below it (of 100) a picture has so few gradients that any other blank one is near to it."""
DISMISSED = 5
"""An entry whose flags were found harmless so often, and never confirmed, is retired."""
_LISTED = """
WITH media (id, blob_id) AS ({media}),
confirmed AS MATERIALIZED (
    SELECT media.id, media.blob_id FROM media
    WHERE (SELECT is_violation FROM hashing_verdict WHERE item_id = media.id ORDER BY decided_at DESC, id DESC LIMIT 1)
), good AS MATERIALIZED (
    SELECT DISTINCT ON (digest.algorithm, digest.value) digest.algorithm, digest.value, confirmed.id
    FROM confirmed JOIN hashing_digest AS digest ON digest.blob_id = confirmed.blob_id
    WHERE digest.algorithm <> 'pdq' OR digest.quality >= %s
    ORDER BY digest.algorithm, digest.value, digest.id, confirmed.id
), added AS (
    INSERT INTO hashing_hashentry (hash_list_id, algorithm, value, note, added_by_id, retired_reason)
    SELECT %s, algorithm, value, 'From a confirmed item (' || id || ').', %s, '' FROM good
    ON CONFLICT (hash_list_id, algorithm, value) DO NOTHING RETURNING algorithm, value
)
SELECT (SELECT count(*) FROM confirmed), (SELECT count(*) FROM good), count(*),
    encode(sha256(convert_to(coalesce(
        string_agg(algorithm || ':' || value, E'\\n' ORDER BY algorithm, value), ''), 'UTF8')), 'hex')
FROM added
"""


@transaction.atomic
def disable_list(
    hash_list: HashList, *, until: datetime, reason: str, actor: Actor | Person
) -> HashList:
    """Let a list match nothing until a time. Raises Invalid without a reason. Undone by ``enable_list``."""
    require(actor, Permission.HASHING_LISTS_EDIT)
    if not reason.strip():
        raise Invalid({"reason": ["Say why the list pauses."]})
    ahead = until - timezone.now()
    if not timedelta() < ahead <= LONGEST_LIST_PAUSE:
        raise Invalid({"hours": ["A list pauses for an hour at least and 90 days at most."]})
    hash_list = _locked(hash_list)
    hash_list.disabled_until, hash_list.disabled_reason = until, reason.strip()[:300]
    return _changed(hash_list, "paused", actor, reason=reason, until=until.isoformat())


@transaction.atomic
def enable_list(hash_list: HashList, *, actor: Actor | Person) -> HashList:
    """End a list's pause. Raises Refused when it has none. Can be undone by ``disable_list``."""
    require(actor, Permission.HASHING_LISTS_EDIT)
    hash_list = _locked(hash_list)
    if hash_list.disabled_until is None:
        raise Refused("This list does not pause.", code="not_paused")
    hash_list.disabled_until, hash_list.disabled_reason = None, ""
    return _changed(hash_list, "resumed", actor)


def guard_against_floods() -> int:
    """Hold every list that flags too much at once; return how many were held. The written rule:

    * of the pictures and videos scanned within the last hour, a list flags more than its ``flood_percent``,
    * and at least twenty of them,
    * and it was not released from quarantine within that hour: a lead who looked knows better.

    A held list matches nothing until a lead releases it; what came in meanwhile is scanned again then. The
    flags that it raised stay, marked in their case by the list's state. Can be undone by ``release_list``.
    """
    since = Now() - FLOOD_WINDOW
    scanned = (
        Item.objects.filter(scanned_at__gte=since, source__practice_of=None)
        .exclude(kind="text")
        .count()
    )
    if not scanned:
        return 0
    flagged = (
        Flag.objects.filter(
            kind=FlagKind.HASH_MATCH,
            created_at__gte=since,
            hash_list__quarantined_at=None,
            item__source__practice_of=None,
        )
        .filter(Q(hash_list__released_at=None) | Q(hash_list__released_at__lt=since))
        .values("hash_list")
        .annotate(items=Count("item", distinct=True))
        .filter(items__gte=FLOOD_LEAST)
    )
    held = 0
    for row in flagged:
        with transaction.atomic():
            hash_list = HashList.objects.select_for_update(no_key=True).get(pk=row["hash_list"])
            share = row["items"] * 100 / scanned
            if hash_list.quarantined_at is not None or share <= hash_list.flood_percent:
                continue
            hash_list.quarantined_at = Now()
            hash_list.quarantine_reason = (
                f"It flagged {row['items']} of {scanned} pictures and videos within an hour "
                f"({share:.0f} %, more than {hash_list.flood_percent} %)."
            )
            _changed(hash_list, "quarantined", audit.SYSTEM, reason=hash_list.quarantine_reason)
            held += 1
    return held


@transaction.atomic
def release_list(hash_list: HashList, *, actor: Actor | Person) -> HashList:
    """End a list's quarantine. What came in meanwhile is scanned again in batches (``LongWork``).

    Raises Refused when it is not held. Can be undone by switching the list off.
    """
    require(actor, Permission.HASHING_LISTS_APPROVE)
    hash_list = _locked(hash_list)
    if hash_list.quarantined_at is None:
        raise Refused("This list is not held.", code="not_held")
    since = hash_list.quarantined_at
    hash_list.quarantined_at, hash_list.quarantine_reason = None, ""
    hash_list.released_at = Now()
    hash_list = _changed(hash_list, "released", actor)
    work = LongWork.objects.create(
        kind=LongWorkKind.RESCAN, hash_list=hash_list, since=since, until=Now()
    )
    enqueue("do_long_work", work.pk)
    return hash_list


@transaction.atomic
def retire_refuted_entries(*, limit: int = VERDICTS) -> int:
    """Retire entries that reviews refuted; return how many. The written rule:

    * five or more items that an entry flagged were decided as no violation,
    * and none was confirmed.

    Only entries about which something new was decided are looked at: a verdict that was not weighed yet leads
    to them, and is weighed then. The entry can be restored; it is then left alone until the next verdict.
    """
    verdicts = list(
        Verdict.objects.select_for_update(skip_locked=True, no_key=True)
        .filter(is_weighed=False)
        .order_by("pk")
        .values_list("pk", "item")[:limit]
    )
    if not verdicts:
        return 0
    touched = (
        Flag.objects.filter(
            item__in={item for _, item in verdicts},
            hash_entry__retired_at=None,
            hash_entry__hash_list__kind__in=["own", "exchange"],
        )
        .values_list("hash_entry", flat=True)
        .distinct()
    )
    refuted = (
        HashEntry.objects.filter(pk__in=list(touched), retired_at=None)
        .annotate(
            dismissed=Count(
                "flags__item__verdicts",
                filter=Q(flags__item__verdicts__is_violation=False),
                distinct=True,
            ),
            confirmed=Count(
                "flags__item__verdicts",
                filter=Q(flags__item__verdicts__is_violation=True),
                distinct=True,
            ),
        )
        .filter(dismissed__gte=DISMISSED, confirmed=0)
    )
    count = 0
    for entry in refuted:
        try:
            retire_entry(
                entry,
                reason=f"Found harmless {entry.dismissed} times and never confirmed.",
                actor=audit.SYSTEM,
            )
        except Refused:
            continue
        count += 1
    Verdict.objects.filter(pk__in=[key for key, _ in verdicts]).update(is_weighed=True)
    return count


@transaction.atomic
def list_media(hash_list: HashList, items: QuerySet[Item], *, actor: User) -> int:
    """Put the digests of confirmed items on an own list; return how many are new there.

    However many items those are, they are read and written by one statement, the list gets one new version and the
    log one line, with a digest of what was added. What stands there already, or was retired for a reason, stays as
    it is. Raises Refused when nobody confirmed any of the items as a violation, when none has digests that could be
    listed, and for a list that is not one's own. Can be undone by retiring the entries.
    """
    require(actor, Permission.HASHING_ENTRIES_ADD)
    if hash_list.kind != "own" or hash_list.is_negative:
        raise Refused("Choose an own list of known material.", code="not_own")
    hash_list = _locked(hash_list)
    media, said = items.order_by().values_list("pk", "blob").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(
            _LISTED.format(media=media), [*said, LEAST_PDQ_QUALITY, hash_list.pk, actor.pk]
        )
        confirmed, good, added, fingerprint = cursor.fetchone()
    if not confirmed:
        raise Refused("Only media of a confirmed case can be listed.", code="not_confirmed")
    if not good:
        raise Refused("None of the media has digests that could be listed.", code="no_digests")
    if added:
        content_changed(hash_list, what=f"added {added} entries", by=actor)
        audit.record(
            AuditEvent.HASH_ENTRIES_ADDED,
            actor=actor,
            subject=hash_list,
            version=hash_list.version,
            entries=added,
            sha256=fingerprint,
        )
    return int(added)


def _locked(hash_list: HashList) -> HashList:
    return HashList.objects.select_for_update(no_key=True).get(pk=hash_list.pk)


def _changed(hash_list: HashList, what: str, actor: Actor | Person, **data: Any) -> HashList:
    hash_list.save()
    raise_version(hash_list)
    audit.record(AuditEvent.HASH_LIST_SWITCHED, actor=actor, subject=hash_list, change=what, **data)
    hash_list.refresh_from_db()
    return hash_list
