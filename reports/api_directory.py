"""The machine door of the directory: the platform describes its accounts and groups, and reads back what is kept."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema
from pydantic import Field

from reports import access, directory_access
from reports.actions import Known, describe_account, describe_group, upsert_memberships
from reports.answers import DirectoryAnswer, MembersAnswer, Problem, instant
from reports.door import SourceKey, check_parameters, digest, external_id, once, read_json
from reports.listing import cursor_of, number_of
from reports.models import Account, ApiKey, Group, Scope
from reports.payloads import AccountPayload, GroupPayload, MembersPayload, Shape
from reports.practice import said
from reports.reference import IDEMPOTENCY_PARAMETER, body_of, examples

router = Router(tags=["Directory"])

_ALWAYS = {401: Problem, 403: Problem, 429: Problem, 503: Problem}
_PUT = _ALWAYS | {400: Problem, 409: Problem, 413: Problem, 415: Problem, 422: Problem}
_READ = _ALWAYS | {404: Problem, 422: Problem}
_READER = SourceKey(Scope.DIRECTORY_READ, Scope.DIRECTORY_WRITE, adds=False)


class FactAnswer(Schema):
    """A value of one field, who told it and when."""

    value: str | int | None
    source: str = Field(description="The source that told it; empty: told before this was kept.")
    at: datetime | None = Field(description="Since when it is so, as it was told (`as_of`).")
    confirmed_at: datetime | None = Field(
        description="As of when the same was told again, with `as_of`."
    )


class EarlierAnswer(Schema):
    """What a name said before."""

    field: str
    value: str
    since: datetime | None = Field(serialization_alias="from")
    until: datetime


class IdentifierAnswer(Schema):
    """A phone number, e-mail address, device or profile address, and who told it first."""

    kind: str
    value: str
    detail: dict[str, Any]
    verified: bool | None
    first_seen_at: datetime | None
    last_seen_at: datetime | None
    source: str
    told_at: datetime


class SubjectAnswer(Schema):
    """What is kept of a group, or of an account."""

    id: uuid.UUID
    external_id: str
    first_seen_at: datetime
    updated_at: datetime
    fields: dict[str, FactAnswer] = Field(description="Fields that have a value.")
    earlier: list[EarlierAnswer] = Field(description="Names that it had before, oldest first.")


class AccountAnswer(SubjectAnswer):
    """What is kept of an account."""

    identifiers: list[IdentifierAnswer] = Field(description="At most 1,000.")
    ip_events: int = Field(description="How many uses of IP addresses are kept.")


class MemberAnswer(Schema):
    """One stay of an account in a group."""

    account: str
    role: str
    joined_at: datetime | None
    left_at: datetime | None
    source: str
    as_of: datetime | None


class MembersPage(Schema):
    """A page of stays in a group. `next_cursor` leads to the next one; null: there is none."""

    members: list[MemberAnswer]
    next_cursor: str | None = None


class MembersQuery(Shape):
    """Which members of a group are asked for."""

    cursor: str | None = Field(None, description="`next_cursor` of the page before.")
    limit: int = Field(500, ge=1, le=1000, description="Stays on a page.")


def _key(request: HttpRequest) -> ApiKey:
    return request.auth  # type: ignore[attr-defined]


def _described(known: Known[Account] | Known[Group]) -> dict[str, Any]:
    return {
        "id": str(known.row.pk),
        "external_id": said(known.row.external_id),
        "updated_at": instant(known.updated_at),
        "unchanged": known.is_unchanged and not known.stale,
        "stale": bool(known.stale),
        "clock_ahead": known.clock_ahead,
    }


@router.put(
    "/accounts/{own_id:account_id}",
    auth=SourceKey(Scope.DIRECTORY_WRITE),
    response={200: DirectoryAnswer} | _PUT,
    operation_id="upsert_account",
    summary="Create or complete an account",
    openapi_extra=body_of(AccountPayload, example=examples.ACCOUNT) | IDEMPOTENCY_PARAMETER,
)
def put_account(request: HttpRequest, account_id: str) -> HttpResponse:
    """Create or complete an account under your own id.

    Members left out stay as they are; `identifiers` and `ip_events` are added to those known. With `as_of` the newest
    telling of each field wins, in whatever order they arrive.
    """
    key = _key(request)
    named, payload = external_id(account_id), read_json(request, AccountPayload)

    def work() -> tuple[int, Any]:
        known = describe_account(key.source, named, payload=payload, actor=access.actor_for(key))
        return 200, _described(known)

    meaning = digest(named, payload.model_dump(mode="json", exclude_unset=True))
    return once(request, "PUT /accounts", meaning, work)


@router.get(
    "/accounts/{own_id:account_id}",
    auth=_READER,
    response={200: AccountAnswer} | _READ,
    operation_id="read_account",
    summary="Read what is kept of an account",
    by_alias=True,
)
def get_account(request: HttpRequest, account_id: str) -> Any:
    """Tell what the platform told of an account: each field with its source and time, and earlier names."""
    return directory_access.account_for(_key(request), external_id(account_id))


@router.put(
    "/groups/{own_id:group_id}/members",
    auth=SourceKey(Scope.DIRECTORY_WRITE),
    response={200: MembersAnswer} | _PUT,
    operation_id="upsert_members",
    summary="Add or change members of a group",
    openapi_extra=body_of(MembersPayload, example=examples.MEMBERS) | IDEMPOTENCY_PARAMETER,
)
def put_members(request: HttpRequest, group_id: str) -> HttpResponse:
    """Add or change members of a group with role and dates. Those not listed stay as they are."""
    key = _key(request)
    named, members = external_id(group_id), read_json(request, MembersPayload)

    def work() -> tuple[int, Any]:
        told = upsert_memberships(key.source, named, members=members, actor=access.actor_for(key))
        return 200, {
            "group": said(named),
            "members": len({member.account for member in members.members}),
            "stale": sum(one.is_stale for one in told),
            "clock_ahead": [
                f"members.{at}.{name}" for at, one in enumerate(told) for name in one.clock_ahead
            ],
        }

    meaning = digest(named, members.model_dump(mode="json", exclude_unset=True))
    return once(request, "PUT /groups/members", meaning, work)


@router.get(
    "/groups/{own_id:group_id}/members",
    auth=_READER,
    response={200: MembersPage} | _READ,
    operation_id="list_members",
    summary="List the members of a group",
)
def get_members(request: HttpRequest, group_id: str, query: Query[MembersQuery]) -> Any:
    """List who is or was in a group, a row for each stay, in the order in which they were first told."""
    check_parameters(request, MembersQuery)
    after = number_of(query.cursor) if query.cursor is not None else 0
    rows = directory_access.members_for(
        _key(request), external_id(group_id), after=after, limit=query.limit + 1
    )
    page = rows[: query.limit]
    return {
        "members": [row for _, row in page],
        "next_cursor": cursor_of(page[-1][0]) if len(rows) > len(page) else None,
    }


@router.put(
    "/groups/{own_id:group_id}",
    auth=SourceKey(Scope.DIRECTORY_WRITE),
    response={200: DirectoryAnswer} | _PUT,
    operation_id="upsert_group",
    summary="Create or complete a group",
    openapi_extra=body_of(GroupPayload, example=examples.GROUP) | IDEMPOTENCY_PARAMETER,
)
def put_group(request: HttpRequest, group_id: str) -> HttpResponse:
    """Create or complete a group under your own id, as `PUT /accounts/…` does. Members left out stay as they are."""
    key = _key(request)
    named, payload = external_id(group_id), read_json(request, GroupPayload)

    def work() -> tuple[int, Any]:
        known = describe_group(key.source, named, payload=payload, actor=access.actor_for(key))
        return 200, _described(known)

    meaning = digest(named, payload.model_dump(mode="json", exclude_unset=True))
    return once(request, "PUT /groups", meaning, work)


@router.get(
    "/groups/{own_id:group_id}",
    auth=_READER,
    response={200: SubjectAnswer} | _READ,
    operation_id="read_group",
    summary="Read what is kept of a group",
    by_alias=True,
)
def get_group(request: HttpRequest, group_id: str) -> Any:
    """Tell what the platform told of a group: each field with its source and time, and earlier names."""
    return directory_access.group_for(_key(request), external_id(group_id))
