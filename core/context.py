"""Who is asking, from where: set once per request or job, read by the audit log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.http import HttpRequest

VERSION = "0.1.0"


@dataclass(frozen=True, slots=True)
class RequestContext:
    """Where a piece of work comes from. ``job`` names the background job, if it is one."""

    request_id: str = field(default_factory=lambda: uuid4().hex)
    ip: str = ""
    user_agent: str = ""
    job: str = ""


_current: ContextVar[RequestContext | None] = ContextVar("holdfast_request_context", default=None)


def current() -> RequestContext:
    """Return the context of this request or job; an empty one outside of both."""
    return _current.get() or RequestContext(request_id="")


@contextmanager
def working_for(context: RequestContext) -> Iterator[RequestContext]:
    """Make ``context`` the current one inside the block."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


def environment(request: HttpRequest) -> dict[str, Any]:
    """Context processor: what every page may say about this installation."""
    from core.errors import in_words

    return {
        "holdfast": {
            "organisation": settings.HOLDFAST_ORGANISATION,
            "version": VERSION,
            "sample": settings.HOLDFAST_SAMPLE,
            "max_upload_bytes": settings.HOLDFAST_MAX_UPLOAD_BYTES,
            "max_upload_words": in_words(settings.HOLDFAST_MAX_UPLOAD_BYTES),
            "idle_minutes": settings.HOLDFAST_IDLE_MINUTES,
        },
        "is_sample": settings.HOLDFAST_SAMPLE,
        "request_id": current().request_id,
    }
