"""Which referrals and recipients a person may see. Not visible is 404, so ids cannot be probed."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Prefetch, Q, QuerySet
from django.http import Http404
from django.urls import reverse

from accounts.access import Waiting
from accounts.models import User
from accounts.permissions import Permission, Role, role_may
from moderation.access import cases_for, confirming_decisions, get_case_for
from moderation.looks import looks_at
from moderation.models import Case, CaseStatus, Outcome
from moderation.viewing import Look
from referrals.actions.steps import reasons_against
from referrals.describing.groups import groups_of
from referrals.models import (
    Exhibit,
    Package,
    Recipient,
    RecipientKey,
    Referral,
    ReferralAccount,
    ReferralState,
)
from referrals.standing import only_fallen, to_tell
from reports.access import former_memberships
from reports.models import AccountIdentifier, Group, IpEvent, Membership, Report

TABS = {
    "draft": ("Draft", [ReferralState.DRAFT]),
    "awaiting_approval": ("Awaiting approval", [ReferralState.AWAITING_APPROVAL]),
    "building": ("Being built", [ReferralState.APPROVED, ReferralState.BUILDING]),
    "build_failed": ("Build failed", [ReferralState.BUILD_FAILED]),
    "sealed": ("Sealed", [ReferralState.SEALED]),
}
"""The list's tabs: key, label and the states behind it."""
OVERTURNED = "overturned"
"""A tab beside those: referrals of any state whose decision was overturned."""


def referrals_for(user: User) -> QuerySet[Referral]:
    """Return the referrals of every case that the person may see, newest first."""
    if not user.may(Permission.REFERRALS_VIEW):
        return Referral.objects.none()
    return (
        Referral.objects.filter(case__in=cases_for(user))
        .select_related("case", "recipient", "drafted_by", "approved_by", "requested_by")
        .order_by("-created_at")
    )


def get_referral_for(user: User, referral_id: UUID) -> Referral:
    """Return one referral. Raises Http404 when the person may not see its case."""
    referral = referrals_for(user).filter(pk=referral_id).first()
    if referral is None:
        raise Http404("No such referral.")
    return referral


def get_package_for(user: User, referral_id: UUID) -> Package:
    """Return the sealed package of a referral. Raises Http404 when there is none to see."""
    package = Package.objects.filter(referral=get_referral_for(user, referral_id)).first()
    if package is None:
        raise Http404("No package has been sealed for this referral.")
    return package


def named_in_referrals(*, accounts: Collection[UUID], groups: Collection[UUID]) -> set[UUID]:
    """Return those accounts that a referral names. Groups stand in referrals through their cases."""
    rows = ReferralAccount.objects.filter(account__in=accounts)
    return set(rows.values_list("account", flat=True)) if accounts else set()


def unreferred_cases_for(user: User) -> QuerySet[Case]:
    """Return decided cases, confirmed for referral, that have no referral yet; the oldest first."""
    ready = confirming_decisions().filter(case=OuterRef("pk"), outcome=Outcome.CONFIRM_REFER)
    return (
        cases_for(user)
        .filter(Exists(ready), status=CaseStatus.DECIDED, referrals=None)
        .order_by("decided_at")
    )


def get_referable_case_for(user: User, case_id: UUID) -> Case:
    """Return a case that the person may see. Whether it may be referred is the action's question."""
    return get_case_for(user, case_id)


def waiting_counts(user: User) -> dict[str, int]:
    """Return how many referrals wait in each state, for the list's tabs."""
    rows = referrals_for(user).order_by().values("state").annotate(n=Count("pk"))
    return {row["state"]: row["n"] for row in rows}


def count_overturned(user: User) -> int:
    """Return how many visible referrals rest on a decision that was overturned."""
    return only_fallen(referrals_for(user)).count()


