"""What intake and the draft accept leaves, or page and package say that it does not."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest
from django.db import models
from django.test import Client
from pypdf import PdfReader

from core.audit import SYSTEM
from moderation import actions as moderation
from moderation.models import Case
from referrals import actions, forms
from referrals.custody import utc_text
from referrals.describing.left_out import FIELDS, MEMBERS
from referrals.models import Exhibit, Referral, ReferralAccount
from reports import payloads
from reports.actions import issue_key
from reports.models import (
    Account,
    AccountIdentifier,
    Group,
    GroupLink,
    IpEvent,
    Item,
    Membership,
    Report,
    Scope,
)
from tests.casework import hash_finding, verdict
from tests.markers import Documents, Filler, Marker, missing
from tests.pictures import jpeg
from tests.referrals.desk import Desk, page
from tests.reports.conftest import Platform
from tests.story import FILES, OWN_MEMBERS, SHAPES_OF_THE_SAME, SHAPES_TOLD, Story

ONLY_IN_FILES = re.compile(
    # The summary quotes messages and shows exhibits; how a text came in stands beside it in the files.
    r"report\.items \((text|not_sent)\)\.(external_id|surface|name|source_url|uploaded_ip|uploaded_port|content_at|is_public)"
    # Reasons for what never came, of what stood outside of a conversation.
    r"|.*\.(is_edited|is_deleted)$"
    # Twelve IP events of an account, fifty members of a group are printed; choices are words there.
    r"|.*\.(role|kind|verified|surface|relevance|is_public)$"
)
"""Markers that are looked for in the files alone."""


def text_of(answer: Any) -> str:
    return " ".join(html.unescape(answer.content.decode()).split())


def bare(text: str) -> str:
    return re.sub(r"[\s\u200b]+", "", text)


def printed(bag: Path) -> str:
    """Return what a reader copies out of the summary, without the places where its lines break."""
    pages = [each.extract_text() for each in PdfReader(bag / "data/summary.pdf").pages]
    return bare("".join(pages))


def is_printed(marker: Marker, paper: str) -> bool:
    """Say whether the summary shows a marker: as it is, as a time for people, or as a number with commas."""
    said = str(marker.said[0])
    forms_of_it = [said]
    if re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", said):
        forms_of_it.append(f"{said[:10]} {said[11:-1]} UTC")
    elif said.isdecimal():
        forms_of_it.append(f"{int(said):,}")
    return any(bare(each) in paper for each in forms_of_it)


class Telling:
    """A platform that tells a story over the API, and the case that comes of it."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.filler = desk, Filler()
        self.source = desk.casework.source()
        scopes = list(Scope.values)
        self.platform = Platform(issue_key(self.source, scopes=scopes, actor=SYSTEM)[1])
        self.story = Story(self.filler)

    def put(self, path: str, document: Any) -> None:
        answer = self.platform.put(path, document)
        assert answer.status_code == 200, answer.content

    def case(self, about: str) -> Case:
        """Tell everything, and have the case decided for referral. The group is told anew after the report."""
        story, casework = self.story, self.desk.casework
        for name, said in story.accounts().items():
            self.put(f"/accounts/{name}", said)
        self.put(f"/groups/{story.group}", story.group_before())
        self.put(f"/groups/{story.group}/members", {"members": story.members(about)})
        media = (
            casework.upload(self.source, jpeg(number, (96, 64)), "image/jpeg")
            for number in range(1, FILES + 1)
        )
        answer = self.platform.post("/reports", story.report(about, media))
        assert answer.status_code == 201, answer.content
        casework.routed(Report.objects.get(pk=answer.json()["id"]), hash_finding())
        # A second one, of which the draft will leave out the picture.
        subject = getattr(story, about)
        of = {"group": subject} if about == "group" else {"account": subject}
        case = casework.routed(
            casework.report(pictures=[jpeg(FILES + 1, (96, 64))], **of), hash_finding()
        )
        self.put(f"/groups/{story.group}", story.group_after())
        return self._decided(case)

    def _decided(self, case: Case) -> Case:
        moderation.claim(case, actor=self.desk.reviewer)
        case.refresh_from_db()
        said = verdict(case)
        fitting = moderation.fitting_verbs(case, said["policy"], has_media=True)
        said["enforcements"] = fitting[:1]
        decision = moderation.decide(case, actor=self.desk.reviewer, **said)
        moderation.send_now(decision, actor=self.desk.reviewer)
        assert moderation.publish_decision(decision)
        case.refresh_from_db()
        return case

    def drafted(self, case: Case, author: Client) -> Referral:
        """Write a marker into every field of the draft's page, and ask for approval there."""
        referral = actions.open_referral(case, recipient=self.desk.agency, actor=self.desk.author)
        filler = self.filler
        given: dict[str, Any] = {
            "version": referral.version,
            "recipient": self.desk.agency.pk,
            "include_messages": "on",
            "incident_confirmed": "on",
            "narrative": f"{filler.text('draft.narrative')} and words enough to be acted on by them.",
        }
        sent = filler.form(forms.DraftForm, "draft", given)
        sent |= filler.form(forms.OthersForm, "draft.others", {"others": "witness"})
        last = referral.exhibits.order_by("-position")[0]
        for row in referral.exhibits.all():
            chosen: dict[str, Any] = {"is_included": "on", "relevance": "supplemental"}
            if row == last:
                # What is said of an exhibit that stays behind stays behind with it.
                chosen |= {"note": "", "is_included": None}
            else:
                chosen["left_out_reason"] = ""
            said = filler.form(forms.ExhibitForm, "draft.exhibit", chosen)
            sent |= {f"exhibit-{row.pk}-{name}": value for name, value in said.items()}
        for named in referral.named_accounts.all():
            said = filler.form(
                forms.AccountForm, "draft.account", {"is_included": "on", "role": ""}
            )
            sent |= {f"account-{named.pk}-{name}": value for name, value in said.items()}
        sent = {name: value for name, value in sent.items() if value is not None}
        answer = author.post(page("detail", referral), sent | {"next": "request"})
        assert answer.status_code == 302, text_of(answer)
        return Referral.objects.get(pk=referral.pk)


