"""Forms for asking what is known of a file or a digest."""

from __future__ import annotations

from django import forms

from hashing.models import Algorithm

LARGEST_RADIUS = 96


class FileLookupForm(forms.Form):
    """A picture or video to try."""

    file = forms.FileField(
        label="Picture or video",
        allow_empty_file=True,
        help_text="Use a harmless one. It is encrypted, looked at by a worker and destroyed.",
    )


class DigestLookupForm(forms.Form):
    """A digest, and how far around it to look."""

    algorithm = forms.ChoiceField(choices=Algorithm.choices, initial=Algorithm.PDQ)
    value = forms.CharField(
        label="Digest",
        max_length=200,
        help_text="Hexadecimal.",
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "spellcheck": "false", "data-key": "/"}
        ),
    )
    radius = forms.IntegerField(
        label="Bits around it",
        required=False,
        min_value=0,
        max_value=LARGEST_RADIUS,
        help_text="Shows entries beyond the lists' thresholds too. Empty: as a scan would.",
    )
