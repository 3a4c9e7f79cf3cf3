"""Who is this key, and what may this person or source see? Loading and authorising in one call."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable
from datetime import datetime
from enum import Enum
from typing import Any, Literal

from django.db.models import (
    BooleanField,
    Count,
    Exists,
    ExpressionWrapper,
    F,
    Max,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
)
from django.db.models.functions import Now
from django.http import Http404

from accounts.models import User
from accounts.permissions import Permission
from core import audit, context
from core.audit import Actor, AuditEvent
from core.rates import is_first
from reports.keys import LAST_USED_EVERY, is_secret, read_authorization
from reports.models import (
    NOT_SENT,
    Account,
    ApiKey,
    Erasure,
    ErasureState,
    Group,
    Item,
    Membership,
    Report,
    RouteState,
    Source,
    SourceKind,
    Upload,
)
from reports.practice import MARK

MOST_ORDERS = 200
"""Orders that a report names; ``GET /enforcements?report=`` has them all."""
ReportState = Literal["received", "in_review", "decided", "closed"]
"""Where a report stands for whoever sent it."""


class KeyProblem(Enum):
    """Why a key does not open the door: the status of the answer, and its sentence."""

    REVOKED = 401, "This key was revoked."
    EXPIRED = 401, "This key has expired."
    PAUSED = 403, "This source is paused."

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.value[0]

    @property
    def sentence(self) -> str:
        """What the sender reads."""
        return self.value[1]


class KeyRefused(Exception):
    """The key does not open the door (401, or 403 for a source that is paused)."""

    def __init__(self, message: str, status: int = 401) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


UNKNOWN_KEY = "Send a valid key as `Authorization: Bearer hf_…`."


def authenticate_key(header: str) -> ApiKey:
    """Return the key in an Authorization header. Raises KeyRefused with the reason.

    Why a key fails is told only to whoever knows its secret. Expiry is by the database's clock. ``is_marked`` says
    whether its use was noted a moment ago.
    """
    written = read_authorization(header)
    if written is None:
        _note_stranger("no key", None)
        raise KeyRefused(UNKNOWN_KEY)
    key = (
        ApiKey.objects.select_related("source")
        .annotate(
            is_over=Q(expires_at__isnull=False) & Q(expires_at__lte=Now()),
            is_marked=Q(last_used_at__isnull=False) & Q(last_used_at__gte=Now() - LAST_USED_EVERY),
        )
        .filter(prefix=written.prefix)
        .first()
    )
    if (
        key is None
        or not is_secret(written.secret, key.key_hash)
        or written.is_test != key.source.is_practice
    ):
        _note_stranger("unknown key" if key is None else "wrong secret", key)
        raise KeyRefused(UNKNOWN_KEY)
    problem = None
    if key.revoked_at is not None:
        problem = KeyProblem.REVOKED
    elif key.is_over:
        problem = KeyProblem.EXPIRED
    elif not key.source.is_active:
        problem = KeyProblem.PAUSED
    if problem is not None:
        note_refusal(key, problem.sentence)
        raise KeyRefused(problem.sentence, problem.status)
    return key


def last_told(
    model: type[Account | Group], external_ids: Collection[str]
) -> Iterable[tuple[str, str, uuid.UUID]]:
    """Yield id, digest of the line that was told last, and key, of accounts or groups of whom such a line is known."""
    rows = model._default_manager.filter(external_id__in=external_ids).exclude(told_digest="")  # noqa: SLF001 — Django's own name
    return rows.values_list("external_id", "told_digest", "pk") if external_ids else ()


def note_refusal(key: ApiKey, reason: str, **data: Any) -> None:
    """Note in the audit log that the holder of a key was turned away for ``reason``.

    Once a minute for each reason is enough to see that somebody still tries; a script that repeats it
    every second must not fill the log.
    """
    if is_first(f"refused:{key.pk}:{reason}", 60):
        audit.record_apart(
            AuditEvent.API_KEY_REFUSED, actor=actor_for(key), subject=key, reason=reason, **data
        )


def _note_stranger(reason: str, key: ApiKey | None) -> None:
    """Note that somebody without a working key knocked: once a minute for each address.

    Nothing of what was sent is kept: it may be a mistyped secret. Without Valkey nothing is noted, or
    anybody at all could fill the log as fast as they can ask.
    """
    if is_first(f"stranger:{context.current().ip}", 60, otherwise=False):
        audit.record_apart(AuditEvent.API_KEY_REFUSED, actor=None, subject=key, reason=reason)


def actor_for(key: ApiKey) -> Actor:
    """Return how the audit log names whoever holds a key."""
    return Actor("service", str(key.pk), f"{key.source.slug} ({key.prefix})")


def get_report_of(source: Source, id: uuid.UUID) -> Report:
    """Return a report that this source sent, with its items. Raises Http404 for all others."""
    found = (
        Report.objects.filter(source=source, pk=id)
        .select_related("source")
        .prefetch_related(Prefetch("items", Item.objects.order_by("received_at", "pk")))
        .first()
    )
    if found is None:
        raise Http404
    return found


def orders_of(report: Report) -> list[uuid.UUID]:
    """Return the orders of decisions that judged a report, the oldest first, at most ``MOST_ORDERS``."""
    rows = Report.objects.filter(
        pk=report.pk,
        case_reports__case__decisions__case_version__gte=F("case_reports__case_version"),
        case_reports__case__decisions__enforcements__sequence__isnull=False,
    ).order_by("case_reports__case__decisions__enforcements__sequence")
    keys = rows.values_list("case_reports__case__decisions__enforcements", flat=True)
    return list(keys[:MOST_ORDERS])


def state_of(report: Report, *, tells_outcomes: bool) -> ReportState:
    """Return where a report stands for its sender.

    A decision counts once it is in effect; a source that is not told of outcomes hears that the report is
    closed, as of one that called for no case. ``reports_of`` finds by the same words.
    """
    if report.decided_at is not None:
        return "decided" if tells_outcomes else "closed"
    if report.route_state == RouteState.ROUTED:
        return "in_review"
    return "closed" if report.route_state == RouteState.CLEAR else "received"


def _in_state(state: ReportState, *, tells_outcomes: bool) -> Q:
    decided, nothing = Q(decided_at__isnull=False), Q(pk__in=[])
    found: dict[ReportState, Q] = {
        "received": ~decided & ~Q(route_state__in=[RouteState.ROUTED, RouteState.CLEAR]),
        "in_review": ~decided & Q(route_state=RouteState.ROUTED),
        "decided": decided if tells_outcomes else nothing,
        "closed": (~decided & Q(route_state=RouteState.CLEAR))
        | (nothing if tells_outcomes else decided),
    }
    return found[state]


def reports_of(
    source: Source,
    *,
    external_id: str | None = None,
    state: ReportState | None = None,
    since: datetime | None = None,
    before: int | None = None,
    limit: int,
) -> list[Report]:
    """Return reports of this source, newest first, at most ``limit``.

    ``since`` is the earliest time of receipt. ``before`` is the number of the last report of the page before:
    what arrives meanwhile moves nothing.
    """
    found = Report.objects.filter(source=source)
    if external_id is not None:
        found = found.filter(external_id=external_id)
    if state is not None:
        found = found.filter(_in_state(state, tells_outcomes=source.tells_outcomes))
    if since is not None:
        found = found.filter(received_at__gte=since)
    if before is not None:
        found = found.filter(number__lt=before)
    return list(found.order_by("-number")[:limit])


def get_scan_of(source: Source, id: uuid.UUID) -> Item:
    """Return a scan-only item that this source sent. Raises Http404 for all others."""
    found = Item.objects.filter(source=source, pk=id, report=None).first()
    if found is None:
        raise Http404
    return found


def get_erasure_of(source: Source, id: uuid.UUID) -> Erasure:
    """Return a request to erase of this source. Raises Http404 for all others."""
    found = Erasure.objects.filter(source=source, pk=id).first()
    if found is None:
        raise Http404
    return found


def named_in_reports(
    *, accounts: Collection[uuid.UUID], groups: Collection[uuid.UUID]
) -> set[uuid.UUID]:
    """Return those accounts and groups that a report named: what it is about, who made it, who sent something in it."""
    found: set[uuid.UUID] = set()
    reports, items = Report.objects.all(), Item.objects.filter(report__isnull=False)
    fields: tuple[tuple[QuerySet[Any], str, Collection[uuid.UUID]], ...] = (
        (reports, "account", accounts),
        (reports, "reporter_account", accounts),
        (reports, "group", groups),
        (reports, "in_group", groups),
        (items, "account", accounts),
        (items, "sender", accounts),
        (items, "group", groups),
        (items, "in_group", groups),
    )
    for rows, name, keys in fields:
        if keys:
            found |= set(rows.filter(**{f"{name}__in": keys}).values_list(name, flat=True))
    return found


# ── People ────────────────────────────────────────────────────────────────────────────────────
def get_entered_report_for(user: User, id: uuid.UUID) -> Report:
    """Return a report that this person entered by hand. Raises Http404 for all others.

    Who may see the case that a report joined is decided by the case's category, not here.
    """
    found = (
        Report.objects.filter(pk=id, entered_by=user)
        .select_related("account", "group", "source")
        .prefetch_related(
            Prefetch(
                "items",
                Item.objects.exclude(surface__in=NOT_SENT)
                .select_related("blob")
                .order_by("received_at"),
            )
        )
        .first()
    )
    if found is None or not user.may(Permission.REPORTS_CREATE):
        raise Http404
    return found


def entered_reports_for(user: User) -> QuerySet[Report]:
    """Return what this person entered by hand, newest first."""
    if not user.may(Permission.REPORTS_CREATE):
        return Report.objects.none()
    return (
        Report.objects.filter(entered_by=user)
        .select_related("account", "group")
        .annotate(item_count=Count("items"))
        .order_by("-received_at")
    )


def uploads_for_form(source: Source, user: User, ids: list[uuid.UUID]) -> QuerySet[Upload]:
    """Return uploads that this person's unfinished form refers to and that are still kept."""
    if not user.may(Permission.REPORTS_CREATE):
        return Upload.objects.none()
    return (
        Upload.objects.filter(source=source, uploaded_by=user, pk__in=ids, expires_at__gt=Now())
        .select_related("blob")
        .order_by("created_at")
    )


