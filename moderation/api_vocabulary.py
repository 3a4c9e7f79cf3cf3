"""Which words this installation knows, over the machine API."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from moderation import vocabulary
from moderation.models import RoutingRule
from reports import vocabulary as intake
from reports.answers import Problem
from reports.door import SourceKey

router = Router(tags=["Vocabulary"])


class WordAnswer(Schema):
    """A word, its name for people, and what it means in a sentence."""

    code: str = Field(description="What is sent and answered.")
    name: str
    means: str


class VerbAnswer(WordAnswer):
    """A verb of orders."""

    targets: list[str] = Field(description="What it is about: `account`, `group` or `item`.")
    counterpart: str | None = Field(description="The verb that takes it back; null: none.")


class VocabularyAnswer(Schema):
    """Every word of this installation that a sender or a receiver meets. More are added; none changes its meaning."""

    categories: list[WordAnswer]
    verbs: list[VerbAnswer]
    reasons: list[WordAnswer] = Field(
        description="Reasons that routing knows. Any other is taken too."
    )
    surfaces: list[WordAnswer]
    platform_statuses: list[WordAnswer]
    item_roles: list[WordAnswer]
    item_kinds: list[WordAnswer]
    scan_states: list[WordAnswer]
    report_states: list[WordAnswer]
    scopes: list[WordAnswer]


@router.get(
    "/vocabulary",
    auth=SourceKey(),
    response={200: VocabularyAnswer, 401: Problem, 403: Problem, 429: Problem, 503: Problem},
    operation_id="read_vocabulary",
    summary="Read which words this installation knows",
)
def get_vocabulary(request: HttpRequest) -> Any:
    """Tell the words of this installation, each with a sentence. Any key may ask.

    Categories, verbs, reasons and surfaces are open: this installation may know more than another one, and
    a newer one more than an older one. Take words in answers and orders that you do not know yet.
    """
    rules = RoutingRule.objects.filter(is_active=True).order_by("position")
    plain = {
        "categories": vocabulary.categories(),
        "reasons": vocabulary.reasons(rules),
        "surfaces": intake.words(intake.SURFACES.items()),
        "platform_statuses": intake.words(intake.PLATFORM_STATUSES.items()),
        "item_roles": intake.words(intake.ITEM_ROLES.items()),
        "item_kinds": intake.words(intake.ITEM_KINDS.items()),
        "scan_states": intake.words(intake.SCAN_STATES.items()),
        "report_states": intake.words(intake.REPORT_STATES.items()),
        "scopes": intake.words(intake.SCOPES.items()),
    }
    verbs = [
        asdict(verb) | {"counterpart": verb.counterpart or None} for verb in vocabulary.verbs()
    ]
    return {name: [asdict(word) for word in some] for name, some in plain.items()} | {
        "verbs": verbs
    }
