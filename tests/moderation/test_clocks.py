"""A database clock that is put back an hour: nothing waits an hour for it, and no lease lasts one longer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.db.models.functions import Now

from accounts.models import User
from hashing.actions import pull_back_due_times as pull_back_detection
from hashing.jobs import sweep_clocks as sweep_hashing
from moderation import actions
from moderation.actions.clocks import pull_back_due_times
from moderation.jobs import sweep_clocks as sweep_moderation
from moderation.models import (
    Claim,
    Decision,
    EndpointBreaker,
    Preview,
    Skip,
    WebhookEndpoint,
)
from reports.models import Item
from tests.casework import Casework, grant_all

pytestmark = pytest.mark.django_db
AN_HOUR = timedelta(hours=1)


def ahead(row: Any, field: str) -> timedelta:
    found: timedelta = type(row).objects.annotate(left=F(field) - Now()).get(pk=row.pk).left
    return found


def test_what_was_due_before_the_jump_is_due_after_it(casework: Casework, reviewer: User) -> None:
    grant_all(reviewer)
    item = casework.report("invented-1", texts=["an invented sentence"]).items.get()
    case = casework.case("invented-2")
    decision = casework.decided(case, by=reviewer)
    preview = Preview.objects.get()
    claim = Claim.objects.get(case=case)
    # The clock goes back: every time that was written lies an hour ahead.
    Item.objects.filter(pk=item.pk).update(scan_due_at=F("scan_due_at") + AN_HOUR)
    Decision.objects.update(publish_at=F("publish_at") + AN_HOUR)
    Claim.objects.update(expires_at=F("expires_at") + AN_HOUR)
    Preview.objects.update(state="waiting", attempts=0, due_at=F("due_at") + AN_HOUR)
    assert not actions.previews.waiting_previews().exists()

    assert sweep_hashing() == 1
    assert sweep_moderation() == 3

    assert ahead(item, "scan_due_at") <= timedelta()
    assert ahead(preview, "due_at") <= timedelta()
    assert timedelta(seconds=30) < ahead(decision, "publish_at") <= timedelta(seconds=60)
    assert timedelta(minutes=5) < ahead(claim, "expires_at") <= timedelta(minutes=10)


def test_a_receiver_is_tried_again_and_a_case_comes_back_in_their_own_time(
    casework: Casework, reviewer: User
) -> None:
    grant_all(reviewer)
    endpoint = WebhookEndpoint.objects.create(
        name="invented", url="https://platform.example/hooks", sealed_secret=b""
    )
    held = EndpointBreaker.objects.create(
        endpoint=endpoint, openings=9, open_until=Now() + timedelta(minutes=5)
    )
    claim = actions.claim(casework.case("invented-1"), actor=reviewer)
    skip = actions.release_claim(claim, reason="An invented reason", actor=reviewer)
    assert pull_back_due_times() == 0
    EndpointBreaker.objects.update(open_until=F("open_until") + AN_HOUR)
    Skip.objects.update(until=F("until") + AN_HOUR)
    assert pull_back_due_times() == 2
    assert ahead(held, "open_until") <= timedelta()
    assert timedelta() < ahead(skip, "until") < AN_HOUR


def test_times_that_code_sets_are_left_alone(casework: Casework, reviewer: User) -> None:
    grant_all(reviewer)
    item = casework.report("invented-1", texts=["an invented sentence"]).items.get()
    casework.decided(casework.case("invented-2"), by=reviewer)
    from hashing.actions import begin_scan

    for _ in range(4):  # Taken up and never ended, as often as may be.
        Item.objects.filter(pk=item.pk).update(scan_due_at=Now())
        assert begin_scan(item) is not None
        assert pull_back_detection() == 0
    assert pull_back_due_times() == 0
