"""Forms for setting up exchanges. Each kind has its own fields; secrets are never shown again."""

from __future__ import annotations

from typing import Any

from django import forms

from hashing.exchanges import ENVIRONMENTS, FIELDS, OPTIONAL
from hashing.models import Category

CHOICES = {"environment": [(each, each.replace("_", " ")) for each in ENVIRONMENTS]}


class ExchangeForm(forms.Form):
    """The fields of one kind of exchange; for a new one also its name and what it is about."""

    def __init__(self, *args: Any, kind: str, is_new: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if is_new:
            self.fields["name"] = forms.CharField(
                max_length=120, help_text="Its list gets the same name."
            )
            self.fields["category"] = forms.ChoiceField(
                choices=Category.choices, help_text="What a match is about."
            )
        for key, (label, is_secret, words) in FIELDS[kind].items():
            # A secret that is there stays when nothing is typed; it is never sent to a browser again.
            must = key not in OPTIONAL and (is_new or not is_secret)
            if key in CHOICES:
                self.fields[key] = forms.ChoiceField(
                    label=label, choices=CHOICES[key], help_text=words, required=must
                )
                continue
            widget = (
                forms.PasswordInput(attrs={"autocomplete": "off"})
                if is_secret
                else forms.TextInput()
            )
            hint = words if is_new or not is_secret else f"{words} Left empty, it stays.".strip()
            self.fields[key] = forms.CharField(
                label=label, max_length=1000, required=must, widget=widget, help_text=hint
            )
        self.fields["every_minutes"] = forms.IntegerField(
            label="Fetch every … minutes", min_value=5, max_value=43_200, initial=60
        )
        self.kind = kind

    def values(self) -> dict[str, str]:
        """Return what was said for the fields of the kind."""
        return {key: self.cleaned_data.get(key, "") for key in FIELDS[self.kind]}
