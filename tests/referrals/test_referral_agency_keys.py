"""A key of an agency counts only after two people, and nobody approves what the same person put in."""

from __future__ import annotations

from pathlib import Path

import pyrage
import pytest
from django.core.files.storage import storages
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.permissions import Role
from core.errors import Invalid, Refused
from core.models import AuditEntry
from referrals import actions
from referrals.models import RecipientKey, Referral
from referrals.public_keys import fingerprint_of
from tests.casework import grant_all
from tests.cast import make_person, signed_in
from tests.referrals.desk import Desk, page

OTHER = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg"


def text_of(answer: object) -> str:
    return " ".join(answer.content.decode().split())  # type: ignore[attr-defined]


def key_page(name: str, key: RecipientKey) -> str:
    return reverse(f"referrals:{name}", args=[key.recipient_id, key.pk])


def test_a_fingerprint_is_what_stock_tools_say() -> None:
    # printf %s age1lggy… | sha256sum; an SSH key counts without its comment.
    assert fingerprint_of(OTHER) == "05fd323179930a65868e8e4366ed0f61"
    line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIInvented"
    assert fingerprint_of(line) == fingerprint_of(f"{line} officer@agency")
    assert fingerprint_of(line) != fingerprint_of(OTHER)


def test_one_person_with_a_key_of_her_own_does_not_get_the_originals(
    desk: Desk, second: Client, signing: Path
) -> None:
    """The draft waits; the second person enters her key and approves: it is not sealed to her."""
    referral = desk.draft()
    mine = pyrage.x25519.Identity.generate()
    where = reverse("referrals:recipient_keys", args=[desk.agency.pk])
    assert second.post(where, {"keys": str(mine.to_public())}).status_code == 302
    key = desk.agency.keys.get(entered_by=desk.second)
    said = {"fingerprint": key.fingerprint}
    answer = second.post(key_page("confirm_key", key), said)
    assert answer.status_code == 409
    assert "You entered this key" in text_of(answer)
    referral = actions.request_approval(referral, version=referral.version, actor=desk.author)
    referral = actions.approve(referral, version=referral.version, actor=desk.second)
    assert referral.approved_keys == [str(desk.key.to_public())]
    sealed = desk.build(referral)
    with storages["packages"].open(sealed.package.storage_name) as stream:
        data = stream.read()
    assert pyrage.decrypt(data, [desk.key])
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(data, [mine])


def test_a_confirmed_key_of_hers_keeps_her_from_approving(desk: Desk, second: Client) -> None:
    key = actions.enter_keys(desk.agency, keys=OTHER, actor=desk.second)[0]
    actions.confirm_key(key, fingerprint=key.spoken, actor=desk.author)
    referral = desk.awaiting()
    with pytest.raises(Refused, match="You entered a public key of the agency"):
        actions.approve(referral, version=referral.version, actor=desk.second)
    shown = text_of(second.get(page("detail", referral)))
    assert "Nobody can approve this now" in shown
    assert "entered a public key of the agency" in text_of(second.get(page("approve", referral)))
    third = grant_all(make_person("Lasse Lom", Role.LEGAL))
    assert "Nobody can approve this now" not in text_of(second.get(page("detail", referral)))
    assert actions.approve(referral, version=referral.version, actor=third).approved_by == third


def test_two_people_suffice(desk: Desk, author: Client, second: Client) -> None:
    where = reverse("referrals:recipient_keys", args=[desk.agency.pk])
    author.post(where, {"keys": OTHER})
    key = desk.agency.keys.get(text=OTHER)
    shown = text_of(author.get(page("detail", referral := desk.draft())))
    assert key.spoken not in shown  # What nobody confirmed opens nothing.
    said = {"fingerprint": f"  {key.spoken.upper()} "}
    assert second.post(key_page("confirm_key", key), said).status_code == 302
    shown = text_of(author.get(page("detail", referral)))
    assert key.spoken in shown
    assert f"{desk.second.name}</strong> ({desk.second.pseudonym})" in shown
    assert f"Not {desk.author.name} ({desk.author.pseudonym}): wrote this referral" in shown
    referral = actions.request_approval(referral, version=referral.version, actor=desk.author)
    shown = text_of(second.get(page("approve", referral)))
    assert key.spoken in shown
    assert desk.author.pseudonym in shown
    answer = second.post(page("approve", referral), {"version": referral.version})
    assert answer.status_code == 302
    assert set(Referral.objects.get().approved_keys) == {str(desk.key.to_public()), OTHER}


