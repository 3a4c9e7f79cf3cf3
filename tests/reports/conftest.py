"""Sources with keys, made by the real actions, and a client that speaks to the API as a platform would."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from core.audit import SYSTEM
from reports import actions
from reports.choices import OWN_PLATFORM_SCOPES
from reports.models import ApiKey, Scope, Source, SourceKind, TrustLevel
from reports.reference import CODES

ALL_SCOPES = list(Scope.values)
Answer = Any


class Platform:
    """A platform's script: one key, JSON in, answers out."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.client = Client()

    def headers(self, **more: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"} | more

    def post(
        self, path: str, document: Any, *, raw: bytes | None = None, kind: str = "", **headers: str
    ) -> Answer:
        """POST JSON (or ``raw`` as it is) to ``/api/v1`` + path."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(
            f"/api/v1{path}",
            data=json.dumps(document) if raw is None else raw,
            content_type=kind or "application/json",
            headers=self.headers(**named),
        )

    def put(self, path: str, document: Any) -> Answer:
        return self.client.put(
            f"/api/v1{path}",
            data=json.dumps(document),
            content_type="application/json",
            headers=self.headers(),
        )

    def get(self, path: str) -> Answer:
        return self.client.get(f"/api/v1{path}", headers=self.headers())

    def form(self, path: str, fields: dict[str, Any], **headers: str) -> Answer:
        """POST multipart/form-data."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(f"/api/v1{path}", data=fields, headers=self.headers(**named))

    def batch(self, lines: list[Any], **headers: str) -> Answer:
        """POST lines as NDJSON; a line that is bytes goes as it is."""
        raw = b"\n".join(x if isinstance(x, bytes) else json.dumps(x).encode() for x in lines)
        return self.post("/batches", None, raw=raw, kind="application/x-ndjson", **headers)


@pytest.fixture
def source(db: None) -> Source:
    return actions.create_source(
        slug="messenger",
        name="Example Messenger",
        kind=SourceKind.PLATFORM,
        trust=TrustLevel.INTERNAL,
        is_own_platform=True,
        actor=SYSTEM,
    )


@pytest.fixture
def issued(source: Source) -> tuple[ApiKey, str]:
    return actions.issue_key(source, scopes=ALL_SCOPES, rate_per_minute=6000, actor=SYSTEM)


@pytest.fixture
def platform(issued: tuple[ApiKey, str]) -> Platform:
    return Platform(issued[1])


@pytest.fixture
def other_platform(db: None) -> Platform:
    source = actions.create_source(
        slug="hotline", name="Hotline", kind=SourceKind.TRUSTED_FLAGGER, actor=SYSTEM
    )
    scopes = [scope for scope in ALL_SCOPES if scope not in OWN_PLATFORM_SCOPES]
    return Platform(actions.issue_key(source, scopes=scopes, actor=SYSTEM)[1])


@pytest.fixture
def a_report() -> Callable[..., dict[str, Any]]:
    """Return a maker of valid report documents."""

    def make(**changes: Any) -> dict[str, Any]:
        return {
            "subject": {"account": "user-1"},
            "reason": "grooming",
            "items": [{"surface": "reported_message", "text": "hello there"}],
        } | changes

    return make


def problem_of(response: Any, status: int) -> dict[str, Any]:
    """Return the problem document of an answer, after checking that it is one."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = json.loads(response.content)
    assert document["status"] == status
    assert document["title"]
    assert document["code"] in CODES
    return document
