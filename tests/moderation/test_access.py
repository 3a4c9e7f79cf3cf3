"""Who sees which case: the queue and the category, both by name."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from core.audit import SYSTEM
from moderation import access, actions
from moderation.models import Case, Outcome, Queue
from referrals import actions as referrals
from reports.actions import submit_report, upsert_account
from reports.payloads import AccountPayload, ReportPayload
from tests.casework import Casework, decide_form, grant_all, url
from tests.cast import find

pytestmark = pytest.mark.django_db


def test_a_stranger_gets_404_everywhere(held: Case, outsider: Any, session_of: Any) -> None:
    stranger = session_of(outsider)
    item = held.case_items.get().item
    assert stranger.get(url("case", held)).status_code == 404
    assert stranger.get(url("preview", held, item_id=item.pk)).status_code == 404
    for verb in ("claim", "heartbeat", "extend", "release", "note", "decide"):
        assert stranger.post(url(verb, held)).status_code == 404, verb
    answer = stranger.post(url("reveal", held, item_id=item.pk), {"purpose": "assess"})
    assert answer.status_code == 404
    page = find(stranger, reverse("moderation:search"), {"q": str(held)})
    assert "No case found" in page.content.decode()
    assert stranger.get(reverse("moderation:queue", args=[held.queue.slug])).status_code == 404


@pytest.mark.parametrize("missing", ["queue", "category"])
def test_the_queue_alone_and_the_category_alone_show_nothing(
    held: Case, outsider: Any, session_of: Any, missing: str
) -> None:
    if missing == "category":
        actions.grant_queue(held.queue, to=outsider, actor=SYSTEM)
    else:
        actions.grant_category(held.category, to=outsider, actor=SYSTEM)
    assert session_of(outsider).get(url("case", held)).status_code == 404
    assert not access.cases_for(outsider).exists()
    if missing == "category":
        page = session_of(outsider).get(reverse("moderation:queue", args=[held.queue.slug]))
        assert str(held) not in page.content.decode()
        assert actions.claim_next(held.queue, actor=outsider) is None


def test_an_administrator_sees_counts_and_names_but_no_case(
    held: Case, admin: Any, robin: Any, session_of: Any
) -> None:
    client = session_of(admin)
    assert client.get(url("case", held)).status_code == 403
    page = client.get(reverse("moderation:queue_people", args=[held.queue.slug])).content.decode()
    assert robin.name in page
    assert str(held) not in page
    overview = client.get(reverse("moderation:grants")).content.decode()
    assert held.queue.name in overview
    assert str(held) not in overview


def test_legal_staff_see_a_case_once_it_is_confirmed_and_never_its_media(
    held: Case, casework: Casework, robin: Any, legal: Any, session_of: Any
) -> None:
    grant_all(legal)
    client = session_of(legal)
    item = held.case_items.get().item
    assert client.get(url("case", held)).status_code == 404
    casework.published(held, by=robin)
    page = client.get(url("case", held))
    assert page.status_code == 200
    assert "preview/" not in page.content.decode()
    assert "data-reveal-url" not in page.content.decode()
    assert client.get(url("preview", held, item_id=item.pk)).status_code == 403
    answer = client.post(url("reveal", held, item_id=item.pk), {"purpose": "prepare_referral"})
    assert answer.status_code == 403


def test_legal_staff_do_not_see_what_was_no_violation(
    held: Case, casework: Casework, robin: Any, legal: Any, session_of: Any
) -> None:
    grant_all(legal)
    casework.published(held, by=robin, outcome=Outcome.NOT_VIOLATING)
    assert session_of(legal).get(url("case", held)).status_code == 404


def test_moving_a_case_shows_it_to_nobody_without_the_category(
    held: Case, lena: Any, outsider: Any, session_of: Any
) -> None:
    target = Queue.objects.get(slug="general")
    actions.grant_queue(target, to=outsider, actor=SYSTEM)
    actions.grant_category("spam_other", to=outsider, actor=SYSTEM)
    actions.take_over(held, reason="moving it", actor=lena)
    answer = session_of(lena).post(
        url("move", held),
        {"queue": target.pk, "reason": "belongs elsewhere", "case_version": held.version},
    )
    assert answer.status_code == 303
    held.refresh_from_db()
    assert held.queue == target
    assert session_of(outsider).get(url("case", held)).status_code == 404


def test_an_administrator_grants_and_takes_back_a_queue(
    held: Case, outsider: Any, admin: Any, session_of: Any
) -> None:
    client = session_of(admin)
    queue = reverse("moderation:queue_people", args=[held.queue.slug])
    category = reverse("moderation:category_people", args=[held.category])
    for page in (queue, category):
        answer = client.post(page, {"verb": "grant", "person": str(outsider.pk)})
        assert answer.status_code == 303
    assert session_of(outsider).get(url("case", held)).status_code == 200
    client.post(queue, {"verb": "revoke", "person": str(outsider.pk)})
    assert session_of(outsider).get(url("case", held)).status_code == 404


def test_a_role_that_works_no_cases_is_not_granted_a_queue(
    held: Case, auditor: Any, admin: Any, session_of: Any
) -> None:
    page = reverse("moderation:queue_people", args=[held.queue.slug])
    answer = session_of(admin).post(page, {"verb": "grant", "person": str(auditor.pk)})
    assert answer.status_code == 422
    assert not access.granted_queues(auditor).exists()


def test_losing_the_permission_ends_the_lease_and_the_view(
    held: Case, robin: Any, at_work: Any
) -> None:
    actions.revoke_category(held.category, of=robin, actor=SYSTEM)
    assert access.live_claim_on(held) is None
    assert at_work.get(url("case", held)).status_code == 404
    answer = at_work.post(url("decide", held), decide_form(held, reason="What I had typed."))
    assert answer.status_code == 409
    page = answer.content.decode()
    assert "Your permission for this queue was withdrawn." in page
    assert "What I had typed." in page
    assert not held.decisions.exists()
    beat = at_work.post(
        url("heartbeat", held), headers={"HX-Request": "true", "HX-Target": "lease"}
    )
    assert beat.status_code == 409
    assert "Your permission for this queue was withdrawn." in beat.content.decode()
    assert str(held) not in page + beat.content.decode(), "nothing that was not known already"
    script = at_work.post(url("heartbeat", held), headers={"Accept": "application/json"})
    assert script.json()["code"] == "withdrawn"


def test_who_never_held_the_case_is_not_told_that_there_is_one(
    held: Case, lena: Any, session_of: Any
) -> None:
    actions.revoke_category(held.category, of=lena, actor=SYSTEM)
    for verb in ("decide", "heartbeat", "release", "note"):
        assert session_of(lena).post(url(verb, held)).status_code == 404, verb


def test_the_undo_bar_names_no_case_that_may_not_be_seen_any_more(
    held: Case, robin: Any, at_work: Any
) -> None:
    at_work.post(url("decide", held), decide_form(held))
    bar = reverse("moderation:undo_bar")
    assert str(held) in at_work.get(bar).content.decode()
    actions.revoke_category(held.category, of=robin, actor=SYSTEM)
    assert at_work.get(bar).content == b""


def test_one_hit_of_a_search_opens_the_case(held: Case, at_work: Any) -> None:
    search = reverse("moderation:search")
    for text in (str(held), str(held.number), "subject-of-the-case"):
        answer = find(at_work, search, {"q": text})
        assert answer.status_code == 302, text
        assert answer["Location"] == url("case", held)


def test_a_case_is_found_by_every_number_that_people_have(
    casework: Casework, robin: Any, legal: Any, outsider: Any, session_of: Any
) -> None:
    source = casework.source()
    payload = ReportPayload.model_validate(
        {
            "external_id": "their-report-7",
            "subject": {"account": "somebody"},
            "reason": "csam",
            "items": [
                {
                    "external_id": "their-message-9",
                    "surface": "reported_message",
                    "text": "invented",
                }
            ],
        }
    )
    report = submit_report(source, payload=payload, actor=SYSTEM)
    case = casework.routed(report)
    said = AccountPayload.model_validate(
        {
            "identifiers": [
                {"kind": "phone", "value": "+31612345678"},
                {"kind": "email", "value": "somebody@mail.example"},
            ]
        }
    )
    upsert_account(source, "somebody", payload=said, actor=SYSTEM)
    casework.published(case, by=robin)
    agency = referrals.create_recipient(name="Invented", keys="", actor=grant_all(legal))
    referral = referrals.open_referral(case, recipient=agency, actor=legal)
    number, reported, referred = (f"{each.number:06d}" for each in (case, report, referral))
    robins, ottos = session_of(robin), session_of(outsider)
    for wanted in (
        f"C\u2013{number}",  # the dash of a letter
        f"c-{case.number}",
        f"R-{reported}",
        f"r\u2011{reported}",
        "their-report-7",
        "their-message-9",
        "+31 6 12 34 56 78",
        "0031612345678",
        "Somebody@mail.example",
        f"ESC-{referral.year}-{referred}",
        f"esc\u2013{referral.year}\u2013{referred}-r1",
    ):
        answer = find(robins, reverse("moderation:search"), {"q": wanted})
        assert answer.status_code == 302, wanted
        assert answer["Location"] == url("case", case)
        page = find(ottos, reverse("moderation:search"), {"q": wanted})
        assert "No case found" in page.content.decode(), wanted


def test_a_number_of_something_else_finds_nothing(held: Case, at_work: Any) -> None:
    search = reverse("moderation:search")
    for text in (
        "R-999999",
        "ESC-2026-999999",
        "+31 6 99 99 99 99",
        "nobody@mail.example",
        "markerword",
    ):
        page = find(at_work, search, {"q": text}).content.decode()
        assert "No case found" in page, text


def test_a_search_is_recorded_without_what_was_typed(held: Case, at_work: Any) -> None:
    from core.models import AuditEntry

    find(at_work, reverse("moderation:search"), {"q": "subject-of-the-case"})
    entry = AuditEntry.objects.get(event="case.searched")
    assert entry.data["found"] == 1
    assert "subject-of-the-case" not in entry.line
