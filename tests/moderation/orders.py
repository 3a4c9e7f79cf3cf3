"""Orders for tests: in force, read and answered by the platform's own script."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.models import User
from core.audit import SYSTEM
from moderation import actions
from moderation.models import (
    Case,
    Decision,
    Enforcement,
    WebhookEndpoint,
)
from reports.actions import issue_key
from reports.choices import OWN_PLATFORM_SCOPES
from reports.models import Source
from tests.casework import Casework, verdict
from tests.moderation.receiver import Receiver
from tests.reports.conftest import Platform


def key_of(source: Source) -> Platform:
    return Platform(issue_key(source, scopes=list(OWN_PLATFORM_SCOPES), actor=SYSTEM)[1])


@pytest.fixture
def platform(casework: Casework) -> Platform:
    """Return the platform's own script, which reads orders and answers them."""
    return key_of(casework.source())


@pytest.fixture
def endpoint(receiver: Receiver, admin: User) -> WebhookEndpoint:
    found, receiver.secret = actions.create_endpoint(
        name="Platform", url=receiver.url, verbs=[], actor=admin
    )
    return found


@pytest.fixture
def banned(casework: Casework, robin: User) -> Enforcement:
    """Return an order to ban somebody, in force."""
    return casework.published(casework.case("user-9"), by=robin).enforcements.get()


def orders(platform: Platform, query: str = "") -> list[dict[str, Any]]:
    answer = platform.get(f"/enforcements{query}")
    assert answer.status_code == 200, answer.content
    found: list[dict[str, Any]] = answer.json()["enforcements"]
    return found


def say(platform: Platform, order: Enforcement, state: str, **more: Any) -> Any:
    return platform.post(f"/enforcements/{order.pk}/result", {"state": state} | more)


def published(case: Case, robin: User, **changes: Any) -> Decision:
    actions.claim(case, actor=robin)
    case.refresh_from_db()
    decision = actions.decide(case, actor=robin, **verdict(case, **changes))
    actions.send_now(decision, actor=robin)
    assert actions.publish_decision(decision)
    decision.refresh_from_db()
    return decision
