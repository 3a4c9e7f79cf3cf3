"""The delivery log and the endpoints, through their pages."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client

from accounts.models import User
from core.models import AuditEntry
from moderation import delivery_jobs
from moderation.models import Delivery, EndpointBreaker, Enforcement, WebhookEndpoint
from tests.casework import Casework, grant_all
from tests.cast import signed_in
from tests.moderation.receiver import Receiver

pytestmark = pytest.mark.django_db


@pytest.fixture
def lead(lead: User) -> User:
    """Return the lead with the grants for every case."""
    return grant_all(lead)


@pytest.fixture
def enforcement(casework: Casework, granted: Callable[[User], User], reviewer: User) -> Enforcement:
    decision = casework.published(casework.case("secret-account"), by=granted(reviewer))
    return decision.enforcements.get()


def new_endpoint(client: Client, receiver: Receiver, **said: Any) -> str:
    """Configure the receiver through the form, let the sweep run, and return the secret."""
    answer = client.post("/webhooks/new/", {"name": "Platform", "url": receiver.url} | said)
    found = re.search(r"whsec_[A-Za-z0-9+/=]{44}", answer.content.decode())
    assert found, answer.content.decode()
    delivery_jobs.sweep_deliveries()
    return found[0]


def test_an_endpoint_is_configured_tested_and_told(
    admin_client: Client, receiver: Receiver, enforcement: Enforcement
) -> None:
    assert "No endpoint yet" in admin_client.get("/webhooks/").content.decode()
    assert "No endpoint configured" in admin_client.get("/deliveries/").content.decode()
    receiver.secret = new_endpoint(admin_client, receiver)
    page = admin_client.get("/webhooks/").content.decode()
    assert receiver.secret not in page
    endpoint = WebhookEndpoint.objects.get()
    answer = admin_client.post(f"/webhooks/{endpoint.pk}/test/", follow=True)
    assert "answered 204" in answer.content.decode()
    said = receiver.messages[0]
    assert (said["type"], said["data"]) == ("test", {})
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", said["timestamp"])
    delivery_jobs.send_due()
    assert receiver.messages[1]["type"] == "enforcement.ban_account"
    assert not AuditEntry.objects.filter(line__contains=receiver.secret[6:]).exists()


def test_the_log_shows_no_more_than_the_case_number(
    admin_client: Client, receiver: Receiver, enforcement: Enforcement
) -> None:
    receiver.secret = new_endpoint(admin_client, receiver)
    delivery_jobs.send_due()
    case = enforcement.decision.case
    for address in ("/deliveries/", f"/deliveries/{Delivery.objects.get().pk}/"):
        page = admin_client.get(address).content.decode()
        assert str(case) in page
        assert "Delivered" in page
        assert "secret-account" not in page
        assert enforcement.decision.reason not in page
        assert f"/cases/{case.pk}/" not in page
    assert "Send again" not in page


def test_a_lead_filters_and_sends_again(
    client: Client, lead: User, admin: User, receiver: Receiver, enforcement: Enforcement
) -> None:
    receiver.secret = new_endpoint(signed_in(Client(), admin), receiver)
    receiver.status = 500
    delivery_jobs.send_due()
    Delivery.objects.update(give_up_at=Now(), locked_until=None)
    delivery_jobs.sweep_deliveries()
    signed_in(client, lead)
    delivery = Delivery.objects.get()

    def listed(**query: str) -> bool:
        page = client.get("/deliveries/", query).content.decode()
        return f"/deliveries/{delivery.pk}/" in page

    assert listed(state="failed", verb="ban_account", endpoint=str(delivery.endpoint_id))
    assert not listed(state="delivered")
    assert not listed(state="made up")
    assert not listed(verb="warn")
    page = client.get(f"/deliveries/{delivery.pk}/").content.decode()
    assert "The platform did not take this order" in page
    assert "Send again" in page
    receiver.status = 204
    assert client.post(f"/deliveries/{delivery.pk}/replay/").status_code == 302
    delivery_jobs.send_due()
    assert "Sent again by a person" in client.get(f"/deliveries/{delivery.pk}/").content.decode()
    assert receiver.ids == [str(delivery.pk)] * 2


def test_an_administrator_may_look_but_not_send_again(
    admin_client: Client, receiver: Receiver, enforcement: Enforcement
) -> None:
    new_endpoint(admin_client, receiver)
    delivery = Delivery.objects.get()
    assert admin_client.post(f"/deliveries/{delivery.pk}/replay/").status_code == 403


def test_a_secret_is_rotated_on_its_page(admin_client: Client, receiver: Receiver) -> None:
    old = new_endpoint(admin_client, receiver)
    endpoint = WebhookEndpoint.objects.get()
    page = admin_client.post(f"/webhooks/{endpoint.pk}/rotate/").content.decode()
    found = re.search(r"whsec_[A-Za-z0-9+/=]{44}", page)
    assert found
    assert found[0] != old
    assert "Two secrets" in admin_client.get("/webhooks/").content.decode()


def test_an_endpoint_is_paused_and_mistakes_are_said(
    admin_client: Client, receiver: Receiver, settings: Any
) -> None:
    new_endpoint(admin_client, receiver)
    endpoint = WebhookEndpoint.objects.get()
    address = f"/webhooks/{endpoint.pk}/"
    assert admin_client.post(address, {"name": "P", "url": receiver.url}).status_code == 302
    assert "Paused" in admin_client.get("/webhooks/").content.decode()
    settings.HOLDFAST_WEBHOOK_ALLOW_PRIVATE = False
    answer = admin_client.post(address, {"name": "P", "url": "https://192.168.1.1/"})
    assert answer.status_code == 422
    assert "private" in answer.content.decode()


def test_a_test_that_fails_says_why(admin_client: Client, receiver: Receiver) -> None:
    new_endpoint(admin_client, receiver)
    receiver.close()
    endpoint = WebhookEndpoint.objects.get()
    answer = admin_client.post(f"/webhooks/{endpoint.pk}/test/", follow=True)
    assert "The test failed: No answer" in answer.content.decode()


def test_the_log_says_that_an_endpoint_is_held_back(
    admin_client: Client, receiver: Receiver, enforcement: Enforcement
) -> None:
    """Else somebody looks for a worker that is missing."""
    new_endpoint(admin_client, receiver)
    delivery = Delivery.objects.get()
    places = ("/deliveries/", f"/deliveries/{delivery.pk}/")
    for place in places:
        page = admin_client.get(place).content.decode()
        assert "as soon as a worker is free" in page
        assert "Held back" not in page
    EndpointBreaker.objects.update_or_create(
        endpoint=WebhookEndpoint.objects.get(),
        defaults={"failures": 5, "open_until": Now() + timedelta(minutes=5)},
    )
    for place in places:
        page = admin_client.get(place).content.decode()
        assert "as soon as a worker is free" not in page
        assert "follows when the endpoint answers again" in page
        assert "Held back" in page
