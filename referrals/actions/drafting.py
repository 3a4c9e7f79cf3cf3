"""Opening and writing a referral."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, connection, transaction
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit_events import AuditEvent
from core.errors import Invalid, Refused
from moderation.looks import looks_at
from moderation.models import Case, CaseStatus, Outcome
from moderation.viewing import Seen, most_seen
from referrals.actions import filling
from referrals.completeness import Facts
from referrals.models import (
    INCIDENT,
    AccountRole,
    Recipient,
    Referral,
    ReferralState,
)
from referrals.proposals import incident_time
from referrals.standing import NOTHING_LEAVES, may_leave
from referrals.workflow import Step, why_not
from reports.models import AccountIdentifier, IdentifierKind, IpEvent, Item

REASON_MINIMUM = 10  # characters


class DraftChanged(Refused):
    """Somebody changed the referral, or the agency's keys, after the page was made."""

    def __init__(self) -> None:
        super().__init__(
            "Somebody changed this referral, or the agency's keys, while you had it open. Load it "
            "again and look at it before you go on.",
            code="changed_meanwhile",
        )


@dataclass(frozen=True, slots=True)
class ExhibitChange:
    """What the author said about one exhibit."""

    is_included: bool
    relevance: str
    note: str
    left_out_reason: str


@dataclass(frozen=True, slots=True)
class AccountChange:
    """What the author said about one account; an empty ``role`` says nothing yet."""

    role: str
    is_included: bool


@dataclass(frozen=True, slots=True)
class DraftChanges:
    """The whole draft as it came from the form; ids of exhibits and accounts are primary keys."""

    recipient: Recipient
    legal_basis: str
    incident_type: str
    incident_at: datetime | None
    narrative: str
    urgency_reason: str
    include_messages: bool
    exhibits: dict[int, ExhibitChange]
    accounts: dict[int, AccountChange]
    others: str = ""
    """The part of every account that goes into the package and has none after this; empty says nothing."""
    incident_confirmed: bool = False
    """The author says that what was proposed of the incident, and is unchanged here, is right."""


def locked(referral: Referral, *, step: Step, version: int | None = None) -> Referral:
    """Lock the row and check the step. Raises Refused when it is too late, DraftChanged."""
    referral = (
        Referral.objects.select_for_update(of=("self",))
        .select_related("case", "recipient")
        .get(pk=referral.pk)
    )
    if sentence := why_not(step, referral.state):
        raise Refused(sentence, code="wrong_state")
    if version is not None and referral.version != version:
        raise DraftChanged
    return referral


@transaction.atomic
def open_referral(case: Case, *, recipient: Recipient, actor: User) -> Referral:
    """Start a draft from a decided case. Can be undone by never asking for approval.

    Exhibits are the case's media in the order of the case, accounts are its subject (or the members
    that sent something). Raises Refused when the case is not confirmed for referral, the recipient is
    not active, or a referral to that recipient is open already.
    """
    require(actor, Permission.REFERRALS_DRAFT)
    case = Case.objects.select_for_update().get(pk=case.pk)
    if case.is_practice:
        raise Refused(
            "This is practice: a test key sent it, and nothing of it leaves.", code="practice"
        )
    decision = (
        case.decisions.filter(published_at__isnull=False, overturned_at=None)
        .order_by("-published_at")
        .first()
        if case.status == CaseStatus.DECIDED
        else None
    )
    if decision is None:
        raise Refused("Only a decided case can be referred.", code="not_decided")
    if decision.outcome != Outcome.CONFIRM_REFER:
        raise Refused(
            "The reviewer did not decide “Confirm and refer” on this case.", code="not_for_referral"
        )
    if not recipient.is_active:
        raise Refused("This recipient is no longer active.", code="recipient_inactive")
    if sentence := _sealed_already(case, recipient):
        raise Refused(sentence, code="sealed_already")
    try:
        with transaction.atomic():
            referral = Referral.objects.create(
                number=_next_number(),
                year=timezone.now().year,
                case=case,
                recipient=recipient,
                drafted_by=actor,
                incident_type=case.get_category_display(),
            )
    except IntegrityError:
        raise Refused(
            "A referral of this case to this recipient is open already.", code="open_already"
        ) from None
    filling.add_accounts(referral)
    filling.add_exhibits(referral)
    if referral.incident_at is None and (when := incident_time(case)) is not None:
        referral.incident_at = when.at
        referral.save(update_fields=["incident_at"])
    audit.record(
        AuditEvent.REFERRAL_OPENED,
        actor=actor,
        subject=referral,
        case=case,
        referral=str(referral),
        recipient=recipient.pk,
    )
    return referral