def test_confirming_asks_for_the_fingerprint_and_does_not_show_it(
    desk: Desk, author: Client, second: Client
) -> None:
    key = desk.enter_key(OTHER)
    agency = reverse("referrals:recipient", args=[desk.agency.pk])
    # Nor do the pages on the way there, their dialogs and ids: it would be copied instead of asked for.
    for where in (key_page("confirm_key", key), agency, reverse("referrals:recipients")):
        shown = text_of(second.get(where))
        assert key.text[:12] in shown
        assert key.spoken[:9] not in shown
        assert key.fingerprint not in shown
    for wrong in ("", "0" * 32, key.fingerprint[:16]):
        answer = second.post(key_page("confirm_key", key), {"fingerprint": wrong})
        assert answer.status_code == 422
    key.refresh_from_db()
    assert key.confirmed_at is None
    assert AuditEntry.objects.filter(event="recipient.key.differed").count() == 2
    assert "A second person confirms it" in text_of(author.get(key_page("confirm_key", key)))
    actions.confirm_key(key, fingerprint=key.fingerprint, actor=desk.second)
    entry = AuditEntry.objects.filter(event="recipient.key.confirmed").latest("pk")
    assert (entry.actor_label, entry.data["key"]) == (desk.second.pseudonym, OTHER)
    assert entry.data["entered_by"] == str(desk.author.pk)
    with pytest.raises(Refused, match="confirmed already"):
        actions.confirm_key(key, fingerprint=key.fingerprint, actor=desk.second)


def test_a_change_of_the_keys_ends_what_waits_for_approval(desk: Desk, second: Client) -> None:
    referral = desk.awaiting()
    key = desk.enter_key(OTHER)
    referral.refresh_from_db()
    assert referral.state == "awaiting_approval"  # Entered is not yet changed.
    actions.confirm_key(key, fingerprint=key.fingerprint, actor=desk.second)
    referral.refresh_from_db()
    assert (referral.state, referral.requested_by) == ("draft", None)
    assert "public keys were changed" in text_of(second.get(page("detail", referral)))
    answer = second.post(page("approve", referral), {"version": referral.version})
    assert answer.status_code == 409
    referral = actions.request_approval(referral, version=referral.version, actor=desk.author)
    answer = second.post(key_page("withdraw_key", key))
    assert answer.status_code == 302
    referral.refresh_from_db()
    assert referral.state == "draft"
    assert second.post(key_page("withdraw_key", key)).status_code == 409


def test_a_key_withdrawn_before_the_build_ends_the_approval(desk: Desk, signing: Path) -> None:
    referral = desk.approved()
    actions.withdraw_key(desk.agency.confirmed_keys.get(), actor=desk.author)
    referral = desk.build(referral)
    assert (referral.state, referral.approved_by, referral.approved_keys) == ("draft", None, [])
    assert "was withdrawn before the package was sealed" in referral.returned_reason
    with pytest.raises(Refused, match="second person confirmed"):
        actions.request_approval(referral, version=referral.version, actor=desk.author)


def test_a_key_stands_once_and_can_come_back(desk: Desk, author: Client) -> None:
    where = reverse("referrals:recipient_keys", args=[desk.agency.pk])
    again = {"keys": str(desk.key.to_public())}
    assert author.post(where, again).status_code == 422
    assert author.post(where, {"keys": ""}).status_code == 422
    assert author.post(where, {"keys": "# nothing\n"}).status_code == 422
    with pytest.raises(Invalid):
        actions.enter_keys(desk.agency, keys=" ", actor=desk.author)
    actions.withdraw_key(desk.agency.confirmed_keys.get(), actor=desk.second)
    shown = text_of(author.get(reverse("referrals:recipient", args=[desk.agency.pk])))
    assert "No key yet" in shown
    assert author.post(where, again).status_code == 302


def test_who_saved_the_draft_last_does_not_approve_it(desk: Desk) -> None:
    draft = desk.draft()
    desk.author, desk.second = desk.second, desk.author
    draft = desk.write(draft, narrative="Rewritten by the colleague who would approve it later on.")
    desk.author, desk.second = desk.second, desk.author
    draft.refresh_from_db()
    waiting = actions.request_approval(draft, version=draft.version, actor=desk.author)
    with pytest.raises(Refused, match="You saved the draft last"):
        actions.approve(waiting, version=waiting.version, actor=desk.second)
    with transaction.atomic(), pytest.raises(IntegrityError):
        Referral.objects.filter(pk=waiting.pk).update(approved_by=desk.second)
    draft = actions.withdraw_request(waiting, actor=desk.author)
    draft = desk.write(
        draft, narrative=draft.narrative
    )  # Saved unchanged: the author stands for it.
    assert draft.edited_by == desk.author
    waiting = actions.request_approval(draft, version=draft.version, actor=desk.author)
    assert actions.approve(waiting, version=waiting.version, actor=desk.second).approved_by


