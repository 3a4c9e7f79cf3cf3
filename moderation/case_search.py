"""Finding a case by the numbers and ids that people have: exact ones only, no names and no words."""

from __future__ import annotations

import re
import uuid

from django.db.models import F, Q, QuerySet

from accounts.models import User
from core.foreign import plain_dashes
from moderation.access import cases_for
from moderation.models import Case, CaseItem, CaseReport
from reports.models import AccountIdentifier, IdentifierKind

__all__ = ["search_cases"]

CASE = re.compile(r"(?:C-?)?0*(\d{1,15})")
REPORT = re.compile(r"R-?0*(\d{1,15})")
REFERRAL = re.compile(r"ESC-(\d{4})-0*(\d{1,15})(?:-R\d+)?")
PHONE = re.compile(r"\+?[\d\s()./\u2010-\u2015-]{5,30}")


def search_cases(user: User, text: str) -> QuerySet[Case]:
    """Return the cases that the person may see and that ``text`` names, open ones first.

    It may be the number of a case (``C-000012``, ``12``), a report (``R-000047``) or a referral (``ESC-2026-000010``);
    the platform's id of an account, a group, a report or an item; a telephone number, with or without blanks
    and dashes; or an e-mail address.
    """
    wanted = text.strip()
    if not wanted:
        return Case.objects.none()
    found = Q(account__external_id__iexact=wanted) | Q(group__external_id__iexact=wanted)
    found |= Q(pk__in=CaseReport.objects.filter(report__external_id=wanted).values("case"))
    found |= Q(pk__in=CaseItem.objects.filter(item__external_id=wanted).values("case"))
    found |= _by_number(plain_dashes(wanted).upper())
    found |= _by_identifier(wanted)
    if (key := _uuid(wanted)) is not None:
        found |= Q(pk=key) | Q(account=key) | Q(group=key)
    return cases_for(user).filter(found).order_by("status", F("opened_at").desc())


def _by_number(wanted: str) -> Q:
    if match := CASE.fullmatch(wanted):
        return Q(number=int(match[1]))
    if match := REPORT.fullmatch(wanted):
        reports = CaseReport.objects.filter(report__number=int(match[1]))
        return Q(pk__in=reports.values("case"))
    if match := REFERRAL.fullmatch(wanted):
        # The referrals of a case are asked for by name: their application knows this one, not the other way.
        year, number = int(match[1]), int(match[2])
        named = Case.objects.filter(referrals__year=year, referrals__number=number)
        return Q(pk__in=named.values("pk"))
    return Q()


def _by_identifier(wanted: str) -> Q:
    said = Q()
    if PHONE.fullmatch(wanted):
        digits = re.sub(r"\D", "", wanted)
        bare = digits.removeprefix("00")
        said = Q(kind=IdentifierKind.PHONE, value__in=[wanted, digits, bare, f"+{bare}"])
    elif "@" in wanted:
        said = Q(kind=IdentifierKind.EMAIL, value__in=[wanted, wanted.lower()])
    if not said:
        return Q()
    return Q(account__in=AccountIdentifier.objects.filter(said).values("account"))


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
