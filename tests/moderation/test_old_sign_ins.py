"""The session in which somebody looked at an original stays known for as long as the look."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from accounts.actions import forget_old_sign_ins
from accounts.models import SignIn
from moderation.models import Case, Reveal
from tests.moderation.test_looking import ask

pytestmark = pytest.mark.django_db


def test_a_sign_in_that_a_look_refers_to_is_never_deleted(
    held: Case, with_preview: Any, at_work: Any
) -> None:
    assert ask(at_work, held).status_code == 200
    looked = Reveal.objects.get().sign_in
    SignIn.objects.create(user=looked.user)
    SignIn.objects.update(
        ended_at=Now() - timedelta(days=400),
        ended_because=SignIn.Ended.IDLE,
    )
    assert forget_old_sign_ins() == 1
    assert SignIn.objects.get() == looked
