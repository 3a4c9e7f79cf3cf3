"""Loads risk scores, versions of weights and imports of links.

The role alone shows figures only. Who is named is asked of ``settings.HOLDFAST_SUBJECTS_SEEN``, because grants and
cases live in a higher room: no page of risk names a group or an account whose cases a person may not see.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from django.conf import settings
from django.db.models import Q, QuerySet
from django.shortcuts import get_object_or_404
from django.utils.module_loading import import_string

from accounts.models import User
from accounts.permissions import Permission
from hashing import risk
from hashing.models import LinkImport, ListedLink, RiskPolicy, RiskScore
from hashing.risk import Weight
from reports.links import NotALink, link_key
from reports.models import Account, Group, GroupLink, SubjectChange

__all__ = [
    "DryRun",
    "LinkFound",
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
SHOWN = 20
"""Scores that would cross the threshold, shown as numbers."""


def _seen(user: User, **fields: str) -> Q:
    """Return the condition on rows that name subjects in ``account`` or ``group``: those the person may see."""
    seen: Q = import_string(settings.HOLDFAST_SUBJECTS_SEEN)(user, **fields)
    return seen


def _scores(user: User) -> QuerySet[RiskScore]:
    rows = RiskScore.objects.select_related("group", "account", "policy")
    if not user.may(Permission.HASHING_RISK_VIEW):
        return rows.none()
    return rows.filter(_seen(user, account="account", group="group"))


def scores_for(
    user: User, *, kind: str = "", only_above: bool = False, search: str = ""
) -> QuerySet[RiskScore]:
    """Return scores above 0, the highest first; ``kind`` is ``group``, ``account`` or empty for both.

    ``search`` is an external id, or part of a name. Subjects that the person may not see are not counted either.
    """
    rows = _scores(user).filter(score__gt=0)
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
    """Return one score with its subject. Raises Http404, also for a subject that the person may not see."""
    return get_object_or_404(_scores(user), pk=id)


def score_of(subject: Account | Group) -> RiskScore | None:
    """Return the score of a subject whose case somebody may see; None when nothing adds to it."""
    about = {"account": subject} if isinstance(subject, Account) else {"group": subject}
    return RiskScore.objects.filter(**about, score__gt=0).first()


def policies_for(user: User) -> QuerySet[RiskPolicy]:
    """Return the versions of the weights, the newest first."""
    rows = RiskPolicy.objects.select_related("created_by").order_by("-version")
    return rows if user.may(Permission.HASHING_RISK_EDIT) else rows.none()


def waiting_marks() -> int:
    """Return how many marks wait to be rated, counted up to 10,000."""
    return SubjectChange.objects.values("pk")[:10_000].count()


def link_imports_for(user: User) -> QuerySet[LinkImport]:
    """Return the imports of links, the newest first."""
    rows = LinkImport.objects.select_related("imported_by", "source").order_by("-created_at")
    return rows if user.may(Permission.HASHING_LINKS_VIEW) else rows.none()


def get_link_import_for(user: User, id: UUID) -> LinkImport:
    """Return one import of links. Raises Http404."""
    return get_object_or_404(link_imports_for(user), pk=id)


def groups_led_to(user: User, link_import: LinkImport) -> QuerySet[Group]:
    """Return the groups that the links of an import lead to and that the person may see, the riskiest first."""
    if not user.may(Permission.HASHING_RISK_VIEW):
        return Group.objects.none()
    keys = ListedLink.objects.filter(link_import=link_import).values("key")
    found = GroupLink.objects.filter(key__in=keys).values("group")
    return (
        Group.objects.filter(_seen(user, group="pk"), pk__in=found)
        .select_related("risk")
        .order_by("-risk__score", "external_id")
    )


@dataclass(frozen=True)
class LinkFound:
    """What is known of one link."""

    listed: QuerySet[ListedLink]
    groups: QuerySet[GroupLink]
    """Those that the person may see named."""
    of: int = 0
    """All groups that it leads to. That a link leads somewhere is a figure, as with imports."""


def find_link_for(user: User, text: str) -> LinkFound:
    """Return where a link was listed and the groups that it leads to; nothing for what is no link."""
    listed = ListedLink.objects.filter(withdrawn_at=None).select_related("link_import")
    groups = GroupLink.objects.select_related("group")
    none = LinkFound(listed.none(), groups.none())
    if not user.may(Permission.HASHING_LINKS_VIEW):
        return none
    try:
        key = link_key(text)
    except NotALink:
        return none
    leads = groups.filter(key=key)
    named = (
        leads.filter(_seen(user, group="group"))
        if user.may(Permission.HASHING_RISK_VIEW)
        else leads.none()
    )
    return LinkFound(listed.filter(key=key).order_by("place"), named, of=leads.count())


# ── Dry run ───────────────────────────────────────────────────────────────────────────────────
@dataclass
class DryRun:
    """What other weights would change, over the facts as they are now: figures, and nobody's name."""

    kind: str
    rated: int = 0
    of: int = 0
    above_now: int = 0
    above_then: int = 0
    rising: list[tuple[int, int]] = field(default_factory=list)
    """Scores that would come above the threshold, as now and then; the highest then first, at most 20."""
    rising_count: int = 0
    falling: list[tuple[int, int]] = field(default_factory=list)
    falling_count: int = 0
    bands_now: list[int] = field(default_factory=lambda: [0] * 10)
    bands_then: list[int] = field(default_factory=lambda: [0] * 10)
    """Subjects by score: 1–10, 11–20, … 91–100."""

    @property
    def difference(self) -> int:
        return self.above_then - self.above_now

    @property
    def share_now(self) -> float:
        """Per cent of what was rated that is above the threshold."""
        return 100 * self.above_now / self.rated if self.rated else 0.0

    @property
    def share_then(self) -> float:
        """Per cent of what was rated that would be above it."""
        return 100 * self.above_then / self.rated if self.rated else 0.0


def dry_run(
    user: User, kind: str, *, weights: Mapping[str, Weight], open_at: int, now_open_at: int
) -> DryRun:
    """Rate everything that is rated with other weights; nothing is written. About 30 µs a subject."""
    found = DryRun(kind)
    rows = RiskScore.objects.filter(**{f"{kind}__isnull": False})
    if not user.may(Permission.HASHING_RISK_EDIT):
        return found
    found.of = rows.count()
    chosen = rows.order_by("-score", "pk")[:DRY_RUN_MOST]
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
            found.rising.append((row.score, then))
        elif was and not will:
            found.falling.append((row.score, then))
    found.rising_count, found.falling_count = len(found.rising), len(found.falling)
    found.rising = sorted(found.rising, key=lambda pair: -pair[1])[:SHOWN]
    found.falling = sorted(found.falling, key=lambda pair: pair[1])[:SHOWN]
    return found
