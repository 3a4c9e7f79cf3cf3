"""What an account or a group was called before: the log of what the platform told keeps every change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from core.audit_events import AuditEvent
from core.audit_rows import lines_about
from core.models import AuditEntry
from referrals.custody import utc_text
from referrals.package import Earlier
from reports.models import Account, Group

WORDS = {
    Account: (
        "username",
        "display_name",
        "profile_text",
        "profile_url",
        "country",
        "language",
        "joined_at",
        "platform_status",
    ),
    Group: (
        "name",
        "description",
        "invite_link",
        "member_count",
        "created_on_platform_at",
        "platform_status",
    ),
}
"""The fields that the platform changes, by what they describe."""
LONGEST = 2000
"""Characters that the log keeps of one text; a longer one ends there with an ellipsis."""


class History:
    """What was told about one account or group, change by change."""

    def __init__(self, subject: Account | Group) -> None:
        self.subject = subject
        self.changes: list[tuple[datetime, str, Any]] = []
        for line in _told(subject):
            for field, (before, _) in (line.data.get("changed") or {}).items():
                self.changes.append((line.at, field, before))
        if (erased_at := _erased_at(subject)) is not None:
            # What was erased is nobody's earlier name any more, though the log still has it.
            self.changes = [change for change in self.changes if change[0] > erased_at]

    def earlier(self) -> tuple[Earlier, ...]:
        """Return what the fields said before, oldest first. What was empty before is no earlier value."""
        return tuple(
            made
            for at, field, before in self.changes
            if (made := earlier_value(field, before, at)) is not None
        )

    def words_at(self, moment: datetime) -> dict[str, str]:
        """Return what the fields said at a moment, those that said anything."""
        said = {}
        for field in WORDS[type(self.subject)]:
            value = getattr(self.subject, field)
            for at, changed, before in self.changes:
                if changed == field and at > moment:
                    value = before
                    break
            if value not in (None, ""):
                said[field] = as_word(value)
        return said


def earlier_roles(group: Group) -> dict[str, tuple[Earlier, ...]]:
    """Return earlier roles and dates of members of a group, by the key of the account."""
    found: dict[str, list[Earlier]] = defaultdict(list)
    for _, account, change in _moves([group]):
        found[account].append(change)
    return {account: tuple(changes) for account, changes in found.items()}


def earlier_places(account: Account, groups: Sequence[Group]) -> dict[str, tuple[Earlier, ...]]:
    """Return earlier roles and dates of an account in groups, by the key of the group."""
    found: dict[str, list[Earlier]] = defaultdict(list)
    for group, moved, change in _moves(groups):
        if moved == str(account.pk):
            found[group].append(change)
    return {group: tuple(changes) for group, changes in found.items()}


def _moves(groups: Sequence[Group]) -> Iterator[tuple[str, str, Earlier]]:
    """Yield what changed in memberships: the group's key, the account's key, what was before."""
    told = lines_about(Group, [str(group.pk) for group in groups], _MEMBERS)
    lines = [line for some in told.values() for line in some]
    for line in sorted(lines, key=lambda line: (line.at, line.pk)):
        for account, fields in (line.data.get("changed") or {}).items():
            for field, (before, _) in fields.items():
                if (made := earlier_value(field, before, line.at)) is not None:
                    yield line.subject_id, account, made


_MEMBERS = frozenset({AuditEvent.MEMBERS_UPSERTED, AuditEvent.MEMBERSHIPS_UPSERTED})
_SUBJECTS = {
    Account: frozenset({AuditEvent.ACCOUNT_UPSERTED, AuditEvent.ACCOUNTS_UPSERTED}),
    Group: frozenset({AuditEvent.GROUP_UPSERTED, AuditEvent.GROUPS_UPSERTED}),
}


def _told(subject: Account | Group) -> list[AuditEntry]:
    key = str(subject.pk)
    lines = lines_about(type(subject), [key], _SUBJECTS[type(subject)]).get(key, [])
    return sorted(lines, key=lambda line: (line.at, line.pk))


def _erased_at(subject: Account | Group) -> datetime | None:
    """Return when what was told of a subject was last erased, or None."""
    erased = AuditEntry.objects.filter(
        subject_type=subject._meta.label_lower,  # noqa: SLF001
        subject_id=str(subject.pk),
        event__in=[AuditEvent.ACCOUNT_ERASED.value, AuditEvent.GROUP_ERASED.value],
    )
    return erased.order_by("-at").values_list("at", flat=True).first()


def earlier_value(field: str, before: Any, until: datetime) -> Earlier | None:
    """Return an earlier value as words, or None when there was none."""
    if before in (None, ""):
        return None
    words = as_word(before)
    return Earlier(field, words, until, len(words) == LONGEST and words.endswith("…"))


def as_word(value: Any) -> str:
    """Return a value as documents write it."""
    return utc_text(value) if isinstance(value, datetime) else str(value)