@pytest.mark.django_db
@pytest.mark.parametrize("about", ["account", "group"])
def test_every_fact_that_is_accepted_leaves_or_is_said_to_be_left_out(
    desk: Desk, author: Client, second: Client, signing: Path, tmp_path: Path, age_command: str,
    about: str,
) -> None:  # fmt: skip
    telling = Telling(desk)
    referral = telling.drafted(telling.case(about), author)
    shown = text_of(second.get(page("approve", referral)))
    actions.approve(referral, version=referral.version, actor=desk.second)
    bag = desk.opened(desk.build(referral), tmp_path, age_command)
    said = desk.read(bag, "metadata/case.json")["left_out"]
    markers, paper = telling.filler.markers, printed(bag)

    lost = missing(markers, Documents(bag / "data"))
    unsaid = [path for path in lost if path not in FIELDS]
    assert unsaid == [], "stands in no file: " + ", ".join(unsaid)
    for sentence in [*said, *(FIELDS[path] for path in lost)]:
        assert bare(sentence) in paper, sentence
        assert sentence in shown, sentence
        assert sentence in said, sentence
    unprinted = {
        each.path
        for each in markers
        if each.path not in lost
        and not ONLY_IN_FILES.match(each.path)
        and not is_printed(each, paper)
    }
    assert unprinted == set()
    if about == "account":
        assert MEMBERS in said
        assert telling.story.former not in paper
    else:
        # The one that the case is about comes first; of others, where something was written, members are left out.
        group, *others = desk.read(bag, "metadata/groups.json")["groups"]
        assert all(each["members_left_out"] for each in others)
        former = next(each for each in group["members"] if each["account"] == telling.story.former)
        assert (former["is_present"], former["role"]) == (False, "owner")


@pytest.mark.django_db
def test_our_own_facts_of_what_came_in_leave_too(
    desk: Desk, signing: Path, tmp_path: Path, age_command: str
) -> None:
    referral = desk.sealed(desk.case(texts=["An invented line."]))
    found = Documents(desk.opened(referral, tmp_path, age_command) / "data")
    case = referral.case
    report, named = Report.objects.get(), referral.named_accounts.get()
    assert named.role_set_at is not None
    assert named.role_set_by is not None
    for said in (str(case), str(report), named.role_set_by.pseudonym, report.source.name):
        assert found.holds(said), said
    times = [report.received_at, case.opened_at, named.role_set_at, named.account.first_seen_at]
    times += Item.objects.values_list("received_at", flat=True)
    for at in times:
        assert found.holds(utc_text(at)), at


