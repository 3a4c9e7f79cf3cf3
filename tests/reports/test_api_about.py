"""What a key may ask about itself, and what every answer carries."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from core.audit import SYSTEM
from core.audit_check import check
from moderation import vocabulary
from moderation.models import Reversal, RoutingRule, Verb
from reports import actions
from reports import vocabulary as intake
from reports.models import ApiKey, Report, Scope, Source, Surface
from tests.casework import Casework, grant_all
from tests.cast import signed_in
from tests.reports.conftest import Platform, problem_of

pytestmark = pytest.mark.django_db
Issued = tuple[ApiKey, str]
MakeReport = Callable[..., dict[str, Any]]


# ── The key ───────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("scope", [Scope.LINKS_WRITE, Scope.STATUS_READ])
def test_any_key_reads_what_it_is(source: Source, scope: Scope) -> None:
    text = actions.issue_key(
        source, scopes=[scope], name="sender", rate_per_minute=7, actor=SYSTEM
    )[1]
    answer = Platform(text).get("/key")
    assert answer.status_code == 200, answer.content
    said = answer.json()
    assert text.startswith(said["prefix"])
    assert said["scopes"] == [scope.value]
    assert (said["name"], said["mode"]) == ("sender", "live")
    assert said["source"] == {
        "name": "Example Messenger",
        "slug": "messenger",
        "kind": "platform",
        "is_own_platform": True,
    }
    assert said["rate"]["limit"] == 7
    assert said["rate"]["remaining"] == 6
    assert 1 <= said["rate"]["reset_seconds"] <= 60
    assert datetime.fromisoformat(said["created_at"]) <= timezone.now()
    assert (said["ends_at"], said["has_successor"]) == (None, False)
    assert "Sunset" not in answer.headers
    assert text not in answer.content.decode()


def test_without_a_counter_what_is_left_is_not_known(source: Source, settings: Settings) -> None:
    text = actions.issue_key(source, scopes=[Scope.STATUS_READ], actor=SYSTEM)[1]
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    said = Platform(text).get("/key").json()["rate"]
    assert said == {"limit": 600, "remaining": None, "reset_seconds": None}


def test_every_answer_to_a_key_that_ends_says_when(
    source: Source, issued: Issued, a_report: MakeReport
) -> None:
    key, text = issued
    actions.rotate_key(key, actor=SYSTEM)
    key.refresh_from_db()
    platform = Platform(text)
    said = platform.get("/key").json()
    assert said["has_successor"]
    answers = [
        platform.get("/key"),
        platform.post("/reports", a_report()),
        platform.post("/reports", {}),
        platform.get("/reports/00000000-0000-0000-0000-000000000000"),
        platform.batch([{"type": "wish"}]),
    ]
    assert [answer.status_code for answer in answers] == [200, 201, 422, 404, 207]
    for answer in answers:
        ends = parsedate_to_datetime(answer["Sunset"])
        assert timedelta() <= (key.expires_at or ends) - ends < timedelta(seconds=1)
    assert datetime.fromisoformat(said["ends_at"]).replace(microsecond=0) == ends


def test_a_refusal_of_a_key_that_ends_says_when_too(source: Source) -> None:
    ends = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    text = actions.issue_key(
        source, scopes=[Scope.STATUS_READ], rate_per_minute=1, expires_at=ends, actor=SYSTEM
    )[1]
    answers = [Platform(text).post("/reports", {}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [403, 429]
    assert {answer["Sunset"] for answer in answers} == {"Wed, 02 Jan 2030 03:04:05 GMT"}


def test_without_a_key_there_is_no_word_of_it(source: Source) -> None:
    for path in ("/key", "/vocabulary"):
        assert problem_of(Client().get(f"/api/v1{path}"), 401)["code"] == "unauthorized"


# ── The id of a request ───────────────────────────────────────────────────────────────────────
def test_every_answer_has_an_id_and_every_problem_repeats_it(
    platform: Platform, a_report: MakeReport
) -> None:
    answers = [
        platform.post("/reports", a_report()),
        platform.post("/reports", {}),
        platform.post("/reports", None, raw=b"{"),
        platform.get("/reports/00000000-0000-0000-0000-000000000000"),
        platform.get("/batches"),
        platform.get("/nothing/here"),
        platform.post("/media", {}),
        platform.post("/reports", None, raw=b"{}", content_encoding="gzip"),
        Client().get("/api/v1/key"),
    ]
    assert [a.status_code for a in answers] == [201, 422, 400, 404, 405, 404, 415, 415, 401]
    for answer in answers:
        assert len(answer["X-Request-Id"]) == 32
        if answer.status_code >= 400:
            assert answer.json()["request_id"] == answer["X-Request-Id"]
    assert len({answer["X-Request-Id"] for answer in answers}) == len(answers)


def test_the_senders_own_id_counts_only_behind_a_proxy(
    platform: Platform, settings: Settings
) -> None:
    own = "trace-4711.from_platform"
    ids = []
    for trusted in (False, True):
        settings.HOLDFAST_TRUST_FORWARDED_FOR = trusted
        answer = platform.post("/reports", {}, x_request_id=own)
        assert answer.json()["request_id"] == answer["X-Request-Id"]
        ids.append(answer["X-Request-Id"])
    assert ids[0] != own
    assert ids[1] == own


def test_what_the_web_server_refuses_by_itself_has_its_id_too() -> None:
    from config.web import refusals

    headers, body = refusals.BUSY.answer(b"/api/v1/reports")
    assert json.loads(body)["request_id"].encode() == dict(headers)[b"x-request-id"]


# ── Metadata ──────────────────────────────────────────────────────────────────────────────────
KEPT = {"ticket": "T-4711", "Färbung": "grün & <b>"}


def test_metadata_comes_back_is_listed_and_is_shown_as_the_senders(
    platform: Platform, a_report: MakeReport, lead: User, client: Client, casework: Casework
) -> None:
    answer = platform.post("/reports", a_report(external_id="rep-1", metadata=KEPT))
    assert answer.status_code == 201, answer.content
    assert answer.json()["metadata"] == KEPT
    key = answer.json()["id"]
    assert platform.get(f"/reports/{key}").json()["metadata"] == KEPT
    assert platform.get("/reports?external_id=rep-1").json()["reports"][0]["metadata"] == KEPT
    assert platform.post("/reports", a_report()).json()["metadata"] == {}
    case = casework.routed(Report.objects.get(pk=key))
    page = signed_in(client, grant_all(lead)).get(f"/cases/{case.pk}/").content.decode()
    shown = page.partition("What the sender keeps with it (2)")[2].partition("</details>")[0]
    assert "T-4711" in shown
    assert "grün &amp; &lt;b&gt;" in shown


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ({f"k{i}": "" for i in range(51)}, "metadata"),
        ({"k" * 41: "v"}, "metadata"),
        ({"": "v"}, "metadata"),
        ({"k": "v" * 501}, "metadata.k"),
        ({"k": 7}, "metadata.k"),
        ({"k": {"deep": "no"}}, "metadata.k"),
        ({"k": None}, "metadata.k"),
        ({"k": "a\x00b"}, "metadata.k"),
        (["k"], "metadata"),
        (None, "metadata"),
    ],
)
def test_metadata_is_texts_by_name_within_bounds(
    platform: Platform, a_report: MakeReport, metadata: Any, field: str
) -> None:
    errors = problem_of(platform.post("/reports", a_report(metadata=metadata)), 422)["errors"]
    assert all(name.startswith(field) for name in errors), errors
    assert not Report.objects.exists()


def test_the_largest_metadata_is_taken_and_counts_as_content(
    platform: Platform, a_report: MakeReport
) -> None:
    most = {f"{number:040}": "x" * 500 for number in range(50)}
    first = platform.post("/reports", a_report(metadata=most), idempotency_key="one")
    assert first.status_code == 201, first.content
    assert first.json()["metadata"] == most
    again = platform.post("/reports", a_report(metadata={"a": "b"}), idempotency_key="one")
    assert problem_of(again, 409)["code"] == "idempotency_key_reused"


def test_metadata_that_is_changed_afterwards_is_refused_and_found(
    platform: Platform, a_report: MakeReport
) -> None:
    from django.db import connection, transaction
    from django.db.utils import DatabaseError

    platform.post("/reports", a_report(metadata=KEPT))
    platform.post("/reports", a_report())
    assert check(rows=True).is_intact
    with pytest.raises(DatabaseError), transaction.atomic():
        Report.objects.update(metadata={"ticket": "another"})
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        Report.objects.exclude(metadata={}).update(metadata={"ticket": "another"})
        cursor.execute("SET session_replication_role = origin")
    [found] = check(rows=True).breaks
    assert "does not say what was received" in found.what


# ── Vocabulary ────────────────────────────────────────────────────────────────────────────────
def test_the_vocabulary_names_every_word_with_a_sentence(platform: Platform) -> None:
    answer = platform.get("/vocabulary")
    assert answer.status_code == 200, answer.content
    said = answer.json()
    codes = {name: [word["code"] for word in some] for name, some in said.items()}
    assert set(codes["surfaces"]) == set(Surface.values) - {"report_description"}
    assert set(codes["verbs"]) == (set(Verb.values) - {"no_action"}) | set(Reversal.values)
    assert set(codes["scopes"]) == set(Scope.values)
    assert {"grooming", "csam", "abuse_imagery", "spam"} <= set(codes["reasons"])
    for name, some in said.items():
        assert some, name
        assert len(codes[name]) == len(set(codes[name]))
        for word in some:
            assert word["means"].endswith("."), word
            assert word["name"]
    ban = next(word for word in said["verbs"] if word["code"] == "ban_account")
    assert ban["targets"] == ["account"]


def test_no_word_lacks_its_sentence() -> None:
    assert set(vocabulary.VERBS) == (set(Verb) - vocabulary.NOT_ORDERED) | set(Reversal)
    assert set(vocabulary.TARGETS) == set(vocabulary.VERBS) - set(Reversal)
    assert {word.code for word in vocabulary.categories()} == set(vocabulary.Category.values)
    assert set(intake.SCOPES) == set(Scope)


def test_a_reason_of_a_rule_is_told_and_any_other_one_is_taken(
    platform: Platform, a_report: MakeReport
) -> None:
    rule = RoutingRule.objects.exclude(conditions={}).first()
    assert rule is not None
    rule.conditions = {"reasons": ["harm.to-animals"]}
    rule.save()
    told = platform.get("/vocabulary").json()["reasons"]
    assert "harm.to-animals" in [word["code"] for word in told]
    assert platform.post("/reports", a_report(reason="nobody_knows_this")).status_code == 201


def test_a_surface_that_is_not_known_is_named_with_those_that_are(
    platform: Platform, a_report: MakeReport
) -> None:
    item = {"surface": "status_story", "text": "markerword-alpha"}
    said = problem_of(platform.post("/reports", a_report(items=[item])), 422)["errors"]
    assert "profile_photo" in said["items.0.surface"][0]


def test_open_words_have_no_closed_list_in_the_document() -> None:
    schema = Client().get("/api/v1/openapi.json").json()
    found: list[str] = []
    opened = {*Surface.values, *Verb.values, *vocabulary.Category.values} - {"no_action"}

    def walk(node: Any, path: str) -> None:
        if isinstance(node, dict):
            closed = [*node.get("enum", []), node.get("const")] if "type" in node else []
            if opened & {str(each) for each in closed}:
                found.append(path)
            for name, child in node.items():
                walk(child, f"{path}/{name}")
        elif isinstance(node, list):
            for index, child in enumerate(node):
                walk(child, f"{path}/{index}")

    walk(schema, "")
    assert found == []
