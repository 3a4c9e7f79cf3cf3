"""Agencies that packages are made for."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils.text import slugify

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit_events import AuditEvent
from core.errors import Invalid
from referrals.actions.keys import put_key
from referrals.models import Recipient, Referral, ReferralState
from referrals.public_keys import read_keys


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
    """Add an agency. Can be undone by deactivating it; its packages keep naming it.

    Its ``keys``, one a line, wait for a second person (``referrals.actions.keys``).
    """
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
                    )
                break
            except IntegrityError:  # somebody took the short name
                continue
        else:
            raise Invalid({"name": ["A hundred agencies have this name; add the unit to it."]})
        audit.record(AuditEvent.RECIPIENT_CREATED, actor=actor, subject=recipient, keys=len(parsed))
        for key in parsed:
            put_key(recipient, key, actor=actor)
    return recipient


def change_recipient(
    recipient: Recipient,
    *,
    name: str,
    unit: str,
    country: str,
    contact: str,
    is_active: bool,
    actor: User,
) -> Recipient:
    """Change an agency's details. Packages already sealed are not touched. Can be undone by hand.

    Its keys have verbs of their own. A page that is open for approval has to be loaded again.
    """
    require(actor, Permission.RECIPIENTS_MANAGE)
    _check(name, country)
    told = {
        "name": name.strip(),
        "unit": unit.strip(),
        "country": country.upper(),
        "contact": contact.strip(),
        "is_active": is_active,
    }
    with transaction.atomic():
        recipient = Recipient.objects.select_for_update().get(pk=recipient.pk)
        before = {field: getattr(recipient, field) for field in told}
        for field, value in told.items():
            setattr(recipient, field, value)
        recipient.save()
        Referral.objects.filter(recipient=recipient, state=ReferralState.AWAITING_APPROVAL).update(
            version=F("version") + 1
        )
        audit.record(
            AuditEvent.RECIPIENT_CHANGED,
            actor=actor,
            subject=recipient,
            before={field: before[field] for field in told if before[field] != told[field]},
            after={field: told[field] for field in told if before[field] != told[field]},
        )
    return recipient
