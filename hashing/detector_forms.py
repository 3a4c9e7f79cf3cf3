"""Forms of detectors, made from the settings that each declares."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.html import escape

from hashing import settings_schema
from hashing.models import Category, DetectorOrigin, DetectorSetting
from hashing.settings_schema import Setting
from reports.models import ItemKind, Surface

__all__ = ["DetectorForm", "ServiceForm", "TrialForm", "field_of"]

LONGEST_TRIAL = 20_000
_OWN = "own_"


def field_of(setting: Setting) -> forms.Field:
    """Return the form field of one setting. What a plug-in wrote is escaped: help texts are shown as HTML."""
    common: dict[str, Any] = {"label": setting.label, "help_text": escape(setting.help)}
    if setting.kind == "bool":
        return forms.BooleanField(required=False, **common)
    if setting.kind == "choice":
        return forms.ChoiceField(choices=list(setting.choices), **common)
    if setting.kind == "text":
        return forms.CharField(
            required=False,
            max_length=setting.longest,
            widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
            **common,
        )
    if setting.kind == "int":
        return forms.IntegerField(
            min_value=_whole(setting.minimum), max_value=_whole(setting.maximum), **common
        )
    return forms.FloatField(
        min_value=setting.minimum,
        max_value=setting.maximum,
        widget=forms.NumberInput(attrs={"step": "any"}),
        **common,
    )


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


class DetectorForm(forms.Form):
    """The settings of a detector: Holdfast's own, a threshold for each category, and what it declares."""

    label = forms.CharField(label="Name", max_length=80)
    opens_cases = forms.BooleanField(
        label="Findings open cases",
        required=False,
        help_text="Off: a finding only raises the order of a case that is there anyway. "
        "On: it is a flag that routing rules look at.",
    )
    version = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(
        self, *args: Any, schema: tuple[Setting, ...], categories: list[str], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.schema, self.categories = schema, categories
        for category in categories:
            self.fields[f"threshold_{category}"] = forms.FloatField(
                label=Category(category).label,
                min_value=0,
                max_value=1,
                widget=forms.NumberInput(attrs={"step": "any"}),
            )
        for setting in schema:
            self.fields[f"{_OWN}{setting.name}"] = field_of(setting)

    @classmethod
    def of(cls, setting: DetectorSetting, data: Any = None) -> DetectorForm:
        """Return the form of a detector as it is set up."""
        schema = settings_schema.parse(setting.description.get("settings", []))
        categories = list(setting.description.get("categories", []))
        initial: dict[str, Any] = {
            "label": setting.label,
            "opens_cases": setting.opens_cases,
            "version": setting.version,
        }
        initial |= {f"{_OWN}{name}": value for name, value in setting.settings.items()}
        initial |= {f"threshold_{each}": setting.thresholds.get(each, 0.5) for each in categories}
        form = cls(data, schema=schema, categories=categories, initial=initial)
        if setting.origin == DetectorOrigin.EXTERNAL:
            form.fields[f"{_OWN}url"].required = True
        return form

    @property
    def values(self) -> dict[str, Any]:
        """The values of the declared settings, by their own names."""
        return {each.name: self.cleaned_data[f"{_OWN}{each.name}"] for each in self.schema}

    @property
    def thresholds(self) -> dict[str, float]:
        """The thresholds by category."""
        return {each: self.cleaned_data[f"threshold_{each}"] for each in self.categories}

    def add_errors(self, errors: dict[str, list[str]]) -> None:
        """Show what an action found wrong at the fields concerned."""
        for name, sentences in errors.items():
            places = [place for place in (f"{_OWN}{name}", name) if place in self.fields]
            self.add_error(places[0] if places else None, sentences)

    @property
    def own_fields(self) -> list[forms.BoundField]:
        """The fields of the declared settings."""
        return [self[f"{_OWN}{each.name}"] for each in self.schema]

    @property
    def threshold_fields(self) -> list[forms.BoundField]:
        """The fields of the thresholds."""
        return [self[f"threshold_{each}"] for each in self.categories]


class ServiceForm(DetectorForm):
    """A new classifier outside: off at first, so it opens no cases yet."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.fields["opens_cases"], self.fields["version"]
        self.fields[f"{_OWN}url"].required = True


class TrialForm(forms.Form):
    """A picture or a text to show to one detector."""

    file = forms.FileField(
        label="Picture",
        required=False,
        allow_empty_file=True,
        help_text="Use a harmless one. It is stored encrypted and destroyed after a day.",
    )
    text = forms.CharField(
        required=False,
        strip=False,
        max_length=LONGEST_TRIAL,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        help_text="Write an invented text. It is stored encrypted and destroyed after a day.",
    )
    surface = forms.ChoiceField(choices=Surface.choices, label="As if it stood on")

    def __init__(self, *args: Any, kinds: tuple[str, ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if ItemKind.IMAGE not in kinds:
            del self.fields["file"]
        if ItemKind.TEXT not in kinds:
            del self.fields["text"]

    def clean(self) -> dict[str, Any]:
        """Ask for exactly one of picture and text."""
        said = super().clean() or {}
        given = [name for name in ("file", "text") if said.get(name)]
        if len(given) != 1:
            place = "file" if "file" in self.fields else "text" if "text" in self.fields else None
            both = "file" in self.fields and "text" in self.fields
            what = "either a picture or a text" if both else "something to look at"
            self.add_error(place, f"Give {what}.")
        return said
