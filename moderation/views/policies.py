"""Policies as everybody reads them: the wording in force and the ones before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import requires
from accounts.permissions import Permission
from hashing.models import Category, FlagKind
from moderation import access
from moderation.models import RoutingRule, Verb
from reports.models import SourceKind, Surface, TrustLevel


@require_safe
@requires(Permission.POLICIES_VIEW)
def index(request: HttpRequest) -> HttpResponse:
    """List the policies and the routing rules that lead to their queues."""
    context = {
        "policies": access.current_policies(),
        "rules": _in_words(access.routing_rules()),
    }
    return render(request, "moderation/policies.html", context)


@require_safe
@requires(Permission.POLICIES_VIEW)
def policy(request: HttpRequest, code: str) -> HttpResponse:
    """Show one wording of a policy; the newest, unless another version is asked for."""
    found = access.get_policy(code)
    versions = list(found.versions.order_by("-version"))
    wanted = request.GET.get("version")
    if wanted:
        shown = next((row for row in versions if str(row.version) == wanted), None)
    else:
        in_force = {row.policy_id: row for row in access.current_policies()}
        shown = in_force.get(found.pk) or (versions[0] if versions else None)
    if shown is None:
        raise Http404
    context = {
        "policy": found,
        "shown": shown,
        "versions": versions,
        "verbs": [Verb(verb).label for verb in shown.enforcements if verb in Verb.values],
        "rules": _in_words(access.routing_rules(found.category)),
        "paragraphs": shown.definition.split("\n\n"),
    }
    return render(request, "moderation/policy.html", context)


_CONDITIONS = {
    "flag_kinds": ("Finding", dict(FlagKind.choices)),
    "categories": ("List about", dict(Category.choices)),
    "detectors": ("Detector", {}),
    "surfaces": ("Surface", dict(Surface.choices)),
    "min_score": ("Score at least", {}),
    "reasons": ("Reported as", {}),
    "trust": ("Source", dict(TrustLevel.choices)),
    "source_kinds": ("Source", dict(SourceKind.choices)),
    "subject": ("Subject", {}),
    "has_report": ("Reported by a person", {}),
}


def _in_words(rules: Iterable[RoutingRule]) -> list[tuple[RoutingRule, list[tuple[str, str]]]]:
    """Pair each rule with its conditions as a person reads them."""
    return [(rule, [_condition(*each) for each in rule.conditions.items()]) for rule in rules]


def _condition(name: str, wanted: Any) -> tuple[str, str]:
    term, words = _CONDITIONS.get(name, (name, {}))
    some = wanted if isinstance(wanted, list) else [wanted]
    return term, " or ".join(str(words.get(each, each)) for each in some)
