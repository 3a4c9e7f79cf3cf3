"""What people send in casework. Field names are stable: scripts drive the same forms."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from django import forms

from accounts.models import User
from accounts.permissions import Permission, Role, role_may
from core.errors import Invalid
from moderation import workflow
from moderation.models import Outcome, PolicyVersion, Queue, RevealPurpose, Verb
from moderation.viewing import MOST_STRETCHES


class DecideForm(forms.Form):
    """A verdict. The rules are the action's; this only reads what was sent."""

    policy = forms.ModelChoiceField(
        label="Policy",
        queryset=PolicyVersion.objects.select_related("policy"),
        error_messages={
            "required": "Choose the policy.",
            "invalid_choice": "Choose a policy from the list.",
        },
    )
    outcome = forms.ChoiceField(
        label="What you found",
        choices=Outcome.choices,
        error_messages={
            "required": "Choose what you found.",
            "invalid_choice": "Choose one of the outcomes.",
        },
    )
    enforcements = forms.MultipleChoiceField(
        label="What the platform should do",
        choices=Verb.choices,
        error_messages={
            "required": "Choose what the platform should do, or “No action”.",
            "invalid_choice": "“%(value)s” is not something the platform can do.",
        },
    )
    reason = forms.CharField(
        label="Reason",
        max_length=workflow.LONGEST_REASON,
        error_messages={"required": "Say what you found."},
        widget=forms.Textarea,
    )
    case_version = forms.IntegerField(min_value=1, widget=forms.HiddenInput)
    idempotency_key = forms.CharField(max_length=80, widget=forms.HiddenInput)

    def fresh_key(self) -> str:
        """Return the key of this form: the one that was sent, or a new one."""
        return str(self.data.get("idempotency_key") or uuid.uuid4())


class ReasonForm(forms.Form):
    """A sentence that says why."""

    reason = forms.CharField(
        max_length=500,
        label="Reason",
        widget=forms.Textarea(attrs={"rows": 3}),
        error_messages={"required": "Say why; somebody else will read it."},
    )


class OverturnForm(forms.Form):
    """Why a decision does not stand."""

    reason = forms.CharField(
        max_length=workflow.LONGEST_REASON,
        label="Why it does not stand",
        help_text="Kept with the case. The reviewer who decided can read it.",
        widget=forms.Textarea(attrs={"rows": 4}),
        error_messages={"required": "Say why; it is kept with the case."},
    )


class MoveForm(ReasonForm):
    """Another queue for a case, and why."""

    queue = forms.ModelChoiceField(queryset=Queue.objects.none(), label="Queue")
    case_version = forms.IntegerField(min_value=1, widget=forms.HiddenInput)
    field_order = ("queue", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["queue"].queryset = Queue.objects.filter(is_active=True)  # type: ignore[attr-defined]


class NoteForm(forms.Form):
    """A remark on a case."""

    text = forms.CharField(
        label="Note",
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 3, "placeholder": "What should colleagues know?"}),
        error_messages={"required": "Write something first."},
    )


class RevealForm(forms.Form):
    """Why somebody needs to look at an original."""

    purpose = forms.ChoiceField(
        choices=RevealPurpose.choices,
        error_messages={
            "required": "Choose why you need to look.",
            "invalid_choice": "Choose why you need to look.",
        },
    )


class ShownForm(forms.Form):
    """What the page measured of one look, in milliseconds: shown, painted in stretches, played in ranges.

    Without ``painted`` nothing was measured, and nothing counts as viewed.
    """

    milliseconds = forms.IntegerField(min_value=0, max_value=24 * 3600 * 1000)
    painted = forms.JSONField(required=False)
    played = forms.JSONField(required=False)
    film = forms.IntegerField(required=False, min_value=0, max_value=48 * 3600 * 1000)

    def clean_painted(self) -> list[int]:
        """Return the stretches, or refuse what is no list of whole numbers."""
        return self._listed("painted", self._is_time)

    def clean_played(self) -> list[tuple[int, int]]:
        """Return the ranges, or refuse what is no list of pairs."""
        found = self._listed(
            "played",
            lambda each: (
                isinstance(each, list) and len(each) == 2 and all(map(self._is_time, each))
            ),
        )
        return [(start, end) for start, end in found]

    def _listed(self, name: str, is_fit: Callable[[Any], bool]) -> list[Any]:
        given = self.cleaned_data.get(name) or []
        if (
            not isinstance(given, list)
            or len(given) > MOST_STRETCHES
            or not all(map(is_fit, given))
        ):
            raise forms.ValidationError("This is not what the page measures.")
        return given

    @staticmethod
    def _is_time(each: Any) -> bool:
        return type(each) is int and 0 <= each <= 48 * 3600 * 1000


class QueueFilterForm(forms.Form):
    """What of a queue is shown. Everything, when nothing is chosen."""

    severity = forms.ChoiceField(
        required=False,
        choices=[
            ("", "Any severity"),
            ("5", "Critical"),
            ("4", "Severe and up"),
            ("3", "3 and up"),
        ],
    )
    state = forms.ChoiceField(
        required=False,
        label="State",
        choices=[
            ("", "All open"),
            ("waiting", "Waiting"),
            ("held", "Being worked on"),
            ("mine", "With me"),
            ("over", "Past due"),
            ("decided", "Decided"),
        ],
    )
    source = forms.ChoiceField(
        required=False,
        choices=[
            ("", "Any source"),
            ("trusted", "Trusted flaggers"),
            ("standard", "Other reporters"),
        ],
    )


class SearchForm(forms.Form):
    """A case number or a subject's id."""

    q = forms.CharField(
        required=False,
        label="Case number or subject id",
        max_length=200,
        widget=forms.TextInput(
            attrs={"type": "search", "placeholder": "C-000123 or an account id"}
        ),
    )


class GrantForm(forms.Form):
    """A person to be granted something."""

    person = forms.ModelChoiceField(
        queryset=User.objects.none(),
        label="Person",
        empty_label="Choose a person",
        error_messages={"required": "Choose a person.", "invalid_choice": "Choose a person."},
    )

    def __init__(self, *args: Any, permission: Permission, granted: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        roles = [role.value for role in Role if role_may(role, permission)]
        field = self.fields["person"]
        field.queryset = (  # type: ignore[attr-defined]
            User.objects.filter(is_active=True, role__in=roles)
            .exclude(pk__in=granted)
            .order_by("name")
        )
        field.label_from_instance = lambda person: f"{person.name} ({person.pseudonym})"  # type: ignore[attr-defined]


def add_errors(form: forms.Form, problem: Invalid) -> None:
    """Put an action's sentences where the form shows them."""
    for field, sentences in problem.errors.items():
        for sentence in sentences:
            form.add_error(field if field in form.fields else None, sentence)


def checked(form: forms.Form) -> dict[str, Any]:
    """Return what a form holds. Raises Invalid with its sentences when it is not valid."""
    if not form.is_valid():
        raise Invalid({name: [str(e) for e in errors] for name, errors in form.errors.items()})
    return form.cleaned_data
