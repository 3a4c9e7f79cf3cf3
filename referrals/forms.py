"""Forms of the referral pages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.core.paginator import Page
from django.http import QueryDict

from accounts.models import User
from core.errors import Invalid
from referrals import access
from referrals.actions import AccountChange, DraftChanges, ExhibitChange
from referrals.actions.drafting import REASON_MINIMUM
from referrals.completeness import UNCONFIRMED
from referrals.models import (
    AccountRole,
    Exhibit,
    Recipient,
    Referral,
    ReferralAccount,
    Relevance,
)
from referrals.public_keys import read_keys, without_secret_keys


class OpenForm(forms.Form):
    """Choose the agency."""

    recipient = forms.ModelChoiceField(
        Recipient.objects.none(),
        label="Agency",
        empty_label="Choose an agency",
        help_text="The package will be encrypted so that only this agency and our escrow key open it.",
    )

    def __init__(self, data: QueryDict | None = None, *, user: User) -> None:
        super().__init__(data)
        self.fields["recipient"].queryset = access.recipients_for(user, only_active=True)  # type: ignore[attr-defined]


class DraftForm(forms.Form):
    """The words of a referral."""

    version = forms.IntegerField(widget=forms.HiddenInput)
    recipient = forms.ModelChoiceField(Recipient.objects.none(), empty_label=None, label="Agency")
    legal_basis = forms.CharField(
        required=False,
        max_length=300,
        label="Legal basis",
        help_text="One line, printed on the package. For example the provision that asks for a report.",
    )
    incident_type = forms.CharField(required=False, max_length=120, label="Incident type")
    incident_at = forms.DateTimeField(
        required=False,
        label="Date and time of the incident (UTC)",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "step": "0.001"}),
    )
    incident_confirmed = forms.BooleanField(
        required=False, label="What is proposed of the incident is right"
    )
    narrative = forms.CharField(
        required=False,
        label="Summary in words",
        widget=forms.Textarea(attrs={"rows": 7}),
        help_text="Who, what, when, and how it was found. It is the first thing the agency reads.",
    )
    urgency_reason = forms.CharField(
        required=False,
        label="Urgency and authority",
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Only if somebody is in danger now, or a particular authority applies.",
    )
    include_messages = forms.BooleanField(
        required=False, label="Include the messages and texts of the case"
    )

    def __init__(self, data: QueryDict | None = None, *, referral: Referral, user: User) -> None:
        initial = {
            name: getattr(referral, name)
            for name in self.base_fields
            if name not in {"recipient", "incident_confirmed"}
        }
        self._known_at = referral.incident_at
        initial["incident_at"] = to_milliseconds(referral.incident_at)
        super().__init__(data, initial={**initial, "recipient": referral.recipient_id})
        if not referral.incident_proposed:
            del self.fields["incident_confirmed"]
        active = access.recipients_for(user, only_active=True)
        current = access.recipients_for(user).filter(pk=referral.recipient_id)
        self.fields["recipient"].queryset = active | current  # type: ignore[attr-defined]
        for name in ("legal_basis", "incident_type", "incident_at", "narrative"):
            # A draft may be saved without them; the template says what "optional" would get wrong.
            self.fields[name].needed_for = "needed for approval"  # type: ignore[attr-defined]
        for name in ("narrative", "urgency_reason"):
            self.fields[name].widget.attrs["data-draft-key"] = f"referral-{referral.pk}-{name}"

    def clean_incident_at(self) -> datetime | None:
        """Return the time that was typed; one that nobody changed keeps what the field cannot show of it."""
        typed: datetime | None = self.cleaned_data["incident_at"]
        if typed and self._known_at and to_milliseconds(self._known_at) == f"{typed:{_SHOWN}}"[:23]:
            return self._known_at
        return typed


_SHOWN = "%Y-%m-%dT%H:%M:%S.%f"


def to_milliseconds(at: datetime | None) -> str:
    """Return a time as the field shows it: browsers take no finer fraction of a second."""
    return f"{at.astimezone(UTC):{_SHOWN}}"[:23] if at else ""


class ExhibitForm(forms.Form):
    """One exhibit's line."""

    is_included = forms.BooleanField(required=False, label="Goes into the package")
    relevance = forms.ChoiceField(choices=Relevance.choices)
    note = forms.CharField(required=False, max_length=500, label="Note for the agency")
    left_out_reason = forms.CharField(
        required=False, max_length=300, label="If it does not: why it stays behind"
    )


class AccountForm(forms.Form):
    """One account's line."""

    is_included = forms.BooleanField(required=False, label="Goes into the package")
    role = forms.ChoiceField(
        required=False, choices=[("", "Choose the part"), *AccountRole.choices], label="Part"
    )
    role.needed_for = "needed for approval"  # type: ignore[attr-defined]


class OthersForm(forms.Form):
    """One part for all who have none yet, where a case names many."""

    others = forms.ChoiceField(
        required=False,
        choices=[("", "Nothing: I say it for each"), *AccountRole.choices],
        label="Part of all who have none yet",
        help_text="Set when you save, for every account that goes into the package, on other pages as well.",
    )


