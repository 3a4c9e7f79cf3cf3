"""Test keys: everything works as with a live key, and nothing comes of it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.db.utils import DatabaseError
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.models import User
from core.audit import SYSTEM
from core.audit_check import check
from core.errors import Invalid, Refused
from core.models import AuditEntry
from hashing import actions as hashing
from hashing import examples
from hashing.access import flags_of_list
from hashing.models import Flag, HashEntry, HashList, RiskScore, Verdict
from moderation import access, actions
from moderation.actions.practice import remove_old_practice
from moderation.models import Case, Decision, Delivery, EnforcementState, Queue
from referrals.access import unreferred_cases_for
from referrals.actions.drafting import open_referral
from reports import actions as intake
from reports import practice
from reports.models import (
    Account,
    AccountIdentifier,
    ApiKey,
    Group,
    GroupLink,
    IpEvent,
    Item,
    Report,
    Scope,
    Source,
    SourceKind,
    SubjectChange,
)
from tests.casework import Casework, grant_all, hash_finding, verdict
from tests.cast import signed_in
from tests.pictures import jpeg
from tests.reports.conftest import Platform, problem_of

pytestmark = pytest.mark.django_db
SCOPES = [scope for scope in Scope.values if scope != Scope.LINKS_WRITE]
REPORT = {
    "external_id": "rep-1",
    "subject": {"account": "user-1"},
    "reporter": {"account": "user-2"},
    "reason": "csam",
    "items": [{"surface": "reported_message", "text": "markerword-alpha", "sender": "user-1"}],
}
ACCOUNT = {
    "scan": False,
    "username": "alex",
    "identifiers": [{"kind": "device", "value": "d-1"}],
    "ip_events": [{"kind": "login", "ip": "203.0.113.7", "at": "2026-11-22T10:31:00Z"}],
}


@pytest.fixture
def source(db: None) -> Source:
    return intake.create_source(
        slug="messenger",
        name="Messenger",
        kind=SourceKind.PLATFORM,
        is_own_platform=True,
        actor=SYSTEM,
    )


@pytest.fixture
def live(source: Source) -> Platform:
    return Platform(intake.issue_key(source, scopes=SCOPES, rate_per_minute=6000, actor=SYSTEM)[1])


@pytest.fixture
def trial_key(source: Source) -> tuple[ApiKey, str]:
    return intake.issue_key(source, scopes=SCOPES, rate_per_minute=6000, is_test=True, actor=SYSTEM)


@pytest.fixture
def trial(trial_key: tuple[ApiKey, str]) -> Platform:
    return Platform(trial_key[1])


def routed(casework: Casework, answer: Any, *findings: Any) -> Case:
    assert answer.status_code == 201, answer.content
    return casework.routed(Report.objects.get(pk=answer.json()["id"]), *findings)


# ── The key ───────────────────────────────────────────────────────────────────────────────────
def test_a_test_key_shows_what_it_is(
    source: Source, trial_key: tuple[ApiKey, str], trial: Platform, admin_client: Client
) -> None:
    key, text = trial_key
    assert re.fullmatch(r"hf_test_[0-9a-f]{10}_[\w-]{43}", text)
    said = trial.get("/key").json()
    assert (said["mode"], said["prefix"]) == ("test", f"hf_test_{key.prefix}")
    assert (said["source"]["slug"], said["source"]["name"]) == ("messenger", "Messenger")
    page = admin_client.get("/sources/messenger/").content.decode()
    assert f"hf_test_{key.prefix}" in page
    assert re.search(
        r"<span class=\"badge[^>]*>\s*(<svg.*?</svg>)?\s*Test\s*</span>", page, re.DOTALL
    )
    assert "(test)" not in admin_client.get("/sources/").content.decode()
    # Without its mark it is another key, which nobody has.
    problem_of(Platform(text.replace("hf_test_", "hf_")).get("/key"), 401)
    successor, newer = intake.rotate_key(key, actor=SYSTEM)
    assert newer.startswith("hf_test_")
    assert successor.source == key.source
    assert "Sunset" in trial.get("/key").headers


def test_it_is_issued_and_revoked_on_the_page_of_its_source(
    source: Source, admin_client: Client
) -> None:
    form = {"name": "trial", "scopes": [Scope.REPORTS_WRITE], "rate_per_minute": "60"}
    answer = admin_client.post("/sources/messenger/keys/", form | {"is_test": "on"})
    assert "This is a test key" in answer.content.decode()
    key = ApiKey.objects.get()
    assert key.source.practice_of == source
    admin_client.post(f"/sources/messenger/keys/{key.pk}/revoke/")
    assert ApiKey.objects.get().revoked_at is not None


def test_a_pause_of_the_source_holds_for_its_test_keys(
    source: Source, trial: Platform, admin_client: Client
) -> None:
    form = {"name": "Messenger", "kind": "platform", "trust": "standard", "tells_outcomes": "no"}
    assert admin_client.post("/sources/messenger/edit/", form).status_code == 302
    assert "paused" in problem_of(trial.get("/key"), 403)["detail"]


def test_what_a_test_key_cannot_have(source: Source) -> None:
    with pytest.raises(Invalid):
        intake.issue_key(source, scopes=[Scope.LINKS_WRITE], is_test=True, actor=SYSTEM)


# ── Apart from what is live ───────────────────────────────────────────────────────────────────
def test_everything_is_apart_from_what_a_live_key_says(live: Platform, trial: Platform) -> None:
    for platform, name in ((live, "real"), (trial, "tried")):
        said = platform.put("/accounts/user-1", ACCOUNT | {"username": name}).json()
        assert said["id"] == str(Account.objects.get(username=name).pk)
        assert said["external_id"] == "user-1"
        group = {"name": f"group {name}", "scan": False, "invite_link": "https://chat.example/+x"}
        assert platform.put("/groups/group-1", group).json()["external_id"] == "group-1"
        members = {"members": [{"account": "user-1", "role": "owner"}]}
        said = platform.put("/groups/group-1/members", members).json()
        assert (said["group"], said["members"]) == ("group-1", 1)
        answers = [
            platform.post("/reports", REPORT, idempotency_key="key-1"),
            platform.batch(
                [
                    {"type": "account", "external_id": "user-3", "username": f"{name} 3"},
                    {"type": "membership", "group": "group-1", "account": "user-3"},
                    {"type": "scan", "subject": {"group": "group-1"}, "surface": "group_name",
                     "text": "Holiday"},
                ],
                idempotency_key="key-2",
            ),
        ]  # fmt: skip
        assert [answer.status_code for answer in answers] == [201, 200]
        assert "Idempotent-Replayed" not in answers[0].headers
        listed = platform.get("/reports").json()["reports"]
        assert [row["id"] for row in listed] == [answers[0].json()["id"]]
    assert sorted(Account.objects.values_list("external_id", flat=True)) == [
        " user-1", " user-2", " user-3", "user-1", "user-2", "user-3",
    ]  # fmt: skip
    assert Group.objects.count() == 2
    rows: list[Report | Item] = [*Report.objects.all(), *Item.objects.all()]
    for row in rows:
        assert row.source.is_practice == row.subject.is_practice
    assert Report.objects.filter(external_id="rep-1").count() == 2
    # A link of a group of practice leads nowhere, and nobody of practice is rated.
    assert [link.group.external_id for link in GroupLink.objects.all()] == ["group-1"]
    marked = SubjectChange.objects.values_list("account__external_id", "group__external_id")
    assert not any(practice.is_practice(name or group) for name, group in marked)
    # The other one's things are not there.
    for one, other in ((live, trial), (trial, live)):
        [report] = one.get("/reports").json()["reports"]
        problem_of(other.get(f"/reports/{report['id']}"), 404)
    upload = trial.form("/media", {"file": SimpleUploadedFile("a.jpg", jpeg(1, (96, 64)))}).json()
    with_file = {"surface": "profile_photo", "media": upload["id"]}
    problem_of(live.post("/reports", REPORT | {"external_id": "", "items": [with_file]}), 422)


def test_no_live_sender_can_write_an_id_of_practice(live: Platform, trial: Platform) -> None:
    trial.put("/accounts/user-1", ACCOUNT)
    for answer in (
        live.put("/accounts/%20user-1", ACCOUNT),
        live.post("/reports", REPORT | {"subject": {"account": " user-1"}}),
        live.post("/reports", REPORT | {"subject": {"account": "\u00a0user-1"}}),
        trial.put("/accounts/%20user-1", ACCOUNT),
    ):
        problem_of(answer, 422)
    longest = "x" * 200
    assert trial.put(f"/accounts/{longest}", {}).json()["external_id"] == longest


def test_the_next_request_in_the_same_thread_is_live_again(live: Platform, trial: Platform) -> None:
    trial.put("/accounts/a", {})
    problem_of(Client().put("/api/v1/accounts/b"), 401)
    live.put("/accounts/a", {})
    assert sorted(Account.objects.values_list("external_id", flat=True)) == [" a", "a"]


# ── Nothing comes of it ───────────────────────────────────────────────────────────────────────
def test_a_practice_case_is_worked_by_grant_in_a_queue_of_its_own(
    casework: Casework, trial: Platform, reviewer: User, lead: User, client: Client
) -> None:
    case = routed(casework, trial.post("/reports", REPORT), hash_finding())
    assert case.is_practice
    assert case.queue.slug == "practice"
    for category in ("csam_known", "csam_suspected"):
        actions.grant_category(category, to=reviewer, actor=SYSTEM)
    for queue in Queue.objects.exclude(slug="practice"):
        actions.grant_queue(queue, to=reviewer, actor=SYSTEM)
    desk = signed_in(client, reviewer)
    assert desk.get(f"/cases/{case.pk}/").status_code == 404
    actions.grant_queue(Queue.objects.get(slug="practice"), to=reviewer, actor=SYSTEM)
    page = desk.get(f"/cases/{case.pk}/").content.decode()
    assert "This is practice" in page
    assert ">Practice<" in page
    assert ">Practice<" in desk.get("/queues/practice/").content.decode()
    assert access.next_waiting(reviewer) is None  # *Start my next case* does not bring it,
    desk.post("/queues/practice/claim-next/")  # its own queue does.
    assert access.live_claim_on(case) is not None
    grant_all(lead)
    for moved, to in ((case, Queue.objects.get(slug="general")), (casework.case(), case.queue)):
        moved.refresh_from_db()
        with pytest.raises(Refused) as refused:
            actions.move_case(
                moved, to=to, reason="elsewhere", case_version=moved.version, actor=lead
            )
        assert refused.value.code == "practice"


def test_a_decision_on_practice_is_told_and_does_nothing(
    casework: Casework,
    live: Platform,
    trial: Platform,
    source: Source,
    reviewer: User,
    legal: User,
    admin: User,
) -> None:
    actions.create_endpoint(name="P", url="https://hook.example/x", verbs=[], actor=admin)
    grant_all(reviewer), grant_all(legal)
    answer = trial.post("/reports", REPORT)
    case = routed(casework, answer, hash_finding())
    actions.claim(case, actor=reviewer)
    case.refresh_from_db()
    said = verdict(case) | {"enforcements": ["ban_account"]}
    decision = actions.send_now(actions.decide(case, actor=reviewer, **said), actor=reviewer)
    assert actions.publish_decision(decision)
    told = trial.get(f"/reports/{answer.json()['id']}").json()
    assert (told["state"], told["outcome"]) == ("decided", "action_taken")
    states = set(decision.enforcements.values_list("state", flat=True))
    assert states == {EnforcementState.NOT_SENT}
    assert not Delivery.objects.exists()
    assert not Verdict.objects.exists()
    assert not RiskScore.objects.exists()
    case.refresh_from_db()
    assert not access.cases_for(legal).exists()
    assert not unreferred_cases_for(legal).exists()
    with pytest.raises(Refused) as refused:
        open_referral(case, recipient=None, actor=legal)  # type: ignore[arg-type]
    assert refused.value.code == "practice"


def test_practice_counts_in_no_figure(
    casework: Casework, live: Platform, trial: Platform, policy_admin: User
) -> None:
    from hashing.models import HashList

    listed = HashList.objects.create(name="Invented", category="csam_known")
    for platform in (live, trial):
        report = Report.objects.get(pk=platform.post("/reports", REPORT).json()["id"])
        item = report.items.get()
        casework.scanned(item, hash_finding())
        Flag.objects.filter(item=item).update(hash_list=listed)
    assert Flag.objects.count() == 2
    assert flags_of_list(listed).count() == 1
    texts = Item.objects.filter(kind="text", source__practice_of=None).count()
    from hashing.models import Classifier

    assert examples.recent_texts(Classifier(surfaces=[]))[1] == texts == 1


def test_accounts_of_practice_make_nobody_suspicious(
    casework: Casework, live: Platform, trial: Platform
) -> None:
    from hashing import risk_facts

    live.put("/accounts/user-1", ACCOUNT)
    live.put("/accounts/user-2", ACCOUNT | {"platform_status": "banned"})
    while hashing.rate_changed():
        pass
    before = risk_facts.account_facts([Account.objects.get(external_id="user-1").pk])
    for number in range(60):
        trial.put(f"/accounts/t-{number}", ACCOUNT | {"platform_status": "banned"})
    SubjectChange.objects.create(account=Account.objects.get(external_id=" t-1"))
    while hashing.rate_changed():
        pass
    after = risk_facts.account_facts([Account.objects.get(external_id="user-1").pk])
    assert after == before
    assert not RiskScore.objects.filter(account__external_id__startswith=" ").exists()


# ── Its end ───────────────────────────────────────────────────────────────────────────────────
def test_old_practice_is_removed_with_lines_and_nothing_else(
    casework: Casework, live: Platform, trial: Platform, reviewer: User, settings: Settings
) -> None:
    settings.HOLDFAST_PRACTICE_DAYS = 0
    grant_all(reviewer)
    for platform in (live, trial):
        platform.put("/accounts/user-1", ACCOUNT)
        platform.put("/groups/g", {"name": "G", "scan": False})
        platform.put("/groups/g/members", {"members": [{"account": "user-1"}]})
        photo = SimpleUploadedFile("a.jpg", jpeg(1, (96, 64)))
        upload = platform.form("/media", {"file": photo}).json()["id"]
        items = [{"surface": "profile_photo", "media": upload}, *REPORT["items"]]
        case = routed(
            casework, platform.post("/reports", REPORT | {"items": items}), hash_finding()
        )
        casework.published(case, by=reviewer)
        platform.post(
            "/scans", {"subject": {"group": "g"}, "surface": "group_name", "text": "Holiday"}
        )
    scan = Item.objects.get(report=None, source__practice_of__isnull=False)
    casework.scanned(scan)
    live_rows = counts(live_only=True)
    assert check(rows=True).is_intact
    rounds = 0
    while remove_old_practice():
        rounds += 1
    assert 4 <= rounds < 20
    assert counts(live_only=False) == live_rows
    assert not Account.objects.filter(external_id__startswith=" ").exists()
    assert not Group.objects.filter(external_id__startswith=" ").exists()
    verdict_of_log = check(rows=True)
    assert verdict_of_log.is_intact, verdict_of_log.breaks
    assert AuditEntry.objects.filter(event="practice.removed", chain="practice").count() >= 7
    assert trial.get("/key").status_code == 200
    assert remove_old_practice() == 0


def counts(*, live_only: bool) -> dict[str, int]:
    rows: dict[str, Any] = {
        "cases": Case.objects.filter(is_practice=False) if live_only else Case.objects,
        "decisions": Decision.objects.filter(case__is_practice=False)
        if live_only
        else Decision.objects,
    }
    for model in (Report, Item):
        rows[model.__name__] = (
            model.objects.filter(source__practice_of=None) if live_only else model.objects
        )
    for other in (IpEvent, AccountIdentifier):
        rows[other.__name__] = (
            other.objects.exclude(account__external_id__startswith=" ")
            if live_only
            else other.objects
        )
    return {name: found.count() for name, found in rows.items()}


def test_young_or_held_practice_stays(
    casework: Casework, trial: Platform, reviewer: User, settings: Settings
) -> None:
    case = routed(casework, trial.post("/reports", REPORT), hash_finding())
    assert remove_old_practice() == 0
    settings.HOLDFAST_PRACTICE_DAYS = 0
    grant_all(reviewer)
    actions.claim(case, actor=reviewer)
    assert remove_old_practice() == 0
    assert Case.objects.filter(pk=case.pk).exists()


def test_the_database_removes_practice_and_nothing_else(
    casework: Casework, live: Platform, trial: Platform
) -> None:
    for platform in (live, trial):
        platform.put("/accounts/user-1", ACCOUNT)
        routed(casework, platform.post("/reports", REPORT), hash_finding())
    for rows in (IpEvent.objects, AccountIdentifier.objects):
        rows.filter(account__external_id__startswith=" ").delete()
        with pytest.raises(DatabaseError), transaction.atomic():
            rows.all().delete()
    Flag.objects.all().delete()
    for model in (Report, Item):
        with pytest.raises(DatabaseError), transaction.atomic():
            model.objects.filter(source__practice_of=None)._raw_delete("default")
    # Nothing becomes practice afterwards.
    twin = Source.objects.get(practice_of__isnull=False)
    other = intake.create_source(slug="o", name="O", kind=SourceKind.PLATFORM, actor=SYSTEM)
    with pytest.raises(DatabaseError), transaction.atomic():
        Source.objects.filter(practice=twin).update(practice_of=other)
    with pytest.raises(DatabaseError), transaction.atomic():
        Case.objects.filter(is_practice=False).update(is_practice=True)
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE reports_account SET external_id = ' ' || external_id")


def test_a_live_row_that_is_gone_is_still_found(
    casework: Casework, live: Platform, trial: Platform
) -> None:
    for platform in (live, trial):
        platform.put("/accounts/user-9", {"username": "nine", "scan": False})
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        Account.objects.filter(external_id="user-9").delete()
        cursor.execute("SET session_replication_role = origin")
    [found] = check(rows=True).breaks
    assert "its row is gone" in found.what


def test_pages_of_practice_promise_nothing(
    casework: Casework, trial: Platform, lead: User, client: Client
) -> None:
    own = HashList.objects.create(name="Own", kind="own", category="csam_known")
    grant_all(lead)
    browser = signed_in(client, lead)
    case = routed(casework, trial.post("/reports", REPORT), hash_finding())
    actions.claim(case, actor=lead)
    case.refresh_from_db()
    said = {"outcome": "confirm_refer", "enforcements": ["ban_account"]}
    said["policy"] = verdict(case)["policy"]
    sentence = browser.get(reverse("moderation:consequence", args=[case.pk]), said).content.decode()
    assert "the platform is told nothing and nothing is referred" in sentence
    chosen = verdict(case) | {"enforcements": ["ban_account"]}
    decision = actions.send_now(actions.decide(case, actor=lead, **chosen), actor=lead)
    assert actions.publish_decision(decision)
    page = browser.get(reverse("moderation:case", args=[case.pk])).content.decode()
    assert "Practice: nobody was told" in page
    assert "Ready for legal staff" not in page
    assert "Put its media on this list" not in page
    browser.post(reverse("moderation:list_digests", args=[case.pk]), {"list": str(own.pk)})
    assert not HashEntry.objects.filter(hash_list=own).exists()
