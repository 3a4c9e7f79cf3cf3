"""Looking: at the safe preview, at text that was masked, and at originals. All of it is recorded.

An original is looked at in three steps, each on the record: somebody who holds the case says why and gets
a one-time address (``reveal_media``); the address is used once (``redeem_reveal``) and what was served is
counted (``record_served``); the page says how long it was painted (``finish_reveal``).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from accounts.guards import require
from accounts.models import SignIn, User
from accounts.permissions import Permission
from core import audit, vault
from core.audit_events import AuditEvent
from core.errors import Invalid, Refused, VaultDamage, VaultDestroyed
from core.media_types import HEAD_BYTES, sniff
from core.rates import is_first
from moderation import access, viewing
from moderation.actions.claims import check_lease
from moderation.models import Case, CaseStatus, Reveal, RevealPurpose
from reports.models import Item, ItemKind

URL_LIFETIME = timedelta(seconds=30)
ONE_PAGE_VIEW = 600
"""Seconds in which the same page asking for the same preview again is the same look at it."""


@dataclass(frozen=True, slots=True)
class IssuedReveal:
    """A reveal and the token of its one-time address, which is stored as a hash only."""

    reveal: Reveal
    token: str


def reveal_media(
    case: Case, item: Item, *, purpose: str, sign_in: SignIn, actor: User
) -> IssuedReveal:
    """Let the holder of a case look at one original, once, within 30 seconds. Cannot be undone.

    Asks for: the role; a session with a second factor; the grants for queue and category; a live lease;
    a purpose; an original that is whole and of a kind that browsers show safely. Each "no" is audited.
    """
    require(actor, Permission.MEDIA_REVEAL)
    try:
        return _reveal(case, item, purpose=purpose, sign_in=sign_in, actor=actor)
    except Refused as refused:
        audit.record_apart(
            AuditEvent.REVEAL_REFUSED,
            actor=actor,
            subject=item,
            case=case,
            code=refused.code,
        )
        raise


@transaction.atomic
def _reveal(case: Case, item: Item, *, purpose: str, sign_in: SignIn, actor: User) -> IssuedReveal:
    if purpose not in RevealPurpose.values:
        raise Invalid({"purpose": ["Choose why you need to look."]})
    if not access.may_work(actor, case):
        raise Refused("You may not look at the media of this case.", "not_permitted", status=403)
    if sign_in.user_id != actor.pk or sign_in.second_factor_at is None:
        raise Refused(
            "Looking at an original needs a session with a second factor.",
            "second_factor",
            status=403,
        )
    case = Case.objects.select_for_update().get(pk=case.pk)
    if case.status != CaseStatus.OPEN:
        raise Refused("Originals can be looked at while the case is open.", "not_open")
    check_lease(case, actor=actor)
    if not case.case_items.filter(item=item).exists():
        raise Refused("This item is not part of the case.", "not_in_case")
    _check_showable(item)
    token = secrets.token_urlsafe(32)
    reveal = Reveal.objects.create(
        case=case,
        item=item,
        user=actor,
        sign_in=sign_in,
        purpose=purpose,
        token_hash=_hash(token),
        expires_at=Now() + URL_LIFETIME,
    )
    reveal.refresh_from_db()
    audit.record(
        AuditEvent.MEDIA_REVEALED,
        actor=actor,
        subject=reveal,
        case=case,
        item=item.pk,
        purpose=purpose,
        issued_at=reveal.issued_at,
    )
    return IssuedReveal(reveal, token)


def redeem_reveal(token: str, *, sign_in: SignIn, actor: User) -> Reveal:
    """Use up a one-time address. Raises Refused (410) when it was used, is too old or not the person's.

    One conditional update: of two parallel requests exactly one finds the row unused. The lease and the
    grants are asked for again, because half a minute may have passed.
    """
    require(actor, Permission.MEDIA_REVEAL)
    rows = Reveal.objects.filter(
        token_hash=_hash(token),
        used_at=None,
        expires_at__gt=Now(),
        user=actor,
        sign_in=sign_in,
        case__in=access.live_claims()
        .filter(user=actor, case__in=access.cases_for(actor))
        .values("case"),
    )
    with transaction.atomic():
        used = rows.update(used_at=Now())
        if used:
            reveal = Reveal.objects.select_related("item__blob", "case").get(
                token_hash=_hash(token)
            )
            audit.record(
                AuditEvent.REVEAL_USED,
                actor=actor,
                subject=reveal,
                case=reveal.case,
                item=reveal.item_id,
                used_at=reveal.used_at,
            )
    if not used:
        audit.record_apart(AuditEvent.REVEAL_REFUSED, actor=actor, code="address_spent")
        raise Refused(
            "This address has been used or has run out. Ask for the original again.",
            "address_spent",
            status=410,
        )
    return reveal


@transaction.atomic
def record_served(reveal: Reveal, *, sent: int, actor: User) -> Reveal:
    """Record how much of an original left the server. Once: a second call changes nothing."""
    size = reveal.item.blob.size if reveal.item.blob else 0
    is_complete = sent == size
    changed = Reveal.objects.filter(pk=reveal.pk, bytes_served=0, is_complete=False).update(
        bytes_served=sent, is_complete=is_complete
    )
    if changed:
        audit.record(
            AuditEvent.REVEAL_SERVED,
            actor=actor,
            subject=reveal,
            case=reveal.case,
            item=reveal.item_id,
            bytes=sent,
            is_complete=is_complete,
        )
    reveal.refresh_from_db()
    return reveal


@dataclass(frozen=True, slots=True)
class Painted:
    """What the page measured of one look, in milliseconds: stretches painted, ranges played, a film's length."""

    stretches: Sequence[int] = ()
    played: Sequence[tuple[int, int]] = ()
    film_ms: int = 0


