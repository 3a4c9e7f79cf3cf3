"""Which queues and cases a person sees, and may work. Not visible is 404.

Two grants decide, both by name (django-guardian): ``work_queue`` on the queue *and* ``see_category`` on
the case's category. The category goes with the case, so moving a case never widens who can see it.
"""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

from django.db.models import Count, Exists, Min, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.http import Http404
from guardian.models import UserObjectPermission
from guardian.shortcuts import get_objects_for_user, get_users_with_perms

from accounts.models import User
from accounts.permissions import Permission
from core.errors import Refused
from moderation.models import (
    Case,
    CaseItem,
    CaseStatus,
    CategoryGrant,
    Claim,
    ClaimEnd,
    Decision,
    Outcome,
    Policy,
    PolicyVersion,
    Preview,
    PreviewState,
    Queue,
    Reveal,
    RoutingRule,
    Skip,
)
from reports.models import Item, Report, RouteState, TrustLevel


def granted_queues(user: User) -> QuerySet[Queue]:
    """Return the queues granted to the person by name, whatever the role may do with them."""
    return get_objects_for_user(
        user,
        "moderation.work_queue",
        klass=Queue,
        use_groups=False,
        with_superuser=False,
        accept_global_perms=False,
    )


def granted_categories(user: User) -> QuerySet[CategoryGrant]:
    """Return the categories granted to the person by name."""
    return get_objects_for_user(
        user,
        "moderation.see_category",
        klass=CategoryGrant,
        use_groups=False,
        with_superuser=False,
        accept_global_perms=False,
    )


def queues_for(user: User) -> QuerySet[Queue]:
    """Return the active queues that the person works, in their order."""
    if not user.may(Permission.CASES_CLAIM):
        return Queue.objects.none()
    return Queue.objects.filter(pk__in=granted_queues(user).values("pk"), is_active=True)


def cases_for(user: User) -> QuerySet[Case]:
    """Return every case the person may see.

    * People who work cases: in their queues and of their categories.
    * Legal staff: of their categories, once a decision that confirms a violation is published.
    * Everybody else, administrators too: none.
    """
    categories = granted_categories(user).values("category")
    seen = Q(pk__in=[])
    if user.may(Permission.CASES_CLAIM):
        seen |= Q(queue__in=granted_queues(user).values("pk"))
    if user.may(Permission.REFERRALS_VIEW):
        # What was sealed before its decision was overturned stays in sight of who sealed it.
        seen |= Q(pk__in=confirming_decisions(overturned=True).values("case"))
    if not user.may(Permission.CASES_VIEW):
        return Case.objects.none()
    return Case.objects.filter(seen, category__in=categories)


def subjects_seen(user: User, *, account: str = "", group: str = "") -> Q:
    """Return the condition on rows that name accounts or groups: those that the person may see named.

    ``account`` and ``group`` are the fields of the rows that hold them; one of them may be empty.

    * A subject with cases: whoever may see at least one of these cases.
    * A subject without any case belongs to no queue and no category yet, and somebody has to look at whom nobody
      was asked about: whoever works cases with at least one queue and one category granted.
    * Everybody else: none. What a subject has is not shown by halves, as on a case page.
    """
    works = queues_for(user).exists() and granted_categories(user).exists()
    seen = Q(pk__in=[])
    for kind, field in (("account", account), ("group", group)):
        if not field:
            continue
        about = {kind: OuterRef(field)}
        seen |= Q(Exists(cases_for(user).filter(**about)), **{f"{field}__isnull": False})
        if works:
            seen |= Q(~Exists(Case.objects.filter(**about)), **{f"{field}__isnull": False})
    return seen


def confirming_decisions(*, overturned: bool = False) -> QuerySet[Decision]:
    """Return published decisions that found a violation and stand; with ``overturned`` also those that did once.

    Those on practice found none: nothing happened.
    """
    found = Decision.objects.filter(
        published_at__isnull=False,
        outcome__in=[Outcome.CONFIRM, Outcome.CONFIRM_REFER],
        case__is_practice=False,
    )
    return found if overturned else found.filter(overturned_at=None)


def get_case_for(user: User, id: uuid.UUID | str) -> Case:
    """Return a case the person may see. Raises Http404 otherwise."""
    case = cases_for(user).select_related("queue", "account", "group").filter(pk=_key(id)).first()
    if case is None:
        raise Http404
    return case