def test_who_may_not_see_the_case_is_not_named_as_approver(desk: Desk, author: Client) -> None:
    stranger = make_person("Lea Lenz", Role.LEGAL)
    shown = text_of(author.get(page("detail", desk.awaiting())))
    assert stranger.name not in shown
    assert desk.second.name in shown


def test_the_database_holds_the_same_rules(desk: Desk) -> None:
    key = desk.enter_key(OTHER)

    def refused(**changes: object) -> None:
        with transaction.atomic(), pytest.raises(IntegrityError):
            RecipientKey.objects.filter(pk=key.pk).update(**changes)

    refused(confirmed_by=desk.author, confirmed_at=Now())
    refused(confirmed_at=Now())
    refused(ended_at=Now())
    refused(text=str(desk.key.to_public()))
    refused(entered_by=desk.second)
    waiting = Referral.objects.filter(pk=desk.awaiting().pk)
    third: User = make_person("Lasse Lom", Role.LEGAL)
    for person, keys in ((third, [OTHER]), (third, ["age1another"])):
        with transaction.atomic(), pytest.raises(IntegrityError, match="nobody confirmed"):
            waiting.update(approved_by=person, approved_at=Now(), approved_keys=keys)
    theirs = actions.enter_keys(
        desk.agency, keys=str(pyrage.x25519.Identity.generate().to_public()), actor=third
    )[0]
    actions.confirm_key(theirs, fingerprint=theirs.fingerprint, actor=desk.author)
    with transaction.atomic(), pytest.raises(IntegrityError, match="nobody confirmed"):
        waiting.update(approved_by=third, approved_at=Now(), approved_keys=[theirs.text])
    refused_key = RecipientKey.objects.filter(pk=theirs.pk)
    with transaction.atomic(), pytest.raises(IntegrityError):
        refused_key.update(confirmed_by=desk.second)


def test_a_stranger_to_the_agency_pages_is_refused(desk: Desk, reviewer: User) -> None:
    key = desk.enter_key(OTHER)
    browser = signed_in(Client(), reviewer)
    assert browser.get(key_page("confirm_key", key)).status_code == 403
    assert browser.post(key_page("withdraw_key", key)).status_code == 403


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", "Somebody else"), ("unit", "Other desk"), ("country", "NL"), ("contact", "+0")],
)
def test_a_confirmed_key_does_not_follow_the_agency_to_another_name(
    desk: Desk, second: Client, field: str, value: str
) -> None:
    referral = desk.awaiting()
    details = {name: getattr(desk.agency, name) for name in ("name", "unit", "country", "contact")}
    form = details | {field: value, "is_active": "on"}
    answer = second.post(reverse("referrals:recipient", args=[desk.agency.pk]), form, follow=True)
    assert "wait for a second person" in text_of(answer)
    assert not desk.agency.confirmed_keys.exists()
    key = desk.agency.keys.get(ended_at=None)
    assert (key.text, key.entered_by) == (str(desk.key.to_public()), desk.second)
    with pytest.raises(Refused, match="You entered this key"):
        actions.confirm_key(key, fingerprint=key.fingerprint, actor=desk.second)
    referral.refresh_from_db()
    assert referral.state == "draft"
    assert "name, unit, country or contact" in referral.returned_reason
    line = AuditEntry.objects.get(event="recipient.changed")
    assert line.data["before"] == {field: details[field]}
    assert line.data["keys_to_confirm"] == [key.fingerprint]
    actions.confirm_key(key, fingerprint=key.fingerprint, actor=desk.author)
    assert desk.agency.confirmed_keys.get() == key


def test_switching_an_agency_off_and_on_keeps_its_keys(desk: Desk) -> None:
    details = {name: getattr(desk.agency, name) for name in ("name", "unit", "country", "contact")}
    for is_active in (False, True):
        actions.change_recipient(desk.agency, **details, is_active=is_active, actor=desk.second)
    assert desk.agency.confirmed_keys.count() == 1
