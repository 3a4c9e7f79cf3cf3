"""Type and time of the incident: filled in as proposals, said by a person, and waited for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from core.audit import SYSTEM
from referrals import actions
from referrals.audit_rows import content_digest
from referrals.custody import utc_text
from referrals.models import INCIDENT, Referral
from reports.actions import submit_report
from reports.payloads import ReportPayload
from tests.casework import hash_finding
from tests.referrals.desk import Desk, form, page
from tests.referrals.test_referral_parts import decided, text_of

pytestmark = pytest.mark.django_db

TYPE = "The type of the incident is a proposal that nobody confirmed."
TIME = "The time of the incident is a proposal that nobody confirmed."
BOX = 'name="incident_confirmed"'


def proposed(desk: Desk) -> Referral:
    """Return a draft with all that approval asks for, of which nobody has touched type and time of the incident."""
    payload = ReportPayload.model_validate(
        {
            "subject": {"account": "subject-one"},
            "reason": "csam",
            "items": [
                {
                    "surface": "reported_message",
                    "text": "A line.",
                    "sender": "subject-one",
                    "content_at": "2026-03-02T11:30:15.123456Z",
                }
            ],
        }
    )
    report = submit_report(desk.casework.source(), payload=payload, actor=SYSTEM)
    case = decided(desk, desk.casework.routed(report, hash_finding()))
    referral = actions.open_referral(case, recipient=desk.agency, actor=desk.author)
    same = {"incident_type": referral.incident_type, "incident_at": referral.incident_at}
    return desk.write(referral, **same)


def sent(referral: Referral, **changes: Any) -> dict[str, Any]:
    """Return what the form sends when nobody changed anything, the time as the page shows it included."""
    assert referral.incident_at is not None
    shown = f"{referral.incident_at:%Y-%m-%dT%H:%M:%S.%f}"[:23]
    return form(referral, incident_at=shown, **changes)


def said_by(referral: Referral) -> list[Any]:
    referral.refresh_from_db()
    return [referral.incident_type_set_by, referral.incident_at_set_by]


def test_what_a_draft_fills_in_is_a_proposal_and_no_approval_is_asked_for_on_it(
    desk: Desk, author: Client
) -> None:
    referral = proposed(desk)
    assert said_by(referral) == [None, None]
    shown = text_of(author.get(page("detail", referral)))
    assert (
        "The type is the category of the case. The time is that of the newest content that was reported: reported message in R-"
        in shown
    )
    assert BOX in shown
    answer = author.post(page("detail", referral), sent(referral, next="request"))
    assert answer.status_code == 409
    shown = text_of(answer)
    for name, sentence in (("incident_type", TYPE), ("incident_at", TIME)):
        assert sentence in shown.partition(f'id="id_{name}_error"')[2].partition("</ul>")[0]
    referral.refresh_from_db()
    assert referral.state == "draft"
    assert said_by(referral) == [None, None]


@pytest.mark.parametrize("has_time", [True, False])
def test_context_gives_no_time_and_the_page_says_which_item_did(
    desk: Desk, author: Client, has_time: bool
) -> None:
    line = {"surface": "reported_message", "sender": "subject-one", "conversation": "chat-5"}
    reported = line | {"external_id": "m-1", "text": "A line."}
    if has_time:
        reported["content_at"] = "2026-03-02T10:17:00Z"
    after = line | {"external_id": "m-2", "text": "Later.", "role": "context"}
    document = {
        "subject": {"account": "subject-one"},
        "reason": "csam",
        "occurred_at": "2026-03-02T10:40:00Z",
        "items": [reported, after | {"content_at": "2026-03-02T10:21:00Z"}],
    }
    payload = ReportPayload.model_validate(document)
    report = submit_report(desk.casework.source(), payload=payload, actor=SYSTEM)
    case = decided(desk, desk.casework.routed(report, hash_finding()))
    referral = actions.open_referral(case, recipient=desk.agency, actor=desk.author)
    assert referral.incident_at is not None
    assert f"{referral.incident_at:%H:%M}" == ("10:17" if has_time else "10:40")
    of = (
        f"of the newest content that was reported: reported message <bdi>m-1</bdi> in {report}."
        if has_time
        else f"which {report} says; no reported content has one."
    )
    assert f"The time is that {of}" in text_of(author.get(page("detail", referral)))


def test_who_confirms_it_is_kept_shown_and_handed_over(
    desk: Desk, author: Client, second: Client, signing: Path, tmp_path: Path, age_command: str
) -> None:
    referral = proposed(desk)
    said = sent(referral, incident_confirmed="on", next="request")
    assert author.post(page("detail", referral), said).status_code == 302
    assert said_by(referral) == [desk.author, desk.author]
    assert referral.state == "awaiting_approval"
    shown = text_of(second.get(page("approve", referral)))
    facts = shown.partition("<dt>Incident</dt>")[2].partition("<dt>Messages</dt>")[0]
    assert facts.count(f"Said by {desk.author.pseudonym}") == 2
    assert "Proposed" not in facts
    actions.approve(referral, version=referral.version, actor=desk.second)
    bag = desk.opened(desk.build(referral), tmp_path, age_command)
    assert referral.incident_at is not None
    assert referral.incident_at_set_at is not None
    assert referral.incident_type_set_at is not None
    assert desk.read(bag, "metadata/case.json")["incident"] == {
        "type": referral.incident_type,
        "type_said_by": desk.author.pseudonym,
        "type_said_at": utc_text(referral.incident_type_set_at),
        "at": utc_text(referral.incident_at),
        "at_said_by": desk.author.pseudonym,
        "at_said_at": utc_text(referral.incident_at_set_at),
    }


def test_who_changes_one_of_them_has_said_that_one_only(desk: Desk, author: Client) -> None:
    referral = proposed(desk)
    said = sent(referral, incident_type="Another incident", next="request")
    answer = author.post(page("detail", referral), said)
    assert answer.status_code == 409
    shown = text_of(answer)
    assert TYPE not in shown
    assert TIME in shown
    assert said_by(referral) == [desk.author, None]
    # The page carries the version that was saved: ticking the box and sending it again works.
    again = sent(referral, incident_confirmed="on", next="request")
    assert author.post(page("detail", referral), again).status_code == 302
    assert said_by(referral) == [desk.author, desk.author]


def test_another_save_does_not_take_it_from_who_said_it_nor_ask_again(
    desk: Desk, author: Client, second: Client
) -> None:
    referral = proposed(desk)
    author.post(page("detail", referral), sent(referral, incident_confirmed="on"))
    said_by(referral)
    at = referral.incident_type_set_at
    said = sent(referral, legal_basis="Another provision", incident_confirmed="on")
    assert second.post(page("detail", referral), said).status_code == 302
    assert said_by(referral) == [desk.author, desk.author]
    assert referral.incident_type_set_at == at
    assert BOX not in text_of(second.get(page("detail", referral)))
    # What is emptied was said by nobody.
    second.post(page("detail", referral), sent(referral, incident_type=""))
    assert said_by(referral) == [None, desk.author]


def test_an_approval_asked_for_before_it_was_kept_who_said_it_is_not_given(
    desk: Desk, second: Client
) -> None:
    waiting = desk.awaiting()
    Referral.objects.update(incident_at_set_by=None, incident_at_set_at=None)
    assert "Proposed, nobody confirmed it" in text_of(second.get(page("approve", waiting)))
    answer = second.post(page("approve", waiting), {"version": waiting.version})
    assert answer.status_code == 409
    assert TIME in text_of(answer)
    waiting.refresh_from_db()
    assert waiting.state == "awaiting_approval"


def test_it_is_part_of_what_was_approved_and_of_a_correction(desk: Desk, signing: Path) -> None:
    sealed = desk.sealed()
    revision = actions.open_revision(
        sealed, reason="The narrative named a wrong day.", actor=desk.second
    )
    assert said_by(revision) == [desk.author, desk.author]
    assert revision.incident_at_set_at == sealed.incident_at_set_at
    before = content_digest(revision)
    for name in INCIDENT:
        person = getattr(revision, f"{name}_set_by")
        setattr(revision, f"{name}_set_by", desk.second)
        assert content_digest(revision) != before
        setattr(revision, f"{name}_set_by", person)
    assert content_digest(revision) == before


@pytest.mark.parametrize("name", ["incident_type", "incident_at"])
def test_the_database_keeps_no_half_of_it(desk: Desk, name: str) -> None:
    referral = desk.draft()
    empty = "" if name == "incident_type" else None
    for said in ({f"{name}_set_by": None}, {f"{name}_set_at": None}, {name: empty}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Referral.objects.filter(pk=referral.pk).update(**said)
