"""From rows to the frozen description that a package is built from.

Reads only. Staff appear by pseudonym; texts go in as they were stored, never re-worded.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO

from django.conf import settings

from core import audit, vault
from core.anchors import unpack
from core.models import AuditAnchor
from hashing.models import Flag
from moderation.models import Case, Decision
from moderation.models import Reveal as RevealRow
from referrals import package
from referrals.anchoring import document_of
from referrals.custody import CustodyLog, prove_inclusion
from referrals.models import Exhibit, Referral, ReferralAccount
from reports.models import NOT_SENT, Account, IdentifierKind, Item, ItemKind, Surface

Watch = Callable[[int], None]
"""Called with the number of bytes just read of an original."""


def exhibit_name(position: int) -> str:
    """Return an exhibit's name in the package, such as ``EX-0001``."""
    return f"EX-{position:04d}"


def describe(
    referral: Referral,
    *,
    anchor: AuditAnchor,
    signer: package.Signer,
    escrow: str,
    watch: Watch,
) -> package.PackageSpec:
    """Return everything that goes into the package of an approved referral.

    The custody log goes as far as ``anchor`` saw it, and is proved to stand in the anchor's list.
    """
    case = referral.case
    decision = latest_decision(case)
    exhibits = list(
        referral.exhibits.filter(is_included=True)
        .select_related("item__blob", "item__account", "item__group", "item__sender")
        .order_by("position")
    )
    return package.PackageSpec(
        reference=referral.reference,
        revision=referral.revision,
        supersedes=str(referral.supersedes) if referral.supersedes else "",
        organisation=package.Organisation(
            name=settings.HOLDFAST_ORGANISATION,
            domain=settings.HOLDFAST_DOMAIN,
            contact_name="Trust & safety, legal desk",
            contact_email=settings.HOLDFAST_CONTACT,
        ),
        recipient=package.Recipient(
            name=referral.recipient.unit,
            agency=referral.recipient.name,
            country=referral.recipient.country,
            # Not what the recipient's row says now: what the approver saw.
            age_recipients=tuple(referral.approved_keys),
        ),
        legal_basis=package.LegalBasis(
            summary=referral.legal_basis,
            authority=referral.urgency_reason,
            drafted_by=referral.drafted_by.pseudonym,
            approved_by=referral.approved_by.pseudonym if referral.approved_by else "",
            approved_at=referral.approved_at,
        ),
        bagged_at=referral.bagged_at,  # type: ignore[arg-type]  # set by start_build
        case=_case_facts(referral, decision),
        exhibits=tuple(_exhibit(row, referral, watch) for row in exhibits),
        accounts=tuple(
            _account(named)
            for named in referral.named_accounts.filter(is_included=True).select_related("account")
        ),
        conversations=tuple(_conversations(referral, exhibits)),
        custody=custody_of(case, anchor),
        anchor=document_of(anchor),
        signer=signer,
        escrow=escrow,
    )


def latest_decision(case: Case) -> Decision:
    """Return the decision that stands: the last one published."""
    decision = (
        case.decisions.filter(published_at__isnull=False)
        .select_related("policy_version__policy", "made_by")
        .order_by("-published_at")
        .first()
    )
    if decision is None:
        raise package.PackageRefused("The case has no decision that stands.")
    return decision


def custody_of(case: Case, anchor: AuditAnchor) -> CustodyLog:
    """Return the custody lines of this case only, with the proof that they stand in an anchor's list.

    Lines are only ever appended: those up to where the anchor saw the chain end fit it, whatever is written meanwhile.
    """
    chain = f"case:{case.pk}"
    heads = list(unpack(io.BytesIO(bytes(anchor.heads))))
    last = next((head.seq for head in heads if head.chain == chain), 0)
    lines = tuple(line for seq, line, _ in audit.chain_lines(chain) if seq <= last)
    proof = prove_inclusion(
        [(head.name, head.hash) for head in heads], chain, built_at=anchor.made_at
    )
    return CustodyLog(lines=lines, inclusion=proof)


def _case_facts(referral: Referral, decision: Decision) -> package.CaseFacts:
    case = referral.case
    subject = case.subject
    kind = "Account" if case.account_id else "Group"
    entries = [package.TimelineEntry(case.opened_at, "Case opened")]
    entries += [
        package.TimelineEntry(
            row.joined_at, f"Report {row.report} received from {row.report.source.name}"
        )
        for row in case.case_reports.select_related("report__source")
    ]
    entries.append(
        package.TimelineEntry(decision.made_at, f"Decided: {decision.get_outcome_display()}")
    )
    if referral.correction_reason:
        entries.append(
            package.TimelineEntry(
                referral.created_at,
                f"Correction of {referral.supersedes} begun: {referral.correction_reason}",
            )
        )
    if referral.approved_at:
        entries.append(package.TimelineEntry(referral.approved_at, "Referral approved"))
    return package.CaseFacts(
        id=str(case),
        category=case.get_category_display(),
        severity=f"{case.severity} of 5",
        subject=f"{kind} {subject} ({subject.external_id})",
        opened_at=case.opened_at,
        decided_at=decision.made_at,
        outcome=decision.get_outcome_display(),
        policy=f"{decision.policy_version.policy.title} ({decision.policy_version})",
        decided_by=decision.made_by.pseudonym,
        narrative=referral.narrative,
        enforcements=tuple(
            f"{row.get_verb_display()}: {row.get_state_display().lower()}"
            for row in decision.enforcements.order_by("verb")
        ),
        timeline=tuple(sorted(entries, key=lambda entry: entry.at)),
    )


