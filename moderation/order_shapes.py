"""Orders as the platform hears and asks for them, and what it answers: closed shapes for the machine API."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import ConfigDict, Field

from moderation.enforcement import MOST_REPORTS
from reports.payloads import Body, ExternalId, Instant, Shape, Short

OrderState = Literal[
    "pending", "acknowledged", "failed", "done", "impossible", "refused", "withdrawn"
]
ResultWord = Literal["done", "impossible", "refused"]


def _leave_out_defaults(schema: dict[str, Any]) -> None:
    for member in schema.get("properties", {}).values():
        member.pop("default", None)


class Sparse(Schema):
    """A part of an order whose members are absent where nothing is known: none of them has a default to send."""

    model_config = ConfigDict(json_schema_extra=_leave_out_defaults)


# ── What an order says ────────────────────────────────────────────────────────────────────────
class TargetAccount(Schema):
    """The account that an order is about."""

    external_id: str = Field(description="Your id of the account.")


class TargetGroup(Sparse):
    """The group that an order is about."""

    external_id: str = Field(description="Your id of the group.")
    invite_link: str | None = Field(None, description="The link to revoke, where one is known.")


class TargetItem(Sparse):
    """The piece of media that an order is about. Members that are not known are absent."""

    external_id: str | None = Field(None, description="Your id of it.")
    surface: str = Field(description="Where it stood.")
    sha256: str | None = Field(None, description="Of the bytes that were reported, hex.")
    sender: str | None = Field(None, description="Your id of the account that sent it.")
    conversation: str | None = Field(
        None, description="Your id of the conversation in which it stood, where you sent one."
    )
    group: str | None = Field(None, description="Your id of the group in which it was written.")


class OrderTarget(Sparse):
    """Whom or what an order is about, by your own ids."""

    account: TargetAccount | None = None
    group: TargetGroup | None = None
    item: TargetItem | None = None


class OrderPolicy(Schema):
    """The policy that was broken, as far as people outside may read it."""

    code: str
    name: str
    url: str | None = Field(description="Where it can be read, if the operator set an address.")


class OrderReport(Schema):
    """A report of yours that led to an order."""

    id: uuid.UUID
    number: str
    external_id: str = Field(description="Your id of it; empty if you sent none.")


class OrderData(Schema):
    """What to do to whom, and why. Members that you do not know may be added: pass over them."""

    enforcement_id: uuid.UUID = Field(description="The order. The same in every message of it.")
    decision_id: uuid.UUID = Field(description="Orders of one decision share it.")
    sequence: int = Field(description="1, 2, 3 … without gaps over all orders; larger is later.")
    verb: str = Field(description="What to do. Take a verb that you do not know with a 2xx.")
    parameters: dict[str, Any] = Field(description="The verb's own. No verb has any today.")
    target: OrderTarget
    reverses: uuid.UUID | None = Field(description="The order that this one takes back.")
    case: str = Field(description="What to ask about, such as C-000012.")
    category: str
    policy: OrderPolicy
    reports: list[OrderReport] = Field(
        description=f"Reports of the platform behind it, the first {MOST_REPORTS} by number."
    )
    reports_count: int = Field(description="How many reports of the platform are behind it.")
    detected_by: list[str] = Field(
        description="How it was detected: user_report, trusted_flagger, hash_match, text_rule, classifier, …"
    )
    decided_by_person: bool
    decided_at: datetime


class OrderMessage(Schema):
    """The message of an order, exactly as it is sent to endpoints."""

    type: str = Field(description="`enforcement.` and the verb.")
    timestamp: datetime = Field(description="When it was decided, not when it was sent.")
    data: OrderData


class ClosedReport(Schema):
    """What came of a report, as much as its source is told. Once for each decision that it gets."""

    report: OrderReport
    state: Literal["decided", "closed"] = Field(
        description="`closed` where this source is not told outcomes."
    )
    outcome: Literal["action_taken", "no_action"] | None
    decided_at: datetime | None
    sequence: int = Field(
        description="1, 2, 3 … of this report: it may be decided anew after a decision was overturned; the largest counts."
    )


class ReportClosedMessage(Schema):
    """A report of yours was decided, and the decision is in effect."""

    type: Literal["report.closed"]
    timestamp: datetime = Field(description="When the decision took effect.")
    data: ClosedReport


# ── What the platform reads ───────────────────────────────────────────────────────────────────
class ResultAnswer(Schema):
    """What the platform said that became of an order. `stands` says whether a later answer counts instead."""

    state: ResultWord
    at: datetime | None = Field(description="When, as you said.")
    code: str
    detail: str
    received_at: datetime
    stands: bool


class DeliveryAnswer(Schema):
    """One message of an order on its way to an endpoint."""

    webhook_id: uuid.UUID
    state: Literal["pending", "delivered", "failed", "answered", "withdrawn"]
    delivered_at: datetime | None


class EnforcementAnswer(Schema):
    """An order: where it stands, and the whole message as it is sent.

    `pending` waits to be sent or to be read here. `acknowledged` was taken with a 2xx. `failed` was given up after
    retries. `done`, `impossible` and `refused` are your answers. `withdrawn` was taken back before anybody had it.
    """

    id: uuid.UUID
    sequence: int
    verb: str
    state: OrderState
    published_at: datetime = Field(description="In force since.")
    reversed_by: uuid.UUID | None = Field(description="The order that takes this one back.")
    result: ResultAnswer | None = Field(description="Your answer that stands.")
    deliveries: list[DeliveryAnswer]
    message: OrderMessage


class EnforcementsAnswer(Schema):
    """A page of orders. `next_cursor` leads to the next one; null: there is none."""

    enforcements: list[EnforcementAnswer]
    next_cursor: str | None = None


# ── What the platform sends ───────────────────────────────────────────────────────────────────
class EnforcementsQuery(Shape):
    """Which orders the platform asks for."""

    state: OrderState | None = Field(None, description="Only orders that stand there now.")
    verb: Short | None = Field(None, description="Only orders of this verb.")
    since: Instant | None = Field(
        None, description="Only orders in force since then or later, with offset from UTC."
    )
    after_sequence: int | None = Field(
        None,
        ge=0,
        lt=2**63,
        description="Only orders with a larger `sequence`, and then the oldest first: to go on where you stopped.",
    )
    report: ExternalId | None = Field(
        None, description="Only orders of decisions on a report of this source, by your id of it."
    )
    case: Short | None = Field(None, description="Only orders of a case, such as C-000012.")
    account: ExternalId | None = Field(None, description="Only orders about this account of yours.")
    group: ExternalId | None = Field(None, description="Only orders about this group of yours.")
    cursor: str | None = Field(
        None, description="`next_cursor` of the page before, with the same other parameters."
    )
    limit: int = Field(50, ge=1, le=200, description="Orders on a page.")


class ResultPayload(Shape):
    """What became of an order."""

    state: Annotated[
        ResultWord,
        Field(
            description="`done`: carried out, or it was so already. `impossible`: you cannot, for example "
            "because there is no such account. `refused`: you will not, for example because of a legal hold."
        ),
    ]
    at: Annotated[
        Instant | None,
        Field(
            description="When, by your clock; left out: now. Of different answers the later one stands."
        ),
    ] = None
    code: Annotated[Short, Field(max_length=80, description="A word of your own for why.")] = ""
    detail: Annotated[
        Body,
        Field(
            max_length=2000,
            description="What a person should know. Shown to leads; write no names of people here.",
        ),
    ] = ""


class ReplayPayload(Shape):
    """A span of deliveries to be sent again."""

    since: Annotated[Instant, Field(description="Queued then or later.")]
    until: Annotated[
        Instant | None,
        Field(description="Queued before; left out: now. At most 31 days after `since`."),
    ] = None
    endpoint: Annotated[
        uuid.UUID | None, Field(description="Only to this endpoint; its id stands on its page.")
    ] = None
    states: Annotated[
        list[Literal["delivered", "failed"]],
        Field(min_length=1, max_length=2, description="Only those in these states."),
    ] = ["delivered", "failed"]


class ReplayAnswer(Schema):
    """A span of deliveries that is sent again, and how far that is."""

    id: uuid.UUID
    state: Literal["running", "done"]
    since: datetime
    until: datetime
    count: int = Field(description="Deliveries in the span when it was asked for.")
    replayed: int = Field(description="Put in line so far.")
    skipped: int = Field(description="Passed by: being sent at that moment.")


# ── Whole documents, as the reference shows them ──────────────────────────────────────────────
REPLAY: dict[str, Any] = {"since": "2026-11-22T00:00:00Z", "until": "2026-11-25T00:00:00Z"}
RESULT: dict[str, Any] = {"state": "done", "at": "2026-11-22T10:43:10Z"}
ORDER: dict[str, Any] = {
    "type": "enforcement.ban_account",
    "timestamp": "2026-11-22T10:42:00Z",
    "data": {
        "enforcement_id": "0d0c2b5e-6a44-4a5e-9d0c-2f1f3a6b7c8d",
        "decision_id": "5b0d2f4e-0a51-4a52-8d0b-1b0f5c7f1e11",
        "sequence": 17,
        "verb": "ban_account",
        "parameters": {},
        "target": {"account": {"external_id": "user-1001"}},
        "reverses": None,
        "case": "C-000012",
        "category": "grooming",
        "policy": {
            "code": "CS-3",
            "name": "Grooming",
            "url": "https://chat.example/rules/CS-3",
        },
        "reports": [
            {
                "id": "8c1f0c7a-7f5e-4c86-9b1e-6a3c7d1f2b90",
                "number": "R-000045",
                "external_id": "rep-7001",
            }
        ],
        "reports_count": 1,
        "detected_by": ["text_rule", "user_report"],
        "decided_by_person": True,
        "decided_at": "2026-11-22T10:42:00Z",
    },
}


def example_of(verb: str) -> dict[str, Any]:
    """Return an order of this verb, as the reference shows it."""
    return ORDER | {"type": f"enforcement.{verb}", "data": ORDER["data"] | {"verb": verb}}


REPORT_CLOSED: dict[str, Any] = {
    "type": "report.closed",
    "timestamp": "2026-11-22T10:43:00Z",
    "data": {
        "report": ORDER["data"]["reports"][0],
        "state": "decided",
        "outcome": "action_taken",
        "decided_at": "2026-11-22T10:43:00Z",
        "sequence": 1,
    },
}