@transaction.atomic
def open_revision(referral: Referral, *, reason: str, actor: User) -> Referral:
    """Start ``-r2`` of a sealed package. The sent one is never changed. Cannot be undone.

    Raises Refused when it is not sealed, a later revision exists, or the decision was overturned and not made anew:
    a correction describes the case as it was decided, and could never be approved.
    """
    require(actor, Permission.REFERRALS_DRAFT)
    reason = reason.strip()
    if len(reason) < REASON_MINIMUM:
        raise Invalid({"reason": ["Say in a sentence what the correction is."]})
    old = locked(referral, step=Step.REVISE)
    if not may_leave(old.case):
        raise Refused(
            f"{NOTHING_LEAVES} No correction of {old} can be made until then. Tell {old.recipient} yourself that the "
            f"decision behind {old} was overturned, and note it on the page of {old}.",
            code="overturned",
        )
    try:
        with transaction.atomic():
            new = Referral.objects.create(
                number=old.number,
                year=old.year,
                revision=old.revision + 1,
                supersedes=old,
                case=old.case,
                recipient=old.recipient,
                legal_basis=old.legal_basis,
                incident_type=old.incident_type,
                incident_type_set_by=old.incident_type_set_by,
                incident_type_set_at=old.incident_type_set_at,
                incident_at=old.incident_at,
                incident_at_set_by=old.incident_at_set_by,
                incident_at_set_at=old.incident_at_set_at,
                narrative=old.narrative,
                urgency_reason=old.urgency_reason,
                include_messages=old.include_messages,
                correction_reason=reason,
                drafted_by=actor,
            )
    except IntegrityError:
        raise Refused("A later revision exists already.", code="superseded") from None
    filling.copy_lines(old, new)
    filling.add_accounts(new)
    filling.add_exhibits(new)
    audit.record(
        AuditEvent.REFERRAL_REVISED,
        actor=actor,
        subject=new,
        case=new.case,
        referral=str(new),
        supersedes=str(old),
    )
    return new


@transaction.atomic
def refresh_draft(referral: Referral, *, actor: User) -> int:
    """Add exhibits and accounts that joined the case since. Returns how many were added.

    Can be undone by leaving them out again.
    """
    require(actor, Permission.REFERRALS_DRAFT)
    referral = locked(referral, step=Step.EDIT)
    added = filling.add_exhibits(referral) + filling.add_accounts(referral)
    if added:
        referral.version += 1
        referral.edited_by = actor
        referral.save(update_fields=["version", "edited_by"])
        audit.record(
            AuditEvent.REFERRAL_CHANGED,
            actor=actor,
            subject=referral,
            case=referral.case,
            added=added,
        )
    return added


@transaction.atomic
def update_draft(
    referral: Referral, *, changes: DraftChanges, version: int, actor: User
) -> Referral:
    """Save the whole draft. Can be undone by saving the old words again.

    Raises DraftChanged when it was changed meanwhile, Refused when it is no longer a draft, Invalid on bad fields.
    """
    require(actor, Permission.REFERRALS_DRAFT)
    referral = locked(referral, step=Step.EDIT, version=version)
    errors: dict[str, list[str]] = {}
    if not changes.recipient.is_active and changes.recipient.pk != referral.recipient_id:
        errors["recipient"] = ["This recipient is no longer active."]
    elif sentence := _wrong_recipient(referral, changes.recipient):
        errors["recipient"] = [sentence]
    if changes.incident_at and changes.incident_at > timezone.now():
        errors["incident_at"] = ["The incident cannot lie in the future."]
    if errors:
        raise Invalid(errors)
    touched = _save_incident(referral, changes, actor)
    for field in (
        "recipient",
        "legal_basis",
        "narrative",
        "urgency_reason",
        "include_messages",
    ):
        value = getattr(changes, field)
        if getattr(referral, field) != value:
            setattr(referral, field, value)
            touched.append(field)
    touched += _save_exhibits(referral, changes.exhibits)
    touched += _save_accounts(referral, changes, actor)
    # Whoever saves it, changed or not, answers for all of it, and cannot be the second person.
    if not touched and referral.edited_by_id == actor.pk:
        return referral
    referral.edited_by = actor
    if touched:
        referral.version += (
            1  # The same words are the same version: nobody's copy of them is outdated.
        )
    try:
        with transaction.atomic():
            referral.save()
    except IntegrityError:
        raise Invalid(
            {"recipient": ["A referral of this case to this recipient is open already."]}
        ) from None
    audit.record(
        AuditEvent.REFERRAL_CHANGED,
        actor=actor,
        subject=referral,
        case=referral.case,
        fields=sorted(set(touched)),
        version=referral.version,
    )
    referral.refresh_from_db(fields=[f"{name}_set_at" for name in INCIDENT])
    return referral


def _save_incident(referral: Referral, changes: DraftChanges, actor: User) -> list[str]:
    """Set type and time of the incident. Whoever changes one, or confirms the proposals, has said it now."""
    touched = []
    for name in INCIDENT:
        value = getattr(changes, name)
        is_changed = getattr(referral, name) != value
        if not is_changed and not (
            changes.incident_confirmed and name in referral.incident_proposed
        ):
            continue
        setattr(referral, name, value)
        setattr(referral, f"{name}_set_by", actor if value else None)
        setattr(referral, f"{name}_set_at", Now() if value else None)
        touched.append(name)
    return touched


