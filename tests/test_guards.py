"""Every verb asks what its actor may do, whichever door it was called through."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied

from accounts import actions as accounts
from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission, Role
from core.audit import NOBODY, SYSTEM, Actor
from hashing import actions as hashing
from referrals import actions as referrals
from reports import actions as reports
from tests.casework import Casework
from tests.referrals.desk import Desk

KEY = Actor("service", "1", "source sample")


def test_roles_are_asked_machines_pass_and_nobody_does_not(reviewer: User) -> None:
    require(reviewer, Permission.CASES_DECIDE)
    require(SYSTEM, Permission.REFERRALS_APPROVE)
    require(KEY, Permission.REPORTS_CREATE)
    inactive = User(role=Role.REVIEWER, is_active=False)
    stand_in: Any = SimpleNamespace(pk=1, pseudonym="R-1", may=lambda permission: True)
    for refused in (inactive, NOBODY, None, stand_in, Actor("officer", "1", "an officer")):
        with pytest.raises(PermissionDenied):
            require(refused, Permission.CASES_DECIDE)
    with pytest.raises(PermissionDenied):
        require(reviewer, Permission.REFERRALS_APPROVE)


def test_a_verb_called_without_a_view_asks_the_role_in_each_room(
    casework: Casework, reviewer: User, legal: User, legal2: User
) -> None:
    desk = Desk(casework, reviewer, legal, legal2)
    waiting = desk.awaiting()
    with pytest.raises(PermissionDenied):
        referrals.approve(waiting, version=waiting.version, actor=reviewer)
    with pytest.raises(PermissionDenied):
        referrals.create_recipient(name="Mine", actor=reviewer)
    with pytest.raises(PermissionDenied):
        accounts.change_role(reviewer, role=Role.ADMINISTRATOR, actor=legal)
    with pytest.raises(PermissionDenied):
        hashing.create_hash_list(name="Mine", category="csam_known", actor=legal)
    with pytest.raises(PermissionDenied):
        reports.create_source(slug="mine", name="Mine", kind="platform", actor=reviewer)
    waiting.refresh_from_db()
    assert waiting.approved_by is None
