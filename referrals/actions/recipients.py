"""Agencies that packages are made for."""

from __future__ import annotations

import pyrage
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils.text import slugify

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit_events import AuditEvent
from core.errors import Invalid
from referrals.actions.steps import back_to_draft
from referrals.models import Recipient, Referral, ReferralState

NEW_KEYS = (
    "The agency's public keys were changed since approval was asked for. Compare them with the agency, "
    "then ask again."
)


def read_keys(text: str) -> list[str]:
    """Return the public keys in ``text``, one a line. Raises Invalid naming the bad line.

    Accepted are age X25519 keys (``age1…``) and ``ssh-ed25519`` keys. A secret key pasted by mistake
    is refused in its own words and never stored.
    """
    keys, problems = [], []
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if _is_secret(line):
            problems.append(
                f"Line {number} is a secret key. Ask the agency for its public key only, and tell "
                "them that this one is no longer secret."
            )
            continue
        if not line or line.startswith("#"):
            continue
        if not _is_public_key(line):
            problems.append(f"Line {number} is not an age (age1…) or ssh-ed25519 public key.")
            continue
        if line not in keys:
            keys.append(line)
    if problems:
        raise Invalid({"age_recipients": problems})
    return keys


def without_secret_keys(text: str) -> str:
    """Return ``text`` as it may be shown again: if a secret key is in it, only the public keys.

    The lines below a private key's first line look like nothing in particular, hence the rest goes too.
    """
    lines = [line.strip() for line in text.splitlines()]
    if not any(_is_secret(line) for line in lines):
        return text
    return "\n".join(line for line in lines if _is_public_key(line))


def _is_secret(line: str) -> bool:
    return any(mark in line.upper() for mark in ("AGE-SECRET-KEY-", "AGE-PLUGIN-", "PRIVATE KEY"))


def _is_public_key(line: str) -> bool:
    kinds = {"age1": pyrage.x25519.Recipient, "ssh-ed25519 ": pyrage.ssh.Recipient}
    kind = next((kind for start, kind in kinds.items() if line.startswith(start)), None)
    if kind is None:
        return False
    try:
        kind.from_str(line)
    except pyrage.RecipientError:
        return False
    return True


def _check(name: str, country: str) -> None:
    errors: dict[str, list[str]] = {}
    if not name.strip():
        errors["name"] = ["Give the agency's name."]
    if country and not (len(country) == 2 and country.isascii() and country.isalpha()):
        errors["country"] = ["Use the two-letter country code, such as DE."]
    if errors:
        raise Invalid(errors)


def create_recipient(
    *, name: str, unit: str = "", country: str = "", contact: str = "", keys: str = "", actor: User
) -> Recipient:
    """Add an agency. Can be undone by deactivating it; its packages keep naming it."""
    require(actor, Permission.RECIPIENTS_MANAGE)
    _check(name, country)
    parsed = read_keys(keys)
    slug = slugify(name)[:40] or "agency"
    with transaction.atomic():
        for suffix in ("", *(f"-{n}" for n in range(2, 100))):
            try:
                with transaction.atomic():
                    recipient = Recipient.objects.create(
                        slug=f"{slug}{suffix}",
                        name=name.strip(),
                        unit=unit.strip(),
                        country=country.upper(),
                        contact=contact.strip(),
                        age_recipients=parsed,
                    )
                break
            except IntegrityError:  # somebody took the short name
                continue
        else:
            raise Invalid({"name": ["A hundred agencies have this name; add the unit to it."]})
        audit.record(AuditEvent.RECIPIENT_CREATED, actor=actor, subject=recipient, keys=len(parsed))
    return recipient


def change_recipient(
    recipient: Recipient,
    *,
    name: str,
    unit: str,
    country: str,
    contact: str,
    keys: str,
    is_active: bool,
    actor: User,
) -> Recipient:
    """Change an agency's details. Packages already sealed are not touched. Can be undone by hand.

    With other keys, referrals that wait for approval are drafts again, to be asked for anew: else the
    second person could put in a key and approve it alone. What is approved already keeps the keys it was
    approved with. Other changes only have the page that is open for approval loaded again.
    """
    require(actor, Permission.RECIPIENTS_MANAGE)
    _check(name, country)
    parsed = read_keys(keys)
    with transaction.atomic():
        recipient = Recipient.objects.select_for_update().get(pk=recipient.pk)
        before = {
            "keys": recipient.age_recipients,
            "is_active": recipient.is_active,
        }
        recipient.name, recipient.unit = name.strip(), unit.strip()
        recipient.country, recipient.contact = country.upper(), contact.strip()
        recipient.age_recipients, recipient.is_active = parsed, is_active
        recipient.save()
        waiting = Referral.objects.filter(
            recipient=recipient, state=ReferralState.AWAITING_APPROVAL
        )
        if parsed != before["keys"]:
            # By case: every transaction takes the chains of several cases in this order.
            for referral in waiting.select_for_update(of=("self",)).order_by("case", "pk"):
                back_to_draft(referral, reason=NEW_KEYS)
                audit.record(
                    AuditEvent.REFERRAL_RETURNED,
                    actor=actor,
                    subject=referral,
                    case=referral.case,
                    keys_changed=True,
                )
        else:
            waiting.update(version=F("version") + 1)
        audit.record(
            AuditEvent.RECIPIENT_CHANGED,
            actor=actor,
            subject=recipient,
            before=before,
            after={"keys": parsed, "is_active": is_active},
        )
    return recipient