def _save_exhibits(referral: Referral, changes: dict[int, ExhibitChange]) -> list[str]:
    touched = []
    for exhibit in referral.exhibits.select_for_update().filter(pk__in=changes):
        change = changes[exhibit.pk]
        before = (exhibit.is_included, exhibit.relevance, exhibit.note, exhibit.left_out_reason)
        reason = "" if change.is_included else change.left_out_reason.strip()
        after = (change.is_included, change.relevance, change.note.strip(), reason)
        if before != after:
            exhibit.is_included, exhibit.relevance, exhibit.note, exhibit.left_out_reason = after
            exhibit.save()
            touched.append(f"exhibit {exhibit.position}")
    return touched


def _save_accounts(referral: Referral, changes: DraftChanges, actor: User) -> list[str]:
    """Save which accounts go in and which part each plays, with who said so now."""
    touched = []
    for named in referral.named_accounts.select_for_update().filter(pk__in=changes.accounts):
        change = changes.accounts[named.pk]
        is_said = named.role_set_by_id is not None or not named.role
        if is_said and (named.role, named.is_included) == (change.role, change.is_included):
            continue
        named.is_included = change.is_included
        if not is_said or named.role != change.role:
            named.role = change.role
            named.role_set_by = actor if change.role else None
            named.role_set_at = Now() if change.role else None
        named.save()
        touched.append(f"account {named.position}")
    if changes.others:
        left = referral.named_accounts.filter(is_included=True, role="")
        if left.update(role=changes.others, role_set_by=actor, role_set_at=Now()):
            touched.append("accounts without a part")
    return touched


def _sealed_already(case: Case, recipient: Recipient) -> str:
    """Return why a case cannot go to a recipient a second time, or an empty text."""
    sealed = (
        case.referrals.filter(recipient=recipient, state=ReferralState.SEALED)
        .order_by("-number", "-revision")
        .first()
    )
    if sealed is None:
        return ""
    return (
        f"{sealed} of this case is sealed to this recipient already. Make a correction of it, so that "
        "the recipient knows which one counts."
    )


def _wrong_recipient(referral: Referral, recipient: Recipient) -> str:
    if recipient.pk == referral.recipient_id:
        return ""
    if referral.supersedes_id:
        return "A correction goes to the agency that has the earlier revision."
    return _sealed_already(referral.case, recipient)


def _next_number() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('referrals_reference_seq')")
        return int(cursor.fetchone()[0])


def _items(case: Case) -> QuerySet[Item]:
    return Item.objects.filter(case_items__case=case).order_by(
        "case_items__position", "case_items__pk"
    )


def read_facts(referral: Referral) -> Facts:
    """Return what the completeness meter looks at, read from the rows as they are now."""
    exhibits = referral.exhibits.filter(is_included=True)
    named = referral.named_accounts.filter(is_included=True)
    ids = named.values("account")
    known = dict(
        AccountIdentifier.objects.filter(account__in=ids)
        .values_list("kind")
        .annotate(Count("pk"))
        .order_by()
    )
    events = IpEvent.objects.filter(account__in=ids).aggregate(
        all=Count("pk"), with_port=Count("port")
    )
    accounts = named.aggregate(
        without_part=Count("pk", filter=Q(role_set_at=None)),
        suspects=Count("pk", filter=Q(role=AccountRole.SUSPECT)),
        profiles=Count("pk", filter=~Q(account__profile_url="")),
        join_dates=Count("account__joined_at"),
    )
    looks = looks_at(
        referral.case, exhibits.values_list("item__blob", flat=True), until=referral.approved_at
    )
    return Facts(
        recipient_active=referral.recipient.is_active,
        recipient_keys=referral.recipient.confirmed_keys.count(),
        legal_basis=referral.legal_basis,
        incident_type=referral.incident_type,
        incident_at=referral.incident_at is not None,
        incident_proposed=referral.incident_proposed,
        narrative=referral.narrative,
        exhibits=exhibits.count(),
        left_out_without_reason=referral.exhibits.filter(
            is_included=False, left_out_reason=""
        ).count(),
        messages=_items(referral.case).exclude(text="").count() if referral.include_messages else 0,
        accounts_without_part=accounts["without_part"],
        suspects=accounts["suspects"],
        phones=known.get(IdentifierKind.PHONE, 0),
        emails=known.get(IdentifierKind.EMAIL, 0),
        ip_events=events["all"],
        ip_events_with_port=events["with_port"],
        devices=known.get(IdentifierKind.DEVICE, 0),
        profile_urls=known.get(IdentifierKind.PROFILE_URL, 0) + accounts["profiles"],
        join_dates=accounts["join_dates"],
        upload_ips=exhibits.filter(item__uploaded_ip__isnull=False).count(),
        exhibits_viewed=sum(most_seen(each) == Seen.VIEWED for each in looks.values()),
    )


__all__ = [
    "AccountChange",
    "DraftChanged",
    "DraftChanges",
    "ExhibitChange",
    "locked",
    "open_referral",
    "open_revision",
    "read_facts",
    "refresh_draft",
    "update_draft",
]
