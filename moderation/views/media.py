"""Previews, masked texts and originals. Bytes of an original leave only through ``original``."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import TypeVar

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.access import person_of, requires, sign_in_of
from accounts.models import User
from accounts.permissions import Permission
from core import context, vault
from core.errors import Refused
from core.media_types import sniff
from moderation import access, actions, conversations, evidence
from moderation.forms import RevealForm, ShownForm, checked
from moderation.looks import looks_at
from moderation.models import Reveal
from moderation.viewing import seen_in_words

Answer = TypeVar("Answer", bound=HttpResponseBase)
SANDBOX = "default-src 'none'; sandbox"
PREVIEW_LIMIT = 4 * 1024 * 1024


@require_safe
@requires(Permission.MEDIA_PREVIEW)
def preview(request: HttpRequest, id: uuid.UUID, item_id: uuid.UUID) -> HttpResponse:
    """Serve the safe rendition of an item's media, never the original."""
    user = person_of(request)
    case_item = access.get_case_item_for(user, id, item_id)
    made = access.rendition_of(case_item)
    if made is None or made.rendition is None:
        raise Http404
    picture = vault.read(made.rendition, PREVIEW_LIMIT)
    made_as = sniff(picture)
    if made_as is None or not made_as.inline.startswith("image/"):
        raise Http404
    actions.record_preview_served(
        case_item.case, case_item.item, page_view=request.GET.get("view", ""), actor=user
    )
    response = HttpResponse(picture, content_type=made_as.inline)
    return _guard(response, f"preview.{made_as.ending}")


@require_safe
@requires(Permission.MEDIA_PREVIEW)
def text(request: HttpRequest, id: uuid.UUID, item_id: uuid.UUID) -> HttpResponse:
    """Uncover a text or caption that stood masked, with what matched marked."""
    user = person_of(request)
    case_item = access.get_case_item_for(user, id, item_id)
    item = case_item.item
    if not item.text:
        raise Http404
    actions.record_text_shown(case_item.case, item, actor=user)
    flags = evidence.flags_of(item)
    context = {
        # The same words may stand on the card and in the conversation.
        "name": "said" if request.GET.get("in") == "conversation" else "text",
        "card_id": str(item.pk),
        "pieces": evidence.pieces(item.text, evidence.spans_of(flags)),
        "takes_focus": True,  # It stands in the place of the link that was followed.
    }
    return render(request, "moderation/_text.html", context)


@require_safe
@requires(Permission.MEDIA_PREVIEW)
def conversation(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Uncover the texts of a stretch of a conversation, from one message to another (fragment)."""
    user = person_of(request)
    case = access.get_case_for(user, id)
    first, last = request.GET.get("from", ""), request.GET.get("to", "")
    stretch = conversations.uncovered(case, user, first=first, last=last)
    if stretch is None:
        raise Http404
    actions.record_texts_shown(case, stretch.uncovered, actor=user)
    return render(
        request, "moderation/_conversation_lines.html", {"case": case, "stretch": stretch}
    )


@require_POST
@requires(Permission.MEDIA_REVEAL)
def reveal(request: HttpRequest, id: uuid.UUID, item_id: uuid.UUID) -> HttpResponse:
    """Answer a stated purpose with the one-time address of an original (JSON)."""
    user = person_of(request)
    case_item = access.get_case_item_for(user, id, item_id)
    purpose = checked(RevealForm(request.POST))["purpose"]
    issued = actions.reveal_media(
        case_item.case,
        case_item.item,
        purpose=purpose,
        sign_in=sign_in_of(request),
        actor=user,
    )
    return JsonResponse(
        {
            "reveal": str(issued.reveal.pk),
            "url": reverse("moderation:original", kwargs={"token": issued.token}),
            "expires": issued.reveal.expires_at.isoformat(),
            "close_url": reverse("moderation:reveal_close", kwargs={"id": issued.reveal.pk}),
        }
    )


@require_safe
@requires(Permission.MEDIA_REVEAL)
def original(request: HttpRequest, token: str) -> HttpResponse | StreamingHttpResponse:
    """Stream an original once. The address is spent before the first byte is read."""
    user = person_of(request)
    used = actions.redeem_reveal(token, sign_in=sign_in_of(request), actor=user)
    blob = used.item.blob
    if blob is None:
        raise Refused("A text has no original to reveal.", "no_media")
    chunks = iter(vault.iter_chunks(blob))
    head = next(chunks, b"")  # Damage shows here, before an answer has begun.
    found = sniff(head)
    if found is None or not found.inline:
        raise Refused("This kind of file cannot be shown safely in a browser.", "unsafe_kind")
    # The answer is sent after the request's context has ended; its record belongs to the request.
    counted = _counted(used, head, chunks, user, context.current())
    response = StreamingHttpResponse(counted, content_type=found.inline)
    response["Content-Length"] = str(blob.size)
    return _guard(response, f"original.{found.ending}")


@require_POST
@requires(Permission.MEDIA_REVEAL)
def reveal_close(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """Take note of what was painted of an original; answer with the words that now hold for it (JSON)."""
    user = person_of(request)
    found = access.get_reveal_for(user, id)
    said = checked(ShownForm(request.POST))
    measured = actions.Painted(said["painted"], said["played"], said["film"] or 0)
    closed = actions.finish_reveal(
        found, shown_ms=said["milliseconds"], measured=measured, actor=user
    )
    looks = looks_at(closed.case, [closed.item.blob_id]).get(closed.item.blob_id, [])
    return JsonResponse(
        {"viewed": evidence.level_of(looks), "words": seen_in_words(looks, you=user.pseudonym)}
    )


def _counted(
    used: Reveal,
    head: bytes,
    rest: Iterator[bytes],
    user: User,
    where: context.RequestContext,
) -> Iterator[bytes]:
    """Yield the chunks and record what was sent, also when the browser goes away half-way.

    A chunk counts when the server asked for the next one: the one in flight when a connection breaks
    is not known to have arrived.
    """
    sent = 0
    try:
        yield head
        sent += len(head)
        for chunk in rest:
            yield chunk
            sent += len(chunk)
    finally:
        with context.working_for(where):
            actions.record_served(used, sent=sent, actor=user)


def _guard(response: Answer, name: str) -> Answer:
    response["Cache-Control"] = "no-store, private"
    response["Content-Disposition"] = f'inline; filename="{name}"'
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = SANDBOX
    response["Referrer-Policy"] = "no-referrer"
    return response
