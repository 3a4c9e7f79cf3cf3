"""Loads risk scores, versions of weights and imports of links, for people whose role may see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from django.db.models import Q, QuerySet
from django.shortcuts import get_object_or_404

from accounts.models import User
from accounts.permissions import Permission
from hashing import risk
from hashing.models import LinkImport, ListedLink, RiskPolicy, RiskScore
from hashing.risk import Weight
from reports.links import NotALink, link_key
from reports.models import Account, Group, GroupLink, SubjectChange

__all__ = [
    "DryRun",
    "dry_run",
    "find_link_for",
    "get_link_import_for",
    "get_score_for",
    "groups_led_to",
    "link_imports_for",
    "policies_for",
    "score_of",
    "scores_for",
    "waiting_marks",
]

DRY_RUN_MOST = 20_000
"""Subjects of each kind that a dry run rates, the highest scores first: a person waits for it."""
NAMED = 20


def scores_for(
    user: User, *, kind: str = "", only_above: bool = False, search: str = ""
) -> QuerySet[RiskScore]:
    """Return scores above 0, the highest first; ``kind`` is ``group``, ``account`` or empty for both.

    ``search`` is an external id, or part of a name.
    """
    rows = RiskScore.objects.filter(score__gt=0).select_related("group", "account")
    if not user.may(Permission.HASHING_RISK_VIEW):
        return rows.none()
    if kind == "group":
        rows = rows.filter(group__isnull=False)
    elif kind == "account":
        rows = rows.filter(account__isnull=False)
    if only_above:
        rows = rows.filter(is_above=True)
    if search.strip():
        said = search.strip()
        rows = rows.filter(
            Q(group__external_id=said)
            | Q(account__external_id=said)
            | Q(group__name__icontains=said)
            | Q(account__username__icontains=said)
            | Q(account__display_name__icontains=said)
        )
    return rows.order_by("-score", "pk")


def get_score_for(user: User, id: int) -> RiskScore:
    """Return one score with its subject. Raises Http404."""
    rows = RiskScore.objects.select_related("group", "account", "policy")
    if not user.may(Permission.HASHING_RISK_VIEW):
        rows = rows.none()
    return get_object_or_404(rows, pk=id)


def score_of(subject: Account | Group) -> RiskScore | None:
    """Return the score of a subject whose case somebody may see; None when nothing adds to it."""
    about = {"account": subject} if isinstance(subject, Account) else {"group": subject}
    return RiskScore.objects.filter(**about, score__gt=0).first()


def policies_for(user: User) -> QuerySet[RiskPolicy]:
    """Return the versions of the weights, the newest first."""
    rows = RiskPolicy.objects.select_related("created_by").order_by("-version")
    return rows if user.may(Permission.HASHING_RISK_VIEW) else rows.none()


def waiting_marks() -> int:
    """Return how many marks wait to be rated, counted up to 10,000."""
    return SubjectChange.objects.values("pk")[:10_000].count()


def link_imports_for(user: User) -> QuerySet[LinkImport]:
    """Return the imports of links, the newest first."""
    rows = LinkImport.objects.select_related("imported_by", "source").order_by("-created_at")
    return rows if user.may(Permission.HASHING_RISK_VIEW) else rows.none()


def get_link_import_for(user: User, id: UUID) -> LinkImport:
    """Return one import of links. Raises Http404."""
    return get_object_or_404(link_imports_for(user), pk=id)


def groups_led_to(link_import: LinkImport) -> QuerySet[Group]:
    """Return the groups that the links of an import lead to, the riskiest first."""
    keys = ListedLink.objects.filter(link_import=link_import).values("key")
    found = GroupLink.objects.filter(key__in=keys).values("group")
    return (
        Group.objects.filter(pk__in=found)
        .select_related("risk")
        .order_by("-risk__score", "external_id")
    )


def find_link_for(user: User, text: str) -> tuple[QuerySet[ListedLink], QuerySet[GroupLink]]:
    """Return where a link was listed, and the groups that it leads to; nothing for what is no link."""
    listed = ListedLink.objects.filter(withdrawn_at=None).select_related("link_import")
    groups = GroupLink.objects.select_related("group")
    try:
        key = link_key(text)
    except NotALink:
        return listed.none(), groups.none()
    if not user.may(Permission.HASHING_RISK_VIEW):
        return listed.none(), groups.none()
    return listed.filter(key=key).order_by("place"), groups.filter(key=key)


# ── Dry run ───────────────────────────────────────────────────────────────────────────────────
@dataclass
class DryRun:
    """What other weights would change, over the facts as they are now."""

    kind: str
    rated: int = 0
    of: int = 0
    above_now: int = 0
    above_then: int = 0
    rising: list[tuple[RiskScore, int]] = field(default_factory=list)
    """Subjects that would come above the threshold, with their score then; the highest first."""
    falling: list[tuple[RiskScore, int]] = field(default_factory=list)
    bands_now: list[int] = field(default_factory=lambda: [0] * 10)
    bands_then: list[int] = field(default_factory=lambda: [0] * 10)
    """Subjects by score: 1–10, 11–20, … 91–100."""

    @property
    def difference(self) -> int:
        return self.above_then - self.above_now


def dry_run(
    user: User, kind: str, *, weights: Mapping[str, Weight], open_at: int, now_open_at: int
) -> DryRun:
    """Rate everything that is rated with other weights; nothing is written. About 30 µs a subject."""
    found = DryRun(kind)
    rows = RiskScore.objects.filter(**{f"{kind}__isnull": False})
    if not user.may(Permission.HASHING_RISK_VIEW):
        return found
    found.of = rows.count()
    chosen = rows.select_related(kind).order_by("-score", "pk")[:DRY_RUN_MOST]
    for row in chosen.iterator(chunk_size=2000):
        facts = risk.facts_from(kind, row.facts)
        then = risk.total_of(risk.assess(facts, weights))
        found.rated += 1
        was, will = row.score >= now_open_at, then >= open_at
        found.above_now += was
        found.above_then += will
        if row.score:
            found.bands_now[(row.score - 1) // 10] += 1
        if then:
            found.bands_then[(then - 1) // 10] += 1
        if will and not was:
            found.rising.append((row, then))
        elif was and not will:
            found.falling.append((row, then))
    found.rising = sorted(found.rising, key=lambda pair: -pair[1])[:NAMED]
    found.falling = sorted(found.falling, key=lambda pair: pair[1])[:NAMED]
    return found