WITHDRAWN = "Your permission for this queue was withdrawn."
_TOLD_FOR = timedelta(hours=12)
"""As long as the longest session: nobody is told a day later about a case they held."""


def get_case_to_work(user: User, id: uuid.UUID | str) -> Case:
    """Return a case for a verb of the person who holds it. Raises Http404, or Refused (409, ``withdrawn``).

    Who held the case until a grant was taken from them is told so, instead of that there is no such case:
    they know that there is. They are told nothing else of it.
    """
    try:
        return get_case_for(user, id)
    except Http404:
        held = Claim.objects.filter(
            case_id=_key(id), user=user, end=ClaimEnd.WITHDRAWN, ended_at__gt=Now() - _TOLD_FOR
        )
        if held.exists():
            raise Refused(WITHDRAWN, code="withdrawn") from None
        raise


def reread(case: Case) -> Case:
    """Return a case that was authorised before, as it is now: an action may have changed it."""
    return Case.objects.select_related("queue", "account", "group").get(pk=case.pk)


def get_queue_for(user: User, slug: str) -> Queue:
    """Return a queue the person works. Raises Http404 otherwise."""
    queue = queues_for(user).filter(slug=slug).first()
    if queue is None:
        raise Http404
    return queue


def get_case_item_for(user: User, case_id: uuid.UUID | str, item_id: uuid.UUID | str) -> CaseItem:
    """Return an item of a case the person may see. Raises Http404 otherwise."""
    case = get_case_for(user, case_id)
    case_item = (
        case.case_items.select_related("item", "item__blob", "case")
        .filter(item=_key(item_id))
        .first()
    )
    if case_item is None:
        raise Http404
    return case_item


def case_of_number(text: str) -> uuid.UUID | None:
    """Return the id of the case that ``C-000010``, or a report of it such as ``R-000010``, means.

    Grants nothing and shows nothing: for who reads the audit log, which names cases by their ids.
    """
    if (found := re.fullmatch(r"([CR])-?0*(\d{1,15})", text)) is None:
        return None
    number = int(found[2])
    cases = (
        Case.objects.filter(number=number)
        if found[1] == "C"
        else Case.objects.filter(case_reports__report__number=number)
    )
    return cases.order_by("pk").values_list("pk", flat=True).first()


def media_of(case: Case) -> QuerySet[Item]:
    """Return the items of a case that have a stored file. For a case that was asked for with ``get_case_for``."""
    return Item.objects.filter(case_items__case=case, blob__isnull=False)


def get_decision_for(user: User, id: uuid.UUID | str) -> Decision:
    """Return a decision on a case the person may see. Raises Http404 otherwise."""
    decision = (
        Decision.objects.select_related("case", "policy_version__policy", "made_by")
        .filter(pk=_key(id), case__in=cases_for(user))
        .first()
    )
    if decision is None:
        raise Http404
    return decision


def get_reveal_for(user: User, id: uuid.UUID | str) -> Reveal:
    """Return one of the person's own reveals. Raises Http404 otherwise."""
    reveal = Reveal.objects.select_related("case", "item").filter(pk=_key(id), user=user).first()
    if reveal is None:
        raise Http404
    return reveal


def may_work(user: User, case: Case) -> bool:
    """Return whether the person may claim and decide this case: role, queue and category."""
    return (
        user.may(Permission.CASES_CLAIM)
        and granted_queues(user).filter(pk=case.queue_id).exists()
        and granted_categories(user).filter(category=case.category).exists()
    )


def may_see_category(user: User, category: str) -> bool:
    """Return whether the person holds the grant for a category."""
    return granted_categories(user).filter(category=category).exists()


def live_claims() -> QuerySet[Claim]:
    """Return leases that hold at this moment, by the database's clock."""
    return Claim.objects.filter(ended_at=None, expires_at__gt=Now())


def live_claim_on(case: Case) -> Claim | None:
    """Return the lease that holds on a case, or None."""
    return live_claims().filter(case=case).select_related("user").first()


def claims_of(user: User) -> QuerySet[Claim]:
    """Return the person's own leases that hold, on cases that are still theirs to see."""
    return (
        live_claims()
        .filter(user=user, case__status=CaseStatus.OPEN, case__in=cases_for(user))
        .select_related("case", "case__queue", "case__account", "case__group")
        .order_by("expires_at")
    )


