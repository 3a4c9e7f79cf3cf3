"""Sources and their keys."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.db.models.functions import Least, Now

from accounts.guards import require
from accounts.permissions import Permission
from core import audit
from core.audit import Actor, AuditEvent, Person
from core.errors import Invalid, Refused
from reports.choices import OWN_PLATFORM_SCOPES
from reports.keys import LAST_USED_EVERY, hash_secret, new_key
from reports.models import ApiKey, Scope, Source, SourceKind, TrustLevel
from reports.practice import TEST_NAME

STAFF_SLUG = "staff"
MAX_RATE = 60_000
ROTATION_OVERLAP = timedelta(hours=24)
_NOT_OWN = (
    f"{', '.join(sorted(OWN_PLATFORM_SCOPES))} are for the platform itself. This source is not marked as the "
    "platform's own: it can report about accounts and groups, but neither describe them, have them erased nor answer orders."
)
_NOT_IN_PRACTICE = f"{Scope.LINKS_WRITE.value} is not for test keys: what stood outside of the platform says something of its own groups."
_SHARED = (
    "kind",
    "trust",
    "due_minutes",
    "contact",
    "is_own_platform",
    "tells_outcomes",
    "is_active",
)
"""What the twin for practice has of its source."""
_TOLD = frozenset(
    {"kind", "trust", "due_minutes", "is_own_platform", "tells_outcomes", "is_active"}
)


@transaction.atomic
def create_source(
    *,
    slug: str,
    name: str,
    kind: str,
    trust: str = TrustLevel.STANDARD,
    due_minutes: int | None = None,
    contact: str = "",
    is_own_platform: bool = False,
    tells_outcomes: bool | None = None,
    actor: Actor | Person,
) -> Source:
    """Create a source. Can be undone by pausing it; sources are never deleted.

    ``tells_outcomes=None`` is as usual: the platform itself and trusted flaggers hear what was decided.
    Raises Invalid when the short name is taken.
    """
    require(actor, Permission.SOURCES_MANAGE)
    if tells_outcomes is None:
        tells_outcomes = (
            is_own_platform or kind == SourceKind.TRUSTED_FLAGGER or trust == TrustLevel.TRUSTED
        )
    try:
        with transaction.atomic():
            source = Source.objects.create(
                slug=slug,
                name=name,
                kind=kind,
                trust=trust,
                due_minutes=due_minutes,
                contact=contact,
                is_own_platform=is_own_platform,
                tells_outcomes=tells_outcomes,
            )
    except IntegrityError:
        raise Invalid({"slug": ["Another source has this short name."]}) from None
    audit.record(
        AuditEvent.SOURCE_CREATED,
        actor=actor,
        subject=source,
        slug=slug,
        kind=kind,
        trust=trust,
        is_own_platform=is_own_platform,
        tells_outcomes=tells_outcomes,
    )
    return source


@transaction.atomic
def change_source(
    source: Source,
    *,
    name: str,
    kind: str,
    trust: str,
    due_minutes: int | None,
    contact: str,
    is_own_platform: bool,
    tells_outcomes: bool,
    is_active: bool,
    actor: Person,
) -> Source:
    """Change a source; ``is_active=False`` pauses all its keys. Can be undone by changing it back."""
    require(actor, Permission.SOURCES_MANAGE)
    source = Source.objects.select_for_update().get(pk=source.pk)
    new = {
        "name": name,
        "kind": kind,
        "trust": trust,
        "due_minutes": due_minutes,
        "contact": contact,
        "is_own_platform": is_own_platform,
        "tells_outcomes": tells_outcomes,
        "is_active": is_active,
    }
    changed = {field: value for field, value in new.items() if getattr(source, field) != value}
    if not changed:
        return source
    # The log holds what decides about routing and access, not names and contacts of people.
    told = {field: value for field, value in changed.items() if field in _TOLD}
    for field, value in changed.items():
        setattr(source, field, value)
    source.save(update_fields=list(changed))
    audit.record(
        AuditEvent.SOURCE_CHANGED, actor=actor, subject=source, fields=sorted(changed), new=told
    )
    Source.objects.filter(practice_of=source).update(**_of_the_twin(source))
    return source


@transaction.atomic
def staff_source() -> Source:
    """Return the source of reports that staff enter by hand; it has no keys."""
    source, made = Source.objects.get_or_create(
        slug=STAFF_SLUG,
        defaults={
            "name": "Entered by staff",
            "kind": SourceKind.STAFF,
            "trust": TrustLevel.INTERNAL,
        },
    )
    if made:
        audit.record(
            AuditEvent.SOURCE_CREATED,
            actor=audit.SYSTEM,
            subject=source,
            slug=source.slug,
            kind=source.kind,
            trust=source.trust,
        )
    return source


def _of_the_twin(source: Source) -> dict[str, Any]:
    shared = {name: getattr(source, name) for name in _SHARED}
    return shared | {"name": TEST_NAME.format(source.name[:100])}


def _twin(source: Source, *, actor: Actor | Person) -> Source:
    """Return the twin of a source that its test keys belong to. The caller holds the source's row.

    A source of its own: its reports, files, ids and idempotency keys are never those of the live one.
    """
    twin = Source.objects.filter(practice_of=source).first()
    if twin is None:
        # Its short name stands in no address. One hyphen or two, nobody types a UUID.
        slug = f"{source.slug[:20]}--test-{source.pk.hex[:20]}"
        twin = Source.objects.create(slug=slug, practice_of=source, **_of_the_twin(source))
        audit.record(
            AuditEvent.SOURCE_CREATED,
            actor=actor,
            subject=twin,
            slug=slug,
            kind=twin.kind,
            trust=twin.trust,
            practice_of=source.pk,
        )
    return twin


# ── Keys ──────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def issue_key(
    source: Source,
    *,
    scopes: Iterable[str],
    actor: Actor | Person,
    name: str = "key",
    rate_per_minute: int = 600,
    expires_at: datetime | None = None,
    is_test: bool = False,
) -> tuple[ApiKey, str]:
    """Return a new key of a source and its text, which is stored nowhere and shown once.

    What a test key sends is practice (``reports.practice``): it is worked on by whoever may work practice and comes to nothing.

    Can be undone by ``revoke_key``. Raises Invalid for unknown scopes and rates out of range, Refused
    for the staff source, whose reports come from people.
    """
    require(actor, Permission.SOURCES_MANAGE)
    source = Source.objects.select_for_update().get(pk=source.pk)
    if source.kind == SourceKind.STAFF:
        raise Refused("Reports of this source are entered by people; it has no keys.", code="staff")
    chosen = sorted(set(scopes))
    if not chosen or set(chosen) - set(Scope.values):
        raise Invalid({"scopes": ["Choose at least one of the listed scopes."]})
    if OWN_PLATFORM_SCOPES & set(chosen) and not source.is_own_platform:
        raise Invalid({"scopes": [_NOT_OWN]})
    if not 1 <= rate_per_minute <= MAX_RATE:
        raise Invalid({"rate_per_minute": [f"Must lie between 1 and {MAX_RATE}."]})
    if is_test and Scope.LINKS_WRITE in chosen:
        raise Invalid({"scopes": [_NOT_IN_PRACTICE]})
    if is_test and not source.is_practice:
        source = _twin(source, actor=actor)
    key, text = _new(source, name, chosen, rate_per_minute, expires_at)
    audit.record(
        AuditEvent.API_KEY_ISSUED,
        actor=actor,
        subject=key,
        source=source.pk,
        prefix=key.prefix,
        scopes=chosen,
        expires_at=expires_at,
        is_test=source.is_practice,
    )
    return key, text


@transaction.atomic
def rotate_key(
    key: ApiKey, *, actor: Actor | Person, overlap: timedelta = ROTATION_OVERLAP
) -> tuple[ApiKey, str]:
    """Return the successor of a key; the old one keeps working for ``overlap`` and then ends.

    Cannot be undone; a successor that got lost is rotated again. Raises Refused for a key that ended
    or already has a successor.
    """
    require(actor, Permission.SOURCES_MANAGE)
    key = ApiKey.objects.select_for_update(of=("self",)).select_related("source").get(pk=key.pk)
    if key.revoked_at is not None:
        raise Refused("This key is revoked. Issue a new one.", code="revoked")
    if key.replaced_by_id is not None:
        raise Refused("This key was rotated already. Rotate its successor.", code="rotated")
    if not ApiKey.objects.filter(Q(expires_at=None) | Q(expires_at__gt=Now()), pk=key.pk).exists():
        raise Refused("This key has expired. Issue a new one.", code="expired")
    # The successor lives as long as its predecessor was meant to, counted anew.
    life = key.expires_at - key.created_at if key.expires_at else None
    successor, text = _new(key.source, key.name, key.scopes, key.rate_per_minute, None)
    if life is not None:
        ApiKey.objects.filter(pk=successor.pk).update(expires_at=Now() + life)
    # PostgreSQL's LEAST ignores NULL: a key without an end gets one, an earlier end stays.
    ApiKey.objects.filter(pk=key.pk).update(
        replaced_by=successor, expires_at=Least("expires_at", Now() + overlap)
    )
    successor.refresh_from_db()
    audit.record(
        AuditEvent.API_KEY_ROTATED,
        actor=actor,
        subject=key,
        source=key.source_id,
        prefix=key.prefix,
        successor=successor.prefix,
        overlap_seconds=int(overlap.total_seconds()),
    )
    return successor, text


@transaction.atomic
def revoke_key(key: ApiKey, *, actor: Actor | Person) -> ApiKey:
    """End a key at once. Cannot be undone. Raises Refused when it is revoked already."""
    require(actor, Permission.SOURCES_MANAGE)
    key = ApiKey.objects.select_for_update(of=("self",)).get(pk=key.pk)
    if key.revoked_at is not None:
        raise Refused("This key is revoked already.", code="revoked")
    ApiKey.objects.filter(pk=key.pk).update(revoked_at=Now())
    audit.record(
        AuditEvent.API_KEY_REVOKED,
        actor=actor,
        subject=key,
        source=key.source_id,
        prefix=key.prefix,
    )
    key.refresh_from_db()
    return key


def mark_key_used(key: ApiKey) -> None:
    """Note that a key was used, at most once a minute: one busy key must not mean a write per request.

    Not audited: every verb that the key is used for is.
    """
    ApiKey.objects.filter(
        Q(last_used_at=None) | Q(last_used_at__lt=Now() - LAST_USED_EVERY), pk=key.pk
    ).update(last_used_at=Now())


def _new(
    source: Source, name: str, scopes: list[str], rate: int, expires_at: datetime | None
) -> tuple[ApiKey, str]:
    written = new_key(is_test=source.is_practice)
    key = ApiKey.objects.create(
        source=source,
        name=name,
        prefix=written.prefix,
        key_hash=hash_secret(written.secret),
        scopes=scopes,
        rate_per_minute=rate,
        expires_at=expires_at,
    )
    return key, str(written)
