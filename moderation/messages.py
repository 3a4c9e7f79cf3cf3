"""The messages that Holdfast sends to endpoints, told to the API's own description."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from ninja import Schema
from pydantic import ConfigDict, Field

from moderation import vocabulary
from moderation.order_shapes import REPORT_CLOSED, OrderMessage, ReportClosedMessage, example_of
from reports.reference import webhook


class NoData(Schema):
    """Nothing: the message orders nothing."""

    model_config = ConfigDict(extra="allow")


class TestMessage(Schema):
    """What *Send test* sends. Take it with a 2xx; it orders nothing."""

    type: Literal["test"]
    timestamp: datetime = Field(description="When it was sent.")
    data: NoData


def describe_messages() -> None:
    """Tell every message that is sent, once. The rooms below cannot know them."""
    webhook(
        "test",
        TestMessage,
        summary="A test",
        example={"type": "test", "timestamp": "2026-11-22T10:42:00Z", "data": {}},
    )
    webhook(
        "report.closed",
        ReportClosedMessage,
        summary="A report was decided",
        example=REPORT_CLOSED,
    )
    for verb in vocabulary.verbs():
        webhook(
            f"enforcement.{verb.code}",
            OrderMessage,
            summary=f"Order: {verb.name.lower()}",
            example=example_of(verb.code),
        )
