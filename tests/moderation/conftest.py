"""People at work: a reviewer and a lead with every queue and category, each in a browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from moderation import actions
from moderation.models import Case, Preview
from tests.casework import Casework, grant_all
from tests.cast import signed_in
from tests.pictures import jpeg

Session = Callable[..., Client]


@pytest.fixture
def session_of() -> Session:
    """Return a function that opens a person's session in a client of its own."""

    def opened(person: User, *, second_factor: bool = True, **headers: str) -> Client:
        return signed_in(Client(headers=headers), person, second_factor)

    return opened


@pytest.fixture
def robin(reviewer: User) -> User:
    """Return the reviewer, with every queue and category."""
    return grant_all(reviewer)


@pytest.fixture
def lena(lead: User) -> User:
    """Return the lead, with every queue and category."""
    return grant_all(lead)


@pytest.fixture
def at_work(robin: User, session_of: Session) -> Client:
    """Return the reviewer's browser."""
    return session_of(robin)


@pytest.fixture
def held(casework: Casework, robin: User) -> Case:
    """Return a case with one drawn picture that the reviewer holds."""
    case = casework.case("subject-of-the-case", pictures=[jpeg(7, (96, 64))])
    actions.claim(case, actor=robin)
    return case


@pytest.fixture
def with_preview(held: Case) -> Any:
    """Return the case's item once its preview exists, made by the real job."""
    from moderation.jobs import make_preview

    item = held.case_items.get().item
    make_preview(str(item.blob_id))
    assert Preview.objects.get(blob=item.blob).state == "ready"
    return item