def search_referrals(user: User, *, state: str, text: str) -> QuerySet[Referral]:
    """Return visible referrals by state and by reference, case number or recipient."""
    found = referrals_for(user)
    if state in TABS:
        found = found.filter(state__in=TABS[state][1])
    elif state == OVERTURNED:
        found = only_fallen(found)
    if text:
        tail = text.split("-r", maxsplit=1)[0].rsplit("-", 1)[-1]
        digits = "".join(ch for ch in tail if ch.isdigit())
        match = Q(recipient__name__icontains=text)
        # Larger numbers are somebody's telephone number, not ours.
        if digits and len(digits) <= 15:
            match |= Q(number=int(digits)) | Q(case__number=int(digits))
        found = found.filter(match)
    return found


def recipients_for(user: User, *, only_active: bool = False) -> QuerySet[Recipient]:
    """Return the recipients; the agencies' public keys are no secret inside the legal team."""
    if not user.may(Permission.REFERRALS_VIEW):
        return Recipient.objects.none()
    found = Recipient.objects.annotate(referral_count=Count("referrals")).prefetch_related(
        Prefetch("keys", RecipientKey.objects.filter(ended_at=None), to_attr="current_keys")
    )
    return found.filter(is_active=True) if only_active else found


def get_recipient_for(user: User, recipient_id: UUID) -> Recipient:
    """Return one recipient or raise Http404."""
    recipient = recipients_for(user).filter(pk=recipient_id).first()
    if recipient is None:
        raise Http404("No such recipient.")
    return recipient


def get_key_for(user: User, recipient_id: UUID, key_id: UUID) -> RecipientKey:
    """Return one key of an agency or raise Http404."""
    keys = get_recipient_for(user, recipient_id).keys.select_related("recipient", "entered_by")
    key = keys.filter(pk=key_id).first()
    if key is None:
        raise Http404("No such key.")
    return key


def keys_of(recipient: Recipient) -> QuerySet[RecipientKey]:
    """Return the keys of an agency that were not withdrawn, with who entered and confirmed them."""
    return recipient.keys.filter(ended_at=None).select_related("entered_by", "confirmed_by")


def sealing_keys_of(referral: Referral) -> list[RecipientKey]:
    """Return the keys that the package is, or would be, encrypted to: as approved, else those that count.

    Afterwards the approval holds, whatever became of the keys since.
    """
    keys = referral.recipient.keys.select_related("entered_by", "confirmed_by")
    if referral.approved_keys:
        newest = {key.text: key for key in keys.filter(text__in=referral.approved_keys)}
        return list(newest.values())
    return list(keys.filter(ended_at=None, confirmed_at__isnull=False))


def possible_approvers(referral: Referral) -> list[tuple[User, list[str]]]:
    """Return who may approve referrals of this case, each with what stands against it, if anything.

    Only people whose role approves and who may see the case: a team of a few.
    """
    roles = [role for role in Role if role_may(role, Permission.REFERRALS_APPROVE)]
    people = User.objects.filter(is_active=True, role__in=roles).order_by("name", "pseudonym")
    return [
        (person, reasons_against(referral, person))
        for person in people
        if cases_for(person).filter(pk=referral.case_id).exists()
    ]


def issued_packages(user: User) -> QuerySet[Package]:
    """Return every package ever sealed, oldest first, of cases that the person may not see as well.

    The registry names references and digests only. With one missing, a verifier would take a genuine
    package for a forged one.
    """
    if not user.may(Permission.REFERRALS_EXPORT):
        return Package.objects.none()
    return Package.objects.order_by("built_at")


def case_of_number(text: str) -> UUID | None:
    """Return the id of the case whose referral is meant by ``ESC-2026-000010``, with or without its revision.

    Grants nothing and shows nothing: for who reads the audit log, which names cases by their ids.
    """
    if (found := re.fullmatch(r"ESC-(\d{4})-0*(\d{1,15})(-R\d+)?", text)) is None:
        return None
    referrals = Referral.objects.filter(year=int(found[1]), number=int(found[2]))
    return referrals.order_by("pk").values_list("case", flat=True).first()


