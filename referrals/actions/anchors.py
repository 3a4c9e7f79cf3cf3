"""What becomes of an anchor: it is made and signed, lies in the store, is stamped, is told. See ``core.anchors``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from django.core.files.storage import storages
from django.db import connection, transaction
from django.db.models import Max, Q, QuerySet
from django.db.models.functions import Collate, Now

from core import audit
from core.anchors import GENESIS, STORE, Head, Statement, Tree, number_of, pack
from core.audit_events import AuditEvent
from core.errors import describe
from core.models import AuditAnchor, AuditEntry, AuditHead

log = logging.getLogger(__name__)
CHAIN = "anchors"
_OVERLAP = timedelta(hours=1)
"""Lines are numbered before they are committed: what an anchor of this age saw last is listed again, so that no chain
is missed unless a transaction stays open for longer after its last line."""

NIGHT = timedelta(hours=24)
"""How long after one nightly anchor the next is due."""

TRY_FOR = timedelta(days=7)
"""How long an authority or an endpoint that does not answer is tried."""


@transaction.atomic
def make_anchor(
    reason: AuditAnchor.Reason, *, signer: str, sign: Callable[[bytes], str]
) -> AuditAnchor:
    """Fix where all chains end at this moment, and sign it. Cannot be undone.

    ``sign`` returns the armoured signature of a statement. One at a time: a second call waits. Its number is above
    that of any row and any file, so that a database that was set back cannot take a number twice.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('holdfast.anchor', 0))")
        cursor.execute(
            "SELECT clock_timestamp(), (SELECT coalesce(max(id), 0) FROM core_auditentry)"
        )
        made_at, through_id = cursor.fetchone()
    last = AuditAnchor.objects.order_by("-number").first()
    tree = Tree()
    heads = pack(_grown(_since(made_at)), tree)
    statement = Statement(
        number=max(last.number if last else 0, _last_file()) + 1,
        made_at=made_at,
        previous=Statement.parse(last.statement).sha256 if last else GENESIS,
        chains=AuditHead.objects.count(),
        listed=tree.size,
        root=tree.root,
    )
    anchor = AuditAnchor.objects.create(
        number=statement.number,
        made_at=made_at,
        reason=reason,
        through_id=through_id,
        statement=statement.text,
        signature=sign(statement.text.encode()),
        signer=signer,
        heads=heads,
    )
    audit.record(
        AuditEvent.ANCHOR_MADE,
        actor=None,
        chain=CHAIN,
        subject=anchor,
        reason=reason.value,
        chains=statement.chains,
        listed=statement.listed,
        root=statement.root,
        statement_sha256=statement.sha256,
    )
    return anchor


def _since(made_at: datetime) -> int:
    old = AuditAnchor.objects.filter(made_at__lte=made_at - _OVERLAP)
    newest = old.order_by("-number").values_list("through_id", flat=True).first()
    return newest or 0


def _grown(since: int) -> Iterator[Head]:
    """Yield the head of every chain with an entry above ``since``, by the bytes of its name."""
    heads = AuditHead.objects.all()
    if since:
        grown = AuditEntry.objects.filter(id__gt=since).values("chain")
        heads = heads.filter(chain__in=grown)
    rows = heads.order_by(Collate("chain", "C")).values_list("chain", "seq", "hash")
    for row in rows.iterator(chunk_size=5000):
        yield Head(*row)


def _last_file() -> int:
    try:
        names = storages[STORE].listdir("")[1]
    except Exception as failed:  # noqa: BLE001 — any store, any failure: the anchor matters more
        log.warning("the store of anchors cannot be listed: %s", describe(failed))
        return 0
    return max((number_of(name) or 0 for name in names), default=0)


@transaction.atomic
def record_stored(anchor: AuditAnchor) -> None:
    """Note that an anchor's files lie in the store. Once."""
    AuditAnchor.objects.filter(pk=anchor.pk, stored_at=None).update(stored_at=Now())


@transaction.atomic
def record_token(anchor: AuditAnchor, *, token: bytes) -> None:
    """Keep the answer of the time-stamp authority. Once; cannot be undone."""
    if AuditAnchor.objects.filter(pk=anchor.pk, token=None).update(token=token):
        audit.record(AuditEvent.ANCHOR_STAMPED, actor=None, chain=CHAIN, subject=anchor)
    anchor.token = token


@transaction.atomic
def record_told(anchor: AuditAnchor) -> None:
    """Note that the operator's endpoint took the anchor. Once; cannot be undone."""
    if AuditAnchor.objects.filter(pk=anchor.pk, told_at=None).update(told_at=Now()):
        audit.record(AuditEvent.ANCHOR_TOLD, actor=None, chain=CHAIN, subject=anchor)


def is_night_due() -> bool:
    """Return whether the last nightly anchor is a day old, however many nights nobody was there."""
    recent = AuditAnchor.objects.filter(
        reason=AuditAnchor.Reason.NIGHTLY, made_at__gt=Now() - NIGHT
    )
    return not recent.exists()


def overdue_anchors() -> QuerySet[AuditAnchor]:
    """Return the last nightly anchor when the next one is due."""
    nightly = AuditAnchor.objects.filter(reason=AuditAnchor.Reason.NIGHTLY).defer("heads")
    newest = nightly.order_by("-number").values("pk")[:1]
    return nightly.filter(pk__in=newest, made_at__lte=Now() - NIGHT)


def unstored_anchors() -> QuerySet[AuditAnchor]:
    """Return the anchors whose files do not lie in the store yet: until then only the database has them."""
    return AuditAnchor.objects.filter(stored_at=None).defer("heads")


def unfinished_anchors(*, stamped: bool, told: bool) -> QuerySet[AuditAnchor]:
    """Return the hundred oldest anchors that are not in the store yet or, where wanted, not stamped or not told."""
    recent = Q(made_at__gt=Now() - TRY_FOR)
    wanted = Q(stored_at=None)
    if stamped:
        wanted |= recent & Q(token=None)
    if told:
        wanted |= recent & Q(told_at=None)
    return AuditAnchor.objects.filter(wanted).order_by("number")[:100]


def newest_anchor() -> AuditAnchor | None:
    """Return the newest anchor without its list."""
    newest = AuditAnchor.objects.aggregate(newest=Max("number"))["newest"]
    return AuditAnchor.objects.defer("heads").filter(pk=newest).first()
