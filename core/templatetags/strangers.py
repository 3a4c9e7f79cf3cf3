"""Filters for what strangers wrote. Every page has them (``builtins`` of the settings)."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core import foreign

register = template.Library()


@register.filter
def stranger(value: Any) -> SafeString:
    """Return a name or text of a stranger for the middle of a sentence: spelt out and isolated.

    An account or a group is called by its name, with its id behind it when the name holds what does not show. A text
    that is HTML already is isolated as it is.
    """
    if isinstance(value, SafeString):
        return format_html("<bdi>{}</bdi>", value)
    text = str(value)
    own_id = str(getattr(value, "external_id", ""))
    named = format_html("<bdi>{}</bdi>", foreign.spelt(text))
    if own_id and own_id != text and foreign.is_odd(text):
        return format_html("{} (<bdi>{}</bdi>)", named, foreign.spelt(own_id))
    return named


@register.filter
def spelt(value: Any) -> str:
    """Return it for a place that holds plain text alone (a title, an option, an attribute): spelt out."""
    text = str(value)
    own_id = str(getattr(value, "external_id", ""))
    if own_id and own_id != text and foreign.is_odd(text):
        return f"{foreign.spelt(text)} ({foreign.spelt(own_id)})"
    return foreign.spelt(text)


@register.filter
def said(value: Any) -> SafeString:
    """Return a text of a stranger, with its lines, as one isolated block in the text's own direction."""
    lines = foreign.spelt(str(value), lines=True)
    return format_html('<span class="said" dir="auto">{}</span>', lines)