def waiting_for(user: User) -> list[Waiting]:
    """Return what waits for somebody of the legal team: approvals, failed builds, keys, decided cases."""
    open_url = reverse("referrals:list")
    found = []
    if user.may(Permission.REFERRALS_APPROVE):
        asked = referrals_for(user).filter(state=ReferralState.AWAITING_APPROVAL)
        mine = asked.exclude(drafted_by=user).exclude(requested_by=user).exclude(edited_by=user)
        # Nobody can approve those.
        mine = mine.exclude(pk__in=only_fallen(asked).order_by().values("pk"))
        url = f"{open_url}?state=awaiting_approval"
        found.append(Waiting("Referrals that wait for a second person", mine.count(), url))
    if user.may(Permission.RECIPIENTS_MANAGE):
        keys = RecipientKey.objects.filter(confirmed_at=None, ended_at=None)
        count = keys.exclude(entered_by=user).count()
        found.append(Waiting("Keys of agencies to confirm", count, reverse("referrals:recipients")))
    if user.may(Permission.REFERRALS_DRAFT):
        told = to_tell(referrals_for(user)).count()
        url = f"{open_url}?state={OVERTURNED}"
        found.append(Waiting("Sealed packages whose decision was overturned", told, url))
        failed = referrals_for(user).filter(state=ReferralState.BUILD_FAILED).count()
        found.append(
            Waiting("Packages whose build failed", failed, f"{open_url}?state=build_failed")
        )
        decided = unreferred_cases_for(user).count()
        found.append(Waiting("Decided cases without a referral", decided, open_url))
    return found


def looks_at_exhibits(
    referral: Referral, exhibits: Iterable[Exhibit]
) -> dict[UUID | None, list[Look]]:
    """Return the looks at these exhibits by their blobs, before the approval when there was one."""
    blobs = [row.item.blob_id for row in exhibits]
    return looks_at(referral.case, blobs, until=referral.approved_at)


@dataclass(frozen=True, slots=True)
class Known:
    """How much is known of an account that a referral names."""

    identifiers: int
    events: int
    groups: int
    left: int
    """Groups that it was a member of and is no more."""


def known_of(accounts: Sequence[UUID]) -> dict[UUID, Known]:
    """Return, for accounts of a referral that the person sees, how much is known of each."""

    def counted(rows: QuerySet[Any]) -> dict[UUID, int]:
        found = rows.filter(account__in=accounts).order_by().values_list("account")
        return dict(found.annotate(Count("pk")))

    def counted_groups(rows: QuerySet[Membership]) -> dict[UUID, int]:
        found = rows.filter(account__in=accounts).order_by().values_list("account")
        return dict(found.annotate(Count("group", distinct=True)))

    identifiers = counted(AccountIdentifier.objects.all())
    events = counted(IpEvent.objects.all())
    groups = counted_groups(Membership.objects.filter(left_at=None))
    left = counted_groups(former_memberships())
    return {
        key: Known(*(numbers.get(key, 0) for numbers in (identifiers, events, groups, left)))
        for key in accounts
    }


def reports_in(referral: Referral) -> QuerySet[Report]:
    """Return the reports that go along with a referral, by their numbers."""
    reports = Report.objects.filter(case_reports__case=referral.case)
    return reports.select_related("source", "reporter_account", "entered_by").order_by("number")


def groups_in(referral: Referral) -> QuerySet[Group]:
    """Return the groups that are described, the case's own first."""
    included = referral.named_accounts.filter(is_included=True)
    return groups_of(referral, included.values("account"))


def members_in(referral: Referral) -> tuple[int, int]:
    """Return how many members of the case's own group are known, and how many who left it."""
    group = referral.case.group_id
    return (
        Membership.objects.filter(group=group, left_at=None).count(),
        former_memberships().filter(group=group).values("account").distinct().count(),
    )


def page_without_part(referral: Referral, *, lines: int) -> int:
    """Return the first page of the referral's accounts on which one has no part yet, or 0."""
    named = referral.named_accounts.order_by("position", "pk")
    first = named.filter(is_included=True, role_set_at=None).first()
    if first is None:
        return 0
    before = named.filter(
        Q(position__lt=first.position) | Q(position=first.position, pk__lt=first.pk)
    )
    return before.count() // lines + 1
