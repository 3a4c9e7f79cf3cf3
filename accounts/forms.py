"""Forms of the people room. They check shape; rules live in ``accounts.actions``."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError

from accounts.models import User
from accounts.permissions import Role
from core.errors import Invalid

_CODE = {"autocomplete": "one-time-code", "inputmode": "numeric", "spellcheck": "false"}


def add_errors(form: forms.Form, invalid: Invalid) -> None:
    """Show the sentences of an action's ``Invalid`` at the fields they name."""
    for name, sentences in invalid.errors.items():
        for sentence in sentences:
            form.add_error(name if name in form.fields else None, sentence)


class SignInForm(forms.Form):
    """E-mail and password."""

    NO_MATCH = (
        "We could not sign you in. Check the e-mail address and the password. After repeated failures this "
        "browser has to wait a little longer each time."
    )

    email = forms.EmailField(
        label="E-mail",
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "username", "autofocus": True}),
    )
    password = forms.CharField(
        max_length=1024,  # Hashing a megabyte for a stranger would be a gift.
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


class CodeForm(forms.Form):
    """A TOTP code or, where that is allowed, a recovery code."""

    NO_MATCH = "This code does not match or was already used. Wait for the next one and try again."

    code = forms.CharField(
        label="Code",
        max_length=20,
        widget=forms.TextInput(attrs={**_CODE, "autofocus": True}),
    )


class ConfirmForm(forms.Form):
    """Proof that the signed-in person still sits there: the code, or the password."""

    NO_MATCH = "That does not match. After repeated failures this session has to wait a little longer each time."

    confirm_password = forms.CharField(
        label="Password",
        max_length=1024,
        strip=False,
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "autofocus": True}),
    )
    confirm_code = forms.CharField(
        label="Code from your authenticator app",
        max_length=20,
        required=False,
        widget=forms.TextInput(attrs=_CODE),
    )

    def __init__(self, *args: Any, asks_code: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not asks_code:
            del self.fields["confirm_code"]
            self.fields["confirm_password"].required = True
        else:  # Neither is optional: one of the two has to be given.
            self.fields["confirm_password"].needed_for = "or the code"  # type: ignore[attr-defined]
            self.fields["confirm_code"].needed_for = "or the password"  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not cleaned.get("confirm_password") and not cleaned.get("confirm_code"):
            self.add_error("confirm_password", "Enter your password.")
        return cleaned

    def proof(self) -> dict[str, str]:
        """Return the arguments of ``actions.confirm``."""
        return {
            "password": self.cleaned_data.get("confirm_password", ""),
            "code": self.cleaned_data.get("confirm_code", ""),
        }


class NewPasswordForm(forms.Form):
    """A new password, twice, long and not a common one."""

    new_password = forms.CharField(
        label="New password",
        help_text="At least 12 characters. A few unrelated words are easy to keep in mind.",
        max_length=1024,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    repeat_password = forms.CharField(
        label="New password again",
        max_length=1024,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def person(self) -> User:
        """Return whose name and e-mail the password may not resemble."""
        return User(
            email=self.cleaned_data.get("email", ""), name=self.cleaned_data.get("name", "")
        )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        first, second = cleaned.get("new_password"), cleaned.get("repeat_password")
        if first and second and first != second:
            self.add_error("repeat_password", "The two passwords differ.")
        elif first:
            try:
                password_validation.validate_password(first, self.person())
            except ValidationError as error:
                self.add_error("new_password", error)
        return cleaned


class LinkPasswordForm(NewPasswordForm):
    """A new password for a person who is known by other means than the old one."""

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        self._user = user
        super().__init__(*args, **kwargs)

    def person(self) -> User:
        return self._user


class ChangePasswordForm(LinkPasswordForm):
    """The current password and a new one."""

    current_password = forms.CharField(
        label="Current password",
        max_length=1024,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    field_order = ("current_password", "new_password", "repeat_password")


class AcceptForm(NewPasswordForm):
    """What an invited person fills in."""

    name = forms.CharField(
        label="Your name",
        help_text="Colleagues see it. Outside, only a pseudonym such as R-17 is ever shown.",
        max_length=120,
        widget=forms.TextInput(attrs={"autocomplete": "name", "autofocus": True}),
    )
    field_order = ("name", "new_password", "repeat_password")

    def __init__(self, *args: Any, email: str, **kwargs: Any) -> None:
        self._email = email
        super().__init__(*args, **kwargs)

    def person(self) -> User:
        return User(email=self._email, name=self.cleaned_data.get("name", ""))


class FirstAdministratorForm(NewPasswordForm):
    """What the first administrator fills in."""

    token = forms.CharField(max_length=200, widget=forms.HiddenInput)
    name = forms.CharField(
        label="Your name",
        max_length=120,
        widget=forms.TextInput(attrs={"autocomplete": "name", "autofocus": True}),
    )
    email = forms.EmailField(
        label="E-mail",
        max_length=254,
        help_text="You sign in with it. Nothing is ever sent to it.",
        widget=forms.EmailInput(attrs={"autocomplete": "username"}),
    )
    field_order = ("token", "name", "email", "new_password", "repeat_password")


class NameForm(forms.Form):
    """The name colleagues see."""

    name = forms.CharField(max_length=120, widget=forms.TextInput(attrs={"autocomplete": "name"}))


class ThemeForm(forms.Form):
    """Colours of the pages."""

    theme = forms.ChoiceField(
        label="Colours", choices=[("auto", "As the system"), ("light", "Light"), ("dark", "Dark")]
    )


class KeysForm(forms.Form):
    """Whether single keys do things."""

    keys_enabled = forms.BooleanField(
        label="Single-key shortcuts",
        help_text="Keys such as A, D and V act at once on case pages. Keys with Ctrl stay on.",
        required=False,
    )


class RoleForm(forms.Form):
    """One of the six roles."""

    role = forms.ChoiceField(choices=[(role.value, role.label) for role in Role])

    def clean_role(self) -> Role:
        return Role(self.cleaned_data["role"])


_REASON = forms.Textarea(attrs={"rows": 2})


class ReasonForm(forms.Form):
    """Why another administrator should confirm a change of an account."""

    reason = forms.CharField(
        label="How you made sure that they want it",
        help_text="For the administrator who confirms it, such as “called her on the number we know”.",
        max_length=500,
        widget=_REASON,
        error_messages={"required": "Say how you made sure that they want it."},
    )


class InviteForm(RoleForm):
    """Whom to invite as what."""

    email = forms.EmailField(label="E-mail", max_length=254, widget=forms.EmailInput())
    name = forms.CharField(max_length=120, help_text="The person can correct it.")
    reason = forms.CharField(
        label="Why an administrator",
        help_text="Only for an administrator: another administrator has to confirm it before the link works.",
        max_length=500,
        required=False,
        widget=_REASON,
    )
    field_order = ("name", "email", "role", "reason")


class PeopleFilterForm(forms.Form):
    """Search and filters of the people list."""

    search = forms.CharField(label="Name, e-mail or pseudonym", required=False, max_length=200)
    role = forms.ChoiceField(
        required=False, choices=[("", "All roles"), *((r.value, r.label) for r in Role)]
    )
    state = forms.ChoiceField(
        required=False,
        choices=[
            ("", "All states"),
            ("active", "Active"),
            ("failing", "Failing to sign in"),
            ("inactive", "Deactivated"),
        ],
    )
