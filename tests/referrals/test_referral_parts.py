"""Which part an account plays: said by a person, shown with who said it when, and waited for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from core.audit import SYSTEM
from core.errors import Refused
from moderation import actions as moderation
from moderation.models import Case
from referrals import actions
from referrals.custody import utc_text
from referrals.models import Referral, ReferralAccount
from reports.actions import submit_report, upsert_account, upsert_memberships
from reports.payloads import AccountPayload, MembersPayload, ReportPayload
from tests.casework import hash_finding, verdict
from tests.pictures import jpeg
from tests.referrals.desk import NARRATIVE, Desk, form, page

pytestmark = pytest.mark.django_db


def text_of(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def decided(desk: Desk, case: Case) -> Case:
    """Decide a case for referral with whatever its policy allows."""
    moderation.claim(case, actor=desk.reviewer)
    case.refresh_from_db()
    said = verdict(case)
    said["enforcements"] = moderation.fitting_verbs(
        case, said["policy"], has_media=moderation.has_media(case)
    )[:1]
    decision = moderation.decide(case, actor=desk.reviewer, **said)
    moderation.send_now(decision, actor=desk.reviewer)
    assert moderation.publish_decision(decision)
    case.refresh_from_db()
    return case


def group_case(desk: Desk, members: list[dict[str, Any]]) -> Case:
    """Return a case about a group with these members."""
    upsert_memberships(
        desk.casework.source(),
        "grp-x",
        members=MembersPayload.model_validate({"members": members}),
        actor=SYSTEM,
    )
    report = desk.casework.report(group="grp-x", pictures=[jpeg(1, (96, 64))])
    return decided(desk, desk.casework.routed(report, hash_finding()))


def opened(desk: Desk, case: Case) -> Referral:
    """Return a draft whose words are there and in which nobody said a part."""
    referral = actions.open_referral(case, recipient=desk.agency, actor=desk.author)
    return desk.write(referral, accounts={})


def test_nobody_is_a_suspect_until_a_person_says_so(desk: Desk, author: Client) -> None:
    referral = opened(desk, desk.case("subject-one"))
    (named,) = referral.named_accounts.all()
    assert (named.role, named.role_set_by, named.role_set_at) == ("", None, None)
    shown = text_of(author.get(page("detail", referral)))
    assert "Proposed" in shown
    assert f"Suspect, because {referral.case} is about this account" in shown
    with pytest.raises(Refused) as refused:
        actions.request_approval(referral, version=referral.version, actor=desk.author)
    assert "One account has no part." in refused.value.message


def test_asking_for_approval_says_at_the_field_that_a_part_is_missing(
    desk: Desk, author: Client
) -> None:
    referral = opened(desk, desk.case())
    named = referral.named_accounts.get()
    said = form(referral, narrative=f"{NARRATIVE} Changed.", next="request")
    answer = author.post(page("detail", referral), said)
    assert answer.status_code == 409
    shown = text_of(answer)
    assert f'id="id_account-{named.pk}-role_error"' in shown
    assert "Say which part this account plays" in shown
    referral.refresh_from_db()
    assert (referral.state, referral.narrative) == ("draft", f"{NARRATIVE} Changed.")
    # The page carries the version that was saved: choosing the part and sending it again works.
    again = form(referral, narrative=referral.narrative, next="request")
    again[f"account-{named.pk}-role"] = "victim"
    assert f'name="version" value="{referral.version}"' in shown
    assert author.post(page("detail", referral), again).status_code == 302
    assert Referral.objects.get().state == "awaiting_approval"


def test_a_part_is_shown_with_who_said_it_and_when(
    desk: Desk, author: Client, second: Client, signing: Path, tmp_path: Path, age_command: str
) -> None:
    referral = opened(desk, desk.case())
    named = referral.named_accounts.get()
    said = form(referral, next="request", **{f"account-{named.pk}-role": "victim"})
    assert author.post(page("detail", referral), said).status_code == 302
    referral.refresh_from_db()
    named.refresh_from_db()
    assert (named.role, named.role_set_by) == ("victim", desk.author)
    shown = text_of(second.get(page("approve", referral)))
    assert f"Said by {desk.author.pseudonym}" in shown
    actions.approve(referral, version=referral.version, actor=desk.second)
    bag = desk.opened(desk.build(referral), tmp_path, age_command)
    assert named.role_set_at is not None
    (account,) = desk.read(bag, "metadata/accounts.json")["accounts"]
    assert account["part"] == {
        "is": "victim",
        "said_by": desk.author.pseudonym,
        "said_at": utc_text(named.role_set_at),
    }


def test_another_save_does_not_take_the_word_from_who_said_it(
    desk: Desk, author: Client, second: Client
) -> None:
    referral = desk.draft()
    named = referral.named_accounts.get()
    at = named.role_set_at
    assert (
        second.post(page("detail", referral), form(referral, legal_basis="Another")).status_code
        == 302
    )
    named.refresh_from_db()
    assert (named.role_set_by, named.role_set_at) == (desk.author, at)


def test_the_database_keeps_no_part_that_nobody_said(desk: Desk) -> None:
    named = desk.draft().named_accounts.get()
    for said in ({"role_set_by": None, "role_set_at": None}, {"role": ""}):
        with pytest.raises(IntegrityError), transaction.atomic():
            ReferralAccount.objects.filter(pk=named.pk).update(**said)


def test_who_reported_is_proposed_as_the_reporter(desk: Desk, author: Client) -> None:
    source = desk.casework.source()
    upsert_account(source, "told-us", payload=AccountPayload(), actor=SYSTEM)
    payload = ReportPayload.model_validate(
        {
            "subject": {"account": "subject-one"},
            "reporter": {"account": "told-us"},
            "reason": "csam",
            "items": [{"surface": "reported_message", "text": "A line.", "sender": "told-us"}],
        }
    )
    report = submit_report(source, payload=payload, actor=SYSTEM)
    case = decided(desk, desk.casework.routed(report, hash_finding()))
    shown = text_of(author.get(page("detail", opened(desk, case))))
    assert f"Reporter, because {report} came from this account" in shown


def test_a_former_admin_is_neither_named_nor_handed_over_as_one(
    desk: Desk, author: Client, signing: Path, tmp_path: Path, age_command: str
) -> None:
    joined, left = "2025-03-02T10:00:00Z", "2025-03-03T10:00:00.5Z"
    case = group_case(
        desk,
        [
            {"account": "own-x", "role": "owner", "joined_at": joined},
            {"account": "exadmin-x", "role": "admin", "joined_at": joined, "left_at": left},
        ],
    )
    referral = opened(desk, case)
    ids = [named.account.external_id for named in referral.named_accounts.all()]
    assert ids == ["own-x"]
    assert "Owner of the group, joined 2025-03-02" in text_of(author.get(page("detail", referral)))
    waiting = desk.write(referral, narrative=f"{NARRATIVE} The group was closed.")
    waiting = actions.request_approval(waiting, version=waiting.version, actor=desk.author)
    actions.approve(waiting, version=waiting.version, actor=desk.second)
    bag = desk.opened(desk.build(waiting), tmp_path, age_command)
    (group,) = desk.read(bag, "metadata/groups.json")["groups"]
    own, former = group["members"]
    assert (own["account"], own["is_present"]) == ("own-x", True)
    assert former == {
        "account": "exadmin-x",
        "role": "admin",
        "is_present": False,
        "joined_at": "2025-03-02T10:00:00Z",
        "left_at": "2025-03-03T10:00:00.500000Z",
    }


def test_a_former_admin_who_sent_something_is_shown_as_former(desk: Desk, author: Client) -> None:
    upsert_memberships(
        desk.casework.source(),
        "grp-x",
        members=MembersPayload.model_validate(
            {"members": [{"account": "ex", "role": "admin", "left_at": "2025-03-03T10:00:00Z"}]}
        ),
        actor=SYSTEM,
    )
    payload = ReportPayload.model_validate(
        {
            "subject": {"group": "grp-x"},
            "reason": "csam",
            "items": [{"surface": "reported_message", "text": "A line.", "sender": "ex"}],
        }
    )
    report = submit_report(desk.casework.source(), payload=payload, actor=SYSTEM)
    case = decided(desk, desk.casework.routed(report, hash_finding()))
    shown = text_of(author.get(page("detail", opened(desk, case))))
    assert "Former admin, left 2025-03-03" in shown


def test_all_of_seventy_admins_are_named_and_one_answer_may_stand_for_all(
    desk: Desk, author: Client
) -> None:
    case = group_case(desk, [{"account": f"adm-{n:02d}", "role": "admin"} for n in range(70)])
    referral = opened(desk, case)
    assert referral.named_accounts.count() == 70
    shown = text_of(author.get(page("detail", referral)))
    assert "Part of all who have none yet" in shown
    first = referral.named_accounts.all()[0]
    said = form(
        referral, next="request", others="not said", **{f"account-{first.pk}-role": "suspect"}
    )
    assert author.post(page("detail", referral), said).status_code == 302
    roles = list(referral.named_accounts.values_list("role", flat=True))
    assert (roles.count("suspect"), roles.count("not said")) == (1, 69)
    assert set(referral.named_accounts.values_list("role_set_by", flat=True)) == {desk.author.pk}
