"""Lists that act automatically: asked for by one person, approved by another, for the entries that both saw.

Whoever puts a digest on such a list decides what acts. So a request counts for the list as it stood, entries that
come later wait for a request of their own, and the last who changed what would act is not the one who approves.
"""

from __future__ import annotations

from django.db import transaction

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit import Actor, AuditEvent, Person
from core.errors import Refused
from hashing.actions.hash_lists import raise_version
from hashing.automatic import unseen_entries, why_not_approve
from hashing.models import HashList

__all__ = [
    "approve_automatic",
    "ask_automatic",
    "stop_automatic",
    "withdraw_automatic",
]


@transaction.atomic
def ask_automatic(hash_list: HashList, *, actor: User) -> HashList:
    """Ask that a list acts automatically, or that what was added since its approval does as well.

    Another person has to approve. A change of what would act drops the request. Raises Refused. Undone by
    ``withdraw_automatic``.
    """
    require(actor, Permission.HASHING_LISTS_APPROVE)
    hash_list = _locked(hash_list)
    if hash_list.automatic_request_by is not None:
        raise Refused("This was asked for already.", code="asked")
    if hash_list.is_negative:
        raise Refused("A list of harmless material has nothing to act on.", code="negative")
    if hash_list.acts_automatically:
        if not unseen_entries(hash_list).exists():
            raise Refused("Everything on this list acts already.", code="approved")
        hash_list.renewal_asked_by = actor
    else:
        hash_list.automatic_asked_by = actor
    hash_list.asked_version, hash_list.request_ended = hash_list.version, ""
    return _changed(hash_list, "automatic_asked", actor)


@transaction.atomic
def approve_automatic(
    hash_list: HashList, *, actor: User, asked_version: int | None = None
) -> HashList:
    """Approve that a list acts automatically: its exact matches open cases of the highest severity.

    It counts for the entries of now. ``asked_version`` names the request that stood on the approver's page. Raises
    Refused for whoever asked or last changed what would act, for another request, and when nobody asked. Can be
    undone by ``stop_automatic``.
    """
    require(actor, Permission.HASHING_LISTS_APPROVE)
    hash_list = _locked(hash_list)
    asked = hash_list.automatic_request_by
    if asked is None:
        if hash_list.request_ended:
            raise Refused(f"{hash_list.request_ended} Ask again.", code="dropped")
        if hash_list.acts_automatically:
            raise Refused("Somebody approved this already.", code="approved")
        raise Refused("Nobody asked for this.", code="not_asked")
    if asked_version is not None and asked_version != hash_list.asked_version:
        raise Refused(
            "This is another request than the one you looked at. Look at the list again.",
            code="dropped",
        )
    if why := why_not_approve(hash_list, actor):
        raise Refused(why, code="same")
    hash_list.acts_automatically = True
    hash_list.automatic_asked_by, hash_list.automatic_approved_by = asked, actor
    hash_list.renewal_asked_by = hash_list.content_by = None
    # The version rises below: whatever is written from then on stands above this mark.
    hash_list.automatic_version = hash_list.version
    return _changed(hash_list, "automatic_approved", actor)


@transaction.atomic
def withdraw_automatic(hash_list: HashList, *, actor: User) -> HashList:
    """Take back a request that waits; what was approved goes on to act. Can be undone by asking again.

    Raises Refused when none waits.
    """
    require(actor, Permission.HASHING_LISTS_APPROVE)
    hash_list = _locked(hash_list)
    if hash_list.automatic_request_by is None:
        raise Refused("Nobody asked for this.", code="not_asked")
    if hash_list.acts_automatically:
        hash_list.renewal_asked_by = None
    else:
        hash_list.automatic_asked_by = None
    return _changed(hash_list, "automatic_withdrawn", actor)


@transaction.atomic
def stop_automatic(hash_list: HashList, *, actor: Actor | Person) -> HashList:
    """Let a list no longer act automatically, and drop what was asked. Can be undone by asking again."""
    require(actor, Permission.HASHING_LISTS_APPROVE)
    hash_list = _locked(hash_list)
    if hash_list.automatic_asked_by_id is None:
        raise Refused("This list does not act automatically.", code="not_asked")
    hash_list.acts_automatically = False
    hash_list.automatic_asked_by = hash_list.automatic_approved_by = None
    hash_list.renewal_asked_by = None
    return _changed(hash_list, "automatic_stopped", actor)


def _locked(hash_list: HashList) -> HashList:
    return HashList.objects.select_for_update(no_key=True).get(pk=hash_list.pk)


def _changed(hash_list: HashList, what: str, actor: Actor | Person) -> HashList:
    hash_list.save()
    raise_version(hash_list)
    audit.record(
        AuditEvent.HASH_LIST_SWITCHED,
        actor=actor,
        subject=hash_list,
        change=what,
        asked_version=hash_list.asked_version,
    )
    hash_list.refresh_from_db()
    return hash_list
