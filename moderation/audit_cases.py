"""Whether cases hold what the log says joined them, and who may work them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.db.models import Model, QuerySet
from guardian.models import GroupObjectPermission, UserObjectPermission

from core.audit_events import AuditEvent
from core.audit_rows import Kind, digest
from core.models import AuditEntry
from moderation.models import Case, CategoryGrant, Note, Queue


def opened_as(case: Case) -> dict[str, Any]:
    """Return what the line of an opened case keeps of its subject: which, and the digest of how it looked."""
    return {
        "account": case.account_id,
        "group": case.group_id,
        "snapshot": digest({"case": case.pk, "snapshot": case.subject_snapshot}),
    }


def note_digest(note: Note) -> str:
    """Return what the log keeps of a note's words."""
    return digest({"note": note.pk, "text": note.text})


def _cases(case: Any | None) -> QuerySet[Case]:
    rows = Case.objects.prefetch_related("case_items", "case_reports")
    return rows if case is None else rows.filter(pk=case.pk)


def _compare_case(case: Case, lines: Sequence[AuditEntry]) -> Iterator[str]:
    items: dict[str, int] = {}
    reports: dict[str, int] = {}
    queue: Any = None
    for line in lines:
        if line.event == AuditEvent.CASE_MOVED:
            queue = line.data.get("queue_to")
            continue
        queue = line.data.get("queue") if queue is None else queue
        version = line.data.get("version")
        items |= dict.fromkeys(line.data.get("joined", []), version)
        if line.data.get("report") is not None:
            reports.setdefault(line.data["report"], version)
    begun = lines[0]
    subject = {"account": case.account_id, "group": case.group_id}
    told = {name: begun.data.get(name) for name in subject}
    if told != {name: str(key) if key else None for name, key in subject.items()}:
        yield f"Case {case}: it is about another account or group than the log says"
    if begun.data.get("snapshot") != opened_as(case)["snapshot"]:
        yield f"Case {case}: what its subject looked like is not what the log says"
    if begun.chain != f"case:{case.pk}" or begun.data.get("category") != case.category:
        yield f"Case {case}: its category is not the one it was opened with"
    if queue != case.queue_id:
        yield f"Case {case}: it is in another queue than the log says"
    there = {str(row.item_id): row.case_version for row in case.case_items.all()}
    yield from _joined(case, "item", items, there)
    there = {str(row.report_id): row.case_version for row in case.case_reports.all()}
    yield from _joined(case, "report", reports, there)


def _joined(case: Case, what: str, told: dict[str, int], there: dict[str, int]) -> Iterator[str]:
    for key in sorted(there.keys() - told.keys()):
        yield f"Case {case}: the log does not say that {what} {key} joined it"
    for key in sorted(told.keys() - there.keys()):
        yield f"Case {case}: {what} {key} joined it, and its row is gone"
    for key in sorted(told.keys() & there.keys()):
        if told[key] != there[key]:
            yield f"Case {case}: {what} {key} joined it with another version than the log says"


def _notes(case: Any | None) -> QuerySet[Note]:
    rows = Note.objects.select_related("case")
    return rows if case is None else rows.filter(case=case)


def _compare_note(note: Note, lines: Sequence[AuditEntry]) -> Iterator[str]:
    begun = lines[0]
    if begun.actor_id != str(note.author_id) or begun.chain != f"case:{note.case_id}":
        yield f"Note {note.pk} of case {note.case}: another person or case than the log says"
    if begun.data.get("text") != note_digest(note):
        yield f"Note {note.pk} of case {note.case}: its words are not the ones written"


def _of_all(model: type[Model]) -> Callable[[Any | None], QuerySet[Any]]:
    rows = model._default_manager  # noqa: SLF001 — Django's own name for it
    return lambda case: rows.all() if case is None else rows.none()


def _grants(given: AuditEvent) -> Callable[[Any, Sequence[AuditEntry]], Iterator[str]]:
    """Compare who holds a grant on a row with who got it by the lines and did not lose it again."""

    def compare(row: Queue | CategoryGrant, lines: Sequence[AuditEntry]) -> Iterator[str]:
        told: set[str] = set()
        for line in lines:
            (told.add if line.event == given else told.discard)(str(line.data.get("person")))
        app, _, model = row._meta.label_lower.partition(".")  # noqa: SLF001
        about = {
            "content_type__app_label": app,
            "content_type__model": model,
            "object_pk": str(row.pk),
        }
        people = UserObjectPermission.objects.filter(**about).values_list("user", flat=True)
        there = {str(key) for key in people}
        for key in sorted(there - told):
            yield f"{row}: person {key} may work or see it, and the log does not say so"
        for key in sorted(told - there):
            yield f"{row}: the log says that person {key} may work or see it, and the grant is gone"
        if GroupObjectPermission.objects.filter(**about).exists():
            yield f"{row}: a group of people may work or see it, and no verb grants that"

    return compare


def _granted(model: type[Model], given: AuditEvent, taken: AuditEvent) -> Kind:
    return Kind(
        "grants",
        model,
        frozenset({given}),
        frozenset({given, taken}),
        _of_all(model),
        _grants(given),
        lambda line: f"{model._meta.verbose_name} {line.subject_id}: its row is gone",  # noqa: SLF001
        is_silent=True,
    )


_OPENED = frozenset({AuditEvent.CASE_OPENED})
_NOTED = frozenset({AuditEvent.CASE_NOTE_ADDED})
KINDS = [
    Kind(
        "cases",
        Case,
        _OPENED,
        _OPENED | {AuditEvent.CASE_JOINED, AuditEvent.CASE_MOVED},
        _cases,
        _compare_case,
        lambda line: f"Case {line.subject_id}: its row is gone",
    ),
    Kind(
        "notes",
        Note,
        _NOTED,
        _NOTED,
        _notes,
        _compare_note,
        lambda line: f"Note {line.subject_id}: its row is gone",
    ),
    _granted(Queue, AuditEvent.QUEUE_GRANTED, AuditEvent.QUEUE_REVOKED),
    _granted(CategoryGrant, AuditEvent.CATEGORY_GRANTED, AuditEvent.CATEGORY_REVOKED),
]
