"""The first page says what waits for a person, within what the role may do, and nothing else."""

from __future__ import annotations

from typing import Any

import pyrage
import pytest
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from accounts.actions import ask_for
from accounts.models import AccountRequest, User
from accounts.permissions import Role
from core.audit import SYSTEM
from hashing import actions as hashing
from hashing.models import Category, HashList
from referrals import actions
from tests.cast import make_person, signed_in
from tests.referrals.conftest import desk as desk  # noqa: PLC0414 — a fixture
from tests.referrals.desk import Desk

pytestmark = pytest.mark.django_db
HOME = "moderation:home"


def waiting(person: User) -> dict[str, tuple[int, str]]:
    answer: Any = signed_in(Client(), person).get(reverse(HOME))
    page = answer.content.decode()
    found = {each.what: (each.count, each.url) for each in answer.context["waiting"]}
    assert ("Waits for you" in page) == bool(found)
    for what, (_, url) in found.items():
        assert f'href="{url.replace("&", "&amp;")}">{what}</a>' in page
    return found


def test_the_second_administrator_is_told_and_the_first_is_not(
    admin: User, reviewer: User, lead: User
) -> None:
    second = make_person("Second", Role.ADMINISTRATOR)
    ask_for(AccountRequest.Kind.ADMINISTRATOR, reviewer, reason="An invented reason.", actor=admin)
    what = "Requests of other administrators to confirm"
    assert waiting(second) == {what: (1, reverse("accounts:requests"))}
    assert waiting(admin) == {}
    assert waiting(lead) == {}


def test_legal_staff_are_told_of_keys_approvals_and_decided_cases(desk: Desk) -> None:
    other = desk.draft(desk.case())
    desk.case()
    desk.enter_key(str(pyrage.x25519.Identity.generate().to_public()))
    actions.request_approval(other, version=other.version, actor=desk.author)
    there = reverse("referrals:list")
    assert waiting(desk.second) == {
        "Referrals that wait for a second person": (1, f"{there}?state=awaiting_approval"),
        "Keys of agencies to confirm": (1, reverse("referrals:recipients")),
        "Decided cases without a referral": (1, there),
    }
    assert waiting(desk.author) == {"Decided cases without a referral": (1, there)}


def test_a_held_list_and_one_to_approve_are_told_to_who_may_do_something_about_it(
    policy_admin: User, lead: User, auditor: User
) -> None:
    held = hashing.create_hash_list(name="Held", category=Category.CSAM_KNOWN, actor=SYSTEM)
    HashList.objects.filter(pk=held.pk).update(
        quarantined_at=Now(), quarantine_reason="Invented flood"
    )
    asked = hashing.create_hash_list(name="Asked", category=Category.CSAM_KNOWN, actor=SYSTEM)
    hashing.add_entry(asked, algorithm="md5", value="0" * 32, actor=SYSTEM)
    hashing.ask_automatic(asked, actor=policy_admin)
    there = reverse("hashing:lists")
    assert waiting(policy_admin) == {"Hash lists that are held back": (1, there)}
    assert waiting(lead) == {"Hash lists that are to act automatically": (1, there)}
    assert waiting(auditor) == {}
