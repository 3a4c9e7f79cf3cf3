"""The delivery log and the endpoints that the platform listens on."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import person_of, requires
from accounts.destinations import is_htmx
from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit_events import AuditEvent
from core.errors import Invalid
from moderation import actions, delivery_access, webhooks
from moderation.actions import deliveries
from moderation.endpoint_words import what_it_hears
from moderation.enforcement import body_of, trial_message
from moderation.models import DeliveryState, NoticeKind, Reversal, Verb, WebhookEndpoint

VIEW, REPLAY = Permission.DELIVERIES_VIEW, Permission.DELIVERIES_REPLAY
MANAGE = Permission.WEBHOOKS_MANAGE
ON_A_PAGE = 50
INVALID = 422

STATES = [
    ("", "Any state"),
    *DeliveryState.choices,
    (delivery_access.WAITS_FOR_ENDPOINT, "No endpoint"),
]
VERBS = [(verb, label) for verb, label in Verb.choices if verb in deliveries.SENDABLE]
SENT: list[Any] = [
    ("", "Everything"),
    ("Orders", VERBS),
    ("Taken back", Reversal.choices),
    ("Messages", NoticeKind.choices),
]


class FilterForm(forms.Form):
    """Narrows the log."""

    state = forms.ChoiceField(choices=STATES, required=False)
    verb = forms.ChoiceField(choices=SENT, required=False, label="Order or message")
    endpoint = forms.ChoiceField(required=False)

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["endpoint"].choices = [  # type: ignore[attr-defined]
            ("", "Any endpoint"),
            *delivery_access.endpoint_choices(user),
        ]


class EndpointForm(forms.Form):
    """Where the platform listens."""

    name = forms.CharField(label="Name", max_length=80)
    url = forms.CharField(
        label="Address",
        max_length=1000,
        help_text="https:// on a public host. Redirects are not followed.",
        widget=forms.URLInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    verbs = forms.MultipleChoiceField(
        label="Orders",
        choices=VERBS,
        required=False,
        help_text="For the platform itself. None chosen: all of them, also ones added later.",
        widget=forms.CheckboxSelectMultiple,
    )
    events = forms.MultipleChoiceField(
        label="Messages",
        choices=NoticeKind.choices,
        required=False,
        help_text="None chosen: orders only. A message says what came of a report, as its source is told.",
        widget=forms.CheckboxSelectMultiple,
    )
    source: forms.ModelChoiceField[Any] = forms.ModelChoiceField(
        label="Source",
        queryset=None,
        required=False,
        empty_label="The platform itself",
        help_text="Any other source hears of its own reports only, if a message is chosen, and of no orders.",
    )
    is_active = forms.BooleanField(
        label="Send", required=False, help_text="Off: orders wait until it is switched on again."
    )

    def __init__(self, *args: Any, endpoint: WebhookEndpoint | None = None, **kwargs: Any) -> None:
        if endpoint is not None:
            kwargs["initial"] = {
                name: getattr(endpoint, name)
                for name in ("name", "url", "verbs", "events", "source", "is_active")
            }
        super().__init__(*args, **kwargs)
        self.fields["source"].queryset = delivery_access.listening_sources()  # type: ignore[attr-defined]
        if endpoint is None:
            del self.fields["is_active"]


# ── The log ───────────────────────────────────────────────────────────────────────────────────
@require_safe
@requires(VIEW)
def log(request: HttpRequest) -> HttpResponse:
    """List what the platform was told and what it answered."""
    user = person_of(request)
    form = FilterForm(request.GET, user=user)
    wanted = form.cleaned_data if form.is_valid() else {"state": "none"}
    found = delivery_access.deliveries_for(user, **wanted)
    audit.record_apart(AuditEvent.DELIVERIES_VIEWED, actor=user, **wanted)
    context = {
        "filter_form": form,
        "page": Paginator(found, ON_A_PAGE).get_page(request.GET.get("page")),
        "waits_for_endpoint": delivery_access.deliveries_for(
            user, state=delivery_access.WAITS_FOR_ENDPOINT
        ).count(),
    }
    page = "moderation/_deliveries.html" if is_htmx(request) else "moderation/deliveries.html"
    return render(request, page, context)


@require_safe
@requires(VIEW)
def delivery(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Show one delivery with its attempts."""
    user = person_of(request)
    found = delivery_access.get_delivery_for(user, id)
    audit.record_apart(AuditEvent.DELIVERIES_VIEWED, actor=user, subject=found)
    context = {"delivery": found, "attempts": found.attempts.order_by("-pk")}
    return render(request, "moderation/delivery.html", context)