def waiting_cases(user: User, queue: Queue) -> QuerySet[Case]:
    """Return the open cases of a queue that nobody holds and the person has not passed by, in order.

    Permission is part of the query: what a person may not see is never even locked.
    """
    mine_to_skip = Skip.objects.filter(case=OuterRef("pk"), user=user, until__gt=Now())
    return (
        cases_for(user)
        .filter(queue=queue, queue__is_active=True, status=CaseStatus.OPEN)
        .filter(
            ~Exists(live_claims().filter(case=OuterRef("pk"))),
            ~Exists(mine_to_skip),
        )
        .order_by("due_at", "-score", "number")
    )


def next_waiting(user: User, *, besides: Queue | None = None) -> Case | None:
    """Return the case that is due first in all the person's queues, or in all but one; None when none waits.

    Practice is left out: who practises goes to its queue.

    One query a queue, each of which stops at the first row of its index, however long the queue is.
    """
    first = [
        case
        for queue in queues_for(user).filter(is_practice=False)
        if queue != besides
        and (case := waiting_cases(user, queue).select_related("queue").first()) is not None
    ]
    return min(first, key=lambda case: (case.due_at, -case.score, case.number), default=None)


def queue_figures(user: User) -> QuerySet[Queue]:
    """Return the person's queues with ``open``, ``oldest``, ``due_soon``, ``over``, ``next_due``.

    Counts only cases the person may see. One query.
    """
    mine = Q(
        cases__status=CaseStatus.OPEN,
        cases__category__in=granted_categories(user).values("category"),
    )
    hour = Now() + timedelta(hours=1)
    return queues_for(user).annotate(
        open=Count("cases", filter=mine),
        oldest=Min("cases__opened_at", filter=mine),
        next_due=Min("cases__due_at", filter=mine),
        due_soon=Count("cases", filter=mine & Q(cases__due_at__gt=Now(), cases__due_at__lte=hour)),
        over=Count("cases", filter=mine & Q(cases__due_at__lte=Now())),
    )


def has_trusted_report() -> Exists:
    """Return the condition that a trusted flagger reported the case."""
    return Exists(
        Report.objects.filter(case_reports__case=OuterRef("pk"), source__trust=TrustLevel.TRUSTED)
    )


def related_cases(user: User, case: Case) -> QuerySet[Case]:
    """Return other cases about the same subject that the person may see, newest first."""
    same = Q(account=case.account_id) if case.account_id else Q(group=case.group_id)
    return cases_for(user).filter(same).exclude(pk=case.pk).order_by("-opened_at")


def cases_sharing_media(user: User, case: Case) -> QuerySet[Case]:
    """Return other cases the person may see that hold the very same stored media."""
    blobs = Item.objects.filter(case_items__case=case, blob__isnull=False).values("blob")
    return (
        cases_for(user)
        .filter(case_items__item__blob__in=blobs, is_practice=case.is_practice)
        .exclude(pk=case.pk)
        .distinct()
        .order_by("-opened_at")
    )


# ── What belongs to a person's own work ───────────────────────────────────────────────────────
def taken_over_from(user: User) -> QuerySet[Claim]:
    """Return the person's leases that somebody took over in the last half day: the notice."""
    return (
        Claim.objects.filter(
            user=user,
            end=ClaimEnd.TAKEN_OVER,
            ended_at__gt=Now() - timedelta(hours=12),
            case__in=cases_for(user),
        )
        .select_related("case", "ended_by")
        .order_by("-ended_at")
    )


def outcomes_for(user: User) -> QuerySet[Decision]:
    """Return the person's decisions that took effect, newest first, to see what became of them."""
    return (
        Decision.objects.filter(made_by=user, published_at__isnull=False, case__in=cases_for(user))
        .select_related("case", "policy_version__policy")
        .order_by("-published_at")
    )


def pending_decisions_of(user: User) -> QuerySet[Decision]:
    """Return the person's decisions that are still inside their undo windows, newest first."""
    return (
        Decision.objects.filter(
            made_by=user,
            undone_at=None,
            published_at=None,
            publish_at__gt=Now(),
            case__in=cases_for(user),  # What may not be seen any more is not named either.
        )
        .select_related("case")
        .order_by("-made_at")
    )


def count_unrouted(user: User) -> int:
    """Return how many reports and items wait because routing failed; for leads, else 0."""
    if not user.may(Permission.CASES_MOVE):
        return 0
    failed = {"route_state": RouteState.FAILED}
    return Report.objects.filter(**failed).count() + Item.objects.filter(**failed).count()


