"""Forms of intake. They check shape; rules live in ``reports.actions``."""

from __future__ import annotations

import re
import uuid
from datetime import UTC
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.html import format_html

from core.errors import Invalid
from reports.actions.sources import MAX_RATE
from reports.models import NOT_SENT, Scope, Source, SourceKind, Surface, TrustLevel
from reports.payloads import LATEST, MAX_ITEMS, MAX_TEXT

REASONS = (
    ("csam", "Sexual abuse imagery of a child"),
    ("csam_suspected", "Suspected abuse imagery"),
    ("grooming", "Grooming"),
    ("solicitation", "Solicitation"),
    ("sextortion", "Sextortion"),
    ("harmful_group", "Harmful group"),
    ("spam", "Spam"),
    ("scam", "Scam"),
    ("impersonation", "Impersonation"),
    ("other", "Something else"),
)
PARAGRAPHS = re.compile(r"\r?\n[ \t]*\r?\n")


def add_errors(form: forms.Form, invalid: Invalid) -> None:
    """Show the sentences of an action's ``Invalid`` at the fields they name, else above the form."""
    for name, sentences in invalid.errors.items():
        for sentence in sentences:
            form.add_error(name if name in form.fields else None, sentence)


class SeveralFiles(forms.ClearableFileInput):
    """A file input that takes several files."""

    allow_multiple_selected = True


