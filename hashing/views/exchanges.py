"""Exchanges: what is fetched from whom, and how it goes."""

from __future__ import annotations

import uuid
from pathlib import Path

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import person_of, requires
from accounts.permissions import Permission
from core.errors import Invalid
from hashing import actions, exchange_access, exchanges
from hashing.exchange_forms import ExchangeForm
from hashing.models import ExchangeKind
from hashing.views.lists import add_errors

RUNS_SHOWN = 15
KINDS_IN_WORDS = {
    ExchangeKind.NCMEC: "Digests of pictures and videos, shared among services by the US hotline.",
    ExchangeKind.STOPNCII: "Digests that adults made of intimate pictures of themselves.",
    ExchangeKind.THREATEXCHANGE: "A privacy group of Meta's exchange among services.",
    ExchangeKind.TAT: "Digests of material of designated terrorist organisations.",
    ExchangeKind.HTTPS_JSON: "A list of a partner's own, or of another installation, as pages of JSON.",
    ExchangeKind.FILE: "A file that something else puts on the server; read again when it changes.",
}


@require_safe
@requires(Permission.HASHING_EXCHANGES_VIEW)
def listing(request: HttpRequest) -> HttpResponse:
    """All exchanges, and the kinds that can be set up."""
    context = {
        "exchanges": exchange_access.exchanges_for(person_of(request)),
        "kinds": [(each.value, each.label, KINDS_IN_WORDS[each]) for each in ExchangeKind],
    }
    return render(request, "hashing/exchanges.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_EXCHANGES_MANAGE)
def new(request: HttpRequest, kind: str) -> HttpResponse:
    """Set up an exchange."""
    if kind not in ExchangeKind.values:
        raise Http404
    form = ExchangeForm(request.POST or None, kind=kind, is_new=True)
    if request.method == "POST" and form.is_valid():
        try:
            exchange = actions.create_exchange(
                kind=kind,
                name=form.cleaned_data["name"],
                category=form.cleaned_data["category"],
                values=form.values(),
                every_minutes=form.cleaned_data["every_minutes"],
                actor=person_of(request),
            )
        except Invalid as invalid:
            add_errors(form, invalid)
        else:
            messages.success(request, "It is set up. Test the connection now.")
            return redirect("hashing:exchange", exchange.pk)
    status = 422 if request.method == "POST" else 200
    context = {"form": form, "kind": ExchangeKind(kind), "exchange": None}
    return render(request, "hashing/exchange_form.html", context, status=status)


@require_safe
@requires(Permission.HASHING_EXCHANGES_VIEW)
def detail(request: HttpRequest, exchange_id: uuid.UUID) -> HttpResponse:
    """One exchange: its state, counters and fetches; asks again by itself while it is fetched."""
    exchange = exchange_access.get_exchange_for(person_of(request), exchange_id)
    runs = exchange_access.runs_of(exchange)[:RUNS_SHOWN]
    context = {
        "exchange": exchange,
        "runs": runs,
        "is_moving": exchange.lease is not None,
        "reviews": exchange_access.reviews_of(exchange),
    }
    is_fragment = request.headers.get("HX-Target") == "exchange"
    template = "hashing/_exchange.html" if is_fragment else "hashing/exchange.html"
    return render(request, template, context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_EXCHANGES_MANAGE)
def edit(request: HttpRequest, exchange_id: uuid.UUID) -> HttpResponse:
    """Change settings, secrets and schedule."""
    exchange = exchange_access.get_exchange_for(person_of(request), exchange_id)
    initial = {**exchange.settings, "every_minutes": exchange.every_minutes}
    form = ExchangeForm(request.POST or None, kind=exchange.kind, is_new=False, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            actions.change_exchange(
                exchange,
                values=form.values(),
                every_minutes=form.cleaned_data["every_minutes"],
                actor=person_of(request),
            )
        except Invalid as invalid:
            add_errors(form, invalid)
        else:
            messages.success(request, "The exchange was changed.")
            return redirect("hashing:exchange", exchange.pk)
    status = 422 if request.method == "POST" else 200
    context = {"form": form, "kind": ExchangeKind(exchange.kind), "exchange": exchange}
    return render(request, "hashing/exchange_form.html", context, status=status)


@require_POST
@requires(Permission.HASHING_EXCHANGES_MANAGE)
def switch(request: HttpRequest, exchange_id: uuid.UUID, verb: str) -> HttpResponse:
    """Pause, resume, fetch now, test the connection, or send reviews back or not."""
    person = person_of(request)
    exchange = exchange_access.get_exchange_for(person, exchange_id)
    if verb == "pause":
        actions.pause_exchange(exchange, actor=person)
        messages.success(request, "It is contacted no more. Its list stays as it is.")
    elif verb == "resume":
        actions.resume_exchange(exchange, actor=person)
        messages.success(request, "It is contacted by its schedule again.")
    elif verb == "fetch":
        actions.fetch_now(exchange, actor=person)
        messages.success(request, "A worker fetches what is new.")
    elif verb in {"reviews-on", "reviews-off"}:
        is_on = verb == "reviews-on"
        actions.switch_reviews(exchange, is_on=is_on, actor=person)
        words = "are sent back from now on" if is_on else "stay here from now on"
        messages.success(request, f"What reviewers find of its entries: {words}.")
    elif verb == "reviews-again":
        count = actions.retry_reviews(exchange, actor=person)
        messages.success(request, f"{count} reviews are sent again.")
    elif verb == "test":
        folder = Path(settings.HOLDFAST_EXCHANGE_DIR) if settings.HOLDFAST_EXCHANGE_DIR else None
        try:
            words = exchanges.test(
                exchange.kind,
                actions.exchange_credentials(exchange),
                allow_private=settings.HOLDFAST_EXCHANGE_ALLOW_PRIVATE,
                folder=folder,
            )
            messages.success(request, words)
        except Exception as failed:  # noqa: BLE001 — said in plain words to whoever asked
            words = exchanges.in_words(failed)
            messages.error(request, words)
        actions.record_connection_test(exchange, came_to=words, actor=person)
    else:
        raise Http404
    return redirect("hashing:exchange", exchange.pk)
