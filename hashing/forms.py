"""Forms of the lists and rules. They check what a browser could send wrong; the actions check the rest."""

from __future__ import annotations

from typing import Any

from django import forms

from hashing.actions.hash_lists import HIGHEST_PDQ_THRESHOLD, HIGHEST_PHASH_THRESHOLD
from hashing.models import Algorithm, Category
from reports.models import Surface

TEXT_SURFACES = [
    (surface.value, surface.label)
    for surface in Surface
    if surface not in {Surface.PROFILE_PHOTO, Surface.GROUP_PHOTO}
]
"""Surfaces that can hold text."""

LONGEST_TRIAL = 20_000
LARGEST_TERMS_FILE = 5 * 1024 * 1024


class HashListForm(forms.Form):
    """What a hash list is, and how near is near enough."""

    name = forms.CharField(max_length=120)
    category = forms.ChoiceField(
        choices=Category.choices, help_text="What a match is about. Routing rules look at it."
    )
    origin = forms.CharField(
        max_length=200, required=False, help_text="Who gave you the list, for example a hotline."
    )
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 3}))
    pdq_threshold = forms.IntegerField(
        label="PDQ threshold",
        min_value=0,
        max_value=HIGHEST_PDQ_THRESHOLD,
        initial=31,
        help_text="Differing bits of 256 that still count as a match. 31 is usual.",
    )
    phash_threshold = forms.IntegerField(
        label="pHash threshold",
        min_value=0,
        max_value=HIGHEST_PHASH_THRESHOLD,
        initial=8,
        help_text="Differing bits of 64 that still count as a match. 8 is usual.",
    )


class HashListSettingsForm(HashListForm):
    """The same for a list that exists: it can be switched off."""

    dhash_threshold = forms.IntegerField(
        label="dHash threshold", min_value=0, max_value=HIGHEST_PHASH_THRESHOLD, required=False
    )
    whash_threshold = forms.IntegerField(
        label="wHash threshold", min_value=0, max_value=HIGHEST_PHASH_THRESHOLD, required=False
    )
    video_compared_percent = forms.IntegerField(
        label="Video: % of the listed one",
        min_value=10,
        max_value=100,
        required=False,
        help_text="So much of a listed video is seen,",
    )
    video_query_percent = forms.IntegerField(
        label="Video: % of itself",
        min_value=10,
        max_value=100,
        required=False,
        help_text="or so much of it shows something listed,",
    )
    video_run_seconds = forms.IntegerField(
        label="Video: seconds in a row",
        min_value=2,
        max_value=3600,
        required=False,
        help_text="or so long in a row.",
    )
    flood_percent = forms.IntegerField(
        label="Flood guard (%)",
        min_value=1,
        max_value=100,
        required=False,
        help_text="A list that flags more than this share of an hour's pictures is held until a lead looks.",
    )
    is_negative = forms.BooleanField(
        label="Known harmless material",
        required=False,
        help_text="Its matches silence those of other lists. Say in each entry's note why.",
    )
    is_active = forms.BooleanField(
        label="In force",
        required=False,
        help_text="A list that is not in force matches nothing; its entries stay.",
    )

    def settings(self) -> dict[str, Any]:
        """Return what was said; a number that was left empty stays as it is."""
        return {name: value for name, value in self.cleaned_data.items() if value is not None}


class ImportForm(forms.Form):
    """A file for a list."""

    file = forms.FileField(
        label="File",
        allow_empty_file=True,
        help_text="CSV, JSON, NDJSON or an exchange file. Kinds: md5, sha1, sha256, pdq, phash, dhash, whash.",
    )
    skip_bad_rows = forms.BooleanField(
        label="Keep the good rows if some rows are bad",
        required=False,
        help_text="Without this, one bad row means that nothing is imported.",
    )


class EntryForm(forms.Form):
    """One digest by hand."""

    algorithm = forms.ChoiceField(choices=Algorithm.choices)
    value = forms.CharField(
        max_length=200,
        help_text="Hexadecimal.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    note = forms.CharField(max_length=500, required=False)


class RetireForm(forms.Form):
    """Why an entry is taken off its list."""

    reason = forms.CharField(
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="For example: confirmed to be a mistake by the list's owner.",
    )


class DigestSearchForm(forms.Form):
    """Is this digest listed anywhere?"""

    digest = forms.CharField(
        label="Find a digest",
        required=False,
        max_length=200,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "spellcheck": "false", "data-key": "/"}
        ),
    )


class EntryFilterForm(forms.Form):
    """Which entries of a list are shown."""

    search = forms.CharField(label="Digest or note", required=False, max_length=200)
    state = forms.ChoiceField(
        required=False,
        choices=[("", "All"), ("active", "In force"), ("retired", "Retired")],
    )
