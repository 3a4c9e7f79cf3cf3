"""What a key may ask about itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from reports.answers import Problem, instant
from reports.door import SourceKey
from reports.models import ApiKey

router = Router(tags=["Key"])


class SourceAnswer(Schema):
    """The source that a key belongs to."""

    name: str
    slug: str
    kind: str = Field(description="platform, trusted_flagger, user_reports, proactive_scan, …")
    is_own_platform: bool = Field(
        description="Speaks for the platform itself and may describe accounts and groups."
    )


class RateAnswer(Schema):
    """How often this key may ask, over a sliding minute. What is left is not known while nothing can be counted."""

    limit: int = Field(description="Requests a minute.")
    remaining: int | None = Field(description="Requests left, this one counted.")
    reset_seconds: int | None = Field(description="Seconds until the window ends.")


class KeyAnswer(Schema):
    """What a key is and may do."""

    prefix: str = Field(description="The beginning of the key, which is no secret and names it.")
    name: str
    mode: str = Field(
        description="`live`: what it sends is worked on. `test`: it goes to practice."
    )
    scopes: list[str]
    source: SourceAnswer
    rate: RateAnswer
    created_at: datetime
    ends_at: datetime | None = Field(
        description="When it stops working, also in the header `Sunset` of every answer; null: until it is revoked."
    )
    has_successor: bool = Field(
        description="It was rotated: another key stands in its place, and this one ends."
    )


@router.get(
    "/key",
    auth=SourceKey(),
    response={200: KeyAnswer, 401: Problem, 403: Problem, 429: Problem, 503: Problem},
    operation_id="read_key",
    summary="Read what this key is",
)
def get_key(request: HttpRequest) -> Any:
    """Tell what the key of this request is, may do and has left. Any key may ask.

    Ask when your sender starts: a missing scope, a test key in the live system or a key about to end then shows
    before the first report.
    """
    key: ApiKey = request.auth  # type: ignore[attr-defined]
    source = key.source.practice_of or key.source
    rate = getattr(request, "rate", None)
    return {
        "prefix": key.beginning,
        "name": key.name,
        "mode": "test" if key.source.is_practice else "live",
        "scopes": list(key.scopes),
        "source": {
            "name": source.name,
            "slug": source.slug,
            "kind": source.kind,
            "is_own_platform": source.is_own_platform,
        },
        "rate": {
            "limit": key.rate_per_minute,
            "remaining": rate.remaining if rate else None,
            "reset_seconds": rate.reset if rate else None,
        },
        "created_at": instant(key.created_at),
        "ends_at": instant(key.expires_at) if key.expires_at else None,
        "has_successor": key.replaced_by_id is not None,
    }
