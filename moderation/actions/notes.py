"""Remarks that colleagues leave on a case."""

from __future__ import annotations

from django.db import transaction

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit_events import AuditEvent
from core.errors import Invalid, Refused
from moderation import access
from moderation.audit_cases import note_digest
from moderation.models import Case, Note

LONGEST_NOTE = 4000


@transaction.atomic
def add_note(case: Case, *, text: str, actor: User) -> Note:
    """Leave a note on a case. Cannot be undone or edited; a correction is another note.

    Whoever works the case may write one, with or without a lease: that is how one warns its holder.
    """
    require(actor, Permission.CASES_DECIDE)
    text = text.strip()
    if not text:
        raise Invalid({"text": ["Write something first."]})
    if len(text) > LONGEST_NOTE:
        raise Invalid({"text": [f"Keep a note under {LONGEST_NOTE} characters."]})
    if not access.may_work(actor, case):
        raise Refused("You may read this case, not write on it.", code="not_permitted", status=403)
    note = Note.objects.create(case=case, author=actor, text=text)
    note.refresh_from_db()
    audit.record(
        AuditEvent.CASE_NOTE_ADDED, actor=actor, subject=note, case=case, text=note_digest(note)
    )
    return note
