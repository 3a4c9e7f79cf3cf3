"""The case itself: what happened to it, and the reports that it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accounts.models import User
from moderation.models import Decision
from moderation.orders_shown import sums_of
from referrals import package
from referrals.describing.history import History
from referrals.models import Referral


def describe_case(referral: Referral, decision: Decision) -> package.CaseFacts:
    """Return what the summary says of the case. Each time is that of the event itself."""
    case = referral.case
    subject = case.subject
    kind = "Account" if case.account_id else "Group"
    entries = [package.TimelineEntry(case.opened_at, "Case opened")]
    entries += [
        package.TimelineEntry(
            # Not when it joined the case: that waits for its scan.
            row.report.received_at,
            f"Report {row.report} received from {row.report.source.name}",
        )
        for row in case.case_reports.select_related("report__source")
    ]
    entries.append(
        package.TimelineEntry(decision.made_at, f"Decided: {decision.get_outcome_display()}")
    )
    if referral.incident_at:
        entries.append(
            package.TimelineEntry(referral.incident_at, f"Incident: {referral.incident_type}")
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
        incident_type=referral.incident_type,
        incident_type_said_by=_pseudonym(referral.incident_type_set_by),
        incident_type_said_at=referral.incident_type_set_at,
        incident_at=referral.incident_at,
        incident_at_said_by=_pseudonym(referral.incident_at_set_by),
        incident_at_said_at=referral.incident_at_set_at,
        subject_when_opened=_as_words(case.subject_snapshot),
        messages_included=referral.include_messages,
        enforcements=tuple(sums_of({decision.pk: decision}).get(decision.pk, [])),
        timeline=tuple(sorted(entries, key=lambda entry: entry.at)),
    )


def _pseudonym(person: User | None) -> str:
    return person.pseudonym if person else ""


def _as_words(snapshot: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in snapshot.items() if value not in (None, "")}


def describe_reports(referral: Referral) -> list[package.Report]:
    """Return the reports of the case by their numbers, each with what its subject was called when it came.

    What a reporter wrote belongs to the texts, and is left out together with them.
    """
    case = referral.case
    past = History(case.subject)
    rows = case.case_reports.select_related(
        "report__source", "report__reporter_account", "report__entered_by", "report__in_group"
    ).order_by("report__number")
    found = []
    for row in rows:
        report = row.report
        reporter = report.reporter_account
        found.append(
            package.Report(
                number=str(report),
                source=report.source.name,
                source_kind=report.source.get_kind_display(),
                reason=report.reason,
                received_at=report.received_at,
                occurred_at=report.occurred_at,
                external_id=report.external_id,
                reporter_account=reporter.external_id if reporter else "",
                reporter_ref=report.reporter_ref,
                entered_by=report.entered_by.pseudonym if report.entered_by else "",
                description=report.description if referral.include_messages else "",
                about=case.subject.external_id,
                in_group=report.in_group.external_id if report.in_group else "",
                about_then=past.words_at(report.received_at),
            )
        )
    return found
