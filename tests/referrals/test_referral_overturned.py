"""What legal staff are told, and what is refused, when the decision behind a referral was overturned."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, ProgrammingError, transaction
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from accounts.models import User
from core.errors import Invalid, Refused
from core.models import AuditEntry
from moderation import actions as moderation
from moderation.models import Case, Decision, Outcome, Overturn
from referrals import actions
from referrals.models import OverturnNotice, PackageDownload, Referral
from tests.casework import grant_all, verdict
from tests.cast import signed_in
from tests.referrals.desk import Desk, form, page

pytestmark = pytest.mark.django_db
WHY = "It shows a drawn bridge and nobody."
TOLD = "Told the desk of the agency by telephone at noon."


def text_of(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def overturn(case: Case, lead: User) -> Overturn:
    decision = case.decisions.get(overturned_at=None)
    found = moderation.overturn_decision(decision, reason=WHY, actor=grant_all(lead))
    Overturn.objects.filter(pk=found.pk).update(publish_at=Now() - timedelta(seconds=1))
    assert moderation.carry_out_overturn(found)
    case.refresh_from_db()
    return found


def decide_anew(desk: Desk, case: Case, outcome: str = Outcome.CONFIRM_REFER) -> Decision:
    moderation.claim(case, actor=desk.reviewer)
    case.refresh_from_db()
    decision = moderation.decide(case, actor=desk.reviewer, **verdict(case, outcome))
    moderation.send_now(decision, actor=desk.reviewer)
    assert moderation.publish_decision(decision)
    case.refresh_from_db()
    return decision


def said(lead: User) -> str:
    return f"{lead.pseudonym} overturned it on"


def test_a_sealed_package_says_that_its_decision_was_overturned(
    desk: Desk, author: Client, lead: User, signing: Path
) -> None:
    sealed = desk.sealed()
    there = page("detail", sealed)
    assert "overturned" not in text_of(author.get(there))
    assert "overturned" not in text_of(author.get(reverse("referrals:list")))
    overturn(sealed.case, lead)
    shown = text_of(author.get(there))
    assert f"{said(lead)}" in shown
    assert f"UTC: {WHY} Nobody has decided the case anew yet." in shown
    assert "Do not hand it out." in shown
    assert "Download all the same" in shown
    assert "Download package" not in shown
    listed = text_of(author.get(reverse("referrals:list")))
    assert "Decision overturned" in listed
    assert f"by {lead.pseudonym}: {WHY}" in listed
    tab: Any = author.get(reverse("referrals:list"), {"state": "overturned"})
    assert [referral for referral, _ in tab.context["lines"]] == [sealed]


def test_the_lead_is_told_before_which_referrals_stand_behind_the_decision(
    desk: Desk, second: Client, lead: User, signing: Path
) -> None:
    sealed = desk.sealed()
    [decision] = sealed.case.decisions.all()
    there = reverse("moderation:overturn", args=[decision.pk])
    browser = signed_in(Client(), grant_all(lead))
    assert f"{sealed} is sealed and stays as it is. Nobody has fetched it" in text_of(
        browser.get(there)
    )
    handed: Any = second.get(page("package", sealed))
    assert b"".join(handed.streaming_content)
    assert "It was fetched 1 time, so the agency may have it" in text_of(browser.get(there))
    waiting = desk.awaiting()
    [decision] = waiting.case.decisions.all()
    shown = text_of(browser.get(reverse("moderation:overturn", args=[decision.pk])))
    assert f"{waiting} (awaiting approval) cannot be approved or sealed any more." in shown


def test_legal_staff_are_told_on_their_first_page_until_somebody_notes_what_was_done(
    desk: Desk, author: Client, lead: User, signing: Path
) -> None:
    sealed = desk.sealed()
    what = "Sealed packages whose decision was overturned"
    with pytest.raises(Refused, match="the decision stands"):
        actions.note_overturn(sealed, words=TOLD, actor=desk.second)
    assert what not in text_of(author.get(reverse("moderation:home")))
    overturn(sealed.case, lead)
    assert what in text_of(author.get(reverse("moderation:home")))
    with pytest.raises(Invalid):
        actions.note_overturn(sealed, words="Told", actor=desk.second)
    assert author.post(page("note_overturn", sealed), {"reason": TOLD}).status_code == 302
    again = actions.note_overturn(sealed, words="Something else, said later.", actor=desk.second)
    assert (again.words, again.told_by) == (TOLD, desk.author)
    [entry] = AuditEntry.objects.filter(event="package.overturn.noted")
    assert TOLD not in str(entry.data)
    shown = text_of(author.get(page("detail", sealed)))
    assert TOLD in shown
    assert f"{said(lead)}" in shown
    assert what not in text_of(author.get(reverse("moderation:home")))
    for change in (
        lambda: OverturnNotice.objects.update(words="Other words."),
        lambda: OverturnNotice.objects.all().delete(),
    ):
        with pytest.raises((IntegrityError, ProgrammingError)), transaction.atomic():
            change()


def test_a_package_behind_an_overturned_decision_is_handed_out_only_with_a_reason(
    desk: Desk, second: Client, lead: User, signing: Path
) -> None:
    sealed = desk.sealed()
    there = page("package", sealed)
    overturn(sealed.case, lead)
    answer = second.get(there)
    assert answer.status_code == 409
    assert said(lead) in text_of(answer)
    assert second.post(there, {"reason": "short"}).status_code == 422
    with pytest.raises(Invalid):
        actions.record_download(sealed.package, actor=desk.second)
    assert not PackageDownload.objects.exists()
    handed: Any = second.post(there, {"reason": "The court asks what was sealed."})
    assert len(b"".join(handed.streaming_content)) == sealed.package.size
    assert PackageDownload.objects.get().reason == "The court asks what was sealed."
    entry = AuditEntry.objects.get(event="package.downloaded")
    assert entry.data["overturned"] == str(Overturn.objects.get().pk)
    shown = text_of(second.get(page("detail", sealed)))
    assert "The court asks what was sealed." in shown
    with pytest.raises((IntegrityError, ProgrammingError)), transaction.atomic():
        PackageDownload.objects.update(reason="Another reason.")


def test_a_correction_is_refused_when_it_is_opened_and_says_what_to_do(
    desk: Desk, author: Client, lead: User, signing: Path
) -> None:
    sealed = desk.sealed()
    overturn(sealed.case, lead)
    shown = text_of(author.get(page("detail", sealed)))
    assert 'id="revise-dialog"' not in shown
    assert "No correction can be made until the case is decided" in shown
    answer = author.post(page("revise", sealed), {"reason": "The narrative named a wrong day."})
    assert answer.status_code == 409
    assert f"Tell {desk.agency} yourself" in text_of(answer)
    assert Referral.objects.count() == 1
    decide_anew(desk, sealed.case)
    assert author.post(
        page("revise", sealed), {"reason": "The narrative named a wrong day."}
    ).status_code == (302)
    shown = text_of(author.get(page("detail", sealed)))
    assert "The case was decided anew: Confirm and refer." in shown


def test_the_page_of_an_approval_says_it_before_the_last_click(
    desk: Desk, author: Client, second: Client, lead: User
) -> None:
    waiting = desk.awaiting()
    assert "Look at it and approve" in text_of(second.get(page("detail", waiting)))
    overturn(waiting.case, lead)
    shown = text_of(second.get(page("detail", waiting)))
    assert "Look at it and approve" not in shown
    assert said(lead) in shown
    shown = text_of(second.get(page("approve", waiting)))
    assert said(lead) in shown
    assert "Approve and seal" not in shown
    home = text_of(second.get(reverse("moderation:home")))
    assert "Referrals that wait for a second person" not in home
    decide_anew(desk, waiting.case)
    assert "Approve and seal" in text_of(second.get(page("approve", waiting)))
    assert "overturned" not in text_of(second.get(page("detail", waiting)))


def test_a_draft_keeps_its_words_and_asks_nobody_for_approval(
    desk: Desk, author: Client, lead: User
) -> None:
    draft = desk.draft()
    overturn(draft.case, lead)
    shown = text_of(author.get(page("detail", draft)))
    assert said(lead) in shown
    assert "Save and ask for approval" not in shown
    sent = form(draft, narrative=f"{draft.narrative} More.", next="request")
    answer = author.post(page("detail", draft), sent)
    assert answer.status_code == 409
    assert "Nothing of it may leave until it is decided" in text_of(answer)
    draft.refresh_from_db()
    assert (draft.state, draft.narrative[-5:]) == ("draft", "More.")


@pytest.mark.parametrize("outcome", [Outcome.NOT_VIOLATING, Outcome.CONFIRM_REFER])
def test_only_the_decision_that_was_approved_is_sealed(
    desk: Desk, second: Client, lead: User, signing: Path, outcome: str
) -> None:
    approved = desk.approved()
    overturn(approved.case, lead)
    decide_anew(desk, approved.case, outcome)
    failed = desk.build(approved)
    assert failed.state == "build_failed"
    assert "was overturned. Nothing was sealed." in failed.build_error
    answer = second.post(page("build_again", failed))
    assert answer.status_code == 409
    assert "Return the referral" in text_of(answer)
    actions.return_for_correction(failed, reason="The decision was made anew.", actor=desk.second)
    failed.refresh_from_db()
    asked: dict[str, Any] = {"version": failed.version, "actor": desk.author}
    if outcome == Outcome.NOT_VIOLATING:
        with pytest.raises(Refused, match="was overturned"):
            actions.request_approval(failed, **asked)
    else:
        assert actions.request_approval(failed, **asked).state == "awaiting_approval"
