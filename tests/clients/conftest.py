"""Where the API answers, and a key for it that may do everything."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.models import User
from core.audit import SYSTEM
from reports import actions
from reports.models import Scope, SourceKind
from tests.casework import grant_all


@pytest.fixture
def way(live_server: Any) -> dict[str, str]:
    """Return address and key as a client's environment has them."""
    source = actions.create_source(
        slug="messenger",
        name="Messenger",
        kind=SourceKind.PLATFORM,
        is_own_platform=True,
        actor=SYSTEM,
    )
    _, key = actions.issue_key(source, scopes=list(Scope.values), actor=SYSTEM)
    return {"HOLDFAST": live_server.url, "HOLDFAST_KEY": key}


@pytest.fixture
def robin(reviewer: User) -> User:
    """Return the reviewer, with every queue and category."""
    return grant_all(reviewer)
