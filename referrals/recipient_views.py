"""Agencies and their public keys."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import person_of, requires
from accounts.permissions import Permission
from core.errors import Invalid
from referrals import access, actions
from referrals.forms import ConfirmKeyForm, KeysForm, NewRecipientForm, RecipientForm
from referrals.models import Recipient


@requires(Permission.REFERRALS_VIEW)
@require_safe
def listing(request: HttpRequest) -> HttpResponse:
    """All agencies."""
    recipients = access.recipients_for(person_of(request))
    return render(request, "referrals/recipients.html", {"recipients": recipients})


@requires(Permission.RECIPIENTS_MANAGE, recent_login=True)
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Add an agency."""
    form = NewRecipientForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            recipient = actions.create_recipient(**form.cleaned_data, actor=person_of(request))
        except Invalid as invalid:
            _add_errors(form, invalid)
        else:
            messages.success(request, f"{recipient} was added.")
            return redirect("referrals:recipient", recipient.pk)
    return _page(request, form, None)


@requires(Permission.RECIPIENTS_MANAGE, recent_login=True)
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, recipient_id: uuid.UUID) -> HttpResponse:
    """Change an agency's details; see its keys."""
    recipient = access.get_recipient_for(person_of(request), recipient_id)
    form = RecipientForm(request.POST or None, initial=_details_of(recipient))
    if request.method == "POST" and form.is_valid():
        try:
            counted = recipient.confirmed_keys.exists()
            actions.change_recipient(recipient, **form.cleaned_data, actor=person_of(request))
        except Invalid as invalid:
            _add_errors(form, invalid)
        else:
            if counted and not recipient.confirmed_keys.exists():
                messages.warning(
                    request,
                    "The agency was changed. Its public keys wait for a second person who confirms them again.",
                )
                return redirect("referrals:recipient", recipient.pk)
            messages.success(request, f"{recipient.name} was changed.")
            return redirect("referrals:recipients")
    return _page(request, form, recipient)


@requires(Permission.RECIPIENTS_MANAGE, recent_login=True)
@require_POST
def add_keys(request: HttpRequest, recipient_id: uuid.UUID) -> HttpResponse:
    """Put in public keys; a second person confirms each."""
    recipient = access.get_recipient_for(person_of(request), recipient_id)
    form = KeysForm(request.POST)
    if form.is_valid():
        try:
            entered = actions.enter_keys(recipient, **form.cleaned_data, actor=person_of(request))
        except Invalid as invalid:
            _add_errors(form, invalid)
        else:
            what = "The key was" if len(entered) == 1 else f"{len(entered)} keys were"
            messages.success(request, f"{what} entered. A second person confirms by telephone.")
            return redirect("referrals:recipient", recipient.pk)
    return _page(request, RecipientForm(initial=_details_of(recipient)), recipient, keys_form=form)


@requires(Permission.RECIPIENTS_MANAGE, recent_login=True)
@require_http_methods(["GET", "HEAD", "POST"])
def confirm_key(request: HttpRequest, recipient_id: uuid.UUID, key_id: uuid.UUID) -> HttpResponse:
    """Confirm a key that somebody else entered, with the fingerprint that the agency read out."""
    key = access.get_key_for(person_of(request), recipient_id, key_id)
    form = ConfirmKeyForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            actions.confirm_key(key, **form.cleaned_data, actor=person_of(request))
        except Invalid as invalid:
            _add_errors(form, invalid)
        else:
            messages.success(
                request, f"The key was confirmed. Packages for {key.recipient} use it."
            )
            return redirect("referrals:recipient", recipient_id)
    return render(
        request,
        "referrals/confirm_key.html",
        {"key": key, "form": form, "is_own": key.entered_by_id == person_of(request).pk},
        status=422 if request.method == "POST" else 200,
    )


@requires(Permission.RECIPIENTS_MANAGE, recent_login=True)
@require_POST
def withdraw_key(request: HttpRequest, recipient_id: uuid.UUID, key_id: uuid.UUID) -> HttpResponse:
    """Take a key away."""
    key = access.get_key_for(person_of(request), recipient_id, key_id)
    actions.withdraw_key(key, actor=person_of(request))
    messages.info(request, "The key was withdrawn. No package is encrypted to it any more.")
    return redirect("referrals:recipient", recipient_id)


def _details_of(recipient: Recipient) -> dict[str, Any]:
    return {name: getattr(recipient, name) for name in RecipientForm.base_fields}


def _add_errors(form: Form, invalid: Invalid) -> None:
    for field, sentences in invalid.errors.items():
        form.add_error(field or None, sentences)


def _page(
    request: HttpRequest,
    form: RecipientForm,
    recipient: Recipient | None,
    *,
    keys_form: KeysForm | None = None,
) -> HttpResponse:
    return render(
        request,
        "referrals/recipient.html",
        {
            "form": form,
            "recipient": recipient,
            "keys": access.keys_of(recipient) if recipient else [],
            "keys_form": keys_form or KeysForm(),
            "person": person_of(request),
        },
        status=422 if request.method == "POST" else 200,
    )