@transaction.atomic
def finish_reveal(
    reveal: Reveal, *, shown_ms: int, actor: User, measured: Painted | None = None
) -> Reveal:
    """Record how long an original was shown and painted, and what of a film was played. The first word counts.

    The browser's figures are bounded by the server's: it cannot have been shown before it was served, nor
    for longer than has passed since, nor painted for longer than it was shown. What several looks come to, and how long
    a film is, is settled where they are read (``moderation.looks``).
    """
    reveal = Reveal.objects.select_for_update().select_related("case").get(pk=reveal.pk)
    if reveal.closed_at is not None:
        return reveal
    if reveal.user_id != actor.pk:
        raise Refused("This is not your reveal.", "not_yours", status=403)
    Reveal.objects.filter(pk=reveal.pk).update(closed_at=Now())
    closed = Reveal.objects.select_related("case", "item").get(pk=reveal.pk)
    passed_ms = 0
    if closed.used_at is not None and closed.closed_at is not None:
        passed_ms = int((closed.closed_at - closed.used_at).total_seconds() * 1000)
    closed.shown_ms = max(0, min(shown_ms, passed_ms))
    measured = measured or Painted()
    closed.painted_ms = viewing.painted(measured.stretches, passed_ms=closed.shown_ms)
    if closed.item.kind in {ItemKind.VIDEO, ItemKind.AUDIO}:
        closed.film_ms = measured.film_ms
        closed.played = [
            list(each)
            for each in viewing.played(
                measured.played, film_ms=measured.film_ms, painted_ms=closed.painted_ms
            )
        ]
    closed.save(update_fields=["shown_ms", "painted_ms", "film_ms", "played"])
    audit.record(
        AuditEvent.REVEAL_CLOSED,
        actor=actor,
        subject=closed,
        case=closed.case,
        item=closed.item_id,
        shown_ms=closed.shown_ms,
        claimed_ms=max(0, shown_ms),
        painted_ms=closed.painted_ms,
        played=closed.played,
        film_ms=closed.film_ms,
        closed_at=closed.closed_at,
    )
    return closed


def record_case_viewed(case: Case, *, actor: User) -> None:
    """Record that somebody opened the page of a case."""
    require(actor, Permission.CASES_VIEW)
    audit.record(AuditEvent.CASE_VIEWED, actor=actor, subject=case, case=case, version=case.version)


def record_preview_served(case: Case, item: Item, *, page_view: str, actor: User) -> None:
    """Record that a preview went to a browser: one line for each time a page shows it.

    A browser may fetch a picture of one page more than once. Without the cache every fetch is a line:
    rather too many than too few.
    """
    require(actor, Permission.MEDIA_PREVIEW)
    key = f"preview-served:{actor.pk}:{item.pk}:{page_view[:40]}"
    if not page_view or is_first(key, ONE_PAGE_VIEW):
        audit.record(AuditEvent.PREVIEW_SERVED, actor=actor, subject=item, case=case)


def record_text_shown(case: Case, item: Item, *, actor: User) -> None:
    """Record that somebody uncovered a text that stood masked on the page."""
    require(actor, Permission.CASES_VIEW)
    audit.record(AuditEvent.TEXT_SHOWN, actor=actor, subject=item, case=case)


@transaction.atomic
def record_texts_shown(case: Case, items: Iterable[Item], *, actor: User) -> None:
    """Record that somebody uncovered the texts of a stretch of a conversation: a line for each, as if one by one."""
    require(actor, Permission.CASES_VIEW)
    lines = [audit.Line(AuditEvent.TEXT_SHOWN, item, f"case:{case.pk}", {}) for item in items]
    audit.record_lines(lines, actor=actor)


def record_search(text: str, *, found: int, actor: User) -> None:
    """Record a search: its digest and what it found. What was typed may be a person's identifier."""
    require(actor, Permission.CASES_VIEW)
    audit.record(
        AuditEvent.CASES_SEARCHED,
        actor=actor,
        query_sha256=hashlib.sha256(text.strip().lower().encode()).hexdigest(),
        found=found,
    )


def _check_showable(item: Item) -> None:
    if item.blob is None:
        raise Refused("There is no file of it to reveal.", "no_media")
    try:
        with vault.open(item.blob) as stream:
            head = stream.read(HEAD_BYTES)
    except VaultDestroyed:
        raise Refused("The original was destroyed; only its record remains.", "destroyed") from None
    except VaultDamage as damage:
        raise Refused(
            f"The original cannot be read: {damage.reason}. Decide on the metadata or tell an "
            "administrator.",
            "damaged",
        ) from None
    found = sniff(head)
    if found is None or not found.inline:
        raise Refused(
            "This kind of file cannot be shown safely in a browser. Decide on its metadata and digests.",
            "unsafe_kind",
        )


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
