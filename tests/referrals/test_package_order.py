"""What a package says in which order, of which time, and of how many."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from core.audit import SYSTEM
from core.models import AuditEntry
from moderation import actions as moderation
from moderation.models import Case
from referrals import actions, package
from referrals.custody import utc_text
from referrals.describing import deciding
from referrals.describing.cases import describe_case, describe_reports
from referrals.describing.groups import describe_groups
from referrals.describing.words import describe_conversations
from referrals.models import Referral
from referrals.summary import content
from referrals.summary_parts import Words, moment
from reports.actions import submit_report, upsert_group, upsert_memberships
from reports.models import Report
from reports.payloads import GroupPayload, MembersPayload, ReportPayload
from tests.casework import Casework, hash_finding, verdict
from tests.pictures import jpeg
from tests.referrals.desk import Desk, form, page
from tests.referrals.sealing import BAGGED_AT, NOTE, exhibit, spec

LISTED = [f"m-{number:02d}" for number in range(1, 9)]


def conversation(casework: Casework, account: str, ids: list[str], **times: str | None) -> Report:
    """Submit a report of one picture and some messages; of their times some are missing."""
    source = casework.source()
    items: list[dict[str, Any]] = [
        {
            "surface": "reported_message",
            "media": casework.upload(source, jpeg(1, (96, 64)), "image/jpeg"),
        }
    ]
    items += [
        {
            "surface": "reported_message",
            "external_id": name,
            "text": f"Line {name}.",
            "content_at": times.get(name.replace("-", "")),
        }
        for name in ids
    ]
    document = {"subject": {"account": account}, "reason": "csam", "items": items}
    return submit_report(source, payload=ReportPayload.model_validate(document), actor=SYSTEM)


def described(desk: Desk, case: Case) -> Referral:
    """Decide a case and open its draft."""
    moderation.claim(case, actor=desk.reviewer)
    case.refresh_from_db()
    decision = moderation.decide(case, actor=desk.reviewer, **verdict(case))
    moderation.send_now(decision, actor=desk.reviewer)
    assert moderation.publish_decision(decision)
    case.refresh_from_db()
    return actions.open_referral(case, recipient=desk.agency, actor=desk.author)


@pytest.mark.django_db
def test_messages_stand_in_the_order_in_which_the_sender_listed_them(desk: Desk) -> None:
    casework = desk.casework
    # Two have no time, two say an earlier one than the message before them.
    times = {
        name.replace("-", ""): f"2026-11-01T08:00:{60 - at:02d}Z"
        for at, name in enumerate(LISTED, 1)
    }
    times |= {"m03": None, "m06": None}  # type: ignore[dict-item]
    numbers = []
    for _ in range(3):
        report = conversation(casework, "subject-one", LISTED, **times)
        case = casework.routed(report, hash_finding())
        numbers.append(str(report))
    found = describe_conversations(described(desk, case), [])
    assert [each.title for each in found] == [f"Messages of report {number}" for number in numbers]
    for each in found:
        # The picture stays behind; its place is kept.
        assert [message.id for message in each.messages] == ["", *LISTED]
        assert each.messages[0].is_left_out


@pytest.mark.django_db
def test_a_report_was_received_when_it_came_and_not_when_it_joined_the_case(desk: Desk) -> None:
    case = desk.case("subject-one")
    referral = actions.open_referral(case, recipient=desk.agency, actor=desk.author)
    report = Report.objects.get()
    assert case.case_reports.get().joined_at > report.received_at
    timeline = describe_case(referral, deciding(referral)).timeline
    (received,) = [entry.at for entry in timeline if "received" in entry.text]
    assert received == report.received_at


@pytest.mark.django_db
def test_what_a_reporter_wrote_has_no_time_of_sending(desk: Desk) -> None:
    case = desk.case("subject-one", description="What somebody saw.")
    referral = actions.open_referral(case, recipient=desk.agency, actor=desk.author)
    (message,) = describe_conversations(referral, [])[-1].messages
    assert (message.sent_at, message.received_at) == (None, Report.objects.get().received_at)


@pytest.mark.django_db
def test_a_group_is_called_what_it_was_called_when_it_was_reported(desk: Desk) -> None:
    source, casework = desk.casework.source(), desk.casework

    def told(**said: Any) -> None:
        upsert_group(source, "grp-x", payload=GroupPayload(**said), actor=SYSTEM)

    def joined(**said: Any) -> None:
        members = MembersPayload.model_validate({"members": [{"account": "run", **said}]})
        upsert_memberships(source, "grp-x", members=members, actor=SYSTEM)

    told(name="First name", invite_link="https://chat.example/+first")
    joined(role="admin")
    case = casework.routed(
        casework.report(group="grp-x", pictures=[jpeg(1, (96, 64))]), hash_finding()
    )
    told(name="Second name", invite_link="https://chat.example/+second")
    casework.routed(casework.report(group="grp-x", pictures=[jpeg(2, (96, 64))]), hash_finding())
    told(name="Third name")
    joined(role="member", left_at="2026-11-02T10:00:00Z")
    referral = Referral(case=case, include_messages=True)
    first, second = describe_reports(referral)
    assert first.about_then["name"] == "First name"
    assert first.about_then["invite_link"] == "https://chat.example/+first"
    assert second.about_then["name"] == "Second name"
    (group,) = describe_groups(referral, [])
    assert group.name == "Third name"
    assert [(each.field, each.value) for each in group.earlier] == [
        ("name", "First name"),
        ("invite_link", "https://chat.example/+first"),
        ("name", "Second name"),
    ]
    assert [(link.link[-6:], link.is_present) for link in group.links] == [
        ("+first", False),
        ("second", True),
    ]
    assert group.members is not None
    (member,) = group.members
    assert (member.role, member.left_at) == ("member", datetime(2026, 11, 2, 10, tzinfo=UTC))
    assert [(each.field, each.value) for each in member.earlier] == [("role", "admin")]


# ── Times ─────────────────────────────────────────────────────────────────────────────────────
@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_no_document_shortens_a_time(at: datetime) -> None:
    assert datetime.fromisoformat(utc_text(at)) == at
    assert utc_text(at).endswith("Z")


@pytest.mark.django_db
def test_a_draft_that_is_saved_unchanged_stays_what_it_was(desk: Desk, author: Client) -> None:
    at = datetime(2026, 11, 1, 7, 59, 58, 987654, tzinfo=UTC)
    referral = desk.draft(incident_at=at)
    before = AuditEntry.objects.filter(event="referral.changed").count()
    shown = author.get(page("detail", referral)).content.decode()
    assert 'value="2026-11-01T07:59:58.987"' in shown  # Browsers take no finer fraction.
    said = form(referral, incident_at="2026-11-01T07:59:58.987")
    assert author.post(page("detail", referral), said).status_code == 302
    again = Referral.objects.get()
    assert (again.incident_at, again.version) == (at, referral.version)
    assert AuditEntry.objects.filter(event="referral.changed").count() == before
    said["incident_at"] = "2026-11-01T07:59:58.988"
    assert author.post(page("detail", referral), said).status_code == 302
    again = Referral.objects.get()
    assert again.incident_at == at.replace(microsecond=988_000)
    assert again.version == referral.version + 1


@pytest.mark.django_db
def test_who_saves_a_draft_unchanged_answers_for_it_and_outdates_nobodys_copy(
    desk: Desk, second: Client
) -> None:
    referral = desk.draft()
    said = form(referral, incident_at=f"{referral.incident_at:%Y-%m-%dT%H:%M:%S}")
    assert second.post(page("detail", referral), said).status_code == 302
    again = Referral.objects.get()
    assert (again.version, again.edited_by) == (referral.version, desk.second)


# ── How many ──────────────────────────────────────────────────────────────────────────────────
def test_whatever_the_summary_cuts_it_says_how_many_more_there_are() -> None:
    facts = spec()
    many = tuple(package.Identifier("Phone number", f"+31 6 {number:08d}") for number in range(60))
    places = tuple(package.Membership(f"g-{number}", "acc", "", "member") for number in range(70))
    members = tuple(package.Membership("g", f"m-{number}", "", "admin") for number in range(70))
    entry = package.TimelineEntry(BAGGED_AT, "An event")
    message = package.Message("m", "acc", None, "A line.", is_reported=True)
    event = package.NetworkEvent(BAGGED_AT, "2001:db8::1")
    found = content(
        spec(
            exhibits=tuple(exhibit(number, NOTE) for number in range(1, 504)),
            accounts=(
                package.Account(
                    "a", "suspect", identifiers=many, memberships=places, network=(event,) * 20
                ),
                *(package.Account(f"b-{number}", "not said") for number in range(250)),
            ),
            groups=(
                package.Group("g", members=members),
                *(package.Group(f"h-{number}") for number in range(60)),
            ),
            reports=(*facts.reports, *facts.reports) * 60,
            conversations=(
                package.Conversation("c", "t", (message,) * 45),
                *(package.Conversation(f"c-{number}", "t", ()) for number in range(54)),
            ),
            case=replace(
                facts.case,
                timeline=(entry,) * 205,
                narrative="\n\n".join(f"Paragraph {number}." for number in range(210)),
                enforcements=tuple(f"Step {number}" for number in range(55)),
            ),
        ),
        Words(ascii_only=False),
    )
    account, group = found["accounts"][0], found["groups"][0]
    assert {name: number for name, number in found.items() if name.startswith("more_")} == {
        "more_exhibits": 3,
        "more_accounts": 51,
        "more_groups": 11,
        "more_reports": 20,
        "more_quotes": 5,
        "more_conversations": 5,
        "more_timeline": 5,
        "more_paragraphs": 10,
    }
    assert (account["more_network"], group["more_members"]) == (8, 20)
    said = dict((*found["facts"], *account["facts"]))
    assert said["Phone number"].endswith(" and 10 more, in accounts.json")
    assert said["Groups"].endswith(" and 20 more, in accounts.json")
    assert said["Steps taken"].endswith(" and 5 more, in case.json")


def test_a_text_that_the_summary_cuts_says_how_much_is_missing() -> None:
    long = "word " * 1000
    text = content(spec(case=replace(spec().case, narrative=long)), Words(ascii_only=False))
    assert text["narrative"][0].endswith("[and 1,000 more characters]")


def test_a_time_of_the_incident_is_printed_to_its_fraction() -> None:
    at = BAGGED_AT - timedelta(days=1, microseconds=12)
    facts = replace(spec().case, incident_type="An invented incident", incident_at=at)
    found = dict(content(spec(case=facts), Words(ascii_only=False))["facts"])
    assert found["Time of incident"] == f"{at:%Y-%m-%d %H:%M:%S.%f} UTC"


def test_who_said_type_and_time_of_the_incident_is_printed_beside_them() -> None:
    at = BAGGED_AT - timedelta(days=1)
    facts = replace(
        spec().case,
        incident_type="An invented incident",
        incident_type_said_by="L-1",
        incident_type_said_at=BAGGED_AT,
        incident_at=at,
        incident_at_said_by="L-2",
        incident_at_said_at=BAGGED_AT,
    )
    found = dict(content(spec(case=facts), Words(ascii_only=False))["facts"])
    said = f"on {moment(BAGGED_AT)}"
    assert found["Incident"] == f"An invented incident, said by L-1 {said}"
    assert found["Time of incident"] == f"{moment(at)}, said by L-2 {said}"
