"""The second person: what blocks approval, who may give it, and what exactly was approved."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from accounts.models import SignIn, User
from core.errors import Refused
from core.models import AuditEntry
from moderation import actions as moderation
from moderation.models import Overturn
from referrals import actions
from referrals.access import get_referral_for
from referrals.models import Referral
from tests.casework import grant_all
from tests.cast import signed_in
from tests.referrals.desk import Desk, events, form, page

pytestmark = pytest.mark.django_db


def text_of(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def state_of(referral: Referral) -> str:
    return Referral.objects.get(pk=referral.pk).state


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"legal_basis": ""}, "Name the provision under which this may be handed over."),
        ({"incident_type": ""}, "Say in a few words what happened."),
        ({"incident_at": None}, "Give the time in UTC"),
        ({"narrative": "Too short."}, "Write at least 40 characters"),
        ({"include_messages": False, "drop": True}, "Include an exhibit"),
        ({"drop": True}, "Say why an exhibit stays behind"),
    ],
)
def test_what_is_missing_blocks_the_request_and_is_named(
    desk: Desk, author: Client, changes: dict[str, Any], missing: str
) -> None:
    referral = desk.draft(desk.case(texts=["An invented line."]))
    said = dict(changes)
    if said.pop("drop", False):
        said |= {f"exhibit-{row.pk}-is_included": None for row in referral.exhibits.all()}
    if said.get("include_messages") is False:
        said["include_messages"] = None
    answer = author.post(page("detail", referral), form(referral, next="request", **said))
    assert answer.status_code == 409
    shown = text_of(answer)
    assert "Saved, but approval was not asked for" in shown
    assert missing in shown
    referral.refresh_from_db()
    assert referral.state == "draft"
    again = author.post(page("request", referral), {"version": referral.version})
    assert again.status_code == 409
    assert missing in text_of(again)
    assert events(referral)[-1] != "referral.approval.requested"


def test_useful_points_that_are_blank_are_stated_and_block_nothing(
    desk: Desk, author: Client
) -> None:
    referral = desk.draft()
    shown = text_of(author.get(page("detail", referral)))
    for label in ("Phone number.", "IP events with port.", "An exhibit was viewed by a person."):
        assert label in shown
    answer = author.post(page("detail", referral), form(referral, next="request"))
    assert answer.status_code == 302
    assert state_of(referral) == "awaiting_approval"


def test_request_withdraw_request_return_request_approve(
    desk: Desk, author: Client, second: Client
) -> None:
    referral = desk.draft()

    def at(name: str, browser: Client, **said: Any) -> None:
        referral.refresh_from_db()
        answer = browser.post(page(name, referral), {"version": referral.version, **said})
        assert (answer.status_code, answer["Location"]) == (302, page("detail", referral))

    at("request", author)
    assert state_of(referral) == "awaiting_approval"
    # While it waits, nobody writes in it.
    assert author.post(page("detail", referral), form(referral)).status_code == 409
    at("withdraw", author)
    assert state_of(referral) == "draft"
    at("request", author)
    at("return", second, reason="The time of the incident is wrong.")
    assert "The time of the incident is wrong." in text_of(author.get(page("detail", referral)))
    at("request", author)
    assert Referral.objects.get().returned_reason == ""
    at("approve", second)
    assert state_of(referral) == "approved"
    steps = [name for name in events(referral) if name != "referral.viewed"]
    assert steps == [
        "referral.opened",
        "referral.changed",
        "referral.approval.requested",
        "referral.approval.withdrawn",
        "referral.approval.requested",
        "referral.returned",
        "referral.approval.requested",
        "referral.approved",
    ]
    entry = AuditEntry.objects.get(event="referral.approved")
    assert entry.actor_label == desk.second.pseudonym
    assert entry.data["keys"] == [str(desk.key.to_public())]


def test_a_return_needs_a_reason(desk: Desk, second: Client) -> None:
    referral = desk.awaiting()
    for reason in ("", "   short    ", "x" * 2001):
        assert second.post(page("return", referral), {"reason": reason}).status_code == 422
    assert state_of(referral) == "awaiting_approval"


def test_only_who_wrote_or_asked_may_withdraw(desk: Desk, second: Client) -> None:
    referral = desk.awaiting()
    answer = second.post(page("withdraw", referral))
    assert answer.status_code == 409
    assert "Return it for correction instead." in text_of(answer)
    assert state_of(referral) == "awaiting_approval"


def test_the_author_cannot_approve(desk: Desk, author: Client) -> None:
    referral = desk.awaiting()
    shown = author.get(page("approve", referral))
    assert "A second person must approve" in text_of(shown)
    assert "Approve and seal" not in text_of(shown)
    answer = author.post(page("approve", referral), {"version": referral.version})
    assert answer.status_code == 409
    assert "A second person must approve." in text_of(answer)
    assert state_of(referral) == "awaiting_approval"


def test_who_asked_cannot_approve_although_somebody_else_wrote(desk: Desk, second: Client) -> None:
    draft = desk.draft()
    referral = actions.request_approval(draft, version=draft.version, actor=desk.second)
    answer = second.post(page("approve", referral), {"version": referral.version})
    assert answer.status_code == 409
    assert state_of(referral) == "awaiting_approval"


@pytest.mark.parametrize(
    ("column", "constraint"),
    [
        ("drafted_by_id", "approver_is_not_the_author"),
        ("requested_by_id", "approver_is_not_the_requester"),
    ],
)
def test_the_database_refuses_such_an_approval_too(
    desk: Desk, column: str, constraint: str
) -> None:
    draft = desk.draft()
    asker = desk.second if column == "requested_by_id" else desk.author
    referral = actions.request_approval(draft, version=draft.version, actor=asker)
    with (
        pytest.raises(IntegrityError, match=constraint),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(
            f"UPDATE referrals_referral SET state = 'approved', approved_by_id = {column},"
            " approved_at = now() WHERE id = %s",
            [referral.pk],
        )


def test_the_database_builds_nothing_without_an_approver(desk: Desk) -> None:
    referral = desk.awaiting()
    for state in ("approved", "building", "sealed"):
        with (
            pytest.raises(IntegrityError, match="nothing_is_built_without_approval"),
            transaction.atomic(),
        ):
            Referral.objects.filter(pk=referral.pk).update(state=state)


def test_an_older_version_than_the_one_that_stands_is_not_approved(
    desk: Desk, second: Client
) -> None:
    referral = desk.awaiting()
    seen = referral.version
    actions.withdraw_request(referral, actor=desk.author)
    draft = Referral.objects.get()
    draft = desk.write(draft, narrative="Other words, which the second person never looked at yet.")
    actions.request_approval(draft, version=draft.version, actor=desk.author)
    answer = second.post(page("approve", referral), {"version": seen})
    assert answer.status_code == 409
    assert "Somebody changed this referral" in text_of(answer)
    assert state_of(referral) == "awaiting_approval"


@pytest.mark.parametrize("version", ["", "one", "-1", "9" * 12])
def test_a_form_without_a_version_approves_nothing(
    desk: Desk, second: Client, version: str
) -> None:
    referral = desk.awaiting()
    answer = second.post(page("approve", referral), {"version": version})
    assert answer.status_code == 422
    assert state_of(referral) == "awaiting_approval"


def test_an_agency_of_another_name_sends_the_request_back_and_its_open_page_approves_nothing(
    desk: Desk, second: Client
) -> None:
    referral = desk.awaiting()
    actions.change_recipient(
        desk.agency,
        name="The Agency of Another Name",
        unit="",
        country="",
        contact="",
        is_active=True,
        actor=desk.author,
    )
    answer = second.post(page("approve", referral), {"version": referral.version})
    assert answer.status_code == 409
    assert state_of(referral) == "draft"


def test_what_went_missing_since_the_request_blocks_the_approval(
    desk: Desk, second: Client
) -> None:
    referral = desk.awaiting()
    actions.change_recipient(
        desk.agency,
        name=desk.agency.name,
        unit="",
        country="",
        contact="",
        is_active=False,
        actor=desk.author,
    )
    referral.refresh_from_db()
    with pytest.raises(Refused, match="Something required went missing"):
        actions.approve(referral, version=referral.version, actor=desk.second)
    assert state_of(referral) == "awaiting_approval"


def test_without_a_second_factor_nobody_approves_or_exports(desk: Desk) -> None:
    referral = desk.awaiting()
    weak = signed_in(Client(), desk.second, second_factor=False)
    set_up = reverse("accounts:totp_set_up")
    for name in ("approve", "return", "build_again"):
        answer = weak.post(page(name, referral), {"version": referral.version, "reason": "x" * 20})
        assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, set_up), name
    for name in ("package", "checksum"):
        assert weak.get(page(name, referral))["Location"].startswith(set_up), name
    assert state_of(referral) == "awaiting_approval"


def test_an_old_sign_in_must_prove_presence_before_it_approves(desk: Desk, second: Client) -> None:
    referral = desk.awaiting()
    SignIn.objects.filter(user=desk.second).update(confirmed_at=Now() - timedelta(hours=1))
    looked = second.get(page("approve", referral))
    assert looked.status_code == 302
    assert "Approve and seal" not in text_of(looked)
    answer = second.post(page("approve", referral), {"version": referral.version})
    assert answer.status_code != 302 or "confirm" in answer["Location"]
    assert state_of(referral) == "awaiting_approval"


def test_the_forms_carry_their_tokens(desk: Desk, author: Client) -> None:
    """Each form of the pages works under the checks that the test client usually leaves out."""
    referral = desk.awaiting()
    strict = signed_in(Client(enforce_csrf_checks=True), desk.second)
    shown = strict.get(page("approve", referral)).content.decode()
    token = strict.cookies["csrftoken"].value if "csrftoken" in strict.cookies else ""
    inside = shown.partition('id="return-dialog"')[2]
    assert 'name="csrfmiddlewaretoken"' in inside.partition("</form>")[0]
    field = inside.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    assert strict.post(page("return", referral), {"reason": "Not yet complete."}).status_code == 403
    answer = strict.post(
        page("return", referral),
        {"reason": "Not yet complete.", "csrfmiddlewaretoken": field or token},
    )
    assert answer.status_code == 302
    assert state_of(referral) == "draft"


def test_nothing_leaves_of_a_decision_that_was_overturned(desk: Desk, lead: User) -> None:
    referral = desk.awaiting()
    [decision] = referral.case.decisions.all()
    overturn = moderation.overturn_decision(
        decision, reason="It shows a drawn bridge and nobody.", actor=grant_all(lead)
    )
    Overturn.objects.update(publish_at=Now() - timedelta(seconds=1))
    assert moderation.carry_out_overturn(overturn)
    with pytest.raises(Refused, match="was overturned"):
        actions.approve(referral, version=referral.version, actor=desk.second)
    assert get_referral_for(desk.second, referral.pk) == referral  # Still in sight.
    with pytest.raises(Refused):
        actions.open_referral(referral.case, recipient=referral.recipient, actor=desk.author)
