"""From a decided case to a complete draft, through the pages."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from core.audit import SYSTEM
from core.errors import Refused
from core.models import AuditEntry
from hashing.models import Category
from moderation import actions as moderation
from moderation.models import Outcome
from referrals import actions
from referrals.models import Referral, ReferralAccount
from tests.cast import find, signed_in
from tests.pictures import jpeg
from tests.referrals.desk import Desk, events, form, page

pytestmark = pytest.mark.django_db


def new(case: Any) -> str:
    return reverse("referrals:new", kwargs={"case_id": case.pk})


def text_of(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def test_a_decided_case_waits_on_the_list_and_becomes_a_draft(desk: Desk, author: Client) -> None:
    case = desk.case("subject-one", texts=["An invented line."])
    assert new(case) in author.get(reverse("referrals:list")).content.decode()
    answer = author.post(new(case), {"recipient": desk.agency.pk})
    referral = Referral.objects.get()
    assert answer.status_code == 302
    assert answer["Location"] == page("detail", referral)
    assert (referral.state, referral.drafted_by) == ("draft", desk.author)
    assert [row.position for row in referral.exhibits.all()] == [1]
    assert [row.role for row in referral.named_accounts.all()] == [""]
    assert events(referral) == ["referral.opened"]
    assert new(case) not in author.get(reverse("referrals:list")).content.decode()


@pytest.mark.parametrize("outcome", [Outcome.CONFIRM, Outcome.NOT_VIOLATING])
def test_only_a_case_decided_for_referral_can_be_referred(
    desk: Desk, author: Client, outcome: str
) -> None:
    case = desk.casework.case(reason="spam")  # Its policy leaves the choice.
    desk.casework.published(case, by=desk.reviewer, outcome=outcome)
    with pytest.raises(Refused) as refused:
        actions.open_referral(case, recipient=desk.agency, actor=desk.author)
    assert refused.value.code == "not_for_referral"
    assert author.post(new(case), {"recipient": desk.agency.pk}).status_code in {404, 409}
    assert not Referral.objects.exists()


def test_a_decision_inside_its_undo_window_is_not_yet_a_decision(desk: Desk) -> None:
    case = desk.casework.case()
    desk.casework.decided(case, by=desk.reviewer)
    with pytest.raises(Refused) as refused:
        actions.open_referral(case, recipient=desk.agency, actor=desk.author)
    assert refused.value.code == "not_decided"


def test_a_case_is_referred_to_an_agency_once(desk: Desk, author: Client, signing: Any) -> None:
    referral = desk.approved()
    again = author.post(new(referral.case), {"recipient": desk.agency.pk})
    assert again.status_code == 409
    assert "open already" in text_of(again)
    desk.build(referral)
    again = author.post(new(referral.case), {"recipient": desk.agency.pk})
    assert again.status_code == 409
    assert f"{referral} of this case is sealed to this recipient already" in text_of(again)
    assert Referral.objects.count() == 1


def test_without_the_grant_for_the_category_nothing_exists(
    desk: Desk, legal: User, author: Client
) -> None:
    referral = desk.draft()
    for category in Category.values:
        moderation.revoke_category(category, of=desk.second, actor=SYSTEM)
    stranger = signed_in(Client(), desk.second)
    for name in ("detail", "state", "approve", "package", "checksum"):
        assert stranger.get(page(name, referral)).status_code == 404, name
    for name in ("detail", "refresh", "request", "withdraw", "return", "build_again", "revise"):
        assert stranger.post(page(name, referral)).status_code == 404, name
    assert stranger.post(page("approve", referral), {"version": 1}).status_code == 404
    assert stranger.get(new(referral.case)).status_code == 404
    assert str(referral) not in stranger.get(reverse("referrals:list")).content.decode()
    assert author.get(page("detail", referral)).status_code == 200


def test_saving_keeps_every_word_and_records_which_fields_changed(
    desk: Desk, author: Client
) -> None:
    referral = desk.draft()
    row, named = referral.exhibits.get(), referral.named_accounts.get()
    answer = author.post(
        page("detail", referral),
        form(
            referral,
            legal_basis="Another provision",
            **{
                f"exhibit-{row.pk}-note": "Seen in an invented group.",
                f"account-{named.pk}-role": "witness",
            },
        ),
    )
    assert answer.status_code == 302
    referral.refresh_from_db()
    assert referral.legal_basis == "Another provision"
    assert referral.exhibits.get().note == "Seen in an invented group."
    assert referral.named_accounts.get().role == "witness"
    entry = AuditEntry.objects.filter(event="referral.changed").order_by("-seq")[0]
    assert entry.data["fields"] == ["account 1", "exhibit 1", "legal_basis"]
    assert "Another provision" not in entry.line


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("incident_at", "2999-01-01T00:00:00", "The incident cannot lie in the future."),
        ("incident_at", "some day", "Enter a valid date/time."),
        ("legal_basis", "x" * 301, "at most 300 characters"),
        ("recipient", "00000000-0000-4000-8000-000000000000", "Select a valid choice."),
    ],
)
def test_a_bad_field_is_told_at_the_field_and_nothing_typed_is_lost(
    desk: Desk, author: Client, field: str, value: str, sentence: str
) -> None:
    referral = desk.draft()
    said = form(referral, narrative="Words that took an hour to write.", **{field: value})
    answer = author.post(page("detail", referral), said)
    assert answer.status_code == 422
    shown = text_of(answer)
    assert sentence in shown
    assert f'id="id_{field}_error"' in shown
    assert "Words that took an hour to write." in shown
    before = referral.narrative
    referral.refresh_from_db()
    assert referral.narrative == before


def test_a_bad_line_of_an_exhibit_is_told_there(desk: Desk, author: Client) -> None:
    referral = desk.draft()
    row = referral.exhibits.get()
    name = f"exhibit-{row.pk}-note"
    answer = author.post(page("detail", referral), form(referral, **{name: "x" * 501}))
    assert answer.status_code == 422
    assert f"id_{name}_error" in text_of(answer)


def test_of_two_who_edit_the_later_is_told_and_keeps_the_words(
    desk: Desk, author: Client, second: Client
) -> None:
    referral = desk.draft()
    mine = form(referral, legal_basis="My provision", narrative="My words about what happened.")
    theirs = form(referral, legal_basis="Their provision")
    assert second.post(page("detail", referral), theirs).status_code == 302
    answer = author.post(page("detail", referral), mine)
    assert answer.status_code == 409
    shown = text_of(answer)
    assert "Somebody changed this referral" in shown
    assert 'value="My provision"' in shown
    assert "My words about what happened." in shown
    referral.refresh_from_db()
    assert referral.legal_basis == "Their provision"


def test_what_joined_the_case_since_can_be_added(desk: Desk, author: Client) -> None:
    referral = desk.draft(desk.case(pictures=[jpeg(1, (96, 64)), jpeg(2, (96, 64))]))
    last = referral.exhibits.order_by("-position")[0]
    last.delete()  # As if the picture had joined the case later.
    ReferralAccount.objects.filter(referral=referral).delete()
    version = referral.version
    answer = author.post(page("refresh", referral), follow=True)
    assert "2 new exhibits and accounts were added." in text_of(answer)
    referral.refresh_from_db()
    assert referral.version == version + 1
    assert referral.exhibits.count() == 2
    assert "Nothing new" in text_of(author.post(page("refresh", referral), follow=True))


def test_every_look_at_a_referral_is_recorded_but_not_the_panel_that_asks_by_itself(
    desk: Desk, author: Client, second: Client
) -> None:
    referral = desk.awaiting()
    author.get(page("detail", referral))
    second.get(page("approve", referral))
    for _ in range(3):
        author.get(page("state", referral))
    seen = AuditEntry.objects.filter(event="referral.viewed").order_by("seq")
    assert [entry.actor_label for entry in seen] == [
        desk.author.pseudonym,
        desk.second.pseudonym,
    ]
    assert {entry.chain for entry in seen} == {f"case:{referral.case_id}"}


def test_the_panel_that_asks_by_itself_is_cheap_and_keeps_nobody_signed_in(
    desk: Desk, author: Client, django_assert_max_num_queries: Any
) -> None:
    referral = desk.approved()
    with django_assert_max_num_queries(8):
        answer = author.get(page("state", referral))
    shown = text_of(answer)
    assert 'hx-trigger="every 2s"' in shown
    assert "X-Background" in shown
    assert "HX-Refresh" not in answer


def test_the_list_finds_by_state_reference_case_and_agency(desk: Desk, author: Client) -> None:
    draft, waiting = desk.draft(), desk.awaiting()
    listing = reverse("referrals:list")

    def shown(query: str) -> set[str]:
        fields = dict(parse_qsl(query))
        answer = find(author, listing, fields) if "q" in fields else author.get(listing, fields)
        text = answer.content.decode()
        return {str(row) for row in (draft, waiting) if page("detail", row) in text}

    assert shown("") == {str(draft), str(waiting)}
    assert shown("state=draft") == {str(draft)}
    assert shown(f"q={waiting}") == {str(waiting)}
    assert shown(f"q={draft.reference.lower()}") == {str(draft)}
    assert shown(f"q={draft.case}") >= {str(draft)}
    assert shown("q=invented agency") == {str(draft), str(waiting)}
    assert shown("q=nothing of the kind") == set()
    assert (
        find(author, listing, {"q": "9" * 40, "state": "unheard", "page": "99"}).status_code == 200
    )


def test_a_search_of_the_list_is_recorded_and_takes_any_text(desk: Desk, author: Client) -> None:
    listing = reverse("referrals:list")
    for text in ("Agency", "a\x00b", "'; --", "9" * 300):
        assert find(author, listing, {"q": text}).status_code == 200, text
    author.get(listing)
    recorded = AuditEntry.objects.filter(event="referral.searched")
    assert recorded.count() == 4
    assert all(set(entry.data) == {"found"} for entry in recorded)
