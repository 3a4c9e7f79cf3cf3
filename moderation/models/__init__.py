"""Policies, queues, cases and everything people do with them: rows and their constraints, no rules."""

from moderation.models.appeals import Appeal, AppealState
from moderation.models.cases import Case, CaseItem, CaseLink, CaseReport, CaseStatus, RoutingReason
from moderation.models.claims import Claim, ClaimEnd, Note, Skip
from moderation.models.decisions import (
    IN_FORCE,
    Decision,
    Enforcement,
    EnforcementState,
    OrderCounter,
    OrderResult,
    Outcome,
    ResultState,
    Reversal,
    Verb,
)
from moderation.models.deliveries import (
    Delivery,
    DeliveryAttempt,
    DeliveryState,
    EndpointBreaker,
    Notice,
    NoticeKind,
    Replay,
    WebhookEndpoint,
)
from moderation.models.media import Preview, PreviewState, Reveal, RevealPurpose
from moderation.models.overturns import Overturn
from moderation.models.policies import CategoryGrant, Policy, PolicyVersion, Queue, RoutingRule

__all__ = [
    "IN_FORCE",
    "Appeal",
    "AppealState",
    "Case",
    "CaseItem",
    "CaseLink",
    "CaseReport",
    "CaseStatus",
    "CategoryGrant",
    "Claim",
    "ClaimEnd",
    "Decision",
    "Delivery",
    "DeliveryAttempt",
    "DeliveryState",
    "EndpointBreaker",
    "Enforcement",
    "EnforcementState",
    "Note",
    "Notice",
    "NoticeKind",
    "OrderCounter",
    "OrderResult",
    "Outcome",
    "Overturn",
    "Policy",
    "PolicyVersion",
    "Preview",
    "PreviewState",
    "Queue",
    "Replay",
    "ResultState",
    "Reveal",
    "RevealPurpose",
    "Reversal",
    "RoutingReason",
    "RoutingRule",
    "Skip",
    "Verb",
    "WebhookEndpoint",
]