# ── Nothing is forgotten when somebody adds a field ────────────────────────────────────────────
def all_shapes(base: type[payloads.Shape] = payloads.Shape) -> set[type[payloads.Shape]]:
    found = set(base.__subclasses__())
    return found.union(*(all_shapes(child) for child in found))


def test_the_story_tells_every_shape_that_the_api_takes() -> None:
    told = {each for each in all_shapes() if each.__module__ == payloads.__name__}
    assert told == SHAPES_TOLD | set(SHAPES_OF_THE_SAME)
    known = {name for shape in SHAPES_TOLD for name in shape.model_fields}
    for shape in SHAPES_OF_THE_SAME:
        own = {name for name in shape.model_fields if (shape, name) not in OWN_MEMBERS}
        assert own <= known, shape


OURS = {
    Account: {"id", "external_id", "first_seen_at", "updated_at", "told_digest", "facts"},
    AccountIdentifier: {"id", "account", "source", "told_at"},
    IpEvent: {"id", "account"},
    Group: {"id", "external_id", "first_seen_at", "updated_at", "told_digest", "facts"},
    GroupLink: {"id", "group", "key", "link", "first_seen_at"},
    Membership: {"id", "group", "updated_at", "source"},
    Report: {
        *("id", "number", "source", "account", "group", "in_group", "reporter_account"),
        "reporter_ref",
        *("received_at", "entered_by", "scan_only"),
        *("route_state", "route_error", "route_due_at", "route_attempts"),
        *("outcome", "decided_at"),
    },
    Item: {
        *("id", "source", "report", "account", "group", "in_group", "kind", "blob"),
        "original_name",
        *("received_at", "scan_state", "scan_attempts", "scan_due_at", "scan_waits_for"),
        *("scanned_at", "route_state", "route_error", "route_due_at", "route_attempts"),
    },
    Exhibit: {"id", "referral", "item", "position"},
    ReferralAccount: {"id", "referral", "account", "position", "role_set_by", "role_set_at"},
    Referral: {
        *("id", "number", "year", "case", "state", "revision", "supersedes", "drafted_by"),
        *("edited_by", "created_at", "requested_at", "requested_by", "approved_by", "approved_at"),
        *("returned_reason", "correction_reason", "approved_keys", "build_error", "build_attempts"),
        *("incident_type_set_by", "incident_type_set_at"),
        *("incident_at_set_by", "incident_at_set_at"),
        *("build_token", "build_beat_at", "build_waits_for", "build_progress", "bagged_at"),
    },
}
"""Columns that nobody fills in under that name: keys, links between rows, what the installation notes itself."""

FILLED_BY: dict[type[models.Model], set[str]] = {
    Account: set(payloads.AccountPayload.model_fields),
    AccountIdentifier: set(payloads.Identifier.model_fields),
    IpEvent: set(payloads.IpUse.model_fields),
    Group: set(payloads.GroupPayload.model_fields),
    GroupLink: set(),
    Membership: set(payloads.MembershipPayload.model_fields),
    Report: set(payloads.ReportPayload.model_fields),
    Item: set(payloads.ItemPayload.model_fields),
    Exhibit: set(forms.ExhibitForm.base_fields),
    ReferralAccount: set(forms.AccountForm.base_fields),
    Referral: set(forms.DraftForm.base_fields),
}


@pytest.mark.parametrize("model", list(FILLED_BY), ids=lambda model: model.__name__)
def test_every_column_is_one_that_the_story_fills_in_or_our_own(
    model: type[models.Model],
) -> None:
    columns = {field.name for field in model._meta.concrete_fields}
    new = columns - FILLED_BY[model] - OURS[model]
    assert not new, f"say how {new} of {model.__name__} leaves, or that it is our own"
    assert OURS[model] <= columns


def test_what_is_said_to_be_left_out_is_asked_for_somewhere() -> None:
    asked = {f"draft.exhibit.{name}" for name in forms.ExhibitForm.base_fields}
    for what, shape in (
        ("report", payloads.ReportPayload),
        ("account", payloads.AccountPayload),
        ("group", payloads.GroupPayload),
        ("membership", payloads.MembershipPayload),
    ):
        asked |= {f"{what}.{name}" for name in shape.model_fields}
    assert {re.sub(r" \(.*?\)", "", path) for path in FIELDS} <= asked
