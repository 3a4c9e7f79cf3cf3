"""Which order changes the status of its target on the platform, and how a page says who told us so."""

from __future__ import annotations

from moderation.models import OrderResult, ResultState
from reports.models import Account, Group

ACCOUNT_STATUS = {"ban_account": "banned", "unban_account": "active"}
GROUP_STATUS = {"close_group": "closed", "reopen_group": "active"}
"""Verb → what the directory says of its target once the platform has carried it out."""


def words_of(subject: Account | Group) -> str:
    """Return the status of an account or a group as people read it, with the order that the platform carried out."""
    status = str(subject.platform_status)
    is_account = isinstance(subject, Account)
    told = ACCOUNT_STATUS if is_account else GROUP_STATUS
    verbs = [verb for verb, said in told.items() if said == status]
    last = (
        OrderResult.objects.filter(
            stands=True,
            state=ResultState.DONE,
            enforcement__verb__in=verbs,
            **{f"enforcement__{'account' if is_account else 'group'}": subject},
        )
        .order_by("-counts_at")
        .first()
    )
    if last is None:
        return status
    return f"{status}, as the platform said on {last.counts_at:%Y-%m-%d}"