class ReportForm(forms.Form):
    """A report that somebody enters by hand. Files come beside it, see ``reports.views.entry``."""

    subject_kind = forms.ChoiceField(
        label="What is it about?",
        choices=[("account", "Account"), ("group", "Group")],
        initial="account",
        widget=forms.RadioSelect,
    )
    subject_id = forms.CharField(
        label="Id on the platform",
        max_length=200,
        help_text="Type three characters to search. An id that is not known yet is created.",
        widget=forms.TextInput(
            attrs={
                "autocomplete": "off",
                "spellcheck": "false",
                "list": "subject-matches",
            }
        ),
    )
    in_group = forms.CharField(
        label="In which group it happened",
        required=False,
        max_length=200,
        help_text="The group's id, of a report about an account. Empty: in none, or nobody knows.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    reason = forms.ChoiceField(label="Reason", choices=[("", "Choose"), *REASONS])
    description = forms.CharField(
        label="What happened",
        required=False,
        max_length=MAX_TEXT,
        widget=forms.Textarea(attrs={"rows": 4, "data-draft-key": "new-report-description"}),
    )
    occurred_at = forms.DateTimeField(
        label="When",
        required=False,
        help_text="UTC",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    reporter_ref = forms.CharField(
        label="Who told you",
        required=False,
        max_length=200,
        help_text="A ticket or reference, not a name.",
    )
    text_surface = forms.ChoiceField(
        label="The texts stood in",
        choices=[(s.value, s.label) for s in Surface if s not in NOT_SENT],
        initial=Surface.REPORTED_MESSAGE,
    )
    texts = forms.CharField(
        label="Texts",
        required=False,
        max_length=MAX_TEXT,
        help_text="One message after another; an empty line starts the next.",
        widget=forms.Textarea(attrs={"rows": 5, "data-draft-key": "new-report-texts"}),
    )
    file_surface = forms.ChoiceField(
        label="The files stood in",
        choices=[
            (s.value, s.label)
            for s in (Surface.REPORTED_MESSAGE, Surface.PROFILE_PHOTO, Surface.GROUP_PHOTO)
        ],
        initial=Surface.REPORTED_MESSAGE,
    )
    files = forms.FileField(  # type: ignore[assignment]  # The name that senders see.
        label="Files",
        required=False,
        widget=SeveralFiles(attrs={"multiple": True}),
    )
    token = forms.UUIDField(widget=forms.HiddenInput)

    def clean_files(self) -> None:
        """Say nothing: the view has taken the files already, whether or not the rest is in order."""

    def clean_occurred_at(self) -> Any:
        at = self.cleaned_data["occurred_at"]
        if at and at > timezone.now():
            raise forms.ValidationError("This lies in the future.")
        if at and at.year < 1970:
            raise forms.ValidationError("This lies before 1970.")
        return at

    def clean_subject_id(self) -> str:
        value: str = self.cleaned_data["subject_id"]
        if "\n" in value:
            raise forms.ValidationError("An id has one line.")
        return value

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        if said.get("in_group") and said.get("subject_kind") == "group":
            self.add_error("in_group", "The report is about a group itself. Leave this empty.")
        return said

    def clean_texts(self) -> list[str]:
        texts = [text.strip() for text in PARAGRAPHS.split(self.cleaned_data["texts"])]
        found = [text for text in texts if text]
        if len(found) > MAX_ITEMS:
            raise forms.ValidationError(f"These are more than {MAX_ITEMS} texts.")
        return found

    def document(self, uploads: list[uuid.UUID]) -> dict[str, Any]:
        """Return what was entered as the document that a machine would send."""
        said = self.cleaned_data
        subject = {said["subject_kind"]: said["subject_id"]}
        if said["in_group"]:
            subject["group"] = said["in_group"]
        items = [{"surface": said["text_surface"], "text": text} for text in said["texts"]]
        items += [{"surface": said["file_surface"], "media": upload} for upload in uploads]
        return {
            # A form sent twice is one report.
            "external_id": f"form-{said['token']}",
            "subject": subject,
            "reporter": {"ref": said["reporter_ref"]},
            "reason": said["reason"],
            "description": said["description"],
            "occurred_at": said["occurred_at"],
            "items": items,
        }


class SourceForm(forms.Form):
    """A source."""

    name = forms.CharField(label="Name", max_length=120)
    slug = forms.SlugField(
        label="Short name", max_length=50, help_text="Stands in addresses. It cannot be changed."
    )
    kind = forms.ChoiceField(
        label="Kind", choices=[c for c in SourceKind.choices if c[0] != SourceKind.STAFF]
    )
    trust = forms.ChoiceField(
        label="Trust",
        choices=TrustLevel.choices,
        help_text="How early its reports are looked at; gives no rights. Internal (scans, staff): somewhat earlier. "
        "Trusted flagger: earliest, and due in half the time.",
    )
    due_minutes = forms.IntegerField(
        label="Answer within, minutes",
        required=False,
        min_value=1,
        max_value=60 * 24 * 90,
        help_text="Empty: the routing rule decides.",
    )
    contact = forms.CharField(label="Contact", max_length=200, required=False)
    is_own_platform = forms.BooleanField(
        label="This is the platform itself",
        required=False,
        help_text="Only then its keys may describe accounts, groups and memberships (directory:write). "
        "Not for hotlines and other partners: what they know stands in their reports.",
    )
    tells_outcomes = forms.TypedChoiceField(
        label="Is told of decisions",
        choices=[
            ("", "As usual for such a source"),
            ("yes", "Decided, with action taken or no action"),
            ("no", "Closed, without outcome"),
        ],
        coerce=lambda value: value == "yes",
        empty_value=None,
        required=False,
        help_text="What its keys read of a report once the decision on its case is in effect. Which action, and by "
        "which policy, is never told. Usual: the platform itself and trusted flaggers hear the outcome, others that the "
        "report is closed. It counts for earlier reports too.",
    )
    is_active = forms.BooleanField(
        label="Takes reports", required=False, help_text="Off: all its keys are refused."
    )

    def __init__(self, *args: Any, source: Source | None = None, **kwargs: Any) -> None:
        if source is not None:
            kwargs["initial"] = {
                name: getattr(source, name) for name in self.base_fields if name != "slug"
            } | {"tells_outcomes": "yes" if source.tells_outcomes else "no"}
        super().__init__(*args, **kwargs)
        del self.fields["slug" if source is not None else "is_active"]
        if source is not None:
            told = self.fields["tells_outcomes"]
            told.choices = told.choices[1:]  # type: ignore[attr-defined]  # It is a field of choices.
            told.required = True
        if source is not None and source.kind == SourceKind.STAFF:
            self.fields["kind"].choices = [(SourceKind.STAFF.value, SourceKind.STAFF.label)]  # type: ignore[attr-defined]


class KeyForm(forms.Form):
    """A new key of a source."""

    name = forms.CharField(label="Name", max_length=80, help_text="Where it will be used.")
    is_test = forms.BooleanField(
        label="Test key",
        required=False,
        help_text="For trying out. What it sends is practice: it goes to the practice queue, orders nothing, counts nowhere "
        "and is deleted after some weeks. Begins with hf_test_.",
    )
    scopes = forms.MultipleChoiceField(
        label="May",
        choices=[
            (scope.value, format_html("{} <code>{}</code>", scope.label, scope.value))
            for scope in Scope
        ],
        widget=forms.CheckboxSelectMultiple,
    )
    rate_per_minute = forms.IntegerField(
        label="Requests per minute", min_value=1, max_value=MAX_RATE, initial=600
    )
    expires_at = forms.DateTimeField(
        label="Ends",
        required=False,
        help_text="UTC. Empty: until it is revoked.",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )

    def clean_expires_at(self) -> Any:
        at = self.cleaned_data["expires_at"]
        if at and not timezone.now() < at < LATEST.astimezone(UTC):
            raise forms.ValidationError("Choose a time that is still to come.")
        return at
