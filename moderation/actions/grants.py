"""Who may work which queue and see which category: names in a list, kept by administrators and leads.

Granting never shows a case to the person who grants.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models.functions import Now
from guardian.shortcuts import assign_perm, remove_perm

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit import Actor
from core.audit_events import AuditEvent
from core.errors import Invalid
from hashing.models import Category
from moderation import access
from moderation.models import CategoryGrant, Claim, ClaimEnd, Queue


@transaction.atomic
def grant_queue(queue: Queue, *, to: User, actor: User | Actor) -> None:
    """Let a person work a queue. Can be undone by ``revoke_queue``. Twice is once."""
    require(actor, Permission.QUEUES_MANAGE)
    if not to.is_active or not to.may(Permission.CASES_CLAIM):
        raise Invalid({"person": [f"The role of {to.pseudonym} does not work cases."]})
    if access.granted_queues(to).filter(pk=queue.pk).exists():
        return
    assign_perm("moderation.work_queue", to, queue)
    audit.record(AuditEvent.QUEUE_GRANTED, actor=actor, subject=queue, person=to.pk)


@transaction.atomic
def revoke_queue(queue: Queue, *, of: User, actor: User | Actor) -> None:
    """Take a queue from a person; their leases in it end at once. Can be undone by ``grant_queue``."""
    require(actor, Permission.QUEUES_MANAGE)
    if not access.granted_queues(of).filter(pk=queue.pk).exists():
        return
    remove_perm("moderation.work_queue", of, queue)
    ended = _withdraw(Claim.objects.filter(case__queue=queue, user=of))
    audit.record(
        AuditEvent.QUEUE_REVOKED, actor=actor, subject=queue, person=of.pk, leases_ended=ended
    )


@transaction.atomic
def grant_category(category: str, *, to: User, actor: User | Actor) -> None:
    """Let a person see the cases of a category. Can be undone by ``revoke_category``.

    Needed by everybody who sees cases: reviewers and leads besides their queues, legal staff for
    decided cases.
    """
    require(actor, Permission.QUEUES_MANAGE)
    if not to.is_active or not to.may(Permission.CASES_VIEW):
        raise Invalid({"person": [f"The role of {to.pseudonym} does not see cases."]})
    grant = _category(category)
    if access.may_see_category(to, category):
        return
    assign_perm("moderation.see_category", to, grant)
    audit.record(AuditEvent.CATEGORY_GRANTED, actor=actor, subject=grant, person=to.pk)


@transaction.atomic
def revoke_category(category: str, *, of: User, actor: User | Actor) -> None:
    """Hide a category from a person, in every queue; their leases on such cases end at once.

    Can be undone by ``grant_category``.
    """
    require(actor, Permission.QUEUES_MANAGE)
    grant = _category(category)
    if not access.may_see_category(of, category):
        return
    remove_perm("moderation.see_category", of, grant)
    ended = _withdraw(Claim.objects.filter(case__category=category, user=of))
    audit.record(
        AuditEvent.CATEGORY_REVOKED, actor=actor, subject=grant, person=of.pk, leases_ended=ended
    )


def _category(category: str) -> CategoryGrant:
    if category not in Category.values:
        raise Invalid({"category": ["There is no such category."]})
    return CategoryGrant.objects.get(category=category)


def _withdraw(claims) -> int:  # type: ignore[no-untyped-def]
    # A decision in its undo window keeps its claim; publishing asks for the permission again.
    return claims.filter(ended_at=None, case__status="open").update(
        ended_at=Now(), end=ClaimEnd.WITHDRAWN
    )