def search_subjects(user: User, kind: str, text: str, *, limit: int = 8) -> list[Account | Group]:
    """Return accounts or groups whose id or name begins with ``text``, for the report form.

    At least three characters, so that the directory cannot be leafed through.
    """
    text = text.strip()
    if not user.may(Permission.REPORTS_CREATE) or len(text) < 3 or "\x00" in text:
        return []
    if kind == "group":
        groups = Group.objects.filter(
            Q(external_id__istartswith=text) | Q(name__istartswith=text)
        ).exclude(external_id__startswith=MARK)
        return list(groups.order_by("external_id")[:limit])
    accounts = Account.objects.filter(
        Q(external_id__istartswith=text)
        | Q(username__istartswith=text)
        | Q(display_name__istartswith=text)
    ).exclude(external_id__startswith=MARK)
    return list(accounts.order_by("external_id")[:limit])


def erasures_for(user: User) -> QuerySet[Erasure]:
    """Return requests to erase, those that wait first, then the newest; for whoever may read them."""
    if not user.may(Permission.ERASURES_VIEW):
        return Erasure.objects.none()
    waits = Q(state=ErasureState.WAITING)
    return (
        Erasure.objects.select_related("source")
        .annotate(waits=ExpressionWrapper(waits, output_field=BooleanField()))
        .order_by("-waits", "-received_at")
    )


