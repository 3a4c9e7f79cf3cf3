"""The first of the three questions, asked a second time: may this role do it at all?

``accounts.access.requires`` asks it of a view; ``require`` asks it first thing in every verb, because
commands, jobs and further doors call the same verbs and have no view in front of them.
"""

from __future__ import annotations

from django.core.exceptions import PermissionDenied

from accounts.models import User
from accounts.permissions import Permission
from core.audit import Actor, Person

MACHINES = frozenset({"service", "system"})
"""Kinds of actors without a role: a source's key, whose scopes its own door asks, and Holdfast itself."""


def require(actor: Actor | Person | None, permission: Permission) -> None:
    """Raise PermissionDenied unless ``actor``'s role holds ``permission``.

    Machines pass: they hold keys with scopes, not roles. Nobody (None) and people who are not users of
    Holdfast never pass. The object and the policy are asked by the verb itself.
    """
    if isinstance(actor, Actor):
        if actor.kind in MACHINES:
            return
    elif isinstance(actor, User) and actor.may(permission):
        return
    raise PermissionDenied
