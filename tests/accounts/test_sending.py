"""Files are taken only from people who may use the page they are sent to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse

from accounts.access import requires
from accounts.models import SignIn, User
from accounts.permissions import Permission
from accounts.sending import may_upload
from core.models import Blob
from tests.cast import signed_in

pytestmark = pytest.mark.django_db


def request_to(view: Any, user: Any, *, second_factor: bool = True) -> Any:
    request: Any = RequestFactory().post("/")
    request.user = user
    request.sign_in = SignIn(user=user)
    request.sign_in.second_factor_at = request.sign_in.started_at = 1 if second_factor else None
    request.resolver_match = SimpleNamespace(func=view)
    return request


def guarded(permission: Permission) -> Any:
    return requires(permission)(lambda request: HttpResponse())


def test_the_permission_of_the_page_decides(reviewer: User, auditor: User) -> None:
    view = guarded(Permission.REPORTS_CREATE)
    assert may_upload(request_to(view, reviewer))
    assert not may_upload(request_to(view, auditor))


def test_a_page_without_a_permission_takes_no_files(reviewer: User) -> None:
    assert not may_upload(request_to(lambda request: None, reviewer))


def test_a_page_behind_the_second_factor_wants_it_before_the_file(policy_admin: User) -> None:
    view = guarded(Permission.HASHING_LISTS_EDIT)
    assert may_upload(request_to(view, policy_admin))
    assert not may_upload(request_to(view, policy_admin, second_factor=False))


def test_a_session_that_ended_sends_nothing(reviewer: User) -> None:
    request = request_to(guarded(Permission.REPORTS_CREATE), reviewer)
    request.sign_in = None
    assert not may_upload(request)


def test_somebody_signed_in_cannot_fill_the_vault_through_another_page(
    client: Client, auditor: User
) -> None:
    signed_in(client, auditor)
    address = reverse("accounts:theme")
    answer = client.post(address, {"files": SimpleUploadedFile("a.png", b"x" * 1000)})
    assert answer.status_code == 403
    assert not Blob.objects.exists()


def test_nobody_fills_the_vault_through_the_sign_in_page(client: Client) -> None:
    address = reverse("accounts:sign_in")
    answer = client.post(address, {"email": SimpleUploadedFile("a.png", b"x" * 1000)})
    assert answer.status_code == 403
    assert not Blob.objects.exists()
