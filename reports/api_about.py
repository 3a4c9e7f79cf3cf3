"""What a key may ask about itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from reports import admission
from reports.answers import Problem, instant
from reports.door import SourceKey
from reports.models import ApiKey, Scope

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


class StageAnswer(Schema):
    """One step that things wait for."""

    stage: str = Field(
        description="`scanning`, `video_scanning`, `routing`, `item_routing`, `decisions` or `deliveries`. More are added."
    )
    means: str
    waiting: int = Field(description="How many wait, counted up to 1,000.")
    is_more: bool = Field(description="More than were counted.")
    oldest_seconds: int | None = Field(
        description="How long the oldest one has waited; null: none waits."
    )
    limit_seconds: int = Field(description="From then on it is late.")
    is_late: bool


class StatusAnswer(Schema):
    """How the installation stands, as of the last seconds."""

    accepting: Literal["yes", "slow", "no"] = Field(
        description="`slow`: everything is taken, and it would help to send less of what can wait. `no`: what adds "
        "work is answered 503 or 429 with `Retry-After`."
    )
    reasons: list[str] = Field(description="Why it is not `yes`, in sentences.")
    stages: list[StageAnswer]


@router.get(
    "/status",
    auth=SourceKey(Scope.STATUS_READ),
    response={200: StatusAnswer, 401: Problem, 403: Problem, 429: Problem, 503: Problem},
    operation_id="read_status",
    summary="Read how busy the installation is",
)
def get_status(request: HttpRequest) -> Any:
    """Tell whether more is taken, and how long the oldest thing has waited at each step.

    Ask before a back-fill and while it runs, not before each report: a report is welcome while `accepting` is `slow`.
    """
    found, measured = admission.condition()
    return {
        "accepting": found.accepting,
        "reasons": list(found.reasons),
        "stages": [
            {
                "stage": each.stage.key,
                "means": each.stage.title,
                "waiting": each.waiting,
                "is_more": each.is_capped,
                "oldest_seconds": int(each.waited.total_seconds())
                if each.waited is not None
                else None,
                "limit_seconds": each.stage.limit_seconds,
                "is_late": each.is_late,
            }
            for each in measured
        ],
    }
