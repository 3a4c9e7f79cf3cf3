"""Sending a span of deliveries again, for leads: how many, then doing it."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from accounts.access import person_of, requires
from accounts.models import User
from accounts.permissions import Permission
from core.errors import Invalid
from moderation import actions, delivery_access
from moderation.actions import replays
from moderation.forms import add_errors
from moderation.models import DeliveryState
from moderation.views.answers import see

STATES = [(value, DeliveryState(value).label) for value in replays.REPLAYABLE]


class ReplayForm(forms.Form):
    """Which deliveries."""

    since = forms.DateTimeField(
        label="Queued from (UTC)",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"],
    )
    until = forms.DateTimeField(
        label="Until (UTC)",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"],
        help_text="At most 31 days.",
    )
    endpoint: forms.ModelChoiceField[Any] = forms.ModelChoiceField(
        label="Endpoint",
        queryset=None,
        required=False,
        empty_label="All endpoints",
    )
    states = forms.MultipleChoiceField(
        label="Those that are",
        choices=STATES,
        initial=[value for value, _ in STATES],
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["endpoint"].queryset = delivery_access.endpoints_to_replay(user)  # type: ignore[attr-defined]


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.DELIVERIES_REPLAY)
def replay_span(request: HttpRequest) -> HttpResponse:
    """Count the deliveries of a span, and send again those that were counted and no others."""
    user = person_of(request)
    form = ReplayForm(request.POST if request.method == "POST" else None, user=user)
    context: dict[str, Any] = {"form": form, "replays": delivery_access.replays_for(user)[:10]}
    if request.method == "POST" and form.is_valid():
        said: dict[str, Any] = form.cleaned_data | {
            name: form.cleaned_data[name].replace(tzinfo=UTC) for name in ("since", "until")
        }
        try:
            count = _count(said)
            counted = f"{_span(said)}: {count}"
            is_send = request.POST.get("then") == "send"
            if is_send and request.POST.get("counted") == counted:
                replay = actions.ask_replay(**said, actor=user)
                messages.success(request, f"{replay.count} are sent again, with the same ids.")
                return see(reverse("moderation:replay_span"))
        except Invalid as invalid:
            add_errors(form, invalid)
        else:
            # Sending what was never counted so is counting: nobody sends more than the button said.
            context |= {"count": count, "counted": counted, "is_changed": is_send}
    is_bad = request.method == "POST" and "count" not in context
    return render(request, "moderation/replays.html", context, status=422 if is_bad else 200)


def _count(said: dict[str, Any]) -> int:
    replays.check_span(**{name: said[name] for name in ("since", "until", "states")})
    return replays.deliveries_in(**said).count()


def _span(said: dict[str, Any]) -> str:
    """Return a span as a text that is the same for the same deliveries."""
    endpoint = said["endpoint"].pk if said["endpoint"] else "all"
    return (
        f"{said['since']:%Y-%m-%dT%H:%M:%S} {said['until']:%Y-%m-%dT%H:%M:%S}"
        f" {endpoint} {' '.join(sorted(said['states']))}"
    )
