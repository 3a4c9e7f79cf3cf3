"""Who gets in: keys, their scopes and ends, and how often they may ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from limits import RateLimitItemPerMinute
from limits.storage import RedisStorage

from core import rates
from core.audit import SYSTEM
from core.errors import Invalid, Refused
from core.models import AuditEntry
from core.valkey_link import valkey
from reports import actions, keys
from reports.actions import sources
from reports.models import ApiKey, Scope, Source
from tests.reports.conftest import ALL_SCOPES, Platform, problem_of

pytestmark = pytest.mark.django_db
Issued = tuple[ApiKey, str]
MakeReport = Callable[..., dict[str, Any]]


def test_a_key_is_not_stored(issued: Issued) -> None:
    key, text = issued
    secret = text.rpartition("_")[2] if text.count("_") == 2 else text.split("_", 2)[2]
    stored = [str(value) for row in ApiKey.objects.values() for value in row.values()]
    assert not any(secret in value for value in stored)
    assert key.key_hash == keys.hash_secret(secret)
    assert not AuditEntry.objects.filter(line__contains=secret).exists()


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer nonsense",
        "Basic abc",
        "Bearer hf_0000000000_" + "a" * 43,
        "Bearer \u00e4",
    ],
)
def test_without_a_valid_key_it_is_401(header: str | None, source: Source) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = Client().post(
        "/api/v1/reports", "{}", content_type="application/json", headers=headers
    )
    problem_of(answer, 401)
    assert answer["WWW-Authenticate"] == "Bearer"


def test_the_right_prefix_with_another_secret_is_401(issued: Issued) -> None:
    wrong = issued[1][:-1] + ("a" if issued[1][-1] != "a" else "b")
    assert problem_of(Platform(wrong).get("/reports/x"), 401)["detail"].startswith("Send a valid")


def test_an_expired_key_says_so(source: Source) -> None:
    _, text = actions.issue_key(
        source, scopes=ALL_SCOPES, expires_at=timezone.now() - timedelta(seconds=1), actor=SYSTEM
    )
    assert problem_of(Platform(text).get("/reports/x"), 401)["detail"] == "This key has expired."


def test_a_revoked_key_says_so_and_is_audited(issued: Issued, platform: Platform) -> None:
    actions.revoke_key(issued[0], actor=SYSTEM)
    assert problem_of(platform.get("/reports/x"), 401)["detail"] == "This key was revoked."
    platform.get("/reports/x")
    assert AuditEntry.objects.filter(event="api_key.refused").count() == 1
    with pytest.raises(Refused):
        actions.revoke_key(issued[0], actor=SYSTEM)


def test_a_paused_source_is_403(source: Source, platform: Platform, admin: Any) -> None:
    actions.change_source(
        source,
        name=source.name,
        kind=source.kind,
        trust=source.trust,
        due_minutes=None,
        contact="",
        is_own_platform=True,
        tells_outcomes=True,
        is_active=False,
        actor=admin,
    )
    assert problem_of(platform.get("/reports/x"), 403)["detail"] == "This source is paused."


@pytest.mark.parametrize(
    ("scope", "allowed"), [(Scope.REPORTS_WRITE, "/reports"), (Scope.SCANS_WRITE, "/scans")]
)
def test_a_key_opens_only_what_its_scope_names(source: Source, scope: Scope, allowed: str) -> None:
    platform = Platform(actions.issue_key(source, scopes=[scope], actor=SYSTEM)[1])
    for path in ("/reports", "/scans", "/media"):
        answer = platform.post(path, {})
        if path == allowed:
            assert answer.status_code == 422
        else:
            assert "scope" in problem_of(answer, 403)["detail"]


def test_without_the_scope_a_file_is_not_even_read(source: Source) -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile

    from core.models import Blob

    platform = Platform(actions.issue_key(source, scopes=[Scope.STATUS_READ], actor=SYSTEM)[1])
    problem_of(platform.form("/media", {"file": SimpleUploadedFile("a", b"abc")}), 403)
    assert not Blob.objects.exists()


def test_rotation_overlaps_and_ends(source: Source, issued: Issued, monkeypatch: Any) -> None:
    key, old = issued
    successor, new = actions.rotate_key(key, actor=SYSTEM)
    assert successor.scopes == key.scopes
    for text in (old, new):
        problem_of(Platform(text).get("/reports/x"), 422)
    with pytest.raises(Refused):
        actions.rotate_key(key, actor=SYSTEM)
    newest, _ = actions.rotate_key(successor, overlap=timedelta(seconds=-1), actor=SYSTEM)
    problem_of(Platform(new).get("/reports/x"), 401)
    assert newest.expires_at is None


def test_rotation_never_lengthens_a_life(source: Source) -> None:
    soon = timezone.now() + timedelta(minutes=5)
    key, _ = actions.issue_key(source, scopes=ALL_SCOPES, expires_at=soon, actor=SYSTEM)
    successor, _ = actions.rotate_key(key, actor=SYSTEM)
    key.refresh_from_db()
    assert key.expires_at == soon
    assert successor.expires_at is not None
    assert successor.expires_at - timezone.now() < timedelta(minutes=6)


def test_what_a_key_cannot_be(source: Source) -> None:
    with pytest.raises(Invalid):
        actions.issue_key(source, scopes=[], actor=SYSTEM)
    with pytest.raises(Invalid):
        actions.issue_key(source, scopes=["everything"], actor=SYSTEM)
    with pytest.raises(Invalid):
        actions.issue_key(source, scopes=ALL_SCOPES, rate_per_minute=0, actor=SYSTEM)
    with pytest.raises(Refused):
        actions.issue_key(actions.staff_source(), scopes=ALL_SCOPES, actor=SYSTEM)


def test_last_used_is_written_at_most_once_a_minute(
    issued: Issued, platform: Platform, django_assert_num_queries: Any
) -> None:
    platform.get("/reports/x")
    key = ApiKey.objects.get()
    assert key.last_used_at is not None
    platform.get("/reports/x")
    assert ApiKey.objects.get().last_used_at == key.last_used_at
    ApiKey.objects.update(last_used_at=timezone.now() - sources.LAST_USED_EVERY)
    platform.get("/reports/x")
    assert (ApiKey.objects.get().last_used_at or key.last_used_at) > key.last_used_at


def test_too_many_requests_are_429_with_a_time(source: Source, a_report: MakeReport) -> None:
    platform = Platform(
        actions.issue_key(source, scopes=ALL_SCOPES, rate_per_minute=3, actor=SYSTEM)[1]
    )
    answers = [platform.get("/reports/x") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [422, 422, 422, 429]
    assert answers[0]["RateLimit-Policy"] == '"key";q=3;w=60'
    assert answers[0]["RateLimit"].startswith('"key";r=2;t=')
    problem_of(answers[3], 429)
    assert 1 <= int(answers[3]["Retry-After"]) <= 60


def test_the_window_slides() -> None:
    """What is left of the minute before counts by how much of it is within the last sixty seconds."""
    limiter, item = rates._sliding(), RateLimitItemPerMinute(10, namespace="key")
    key = item.key_for("sliding")
    storage: Any = limiter.storage
    before = storage.prefixed_key(storage._previous_window_key(key))
    storage.get_connection().set(before, 10, ex=33)  # It weighs 5.5 now.
    answers = [rates.spend("sliding", 10) for _ in range(7)]
    allowed = [rate.is_allowed for rate in answers if rate]
    assert 4 <= sum(allowed) <= 5
    assert allowed == sorted(allowed, reverse=True)


def test_several_requests_at_once_cost_several(source: Source) -> None:
    rate = rates.spend("bulk", 10, cost=4)
    assert rate is not None
    assert (rate.remaining, rate.is_allowed) == (6, True)
    rate = rates.spend("bulk", 10, cost=7)
    assert rate is not None
    assert not rate.is_allowed


def test_without_valkey_reports_are_still_taken(
    platform: Platform, a_report: MakeReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    def away() -> redis.Redis:
        return redis.Redis(port=1, retry=Retry(NoBackoff(), 0))

    nowhere = RedisStorage("redis://", connection_pool=away().connection_pool)
    monkeypatch.setattr(rates, "_storage", lambda url: nowhere)
    answer = platform.post("/reports", a_report())
    assert answer.status_code == 201
    assert "RateLimit" not in answer.headers


def refusals() -> list[tuple[str, str]]:
    rows = AuditEntry.objects.filter(event="api_key.refused").order_by("id")
    return [(row.data["reason"], row.subject_id) for row in rows]


@pytest.fixture
def fresh_minute() -> Iterator[None]:
    def forget() -> None:
        for name in valkey().scan_iter("first:*"):
            valkey().delete(name)

    forget()
    yield
    forget()


def test_a_stranger_at_the_door_is_noted_once_a_minute_and_without_what_they_sent(
    fresh_minute: None, issued: Issued
) -> None:
    wrong = issued[1][:-1] + ("a" if issued[1][-1] != "a" else "b")
    for _ in range(3):
        problem_of(Platform(wrong).get("/reports/x"), 401)
    problem_of(Client().get("/api/v1/reports/x"), 401)
    assert refusals() == [("wrong secret", str(issued[0].pk))]
    secret = wrong.split("_", 2)[2]
    assert not AuditEntry.objects.filter(line__contains=secret[:20]).exists()
    Client().get("/api/v1/reports/x", REMOTE_ADDR="192.0.2.8")
    unknown = "hf_0000000000_" + "a" * 43
    Client().get(
        "/api/v1/reports/x", REMOTE_ADDR="192.0.2.9", headers={"Authorization": f"Bearer {unknown}"}
    )
    assert refusals()[1:] == [("no key", ""), ("unknown key", "")]


def test_a_missing_scope_and_too_many_requests_are_noted_once_a_minute(
    fresh_minute: None, source: Source
) -> None:
    key, text = actions.issue_key(
        source, scopes=[Scope.DIRECTORY_WRITE], rate_per_minute=3, actor=SYSTEM
    )
    answers = [Platform(text).post("/reports", {}).status_code for _ in range(5)]
    assert answers == [403, 403, 403, 429, 429]
    assert refusals() == [
        ("The key lacks the scope.", str(key.pk)),
        ("Too many requests.", str(key.pk)),
    ]


def test_without_valkey_a_stranger_cannot_fill_the_log(source: Source, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    problem_of(Platform("hf_0000000000_" + "a" * 43).get("/reports/x"), 401)
    assert refusals() == []