def count_unpublished(user: User) -> int:
    """Return how many decisions have not taken effect although their time is over; for leads, else 0."""
    if not user.may(Permission.CASES_MOVE):
        return 0
    return (
        Decision.objects.filter(published_at=None, undone_at=None).exclude(publish_error="").count()
    )


# ── Policies and rules: everybody who may read one may read all ───────────────────────────────
def current_policies() -> list[PolicyVersion]:
    """Return the wording in force of every active policy, in the order of their codes."""
    newest: dict[int, PolicyVersion] = {}
    rows = (
        PolicyVersion.objects.filter(policy__is_active=True, effective_from__lte=Now())
        .select_related("policy")
        .order_by("policy__code", "-version")
    )
    for row in rows:
        newest.setdefault(row.policy_id, row)
    return list(newest.values())


def policies_for(case: Case) -> list[PolicyVersion]:
    """Return the wordings that a case can be decided on, those of its category first."""
    return sorted(
        current_policies(),
        key=lambda row: (row.policy.category != case.category, row.policy.code),
    )


def get_policy(code: str) -> Policy:
    """Return a policy by its code. Raises Http404 when there is none."""
    policy = Policy.objects.filter(code__iexact=code).first()
    if policy is None:
        raise Http404
    return policy


def routing_rules(category: str = "") -> QuerySet[RoutingRule]:
    """Return the routing rules in force, in their order, of one category or all."""
    rules = RoutingRule.objects.filter(is_active=True).select_related("queue")
    return rules.filter(category=category) if category else rules


# ── Grants: names and counts for those who administer them, never cases ───────────────────────
def queues_to_grant(user: User) -> QuerySet[Queue]:
    """Return every queue with its number of open cases, for somebody who grants them."""
    if not user.may(Permission.QUEUES_MANAGE):
        return Queue.objects.none()
    return Queue.objects.annotate(open=Count("cases", filter=~Q(cases__status=CaseStatus.DECIDED)))


def categories_to_grant(user: User) -> QuerySet[CategoryGrant]:
    """Return every category, for somebody who grants them."""
    if not user.may(Permission.QUEUES_MANAGE):
        return CategoryGrant.objects.none()
    return CategoryGrant.objects.order_by("pk")


def get_queue_to_grant(user: User, slug: str) -> Queue:
    """Return a queue for somebody who grants it. Raises Http404 otherwise."""
    queue = queues_to_grant(user).filter(slug=slug).first()
    if queue is None:
        raise Http404
    return queue


def get_category_to_grant(user: User, category: str) -> CategoryGrant:
    """Return a category for somebody who grants it. Raises Http404 otherwise."""
    found = categories_to_grant(user).filter(category=category).first()
    if found is None:
        raise Http404
    return found


def holders_of(row: Queue | CategoryGrant) -> list[User]:
    """Return the people who hold the grant on a queue or a category, by name."""
    codename = "work_queue" if isinstance(row, Queue) else "see_category"
    people = get_users_with_perms(row, only_with_perms_in=[codename], with_group_users=False)
    return sorted(people, key=lambda person: (person.name, person.pseudonym))


def count_holders(kind: type[Queue | CategoryGrant]) -> dict[str, int]:
    """Return how many people hold the grant on each queue, or on each category, by its key. One query."""
    codename = "work_queue" if kind is Queue else "see_category"
    grants = UserObjectPermission.objects.filter(
        permission__codename=codename, permission__content_type__app_label="moderation"
    )
    counted = grants.values("object_pk").annotate(people=Count("user", distinct=True))
    return dict(counted.values_list("object_pk", "people"))


def rendition_of(case_item: CaseItem) -> Preview | None:
    """Return the finished safe rendition of an item's media, or None."""
    return (
        Preview.objects.filter(
            blob=case_item.item.blob_id, state=PreviewState.READY, rendition__isnull=False
        )
        .select_related("rendition")
        .first()
    )


def _key(text: uuid.UUID | str) -> uuid.UUID:
    """Return the key that an address names. Raises Http404 when it cannot be one."""
    key = _uuid(text)
    if key is None:
        raise Http404
    return key


def _uuid(text: uuid.UUID | str) -> uuid.UUID | None:
    try:
        return text if isinstance(text, uuid.UUID) else uuid.UUID(str(text))
    except ValueError:
        return None
