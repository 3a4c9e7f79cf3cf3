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
from referrals.actions.keys import enter_anew, put_key
from referrals.audit_rows import IDENTITY
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
        audit.record(
            AuditEvent.RECIPIENT_CREATED,
            actor=actor,
            subject=recipient,
            keys=len(parsed),
            details={field: getattr(recipient, field) for field in IDENTITY},
        )
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

    A key was confirmed for the agency that the details named. So another name, unit, country or contact withdraws every
    key and enters it anew in the name of ``actor``: it counts once a second person confirmed that it is the key of
    what the agency is called now. Approvals end as by ``withdraw_key``. A page that is open for approval has to be
    loaded again.
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
        is_another = any(before[field] != told[field] for field in IDENTITY)
        for field, value in told.items():
            setattr(recipient, field, value)
        recipient.save()
        anew = enter_anew(recipient, actor=actor) if is_another else []
        Referral.objects.filter(recipient=recipient, state=ReferralState.AWAITING_APPROVAL).update(
            version=F("version") + 1
        )
        audit.record(
            AuditEvent.RECIPIENT_CHANGED,
            actor=actor,
            subject=recipient,
            before={field: before[field] for field in told if before[field] != told[field]},
            after={field: told[field] for field in told if before[field] != told[field]},
            keys_to_confirm=[key.fingerprint for key in anew],
        )
    return recipient
