"""Forms for putting videos on a list."""

from __future__ import annotations

from typing import Any

from django import forms

from hashing.video_files import parse_frames


class VideoForm(forms.Form):
    """A video for a list: the file, or the hashes of its frames."""

    file = forms.FileField(
        label="Video file",
        required=False,
        allow_empty_file=True,
        help_text="It is encrypted, watched by a worker and let go of. Only hashes stay.",
    )
    frames = forms.CharField(
        label="Or its frames",
        required=False,
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false"}),
        help_text='JSON as vPDQ writes it: ["hash,quality,seconds", …], '
        "or objects with pdq, quality and at (seconds).",
    )
    note = forms.CharField(max_length=500, required=False)

    def clean(self) -> dict[str, Any]:
        """Read the frames; one of the two ways must be chosen."""
        said = super().clean() or {}
        if bool(said.get("file")) == bool(said.get("frames")):
            self.add_error("file", "Choose a file or paste frames, one of the two.")
        elif said.get("frames"):
            try:
                said["parsed"] = parse_frames(said["frames"])
            except ValueError as wrong:
                self.add_error("frames", str(wrong))
        return said
