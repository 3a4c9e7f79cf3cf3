"""Accounts: what the platform said of them, and the part that a person here says each of them plays."""

from __future__ import annotations

from referrals import package
from referrals.describing.history import History, earlier_places
from referrals.models import ReferralAccount
from reports.models import Account


def describe_account(named: ReferralAccount) -> package.Account:
    """Return one account with everything that was told of it."""
    account: Account = named.account
    places = list(account.memberships.select_related("group").order_by("group__external_id"))
    earlier = earlier_places(account, [place.group for place in places])
    return package.Account(
        platform_id=account.external_id,
        role=named.role,
        role_said_by=named.role_set_by.pseudonym if named.role_set_by else "",
        role_said_at=named.role_set_at,
        username=account.username,
        display_name=account.display_name,
        profile_text=account.profile_text,
        profile_url=account.profile_url,
        country=account.country,
        language=account.language,
        platform_status=account.platform_status,
        joined_at=account.joined_at,
        first_seen_at=account.first_seen_at,
        identifiers=tuple(
            package.Identifier(
                kind=each.get_kind_display(),
                value=each.value,
                detail=each.detail,
                verified=each.verified,
                first_seen_at=each.first_seen_at,
                last_seen_at=each.last_seen_at,
            )
            for each in account.identifiers.order_by("kind", "value")
        ),
        memberships=tuple(
            package.Membership(
                group_id=place.group.external_id,
                account_id=account.external_id,
                name=place.group.name,
                role=place.role,
                joined_at=place.joined_at,
                left_at=place.left_at,
                earlier=earlier.get(str(place.group_id), ()),
            )
            for place in places
        ),
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
        earlier=History(account).earlier(),
    )
