"""Whatever a source does, whichever client speaks to it: a sentence, the checkpoint as it was, nothing stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db.models.functions import Now

from accounts.models import User
from hashing import actions, jobs
from hashing.exchanges import connection
from hashing.models import Exchange, ExchangeRun, HashEntry
from tests.hashing.exchange_servers import Answer, StandIn, as_json, serving

pytestmark = pytest.mark.django_db

KINDS: dict[str, Callable[[str], dict[str, str]]] = {
    "ncmec": lambda url: {"username": "u", "password": "p", "base_url": url},
    "stopncii": lambda url: {"subscription_key": "s", "fetch_key": "f", "base_url": url},
    "threatexchange": lambda url: {"privacy_group": "9", "api_token": "1|x", "base_url": url},
    "tat": lambda url: {"username": "u", "password": "p", "base_url": f"{url}/"},
    "https_json": lambda url: {"url": f"{url}/list"},
}
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def _loopback_is_allowed(settings: Any) -> None:
    settings.HOLDFAST_EXCHANGE_ALLOW_PRIVATE = True


def fetched(kind: str, server: StandIn, person: User) -> ExchangeRun:
    exchange = actions.create_exchange(
        kind=kind,
        name=f"Invented {kind}",
        category="csam_known",
        values=KINDS[kind](server.url),
        actor=person,
    )
    Exchange.objects.filter(pk=exchange.pk).update(due_at=Now(), checkpoint={"mark": 7})
    jobs.fetch_exchange(str(exchange.pk))
    exchange.refresh_from_db()
    assert exchange.checkpoint == {"mark": 7}
    assert not HashEntry.objects.exists()
    assert exchange.last_error
    assert exchange.failures == 1
    run: ExchangeRun = exchange.runs.get()
    assert run.problem == exchange.last_error
    return run


def signs_in(answer: Callable[[], Answer]) -> Callable[..., Answer]:
    """Return answers in which Tech Against Terrorism's sign-in works."""

    def answers(path: str, *_: Any) -> Answer:
        return as_json({"token": "t"}) if "authenticate" in path or "token" in path else answer()

    return answers


@every_kind
def test_garbage(kind: str, policy_admin: User) -> None:
    with serving(signs_in(lambda: (200, "text/html", b"<p>invented"))) as server:
        assert "not in the form" in fetched(kind, server, policy_admin).problem


@every_kind
def test_an_answer_without_end(
    kind: str, policy_admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LARGEST", 1024**2)
    with serving(signs_in(lambda: (200, "application/json", b" " * (1024**2 + 70_000)))) as server:
        assert "larger than 1 MB" in fetched(kind, server, policy_admin).problem


@every_kind
def test_an_answer_that_drips(
    kind: str, policy_admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ANSWER_SECONDS", -1.0)  # Its time is over at the first piece.
    with serving(lambda *_: as_json({"token": "t"})) as server:
        assert "too slowly" in fetched(kind, server, policy_admin).problem


@every_kind
def test_a_redirect_is_not_followed(kind: str, policy_admin: User) -> None:
    asked: list[str] = []
    with serving(lambda path, *_: asked.append(path) or as_json({})) as elsewhere:  # type: ignore[func-returns-value]
        away: Answer = (302, "text/plain", b"", {"Location": f"{elsewhere.url}/there"})
        with serving(signs_in(lambda: away)) as server:
            said = fetched(kind, server, policy_admin).problem
    assert "another address" in said
    assert asked == []


def test_a_next_page_on_another_host_is_not_contacted(policy_admin: User) -> None:
    asked: list[str] = []
    with serving(lambda path, *_: asked.append(path) or as_json({})) as elsewhere:  # type: ignore[func-returns-value]
        page = as_json({"data": [], "paging": {"next": f"{elsewhere.url}/more"}})
        with serving(lambda *_: page) as server:
            exchange = actions.create_exchange(
                kind="threatexchange",
                name="Invented",
                category="csam_known",
                values=KINDS["threatexchange"](server.url),
                actor=policy_admin,
            )
            Exchange.objects.filter(pk=exchange.pk).update(due_at=Now())
            jobs.fetch_exchange(str(exchange.pk))
    exchange.refresh_from_db()
    assert "another host" in exchange.last_error
    assert asked == []


@every_kind
def test_refused_credentials(kind: str, policy_admin: User) -> None:
    with serving(lambda *_: (403, "text/plain", b"no")) as server:
        assert "refused the credentials (403)" in fetched(kind, server, policy_admin).problem


def test_a_source_that_never_ends_gives_the_worker_back_and_goes_on_later(
    policy_admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs.exchanges, "LONGEST_FETCH", -1.0)
    count = 0

    def answers(*_: Any) -> Answer:
        nonlocal count
        count += 1
        entry = {"id": str(count), "algorithm": "md5", "value": f"{count:032x}"}
        return as_json({"entries": [entry], "next": f"p{count}"})

    with serving(answers) as server:
        exchange = actions.create_exchange(
            kind="https_json",
            name="Invented",
            category="csam_known",
            values=KINDS["https_json"](server.url),
            actor=policy_admin,
        )
        for _ in range(2):
            Exchange.objects.filter(pk=exchange.pk).update(due_at=Now())
            jobs.fetch_exchange(str(exchange.pk))
    exchange.refresh_from_db()
    assert exchange.last_error == ""
    assert exchange.checkpoint == {"next": "p2"}
    assert HashEntry.objects.count() == 2
    assert [query.get("after") for _, query, _ in server.asked] == [None, ["p1"]]