class Draft:
    """The draft form and one page of the lines below it, bound or fresh, as one."""

    def __init__(
        self,
        referral: Referral,
        *,
        exhibits: Page[Exhibit],
        accounts: Page[ReferralAccount],
        user: User,
        data: QueryDict | None = None,
    ) -> None:
        self.referral = referral
        self.exhibit_page, self.account_page = exhibits, accounts
        self.form = DraftForm(data, referral=referral, user=user)
        self.exhibits = [
            (row, ExhibitForm(data, prefix=f"exhibit-{row.pk}", initial=_initial(row, ExhibitForm)))
            for row in exhibits
        ]
        self.others = OthersForm(data)
        self.accounts = [
            (row, AccountForm(data, prefix=f"account-{row.pk}", initial=_initial(row, AccountForm)))
            for row in accounts
        ]

    def is_valid(self) -> bool:
        """Check every part, so that all errors are shown at once."""
        return all(
            [
                self.form.is_valid(),
                *(form.is_valid() for _, form in self.exhibits),
                *(form.is_valid() for _, form in self.accounts),
                self.others.is_valid(),
            ]
        )

    def say_what_nobody_said(self) -> None:
        """Say at its field what approval waits for a person to say: the incident, the parts. After ``is_valid``."""
        for name in self.referral.incident_proposed:
            self.form.add_error(name, UNCONFIRMED[name])
        for _, form in self.accounts:
            if form.cleaned_data["is_included"] and not form.cleaned_data["role"]:
                form.add_error(
                    "role", "Say which part this account plays; “Not said” is an answer."
                )

    def changes(self) -> DraftChanges:
        """Return what was said. Call only after ``is_valid`` said yes."""
        words = {k: v for k, v in self.form.cleaned_data.items() if k != "version"}
        return DraftChanges(
            **words,
            exhibits={row.pk: ExhibitChange(**form.cleaned_data) for row, form in self.exhibits},
            accounts={row.pk: AccountChange(**form.cleaned_data) for row, form in self.accounts},
            others=self.others.cleaned_data["others"],
        )


def _initial(row: Any, form: type[forms.Form]) -> dict[str, Any]:
    found = {name: getattr(row, name) for name in form.base_fields}
    # A part that nobody said is never offered as if somebody had.
    return found if getattr(row, "role_set_by_id", True) else {**found, "role": ""}


class ReasonForm(forms.Form):
    """A reason that the other person will read."""

    reason = forms.CharField(
        label="What must be put right",
        widget=forms.Textarea(attrs={"rows": 3}),
        min_length=REASON_MINIMUM,
        max_length=2000,
    )

    def __init__(self, data: QueryDict | None = None, *, what: str = "", id: str = "") -> None:
        super().__init__(data, auto_id=f"id_{id}_%s" if id else "id_%s")
        if what:
            self.fields["reason"].label = what


class RecipientForm(forms.Form):
    """An agency's details. Its keys are entered and confirmed by themselves."""

    name = forms.CharField(max_length=160, label="Agency")
    unit = forms.CharField(max_length=160, required=False, label="Unit or officer")
    country = forms.CharField(
        max_length=2, required=False, label="Country", help_text="Two letters, such as DE."
    )
    contact = forms.CharField(
        max_length=300,
        required=False,
        help_text="A telephone number found by us, not the one in the request.",
    )
    is_active = forms.BooleanField(required=False, initial=True, label="New referrals may go here")


class KeysForm(forms.Form):
    """Public keys of an agency. A secret key that was pasted by mistake is never shown again."""

    keys = forms.CharField(
        label="Public keys",
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "autocomplete": "off"}),
        help_text="One age (age1…) or ssh-ed25519 public key on each line.",
    )

    def __init__(
        self, data: QueryDict | None = None, *, initial: dict[str, Any] | None = None
    ) -> None:
        self.key_problems: list[str] = []
        if data is not None:
            data = data.copy()
            keys = data.get("keys", "")
            try:
                read_keys(keys)
            except Invalid as invalid:
                self.key_problems = invalid.errors["keys"]
            # The page comes back with what was typed: a secret key must not come back with it.
            data["keys"] = without_secret_keys(keys)
        super().__init__(data, initial=initial)

    def clean_keys(self) -> str:
        """Refuse what the action would refuse, naming the lines as they were typed."""
        if self.key_problems:
            raise forms.ValidationError(self.key_problems)
        return str(self.cleaned_data["keys"])


class NewRecipientForm(KeysForm, RecipientForm):
    """An agency with its first keys, which wait for a second person."""

    field_order = ("name", "unit", "country", "contact", "keys")

    def __init__(self, data: QueryDict | None = None) -> None:
        super().__init__(data)
        self.fields["keys"].required = False
        del self.fields["is_active"]


class ConfirmKeyForm(forms.Form):
    """The fingerprint as the agency read it out."""

    fingerprint = forms.CharField(
        label="Fingerprint that the agency read out",
        max_length=80,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "spellcheck": "false", "class": "mono"}
        ),
        help_text="All 32 digits. Spaces and capitals do not matter.",
    )


class FilterForm(forms.Form):
    """The list's filter."""

    q = forms.CharField(required=False, label="Reference, case or agency")
