"""The closed catalogue of permissions and the one table of roles.

A permission answers only the first of three questions (may this *role* do it?). The object and the
policy are asked elsewhere: in each room's ``access.py`` and ``actions.py``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser


class Permission(StrEnum):
    """What a role may do, as ``area:thing:verb``; to read and to write are never the same one."""

    CASES_VIEW = "moderation:cases:view"
    CASES_CLAIM = "moderation:cases:claim"
    CASES_DECIDE = "moderation:cases:decide"
    CASES_TAKE_OVER = "moderation:cases:take-over"
    CASES_MOVE = "moderation:cases:move"
    DECISIONS_OVERTURN = "moderation:decisions:overturn"
    MEDIA_PREVIEW = "moderation:media:preview"
    MEDIA_REVEAL = "moderation:media:reveal"
    POLICIES_VIEW = "moderation:policies:view"
    DELIVERIES_VIEW = "moderation:deliveries:view"
    DELIVERIES_REPLAY = "moderation:deliveries:replay"
    WEBHOOKS_MANAGE = "moderation:webhooks:manage"
    QUEUES_MANAGE = "moderation:queues:manage"
    REPORTS_CREATE = "reports:reports:create"
    SOURCES_MANAGE = "reports:sources:manage"
    ERASURES_VIEW = "reports:erasures:view"
    HASHING_LISTS_VIEW = "hashing:lists:view"
    HASHING_LISTS_EDIT = "hashing:lists:edit"
    HASHING_RULES_VIEW = "hashing:rules:view"
    HASHING_RULES_EDIT = "hashing:rules:edit"
    HASHING_LISTS_APPROVE = "hashing:lists:approve"
    HASHING_ENTRIES_ADD = "hashing:entries:add"
    HASHING_EXCHANGES_VIEW = "hashing:exchanges:view"
    HASHING_EXCHANGES_MANAGE = "hashing:exchanges:manage"
    HASHING_CLASSIFIERS_VIEW = "hashing:classifiers:view"
    HASHING_CLASSIFIERS_EDIT = "hashing:classifiers:edit"
    HASHING_CLASSIFIERS_ACTIVATE = "hashing:classifiers:activate"
    HASHING_DETECTORS_VIEW = "hashing:detectors:view"
    HASHING_DETECTORS_EDIT = "hashing:detectors:edit"
    HASHING_RISK_VIEW = "hashing:risk:view"
    HASHING_RISK_EDIT = "hashing:risk:edit"
    HASHING_LINKS_VIEW = "hashing:links:view"
    HASHING_LINKS_IMPORT = "hashing:links:import"
    REFERRALS_VIEW = "referrals:referrals:view"
    REFERRALS_DRAFT = "referrals:referrals:draft"
    REFERRALS_APPROVE = "referrals:referrals:approve"
    REFERRALS_EXPORT = "referrals:referrals:export"
    RECIPIENTS_MANAGE = "referrals:recipients:manage"
    AUDIT_VIEW = "core:audit:view"
    AUDIT_EXPORT = "core:audit:export"
    JOBS_VIEW = "core:jobs:view"
    PEOPLE_MANAGE = "accounts:people:manage"
    OWN_ACCOUNT = "accounts:own:edit"


class Role(StrEnum):
    """The six roles. One person has exactly one."""

    REVIEWER = "reviewer"
    LEAD = "lead"
    POLICY_ADMIN = "policy_admin"
    LEGAL = "legal"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"

    @property
    def label(self) -> str:
        """The role in words."""
        return "Policy administrator" if self is Role.POLICY_ADMIN else self.value.capitalize()


_P = Permission

_REVIEWER = frozenset(
    {
        _P.CASES_VIEW,
        _P.CASES_CLAIM,
        _P.CASES_DECIDE,
        _P.MEDIA_PREVIEW,
        _P.MEDIA_REVEAL,
        _P.POLICIES_VIEW,
        _P.REPORTS_CREATE,
        _P.OWN_ACCOUNT,
    }
)

ROLE_PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.REVIEWER: _REVIEWER,
    Role.LEAD: _REVIEWER
    | {
        _P.CASES_TAKE_OVER,
        _P.CASES_MOVE,
        _P.DECISIONS_OVERTURN,
        _P.DELIVERIES_VIEW,
        _P.DELIVERIES_REPLAY,
        _P.HASHING_LISTS_VIEW,
        _P.HASHING_RULES_VIEW,
        _P.HASHING_LISTS_APPROVE,
        _P.HASHING_ENTRIES_ADD,
        _P.HASHING_EXCHANGES_VIEW,
        _P.HASHING_CLASSIFIERS_VIEW,
        _P.HASHING_CLASSIFIERS_ACTIVATE,
        _P.HASHING_DETECTORS_VIEW,
        _P.HASHING_RISK_VIEW,
        _P.HASHING_LINKS_VIEW,
        _P.JOBS_VIEW,
    },
    Role.POLICY_ADMIN: frozenset(
        {
            _P.POLICIES_VIEW,
            _P.HASHING_LISTS_VIEW,
            _P.HASHING_LISTS_EDIT,
            _P.HASHING_RULES_VIEW,
            _P.HASHING_RULES_EDIT,
            _P.HASHING_LISTS_APPROVE,
            _P.HASHING_EXCHANGES_VIEW,
            _P.HASHING_EXCHANGES_MANAGE,
            _P.HASHING_CLASSIFIERS_VIEW,
            _P.HASHING_CLASSIFIERS_EDIT,
            _P.HASHING_CLASSIFIERS_ACTIVATE,
            _P.HASHING_DETECTORS_VIEW,
            _P.HASHING_DETECTORS_EDIT,
            # Weights and what they would change, in figures: whom they rate is for those who work cases.
            _P.HASHING_RISK_EDIT,
            _P.HASHING_LINKS_VIEW,
            _P.HASHING_LINKS_IMPORT,
            _P.OWN_ACCOUNT,
        }
    ),
    # Legal sees a case and its covers, never its media, unless a reveal right is added on purpose.
    Role.LEGAL: frozenset(
        {
            _P.CASES_VIEW,
            _P.REFERRALS_VIEW,
            _P.REFERRALS_DRAFT,
            _P.REFERRALS_APPROVE,
            _P.REFERRALS_EXPORT,
            _P.RECIPIENTS_MANAGE,
            _P.ERASURES_VIEW,
            _P.POLICIES_VIEW,
            _P.OWN_ACCOUNT,
        }
    ),
    Role.AUDITOR: frozenset({_P.AUDIT_VIEW, _P.AUDIT_EXPORT, _P.POLICIES_VIEW, _P.OWN_ACCOUNT}),
    # Administration is not access: no case, no referral, no audit content.
    Role.ADMINISTRATOR: frozenset(
        {
            _P.PEOPLE_MANAGE,
            _P.SOURCES_MANAGE,
            _P.ERASURES_VIEW,
            _P.WEBHOOKS_MANAGE,
            _P.QUEUES_MANAGE,
            _P.JOBS_VIEW,
            _P.HASHING_EXCHANGES_VIEW,
            _P.HASHING_EXCHANGES_MANAGE,
            _P.HASHING_DETECTORS_VIEW,
            _P.HASHING_DETECTORS_EDIT,
            _P.DELIVERIES_VIEW,
            _P.POLICIES_VIEW,
            _P.OWN_ACCOUNT,
        }
    ),
}

WITHOUT_SECOND_FACTOR: frozenset[Permission] = frozenset({_P.OWN_ACCOUNT, _P.POLICIES_VIEW})
"""All that a role may hold and still sign in with a password alone. Every role there is holds more."""


class _Holder(Protocol):
    is_authenticated: bool

    def may(self, permission: Permission) -> bool: ...


def permissions_of(role: str) -> frozenset[Permission]:
    """Return every permission of ``role``. An unknown role holds nothing."""
    try:
        return ROLE_PERMISSIONS[Role(role)]
    except ValueError:
        return frozenset()


def role_may(role: str, permission: Permission) -> bool:
    """Return whether ``role`` holds ``permission``. An unknown role holds nothing."""
    return permission in permissions_of(role)


def needs_second_factor(role: str) -> bool:
    """Return whether people of ``role`` can do nothing in a session that saw no second factor."""
    return bool(permissions_of(role) - WITHOUT_SECOND_FACTOR)


def user_can(user: _Holder | AnonymousUser, permission: Permission) -> bool:
    """Return whether ``user`` holds ``permission``. Nobody signed in holds nothing."""
    return bool(user.is_authenticated and user.may(permission))
