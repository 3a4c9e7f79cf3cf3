"""What the pages of casework say in each state."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from core import vault
from core.audit import SYSTEM
from hashing.models import RiskScore
from moderation import actions, other_cases
from moderation.models import (
    Case,
    PolicyVersion,
    Preview,
    PreviewState,
    RoutingReason,
    RoutingRule,
)
from reports.actions import upsert_memberships
from reports.models import ItemKind
from reports.payloads import MembersPayload
from tests.casework import Casework, hash_finding, term_finding, url, verdict
from tests.pictures import jpeg

pytestmark = pytest.mark.django_db


def read(client: Any, address: str, status: int = 200, **headers: Any) -> str:
    answer = client.get(address, **headers)
    assert answer.status_code == status
    return str(answer.content.decode())


def test_home_leads_back_to_the_case_i_hold(held: Case, at_work: Any) -> None:
    page = read(at_work, reverse("moderation:home"))
    assert url("case", held) in page
    assert "Resume" in page
    assert "Lease ends in" in page


def test_home_of_a_newcomer_says_what_is_missing(outsider: Any, session_of: Any) -> None:
    page = read(session_of(outsider), reverse("moderation:home"))
    assert "No queue has been given to you yet" in page


@pytest.mark.parametrize("who", ["legal", "auditor", "admin", "policy_admin"])
def test_home_of_other_roles_leads_to_their_rooms(who: str, request: Any, session_of: Any) -> None:
    person = request.getfixturevalue(who)
    page = read(session_of(person), reverse("moderation:home"))
    assert "card__link" in page
    assert "queue-figures" not in page


def test_home_of_a_policy_administrator_leads_to_all_of_detection(
    policy_admin: Any, session_of: Any
) -> None:
    page = read(session_of(policy_admin), reverse("moderation:home"))
    rooms = re.findall(r'card__link[^>]*href="([^"]+)"|href="([^"]+)"[^>]*card__link', page)
    found = {one or other for one, other in rooms}
    for room in ("lists", "rules", "exchanges", "classifiers", "detectors"):
        assert reverse(f"hashing:{room}") in found


def test_legal_staff_are_not_told_to_wait_for_a_queue(legal: Any, session_of: Any) -> None:
    """They need none: a category is enough."""
    legals = session_of(legal)
    assert reverse("moderation:queues") not in read(legals, reverse("moderation:home"))
    page = read(legals, reverse("moderation:queues"))
    assert "Your role works no queue" in page
    assert "Until then you see no cases" not in page


def test_a_lead_sees_that_something_could_not_be_routed(
    casework: Casework, lena: Any, robin: Any, session_of: Any
) -> None:
    RoutingRule.objects.update(is_active=False)
    actions.route_report(casework.report())
    assert "1 could not be routed" in read(session_of(lena), reverse("moderation:home"))
    assert "could not be routed" not in read(session_of(robin), reverse("moderation:home"))


def test_the_case_says_why_it_is_here_and_what_matched(casework: Casework, at_work: Any) -> None:
    report = casework.report(pictures=[jpeg(4, (96, 64))])
    case = casework.routed(report, hash_finding())
    page = read(at_work, url("case", case))
    assert "Why this case is here" in page
    assert "Media matches a list of known abuse imagery" in page
    assert "Invented A, version 3" in page
    assert "4 of 31" in page
    assert "Claim this case" in page
    assert 'id="decide-form"' not in page


def test_opening_the_page_of_a_held_case_shows_its_holder_and_no_form(
    held: Case, robin: Any, lena: Any, session_of: Any
) -> None:
    page = read(session_of(lena), url("case", held))
    assert f"With {robin.pseudonym}" in page
    assert "Take over" in page
    assert 'id="decide-form"' not in page
    assert "data-reveal-url" not in page


def test_a_case_without_items_says_so(casework: Casework, at_work: Any) -> None:
    case = casework.routed(casework.report(reason="grooming"))
    assert "The report came without content" in read(at_work, url("case", case))


def test_a_preview_that_could_not_be_made_says_why_and_the_case_goes_on(
    casework: Casework, robin: Any, at_work: Any
) -> None:
    from moderation.jobs import make_preview

    case = casework.case(pictures=[b"\xff\xd8\xff\xe0 no picture follows" * 10])
    make_preview(str(case.case_items.get().item.blob_id))
    assert Preview.objects.get().state == PreviewState.FAILED
    actions.claim(case, actor=robin)
    page = read(at_work, url("case", case))
    assert "No preview:" in page
    assert 'id="decide-form"' in page


def test_a_video_is_a_cover_with_its_words(casework: Casework, robin: Any, at_work: Any) -> None:
    film = b"\x00\x00\x00\x18ftypisom" + b"\0" * 2000
    case = casework.case(pictures=[film], media_type="video/mp4")
    item = case.case_items.get().item
    assert item.kind == ItemKind.VIDEO
    page = read(at_work, url("case", case))
    assert "Video" in page
    assert vault.read(item.blob, 5000) == film  # type: ignore[arg-type]


def test_the_decided_case_shows_the_decision_and_offers_no_other(
    held: Case, casework: Casework, robin: Any, at_work: Any
) -> None:
    casework.published(held, by=robin)
    page = read(at_work, url("case", held))
    assert "Ready for legal staff to refer" in page
    assert "CS-2 v1" in page
    assert "Leave a note for a lead, who can overturn it." in page
    assert 'id="decide-form"' not in page


def test_the_timeline_tells_decision_and_undo_and_not_the_leases(
    held: Case, robin: Any, at_work: Any
) -> None:
    decision = actions.decide(held, actor=robin, **verdict(held))
    actions.undo_decision(decision, actor=robin)
    page = read(at_work, url("case", held))
    assert "decided: confirm and refer, CS-2 v1" in page
    assert "took the decision back" in page
    assert "claim.started" not in page


def test_a_note_appears_in_the_timeline_and_an_empty_one_is_refused(
    held: Case, at_work: Any
) -> None:
    answer = at_work.post(url("note", held), {"text": "<b>Look</b> at the second file."})
    assert answer.status_code == 303
    assert "&lt;b&gt;Look&lt;/b&gt; at the second file." in read(at_work, url("case", held))
    fragment = at_work.post(
        url("note", held), {"text": "Another one."}, headers={"hx-request": "true"}
    )
    assert 'id="timeline"' in fragment.content.decode()
    assert "Another one." in fragment.content.decode()
    assert at_work.post(url("note", held), {"text": "  "}).status_code == 422


def test_another_policy_brings_its_text_and_its_verbs(held: Case, at_work: Any) -> None:
    grooming = PolicyVersion.objects.get(policy__code="CS-3")
    page = read(at_work, f"{url('policy_choice', held)}?policy={grooming.pk}")
    assert "Warn account" in page
    assert "Close group" not in page  # The case is about an account.
    assert "CS-3 v1" in page


def test_looking_at_another_policy_is_no_error(held: Case, at_work: Any) -> None:
    grooming = PolicyVersion.objects.get(policy__code="CS-3")
    page = read(at_work, f"{url('policy_choice', held)}?policy={grooming.pk}&own_measures=")
    assert "errorlist" not in page
    assert "field--error" not in page
    assert 'value="ban_account" checked' in page  # Usual for this policy.
    own = f"?policy={grooming.pk}&own_measures=1&enforcements=warn"
    page = read(at_work, url("policy_choice", held) + own)
    assert 'value="warn" checked' in page
    assert 'value="ban_account" checked' not in page


@pytest.mark.parametrize(("path", "status"), [("/cases/nothing/", 404), ("/people/", 403)])
def test_who_is_refused_a_page_stays_in_the_frame_with_a_way_on(
    at_work: Any, path: str, status: int
) -> None:
    address = "http://testserver/queues/"
    page = read(at_work, path, status=status, headers={"referer": address, "host": "testserver"})
    assert 'id="sidebar"' in page
    assert 'href="/queues/"' in page[page.index("page-head") :]
    assert "data-refused" in page  # What was typed in a form that led here is kept by the script.
    fragment = read(at_work, path, status=status, headers={"hx-request": "true"})
    assert "<html" not in fragment
    stranger = read(Client(), "/nothing-here/", status=404)
    assert 'id="sidebar"' not in stranger


def test_our_own_fault_is_said_in_the_frame_and_without_it_when_that_broke_too(
    at_work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("an invented fault")

    at_work.raise_request_exception = False
    monkeypatch.setattr("moderation.views.home.access.count_unrouted", broken)
    page = read(at_work, "/", status=500)
    assert "Something went wrong on our side" in page
    assert 'id="sidebar"' in page
    monkeypatch.setattr("accounts.context.idle_state", broken)
    page = read(at_work, "/", status=500)
    assert "Something went wrong on our side" in page
    assert 'id="sidebar"' not in page
    assert "invented fault" not in page


def test_the_consequence_is_said_before_confirming(held: Case, at_work: Any) -> None:
    address = url("consequence", held)
    assert "Choose what you found" in read(at_work, address)
    said = read(at_work, f"{address}?outcome=confirm_refer&enforcements=ban_account")
    assert "The platform is told: ban account" in said
    assert "legal staff" in said
    # Confirming this is refused, so nothing is promised for it.
    early = read(at_work, f"{address}?outcome=confirm_refer")
    assert "Choose what the platform should do" in early
    assert "closed" not in early
    refused = read(at_work, f"{address}?outcome=confirm&enforcements=ban_account")
    assert "This cannot be recorded. This policy asks for a referral" in refused
    quiet = read(at_work, f"{address}?outcome=confirm_refer&enforcements=no_action")
    assert "The platform is told nothing; the case waits for legal staff" in quiet


def test_colleagues_see_each_other_on_a_case(
    held: Case, lena: Any, robin: Any, at_work: Any, session_of: Any
) -> None:
    assert "Also here" not in read(at_work, url("case", held))
    assert f"Also here: {robin.pseudonym}" in read(session_of(lena), url("case", held))


def test_another_open_case_about_the_subject_is_pointed_out(
    held: Case, casework: Casework, at_work: Any
) -> None:
    other = casework.routed(casework.report("subject-of-the-case", reason="grooming"))
    page = read(at_work, url("case", held))
    assert "1 other case about <bdi>subject-of-the-case</bdi> is open" in page
    banner = page[page.index('id="others-open"') : page.index('id="decide"')]
    assert url("case", other) in banner
    assert f"severity--{other.severity}" in banner
    assert "opened <time" in banner
    assert page.index('id="others-open"') < page.index('id="evidence-title"')


def test_what_was_decided_about_the_subject_is_said_before_it_is_decided_again(
    held: Case, casework: Casework, robin: Any, at_work: Any
) -> None:
    said = verdict(held)
    said["case_version"] = Case.objects.get(pk=held.pk).version
    decision = actions.send_now(actions.decide(held, actor=robin, **said), actor=robin)
    assert actions.publish_decision(decision)
    again = casework.routed(casework.report("subject-of-the-case", reason="csam"))
    page = read(at_work, url("case", again))
    assert "Already decided about <bdi>subject-of-the-case</bdi>" in page
    banner = page[page.index('id="others-decided"') : page.index('id="evidence-title"')]
    assert str(held) in banner
    assert "Confirm and refer" in banner
    assert 'id="others-decided"' not in read(at_work, url("case", held)), "it is decided itself"


def test_another_case_is_listed_once_and_tells_that_it_holds_the_same_media(
    casework: Casework, at_work: Any
) -> None:
    picture = jpeg(11, (96, 64))
    case = casework.case("somebody", pictures=[picture])
    other = casework.routed(
        casework.report("somebody", pictures=[picture], reason="grooming"), term_finding((0, 1))
    )
    assert other != case
    page = read(at_work, url("case", case))
    linked = page[page.index('id="pane-linked"') :]
    assert linked.count(url("case", other)) == 1
    assert "the very same media" in linked
    assert "Holding the very same media" not in linked


def test_a_case_is_taken_over_only_from_somebody(
    held: Case, casework: Casework, lena: Any, session_of: Any
) -> None:
    lenas = session_of(lena)
    assert 'id="take-over"' in read(lenas, url("case", held))
    assert 'id="take-over"' not in read(lenas, url("case", casework.case()))


def test_a_reason_is_said_once_and_one_risk_number_stands_on_the_page(
    held: Case, casework: Casework, at_work: Any
) -> None:
    first = held.reasons.order_by("pk")[0]
    for text in (
        first.text,
        "Its risk score asks for a look: 94 of 100 (+40: 2 items are known material; and 3 more).",
        "Its risk score asks for a look: 75 of 100 (+30: 1 decision confirmed a violation).",
    ):
        RoutingReason.objects.create(case=held, text=text, severity=first.severity, score=0.9)
    RiskScore.objects.create(account=held.account, score=77)
    page = read(at_work, url("case", held))
    why = page[page.index("Why this case is here") : page.index('id="pane-reports"')]
    assert why.count(str(escape(first.text))) == 1
    assert why.count("Its risk score asks for a look") == 1
    assert re.findall(r"(\d+) of 100", page) == ["77"]


def test_a_list_of_cases_shows_no_risk_number_of_long_ago(held: Case, at_work: Any) -> None:
    said = (
        "Its risk score asks for a look: 94 of 100 (+40: 2 items are known material; and 3 more)."
    )
    RoutingReason.objects.create(case=held, text=said, severity=5, score=1.0)
    page = read(at_work, reverse("moderation:queue", args=[held.queue.slug]))
    row = page.partition(f">{held}</a>")[2].partition("</tr>")[0]
    assert "Its risk score asks for a look." in row
    assert "of 100" not in row


def test_an_address_that_only_takes_forms_leads_a_browser_to_the_page_that_has_the_form(
    held: Case, at_work: Any
) -> None:
    """A refused form leaves such an address in the address bar; it is opened anew from there."""
    decision = {"id": uuid.uuid4()}
    for address, page in (
        (url("decide", held), url("case", held)),
        (url("note", held), url("case", held)),
        (url("reveal", held, item_id=uuid.uuid4()), url("case", held)),
        (
            reverse("moderation:claim_next", args=[held.queue.slug]),
            reverse("moderation:queue", args=[held.queue.slug]),
        ),
        (reverse("moderation:undo", kwargs=decision), "/"),
        ("/sign-out/", "/"),
        ("/start/", "/"),
    ):
        answer = at_work.get(address, headers={"accept": "text/html,*/*"})
        assert (answer.status_code, answer.headers.get("Location")) == (302, page), address
    # A program, a script and a fragment are told what is so.
    for headers in ({"accept": "application/json"}, {"accept": "text/html", "HX-Request": "true"}):
        assert at_work.get(url("decide", held), headers=headers).status_code == 405
    assert at_work.put(url("case", held), headers={"accept": "text/html"}).status_code == 405


def lit(page: str) -> list[str]:
    """Return the links of the sidebar that are marked as where the page stands."""
    sidebar = page[page.index('id="sidebar"') : page.index("</nav>")]
    return re.findall(r'aria-current="page">.*?<span>([^<]*)</span>', sidebar, re.DOTALL)


def test_one_link_of_the_sidebar_is_lit_and_the_crumbs_agree(
    held: Case, at_work: Any, admin: Any, legal: Any, session_of: Any
) -> None:
    slug = held.queue.slug
    for browser, address, name in (
        (at_work, url("case", held), "Queues"),
        (at_work, reverse("moderation:queue", args=[slug]), "Queues"),
        (at_work, "/cases/", "Cases"),
        (session_of(admin), "/queues/access/", "Access to cases"),
        (session_of(admin), f"/queues/{slug}/people/", "Access to cases"),
        (session_of(admin), "/webhooks/", "Deliveries"),
        (session_of(legal), "/recipients/", "Referrals"),
    ):
        page = read(browser, address)
        assert lit(page) == [name], address
        crumbs = page[page.index('class="crumbs"') :]
        first = re.search(r"<(?:a|span)[^>]*>([^<]*)<", crumbs)
        assert first is not None
        if address != "/queues/access/":
            assert first[1] == name, address


def test_nothing_matched_is_not_said_where_something_is_known(
    held: Case, casework: Casework, at_work: Any
) -> None:
    quiet = casework.routed(casework.report("quiet-one", reason="csam", texts=["invented"]))
    assert "Nothing matched" in read(at_work, url("case", quiet))
    RiskScore.objects.create(account=quiet.account, score=40)
    page = read(at_work, url("case", quiet))
    assert "Nothing matched" not in page
    assert "stands under Risk" in page


def test_the_timeline_counts_what_the_case_shows(casework: Casework, at_work: Any) -> None:
    report = casework.report(
        "somebody", pictures=[jpeg(3, (96, 64)), jpeg(4, (96, 64))], description="What I saw."
    )
    case = casework.routed(report, hash_finding())
    assert report.items.count() == 3, "what the reporter wrote is one of them"
    assert "one report with 2 items" in read(at_work, url("case", case))


def test_cases_with_the_very_same_media_are_linked(casework: Casework, at_work: Any) -> None:
    picture = jpeg(11, (96, 64))
    first = casework.case(pictures=[picture])
    second = casework.case(pictures=[picture])
    page = read(at_work, url("case", first))
    assert "Holding the very same media" in page
    assert url("case", second) in page


def test_a_page_that_names_some_linked_cases_says_how_many_more_there_are(
    casework: Casework, at_work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(other_cases, "MOST_LINKED", 1)
    picture = jpeg(11, (96, 64))
    first, *_ = [casework.case(pictures=[picture]) for _ in range(4)]
    page = " ".join(read(at_work, url("case", first)).split())
    assert "The newest 1 are shown; there are 2 more." in page


def test_who_left_a_group_is_not_counted_among_its_members(
    casework: Casework, at_work: Any
) -> None:
    case = casework.case("subject-one")
    for group, left in (("here", None), ("there", "2026-03-03T10:00:00Z")):
        members = [{"account": "subject-one", "role": "admin", "left_at": left}]
        upsert_memberships(
            casework.source(),
            group,
            members=MembersPayload.model_validate({"members": members}),
            actor=SYSTEM,
        )
    page = read(at_work, url("case", case))
    for term in ("Member of groups", "Groups it left"):
        assert re.search(rf"<dt>{term}</dt>\s*<dd>(<bdi>)?1<", page), term


def test_everybody_reads_the_policies_and_their_versions(auditor: Any, session_of: Any) -> None:
    client = session_of(auditor)
    assert "Grooming and solicitation" in read(client, reverse("moderation:policies"))
    page = read(client, reverse("moderation:policy", args=["CS-1"]))
    assert "recognised organisation" in page
    assert "Version 1" in page
    old = PolicyVersion.objects.get(policy__code="CS-1")
    PolicyVersion.objects.create(
        policy=old.policy, version=2, summary="Newer.", definition="Newer words.", severity=5
    )
    assert "Newer words." in read(client, reverse("moderation:policy", args=["cs-1"]))
    earlier = read(client, reverse("moderation:policy", args=["CS-1"]) + "?version=1")
    assert "An earlier wording" in earlier
    read(client, reverse("moderation:policy", args=["CS-1"]) + "?version=9", status=404)


def test_every_seeded_policy_can_be_decided_on() -> None:
    from moderation.access import current_policies
    from moderation.models import Verb

    found = current_policies()
    assert [row.policy.code for row in found] == ["CS-1", "CS-2", "CS-3", "CS-4", "GN-1"]
    for row in found:
        assert set(row.enforcements) <= set(Verb.values)
        assert row.definition