class Watched:
    """A stream that tells how much was read of it."""

    def __init__(self, stream: BinaryIO, watch: Watch) -> None:
        self._stream, self._watch = stream, watch

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._watch(len(data))
        return data

    def close(self) -> None:
        self._stream.close()

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _exhibit(row: Exhibit, referral: Referral, watch: Watch) -> package.Exhibit:
    item = row.item
    blob = item.blob
    if blob is None:
        raise package.PackageRefused(f"Exhibit {exhibit_name(row.position)} has no original.")
    owner = item.sender or item.account
    flags = Flag.objects.filter(item=item, superseded_at=None).order_by("created_at")
    reveals = (
        RevealRow.objects.filter(case=referral.case, item=item)
        .select_related("user")
        .order_by("issued_at")
    )
    return package.Exhibit(
        id=exhibit_name(row.position),
        original_name=item.original_name,
        media_type=blob.media_type or "application/octet-stream",
        size=blob.size,
        sha256=blob.sha256,
        md5=blob.md5,
        open=lambda: Watched(vault.open(blob), watch),  # type: ignore[return-value,arg-type]
        item_id=str(item.pk),
        surface=item.get_surface_display(),
        account_id=owner.external_id if owner else "",
        source_url=item.source_url,
        uploaded_at=item.content_at,
        upload_ip=item.uploaded_ip or "",
        upload_port=item.uploaded_port,
        received_at=item.received_at,
        relevance=row.get_relevance_display(),
        annotations=(row.note,) if row.note else (),
        findings=tuple(
            package.Finding(flag.detector, flag.summary, flag.created_at) for flag in flags
        ),
        reveals=tuple(
            package.Reveal(
                id=str(seen.pk),
                person=seen.user.pseudonym,
                purpose=seen.get_purpose_display(),
                opened_at=seen.issued_at,
                served_at=seen.used_at,
                shown_seconds=None if seen.shown_ms is None else seen.shown_ms / 1000,
                whole=seen.is_complete,
            )
            for seen in reveals
        ),
    )


def _account(named: ReferralAccount) -> package.Account:
    account: Account = named.account
    by_kind: dict[str, list[str]] = {}
    for identifier in account.identifiers.order_by("kind", "value"):
        by_kind.setdefault(identifier.kind, []).append(identifier.value)
    urls = [account.profile_url] if account.profile_url else []
    urls += by_kind.get(IdentifierKind.PROFILE_URL, [])
    groups = []
    for place in account.memberships.select_related("group").order_by("group__external_id"):
        joined = f", joined {place.joined_at:%Y-%m-%d %H:%M} UTC" if place.joined_at else ""
        groups.append(f"{place.group} ({place.group.external_id}), {place.role}{joined}")
    return package.Account(
        platform_id=account.external_id,
        role=named.role,
        display_name=account.display_name,
        usernames=(account.username,) if account.username else (),
        phones=tuple(by_kind.get(IdentifierKind.PHONE, ())),
        emails=tuple(by_kind.get(IdentifierKind.EMAIL, ())),
        profile_urls=tuple(dict.fromkeys(urls)),
        devices=tuple(by_kind.get(IdentifierKind.DEVICE, ())),
        joined_at=account.joined_at,
        groups=tuple(groups),
        network=tuple(
            package.NetworkEvent(
                at=event.at,
                ip=event.ip,
                port=event.port,
                kind=event.kind,
                device=event.user_agent,
            )
            for event in account.ip_events.order_by("at", "pk")
        ),
    )


def _conversations(referral: Referral, exhibits: list[Exhibit]) -> list[package.Conversation]:
    """Return the words of the case: reported messages by report, other texts, what reporters wrote."""
    if not referral.include_messages:
        return []
    names = {row.item_id: exhibit_name(row.position) for row in exhibits}
    items = (
        Item.objects.filter(case_items__case=referral.case)
        .exclude(surface__in=NOT_SENT)  # The reporters' own words follow as such.
        .select_related("report", "sender", "account", "group")
        .order_by("report_id", "content_at", "received_at", "pk")
    )
    threads: dict[tuple[str, str], list[package.Message]] = {}
    for item in items:
        is_text = item.kind == ItemKind.TEXT
        is_message = item.surface == Surface.REPORTED_MESSAGE
        if (not is_text and item.pk not in names) or (not is_text and not is_message):
            continue  # left out of the package with a reason, or an exhibit outside a conversation
        if is_message:
            label = str(item.report or "scan")
            key = (f"report-{label}".lower(), f"Messages of report {label}")
        else:
            key = ("texts", "Names, descriptions and other texts")
        author = item.sender or item.account or item.group
        threads.setdefault(key, []).append(
            package.Message(
                id=item.external_id or f"{item.surface}:{item.pk}",
                sender=author.external_id if author else "",
                sent_at=item.content_at,
                text=item.text if is_text else "",
                exhibits=() if is_text else (names[item.pk],),
                is_reported=True,
            )
        )
    found = [
        package.Conversation(id=key, title=title, messages=tuple(messages))
        for (key, title), messages in threads.items()
    ]
    return [*found, *_reporters_words(referral.case)]


def _reporters_words(case: Case) -> list[package.Conversation]:
    """Return what the reports said, as a conversation of their own: claims, not content."""
    rows = (
        case.case_reports.select_related("report__source", "report__reporter_account")
        .exclude(report__description="")
        .order_by("report__received_at", "pk")
    )
    messages = []
    for row in rows:
        report = row.report
        reporter = report.reporter_account
        messages.append(
            package.Message(
                id=str(report),
                sender=reporter.external_id if reporter else f"source:{report.source.slug}",
                sent_at=report.received_at,
                text=report.description,
            )
        )
    if not messages:
        return []
    return [package.Conversation("reports", "What the reports say", tuple(messages))]
