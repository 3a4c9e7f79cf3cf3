"""Policies, queues, cases and everything people do with them: rows and their constraints, no rules."""

from moderation.models.cases import Case, CaseItem, CaseLink, CaseReport, CaseStatus, RoutingReason
from moderation.models.claims import Claim, ClaimEnd, Note, Skip
from moderation.models.decisions import Decision, Enforcement, EnforcementState, Outcome, Verb
from moderation.models.deliveries import (
    Delivery,
    DeliveryAttempt,
    DeliveryState,
    EndpointBreaker,
    WebhookEndpoint,
)
from moderation.models.media import Preview, PreviewState, Reveal, RevealPurpose
from moderation.models.policies import CategoryGrant, Policy, PolicyVersion, Queue, RoutingRule

__all__ = [
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
    "Outcome",
    "Policy",
    "PolicyVersion",
    "Preview",
    "PreviewState",
    "Queue",
    "Reveal",
    "RevealPurpose",
    "RoutingReason",
    "RoutingRule",
    "Skip",
    "Verb",
    "WebhookEndpoint",
]
