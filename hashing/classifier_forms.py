"""Forms of the classifiers. They check what a browser could send wrong; the actions check the rest."""

from __future__ import annotations

from django import forms

from hashing.forms import TEXT_SURFACES
from hashing.learning.fitting import Settings
from hashing.models import Category

__all__ = [
    "ActivationForm",
    "ClassifierForm",
    "ClassifierSettingsForm",
    "ReasonForm",
    "ThresholdForm",
    "TrainForm",
    "TrainingSetForm",
    "TryClassifierForm",
]

LONGEST_TRIAL = 20_000


class ClassifierForm(forms.Form):
    """What a classifier is to recognise, and where."""

    name = forms.CharField(max_length=120)
    category = forms.ChoiceField(
        choices=Category.choices,
        help_text="It learns from decisions of this category. Routing rules look at it.",
    )
    description = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="What it is meant to find, and what not. Stands on the model card.",
    )
    surfaces = forms.MultipleChoiceField(
        choices=TEXT_SURFACES,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="Where it learns and looks. None chosen: everywhere.",
    )


class ClassifierSettingsForm(ClassifierForm):
    """The same for a classifier that exists: it can be switched off."""

    is_active = forms.BooleanField(
        label="In force",
        required=False,
        help_text="Switched off, none of its versions flags anything.",
    )


class TrainingSetForm(forms.Form):
    """A file of labelled texts."""

    file = forms.FileField(
        label="Labelled texts",
        allow_empty_file=True,
        help_text="CSV or NDJSON in UTF-8, at most 50 MB and 200,000 rows.",
    )
    skip_bad_rows = forms.BooleanField(
        label="Keep the good rows when others are bad", required=False
    )


class TrainForm(forms.Form):
    """What a new version learns from, and how."""

    use_decisions = forms.BooleanField(label="Learn from decisions", required=False, initial=True)
    use_imported = forms.BooleanField(
        label="Learn from imported texts", required=False, initial=True
    )
    others_negative = forms.BooleanField(
        label="Take texts confirmed for another category as counter-examples",
        required=False,
        help_text="Otherwise they are left out.",
    )
    holdout_share = forms.FloatField(
        label="Held out for measuring",
        min_value=0.1,
        max_value=0.5,
        initial=Settings.holdout_share,
        widget=forms.NumberInput(attrs={"step": "0.05"}),
        help_text="Share of the newest texts that nothing is learned from, 0.1 to 0.5.",
    )
    strength = forms.FloatField(
        label="Trust in single words (C)",
        min_value=0.01,
        max_value=1000,
        initial=Settings.strength,
        widget=forms.NumberInput(attrs={"step": "any"}),
        help_text="Smaller is more cautious. 8 suits most; try 1 when there are few texts.",
    )
    calibration = forms.ChoiceField(
        choices=[
            ("auto", "By the number of texts"),
            ("sigmoid", "Sigmoid (Platt)"),
            ("isotonic", "Isotonic"),
        ],
        help_text="How scores become probabilities.",
    )


class ThresholdForm(forms.Form):
    """The wanted precision, in per cent, from which the threshold follows."""

    precision = forms.FloatField(
        label="Wanted precision",
        min_value=1,
        max_value=100,
        widget=forms.NumberInput(attrs={"step": "any", "type": "range", "min": "50", "max": "99"}),
        help_text="Of 100 texts that it flags, so many should be confirmed.",
    )


class ActivationForm(ThresholdForm):
    """A request that a version flags."""

    precision = forms.FloatField(min_value=1, max_value=100, widget=forms.HiddenInput)
    reason = forms.CharField(
        label="Why this version",
        max_length=500,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="For the second person.",
    )


class ReasonForm(forms.Form):
    """Why a request is declined, or a version stopped."""

    reason = forms.CharField(max_length=500, widget=forms.Textarea(attrs={"rows": 2}))


class TryClassifierForm(forms.Form):
    """A text to try a version on."""

    text = forms.CharField(
        strip=False,
        max_length=LONGEST_TRIAL,
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false"}),
        help_text="Write an invented text. Nothing of it is kept.",
    )