def sources_for(user: User) -> QuerySet[Source]:
    """Return every source with its live keys, last use and number of reports, for administrators."""
    if not user.may(Permission.SOURCES_MANAGE):
        return Source.objects.none()
    alive = Q(keys__revoked_at=None) & (Q(keys__expires_at=None) | Q(keys__expires_at__gt=Now()))
    return (
        Source.objects.filter(practice_of=None)
        .annotate(
            live_keys=Count("keys", filter=alive, distinct=True),
            last_used_at=Max("keys__last_used_at"),
        )
        .order_by("name")
    )


def get_source_for(user: User, slug: str) -> Source:
    """Return one source for an administrator. Raises Http404 when not visible."""
    found = sources_for(user).filter(slug=slug).first()
    if found is None:
        raise Http404
    return found


def keys_for(user: User, source: Source) -> QuerySet[ApiKey]:
    """Return the keys of a source, test keys too, those that work first, newest first."""
    if not user.may(Permission.SOURCES_MANAGE):
        return ApiKey.objects.none()
    return (
        ApiKey.objects.filter(Q(source=source) | Q(source__practice_of=source))
        .select_related("replaced_by", "source")
        .annotate(is_over=Q(expires_at__isnull=False) & Q(expires_at__lte=Now()))
        .order_by("revoked_at", "is_over", "-created_at")
    )


def get_key_for(user: User, source: Source, id: uuid.UUID) -> ApiKey:
    """Return one key of a source for an administrator. Raises Http404 when not visible."""
    found = keys_for(user, source).filter(pk=id).first()
    if found is None:
        raise Http404
    return found


def may_have_keys(source: Source) -> bool:
    """Return whether a source is a machine's; reports of the staff source come from people."""
    return source.kind != SourceKind.STAFF


def former_memberships() -> QuerySet[Membership]:
    """Return the stays that ended of accounts that did not come back; there may be several of one account in a group."""
    present = Membership.objects.filter(
        account=OuterRef("account"), group=OuterRef("group"), left_at=None
    )
    return Membership.objects.filter(~Exists(present), left_at__isnull=False)
