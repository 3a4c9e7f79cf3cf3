"""Public keys of agencies: one person enters a key, another one confirms it by its fingerprint.

Whoever can put a key into a package can read what is in it. So a key counts only after two people, and a
change of the keys that count ends every approval that was asked for with the keys as they were.
"""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit_events import AuditEvent
from core.errors import Invalid, Refused
from referrals.actions.steps import back_to_draft
from referrals.models import Recipient, RecipientKey, Referral, ReferralState
from referrals.public_keys import fingerprint_of, read_keys, spoken_digits

NEW_KEYS = (
    "The agency's public keys were changed since approval was asked for. Compare them with the agency, "
    "then ask again."
)
KEY_WITHDRAWN = (
    "A public key of the agency was withdrawn before the package was sealed. Look at the keys that are "
    "left, then ask again."
)
ANOTHER_AGENCY = (
    "The agency's name, unit, country or contact was changed, so its keys have to be confirmed again. Compare "
    "them with the agency, then ask again."
)
ANOTHER_KEY = (
    "This is not the fingerprint of the key that was entered. Have it read out once more. If it still "
    "differs, withdraw the key: it is not the agency's."
)


@transaction.atomic
def enter_keys(recipient: Recipient, *, keys: str, actor: User) -> list[RecipientKey]:
    """Put in public keys of an agency, one a line; each counts once a second person confirmed it.

    Raises Invalid naming the bad line, or when there is none. Can be undone by ``withdraw_key``.
    """
    require(actor, Permission.RECIPIENTS_MANAGE)
    parsed = read_keys(keys)
    if not parsed:
        raise Invalid({"keys": ["Put in the line that begins with age1 or ssh-ed25519."]})
    recipient = Recipient.objects.select_for_update().get(pk=recipient.pk)
    return [put_key(recipient, key, actor=actor) for key in parsed]


def put_key(recipient: Recipient, text: str, *, actor: User) -> RecipientKey:
    """Do what ``enter_keys`` does for one line, in the transaction of the calling verb."""
    key = RecipientKey(
        recipient=recipient, text=text, fingerprint=fingerprint_of(text), entered_by=actor
    )
    try:
        with transaction.atomic():
            key.save(force_insert=True)
    except IntegrityError:
        raise Invalid({"keys": [f"This agency has the key {key.spoken[:9]} … already."]}) from None
    audit.record(
        AuditEvent.RECIPIENT_KEY_ENTERED,
        actor=actor,
        subject=key,
        recipient=recipient.pk,
        key=text,
        fingerprint=key.fingerprint,
    )
    return key


def confirm_key(key: RecipientKey, *, fingerprint: str, actor: User) -> RecipientKey:
    """Let a key count, as the second person who compared its fingerprint with the agency.

    ``fingerprint`` is what the agency read out; spaces and capitals do not matter. Raises Invalid when it
    is another one (which is recorded), Refused for whoever entered the key and for a key that is no longer
    waiting. Referrals to this agency that wait for approval are drafts again. Can be undone by
    ``withdraw_key``.
    """
    require(actor, Permission.RECIPIENTS_MANAGE)
    if spoken_digits(fingerprint) != key.fingerprint:
        audit.record_apart(
            AuditEvent.RECIPIENT_KEY_DIFFERED, actor=actor, subject=key, recipient=key.recipient_id
        )
        raise Invalid({"fingerprint": [ANOTHER_KEY]})
    with transaction.atomic():
        key = _locked(key)
        if key.confirmed_at is not None:
            raise Refused("This key is confirmed already.", code="confirmed_already")
        if key.entered_by_id == actor.pk:
            raise Refused(
                "You entered this key. Another person compares it with the agency and confirms it.",
                code="own_key",
            )
        key.confirmed_by, key.confirmed_at = actor, Now()
        key.save(update_fields=["confirmed_by", "confirmed_at"])
        _end_approvals(key, {ReferralState.AWAITING_APPROVAL}, NEW_KEYS, actor)
        audit.record(
            AuditEvent.RECIPIENT_KEY_CONFIRMED,
            actor=actor,
            subject=key,
            recipient=key.recipient_id,
            key=key.text,
            fingerprint=key.fingerprint,
            entered_by=key.entered_by_id,
        )
    key.refresh_from_db()
    return key


@transaction.atomic
def withdraw_key(key: RecipientKey, *, actor: User) -> RecipientKey:
    """Take a key away, waiting or confirmed; one person suffices, because nobody gains from it.

    With a confirmed key, referrals that wait for approval or for their build are drafts again; a build that
    runs at this moment is not stopped. Can be undone by entering the key anew.
    """
    require(actor, Permission.RECIPIENTS_MANAGE)
    return _withdraw(_locked(key), actor, NEW_KEYS, KEY_WITHDRAWN)


def enter_anew(recipient: Recipient, *, actor: User) -> list[RecipientKey]:
    """Withdraw the keys of a locked agency that became another one and enter them in the name of ``actor``.

    A step of ``change_recipient``. Keys that nobody confirmed yet too: who entered them meant the agency of before.
    """
    require(actor, Permission.RECIPIENTS_MANAGE)
    keys = list(recipient.keys.select_for_update(of=("self",)).filter(ended_at=None))
    for key in keys:
        _withdraw(key, actor, ANOTHER_AGENCY, ANOTHER_AGENCY)
    return [put_key(recipient, key.text, actor=actor) for key in keys]


def _withdraw(key: RecipientKey, actor: User, waiting: str, unsealed: str) -> RecipientKey:
    """End a locked key. ``waiting`` and ``unsealed`` say why referrals are drafts again."""
    key.ended_by, key.ended_at = actor, Now()
    key.save(update_fields=["ended_by", "ended_at"])
    if key.confirmed_at is not None:
        _end_approvals(key, {ReferralState.AWAITING_APPROVAL}, waiting, actor)
        _end_approvals(key, {ReferralState.APPROVED, ReferralState.BUILD_FAILED}, unsealed, actor)
    audit.record(
        AuditEvent.RECIPIENT_KEY_WITHDRAWN,
        actor=actor,
        subject=key,
        recipient=key.recipient_id,
        key=key.text,
        fingerprint=key.fingerprint,
        was_confirmed=key.confirmed_at is not None,
    )
    key.refresh_from_db()
    return key


def _locked(key: RecipientKey) -> RecipientKey:
    """Lock the agency, then its key. The referrals come after, as in every verb of an agency."""
    Recipient.objects.select_for_update().get(pk=key.recipient_id)
    key = RecipientKey.objects.select_for_update(of=("self",)).get(pk=key.pk)
    if key.ended_at is not None:
        raise Refused("This key was withdrawn.", code="key_ended")
    return key


def _end_approvals(key: RecipientKey, states: set[ReferralState], reason: str, actor: User) -> None:
    # By case: every transaction takes the chains of several cases in this order.
    ended = Referral.objects.filter(recipient=key.recipient_id, state__in=states)
    for referral in ended.select_for_update(of=("self",)).order_by("case", "pk"):
        back_to_draft(referral, reason=reason)
        audit.record(
            AuditEvent.REFERRAL_RETURNED,
            actor=actor,
            subject=referral,
            case=referral.case,
            keys_changed=True,
        )