@require_POST
@requires(REPLAY)
def replay(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Send a delivery again."""
    user = person_of(request)
    found = actions.replay_delivery(delivery_access.get_delivery_for(user, id), actor=user)
    messages.success(request, "It is sent again with the same id, in a moment.")
    return redirect("moderation:delivery", found.pk)


# ── Endpoints ─────────────────────────────────────────────────────────────────────────────────
@require_safe
@requires(MANAGE)
def endpoints(request: HttpRequest) -> HttpResponse:
    """List the endpoints, and say how a message is checked."""
    user = person_of(request)
    audit.record_apart(AuditEvent.WEBHOOK_VIEWED, actor=user)
    rows = [(row, what_it_hears(row)) for row in delivery_access.endpoints_for(user)]
    context = {"endpoints": rows}
    return render(request, "moderation/delivery_endpoints.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(MANAGE, recent_login=True)
def endpoint_new(request: HttpRequest) -> HttpResponse:
    """Configure an endpoint and show its secret, once."""
    form = EndpointForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            made, secret = actions.create_endpoint(**form.cleaned_data, actor=person_of(request))
        except Invalid as invalid:
            _add_errors(form, invalid)
        else:
            return _secret_page(request, made, secret)
    return _form_page(request, form, None)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(MANAGE, recent_login=True)
def endpoint(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Change, pause or resume an endpoint."""
    user = person_of(request)
    found = delivery_access.get_endpoint_for(user, id)
    form = EndpointForm(request.POST if request.method == "POST" else None, endpoint=found)
    if request.method == "POST" and form.is_valid():
        try:
            actions.change_endpoint(found, **form.cleaned_data, actor=user)
        except Invalid as invalid:
            _add_errors(form, invalid)
        else:
            messages.success(request, "Saved.")
            return redirect("moderation:webhooks")
    return _form_page(request, form, found)


@require_POST
@requires(MANAGE, recent_login=True)
def endpoint_rotate(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Give an endpoint a new secret and show it, once."""
    user = person_of(request)
    found = delivery_access.get_endpoint_for(user, id)
    found, secret = actions.rotate_secret(found, actor=user)
    return _secret_page(request, found, secret, is_rotation=True)


@require_POST
@requires(MANAGE)
def endpoint_test(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Send a test message now and say what came back. It orders nothing."""
    user = person_of(request)
    found = delivery_access.get_endpoint_for(user, id)
    body = body_of(trial_message(timezone.now()))
    answer = webhooks.send(
        found.url,
        message_id=f"test-{uuid.uuid4()}",
        body=body,
        signing_secrets=deliveries.secrets_of(found),
    )
    actions.record_test(found, answer=answer, actor=user)
    said = f"{found.name} answered {answer.status}" if answer.status else answer.error
    if answer.status and 200 <= answer.status < 300:
        messages.success(request, f"{said} in {answer.duration_ms} ms.")
    else:
        messages.error(request, f"The test failed: {said}")
    return redirect("moderation:webhooks")


def _add_errors(form: forms.Form, invalid: Invalid) -> None:
    for name, sentences in invalid.errors.items():
        for sentence in sentences:
            form.add_error(name if name in form.fields else None, sentence)


def _form_page(
    request: HttpRequest, form: EndpointForm, found: WebhookEndpoint | None
) -> HttpResponse:
    status = INVALID if request.method == "POST" else 200
    context = {"form": form, "endpoint": found}
    return render(request, "moderation/delivery_endpoint.html", context, status=status)


def _secret_page(
    request: HttpRequest, found: WebhookEndpoint, secret: str, *, is_rotation: bool = False
) -> HttpResponse:
    context = {"endpoint": found, "secret": secret, "is_rotation": is_rotation}
    return render(request, "moderation/delivery_secret.html", context)
