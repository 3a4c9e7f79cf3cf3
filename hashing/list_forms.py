"""Forms about the state of hash lists."""

from __future__ import annotations

from django import forms


class PauseForm(forms.Form):
    """For how long a list pauses, and why."""

    hours = forms.IntegerField(
        min_value=1,
        max_value=24 * 90,
        initial=24,
        help_text="The list then counts again by itself.",
    )
    reason = forms.CharField(max_length=300, widget=forms.Textarea(attrs={"rows": 2}))


class PreviewForm(forms.Form):
    """Another threshold for one kind of digest."""

    algorithm = forms.ChoiceField(
        choices=[("pdq", "PDQ"), ("phash", "pHash"), ("dhash", "dHash"), ("whash", "wHash")]
    )
    threshold = forms.IntegerField(min_value=0, max_value=64, help_text="Differing bits.")
