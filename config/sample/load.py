"""Loading the sample installation, step by step, each by the same actions that people's clicks call.

Every step looks first, so a load that was killed goes on where it stopped.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta

import pyrage
from django.conf import settings
from django.db import connection, transaction

from accounts.models import User
from accounts.permissions import Role
from config.sample import classifiers, content, conversation, lists
from config.sample.files import api_file, credentials_file, read, write_private
from config.sample.people import create_people
from core import vault
from core.audit import SYSTEM
from core.jobs import queue, run_now
from hashing.models import Category
from moderation import actions as moderation
from moderation.models import Case, CaseStatus, Decision, Outcome, Preview, Queue
from referrals import actions as referrals
from referrals.models import Recipient, Referral
from reports import actions as reports
from reports.choices import OWN_PLATFORM_SCOPES
from reports.models import (
    Item,
    Report,
    RouteState,
    ScanState,
    Scope,
    Source,
    SourceKind,
    TrustLevel,
)
from reports.payloads import (
    AccountPayload,
    GroupPayload,
    MembersPayload,
    ReportPayload,
    ScanPayload,
)

SOURCES = [
    ("app-reports", "In-app reports", SourceKind.USER_REPORTS, TrustLevel.STANDARD, None),
    ("hotline", "Sample hotline", SourceKind.TRUSTED_FLAGGER, TrustLevel.TRUSTED, 60),
    ("profile-scan", "Profile scans", SourceKind.PROACTIVE_SCAN, TrustLevel.INTERNAL, None),
]


def steps(*, with_work: bool) -> Iterator[str]:
    """Do one step after another and yield what was done, in words."""
    yield _people()
    yield _sources()
    yield lists.load()
    yield _directory()
    yield _reports()
    yield classifiers.load()
    if with_work:
        yield _work()
        yield _decisions()
        yield _referrals()
        run_now("verify_audit")
        _forget_wake_ups()


@transaction.atomic
def _people() -> str:
    if read(credentials_file()) and User.objects.exists():
        return "People were there already"
    users, credentials = create_people()
    for user in users.values():
        if user.role in {Role.REVIEWER, Role.LEAD}:
            for queue in Queue.objects.all():
                moderation.grant_queue(queue, to=user, actor=SYSTEM)
        if user.role in {Role.REVIEWER, Role.LEAD, Role.LEGAL}:
            for category in Category.values:
                moderation.grant_category(category, to=user, actor=SYSTEM)
    write_private(credentials_file(), credentials)
    return f"{len(users)} people"


@transaction.atomic
def _sources() -> str:
    keys = dict(read(api_file()) or {})
    for slug, name, kind, trust, due in SOURCES:
        source = Source.objects.filter(slug=slug).first() or reports.create_source(
            slug=slug,
            name=name,
            kind=kind,
            trust=trust,
            due_minutes=due,
            is_own_platform=kind != SourceKind.TRUSTED_FLAGGER,
            actor=SYSTEM,
        )
        if slug not in keys or not source.keys.exists():
            _, keys[slug] = reports.issue_key(
                source, scopes=_scopes(source), actor=SYSTEM, name="sample key"
            )
    write_private(api_file(), keys)
    return f"{len(SOURCES)} sources with a key each"


def _scopes(source: Source) -> list[str]:
    """Return every scope that the source may have: some are for the platform itself alone."""
    own = source.is_own_platform
    return [scope for scope in Scope.values if own or scope not in OWN_PLATFORM_SCOPES]


def _directory() -> str:
    now = _now()
    source = Source.objects.get(slug="app-reports")
    with transaction.atomic():
        for external_id, account in content.accounts(now):
            reports.upsert_account(
                source, external_id, payload=AccountPayload(**account, scan=False), actor=SYSTEM
            )
        for external_id, group in content.groups(now):
            reports.upsert_group(
                source, external_id, payload=GroupPayload(**group, scan=False), actor=SYSTEM
            )
        for group_id, members in content.members(now):
            reports.upsert_memberships(
                source,
                group_id,
                members=MembersPayload(members=members).members,
                actor=SYSTEM,
            )
    return "12 accounts and 5 groups"


def _reports() -> str:
    sources = {source.slug: source for source in Source.objects.all()}
    known = set(Report.objects.values_list("external_id", flat=True))
    taken = 0
    now = _now()
    for sample in [*content.reports(now), *conversation.reports(now)]:
        if sample.payload["external_id"] in known:
            continue
        source = sources[sample.source]
        payload = dict(sample.payload)
        items = [dict(item) for item in payload.get("items", [])]
        for position, media in sample.media.items():
            blob = vault.store_bytes(media.data, media_type=media.media_type)
            upload = reports.create_upload(source, blob, name=media.name, actor=SYSTEM)
            items[position]["media"] = str(upload.pk)
        payload["items"] = items
        reports.submit_report(source, payload=ReportPayload(**payload), actor=SYSTEM)
        taken += 1
    _scans(sources["profile-scan"])
    return f"{taken} reports taken in"


def _scans(source: Source) -> None:
    if source.items.exists():
        return
    for external_id, account in content.accounts(_now()):
        reports.submit_scan(
            source,
            payload=ScanPayload(
                subject={"account": external_id},
                surface="profile_text",
                text=account["profile_text"],
            ),
            actor=SYSTEM,
        )


def _work() -> str:
    """Scan, preview and route here and now, so that the first page shows more than a waiting list."""
    for item_id in Item.objects.filter(scan_state=ScanState.WAITING).values_list("pk", flat=True):
        run_now("scan_item", str(item_id))
    before = -1  # Each call has its time limit; it is over when a call gets nowhere.
    while (left := Item.objects.filter(route_state=RouteState.WAITING).count()) != before:
        run_now("route_waiting")
        before = left
    for blob_id in Preview.objects.filter(state="waiting").values_list("blob_id", flat=True):
        run_now("make_preview", str(blob_id))
    return f"{Case.objects.count()} cases opened"


# Category, outcome, the policy's code is found by category; verbs that fit are chosen from the policy.
_VERDICTS = [
    (Category.CSAM_KNOWN, Outcome.CONFIRM_REFER),
    (Category.CSAM_KNOWN, Outcome.CONFIRM_REFER),
    (Category.HARMFUL_GROUP, Outcome.CONFIRM),
    (Category.SPAM_OTHER, Outcome.NOT_VIOLATING),
    (Category.GROOMING, Outcome.NOT_VIOLATING),
]
_REASONS = {
    Outcome.CONFIRM_REFER: "The picture stands on the sample list and a trusted flagger sent it too.",
    Outcome.CONFIRM: "The name carries a marker word of the sample list.",
    Outcome.NOT_VIOLATING: "Nothing in this sample case breaks the policy.",
}


def _decisions() -> str:
    if Decision.objects.exists():
        return "Decisions were there already"
    reviewer = User.objects.get(email="robin@sample.example")
    made = 0
    for category, outcome in _VERDICTS:
        case = (
            Case.objects.filter(category=category, status=CaseStatus.OPEN)
            .order_by("-severity", "number")
            .first()
        )
        if case is None:
            continue
        moderation.claim(case, actor=reviewer)
        case.refresh_from_db()
        policy = moderation.policies_for(case)[0]
        fitting = moderation.fitting_verbs(case, policy, has_media=moderation.has_media(case))
        verbs = fitting[:2] if outcome != Outcome.NOT_VIOLATING else []
        decision = moderation.decide(
            case,
            policy=policy,
            outcome=outcome,
            enforcements=[verb for verb in verbs if verb != "no_action"] or ["no_action"],
            reason=_REASONS[outcome],
            case_version=case.version,
            idempotency_key=str(uuid.uuid4()),
            actor=reviewer,
        )
        moderation.send_now(decision, actor=reviewer)
        run_now("publish_due")
        made += 1
    return f"{made} decisions"


def _referrals() -> str:
    if Referral.objects.exists():
        return "Referrals were there already"
    author = User.objects.get(email="lionel@sample.example")
    second = User.objects.get(email="lucia@sample.example")
    recipient = Recipient.objects.first() or _agency(author, second)
    cases = Case.objects.filter(
        status=CaseStatus.DECIDED,
        decisions__outcome=Outcome.CONFIRM_REFER,
        decisions__published_at__isnull=False,
    ).order_by("number")
    for position, case in enumerate(cases):
        referral = referrals.open_referral(case, recipient=recipient, actor=author)
        referral = referrals.update_draft(
            referral,
            changes=referrals.DraftChanges(
                recipient=recipient,
                legal_basis="Sample: report of apparent abuse by a provider",
                incident_type=case.get_category_display(),
                incident_at=referral.incident_at or case.opened_at,
                incident_confirmed=True,
                narrative=(
                    "Sample referral. A drawn picture that stands on the sample list was reported by "
                    "people and by the sample hotline; the account was found by its digest."
                ),
                urgency_reason="",
                include_messages=True,
                exhibits={},
                accounts={
                    named.pk: referrals.AccountChange(
                        role="suspect" if named.account_id == case.account_id else "not said",
                        is_included=True,
                    )
                    for named in referral.named_accounts.all()
                },
            ),
            version=referral.version,
            actor=author,
        )
        referral = referrals.request_approval(referral, version=referral.version, actor=author)
        if position == 0:
            referral = referrals.approve(referral, version=referral.version, actor=second)
            run_now("build_package", str(referral.pk))
    return f"{Referral.objects.count()} referrals"


def _agency(author: User, second: User) -> Recipient:
    """Add an invented agency. Nobody keeps its secret key: the package shows sealing, not opening."""
    identity = pyrage.x25519.Identity.generate()
    agency = referrals.create_recipient(
        name="Sample Police, Child Protection",
        unit="Digital evidence",
        country="DE",
        contact="+1 202 555 0199",
        keys=str(identity.to_public()),
        actor=author,
    )
    for key in agency.keys.all():
        referrals.confirm_key(key, fingerprint=key.fingerprint, actor=second)
    return agency


def _forget_wake_ups() -> None:
    """Empty the queues: their work was done above, and the sweeps find what is left.

    Otherwise the first workers would spend a minute on looking at rows that are finished.
    """
    for name in settings.RQ_QUEUES:
        queue(name).empty()


def _now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT date_trunc('minute', now())")
        return cursor.fetchone()[0] - timedelta(minutes=1)
