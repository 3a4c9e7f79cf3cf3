"""Forms of the text rules. They check what a browser could send wrong; the actions check the rest."""

from __future__ import annotations

from typing import Any

from django import forms

from core.errors import Invalid
from hashing.folding import LEVELS, Step, level_of, steps_of
from hashing.models import Category, TermList
from hashing.rule_files import lines_of_csv
from hashing.rule_lines import (
    LONGEST_NOTE,
    MOST_WORDS,
    Joint,
    Operand,
    Part,
    Rule,
    RuleKind,
    parse_rule,
)
from hashing.terms import Bound
from reports.models import Surface

TEXT_SURFACES = [
    (surface.value, surface.label)
    for surface in Surface
    if surface not in {Surface.PROFILE_PHOTO, Surface.GROUP_PHOTO}
]
"""Surfaces that can hold text."""

LONGEST_TRIAL = 20_000
LARGEST_TERMS_FILE = 10 * 1024 * 1024

LEVEL_CHOICES = [
    ("exact", "Exact: as written, capitals too"),
    ("folded", "Folded: capitals, width and invisible characters do not matter"),
    ("evasive", "Evasive: all of the disguises below are seen through"),
    ("custom", "Chosen below"),
]

STEP_CHOICES = [
    (Step.CASE.value, "Capitals, width, ligatures, invisible characters"),
    (Step.MARKS.value, "Accents and strokes: é as e"),
    (Step.LOOKALIKES.value, "Look-alike letters of other alphabets: Cyrillic а as a"),
    (Step.SIGNS.value, "Digits and signs for letters: 4 and @ as a"),
    (Step.REPEATS.value, "Repeated letters: helloooo as hello"),
    (Step.SPACED.value, "Letters set apart: m a r k e r as marker"),
    (Step.GAPS.value, "Signs between the words of a phrase: marker-word as marker word"),
]


class TermListForm(forms.Form):
    """What a list of text rules is, where it looks and how strictly."""

    name = forms.CharField(max_length=120)
    category = forms.ChoiceField(
        choices=Category.choices, help_text="What a match is about. Routing rules look at it."
    )
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 3}))
    surfaces = forms.MultipleChoiceField(
        choices=TEXT_SURFACES,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="Where the rules look. None chosen: everywhere.",
    )
    level = forms.ChoiceField(
        choices=LEVEL_CHOICES,
        initial="folded",
        required=False,
        widget=forms.RadioSelect,
        label="How a writing may differ",
        help_text="Every disguise that is seen through also makes some harmless words match. "
        "Try texts before you choose more.",
    )
    steps = forms.MultipleChoiceField(
        choices=STEP_CHOICES,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Chosen one by one",
        help_text="Counts only where “Chosen below” is chosen above.",
    )
    score = forms.FloatField(
        min_value=0.01,
        max_value=1.0,
        initial=0.6,
        required=False,
        help_text="How certain a match is, 0 to 1. A rule may have its own: {score=0.9}.",
    )
    is_restricted = forms.BooleanField(
        label="Restricted",
        required=False,
        help_text="Only people who are named read what the list looks for. Its findings still show where.",
    )

    def clean(self) -> dict[str, Any]:
        """Put the level in words of steps."""
        said = super().clean() or {}
        level = said.pop("level", "") or "folded"
        if level in LEVELS:
            said["steps"] = [str(step) for step in LEVELS[level]]
        if said.get("score") is None:
            said["score"] = 0.6
        return said


class TermListSettingsForm(TermListForm):
    """The same for a list that exists: it can be switched off."""

    is_active = forms.BooleanField(
        label="In force",
        required=False,
        help_text="A list that is not in force flags nothing; its rules stay.",
    )


def settings_of(term_list: TermList) -> dict[str, Any]:
    """Return a list's settings as the form has them."""
    names = ("name", "category", "description", "surfaces", "score", "is_restricted", "is_active")
    return {
        **{name: getattr(term_list, name) for name in names},
        "steps": term_list.steps,
        "level": level_of(steps_of(term_list.steps)),
    }


def step_names(term_list: TermList) -> list[str]:
    """Return what writings may differ in, in words."""
    chosen = steps_of(term_list.steps)
    return [label for value, label in STEP_CHOICES if Step(value) in chosen]


class TermsForm(forms.Form):
    """The rules of a list, as text or as a file."""

    terms = forms.CharField(
        label="Rules",
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 16, "spellcheck": "false", "class": "mono"}),
        help_text="One rule a line. A note may follow after a tab.",
    )
    file = forms.FileField(
        label="Or take the rules from a file",
        required=False,
        allow_empty_file=True,
        help_text="UTF-8: text with one rule a line, or CSV with the columns rule, score, languages, level, note. "
        "It replaces the text above.",
    )
    version = forms.IntegerField(widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        """Read the file, if there is one, in the place of the text."""
        said = super().clean() or {}
        file = said.get("file")
        if file:
            if file.size > LARGEST_TERMS_FILE:
                self.add_error("file", "The file is larger than 10 MB.")
                return said
            try:
                said["terms"] = file.read().decode("utf-8-sig")
            except UnicodeDecodeError:
                self.add_error("file", "The file is not text in UTF-8.")
                return said
            if (file.name or "").lower().endswith((".csv", ".tsv")):
                try:
                    said["terms"] = "\n".join(lines_of_csv(said["terms"]))
                except Invalid as invalid:
                    for sentence in invalid.errors["file"]:
                        self.add_error("file", sentence)
        return said


class TermsImportForm(TermsForm):
    """A file for a list that may be too long to edit as text."""

    mode = forms.ChoiceField(
        choices=[
            ("add", "Add to the rules of the list"),
            ("replace", "Replace the rules of the list"),
        ],
        initial="add",
        widget=forms.RadioSelect,
        label="What the file does",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.fields["terms"]
        self.fields["file"].required = True
        self.fields["file"].label = "File"
        self.fields[
            "file"
        ].help_text = "UTF-8: text with one rule a line, or CSV with the columns rule, score, languages, level, note."


class BuildForm(forms.Form):
    """One rule, put together from fields. ``line`` is how it is written."""

    kind = forms.ChoiceField(
        choices=[
            ("word", "These words, nothing longer"),
            ("part", "Anywhere, also inside a word"),
            ("prefix", "At the beginning of a word"),
            ("suffix", "At the end of a word"),
            ("pattern", "A pattern (regular expression)"),
            ("near", "Two texts near each other"),
            ("and", "Two texts, anywhere"),
            ("without", "A text without another"),
            ("allow", "An allowed phrase: matches inside it do not count"),
        ],
        label="What is looked for",
    )
    first = forms.CharField(
        label="Text or pattern",
        max_length=500,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    second = forms.CharField(
        label="The other text",
        required=False,
        max_length=500,
        help_text="For near, and, without.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    distance = forms.IntegerField(
        label="Words between them at most",
        required=False,
        min_value=0,
        max_value=MOST_WORDS,
        initial=5,
        help_text="For near.",
    )
    score = forms.FloatField(
        required=False, min_value=0.01, max_value=1.0, help_text="Empty: the list's own."
    )
    languages = forms.CharField(
        required=False,
        max_length=100,
        help_text="ISO 639 codes, for example en de. Empty: every language. "
        "A text whose language cannot be told is looked at in any case.",
    )
    level = forms.ChoiceField(
        required=False,
        choices=[("", "As the list says"), *((name, name.capitalize()) for name in LEVELS)],
    )
    note = forms.CharField(required=False, max_length=LONGEST_NOTE)

    line = ""

    def clean(self) -> dict[str, Any]:
        """Write the rule, and read it again as a line would be."""
        said = super().clean() or {}
        if self.errors:
            return said
        kind, first = said["kind"], " ".join(said["first"].split())
        if kind in {"near", "and", "without"} and not said["second"].strip():
            self.add_error("second", "This kind of rule needs the other text.")
            return said
        try:
            self.line = _built(kind, first, said).line
            parse_rule(self.line)
        except ValueError as problem:
            self.add_error("first", str(problem))
        return said


def _built(kind: str, first: str, said: dict[str, Any]) -> Rule:
    own = {
        "score": said.get("score"),
        "languages": tuple(sorted(set(said["languages"].replace(",", " ").lower().split()))),
        "level": said["level"],
        "note": " ".join(said["note"].split()),
    }
    if kind == "pattern":
        bare = first[1:-1] if len(first) > 2 and first[0] == first[-1] == "/" else first
        return Rule(RuleKind.PATTERN, (Part(Joint.FIRST, Operand(bare, None)),), **own)
    if kind == "allow":
        return Rule(RuleKind.ALLOW, (Part(Joint.FIRST, Operand(first)),), note=own["note"])
    if kind in {"near", "and", "without"}:
        distance = said.get("distance") if kind == "near" else 0
        other = Part(
            Joint(kind),
            Operand(" ".join(said["second"].split())),
            5 if distance is None else distance,
        )
        return Rule(RuleKind.COMBINATION, (Part(Joint.FIRST, Operand(first)), other), **own)
    return Rule(RuleKind.TERM, (Part(Joint.FIRST, Operand(first, Bound(kind))),), **own)


class ReaderForm(forms.Form):
    """Somebody who may read a restricted list."""

    person = forms.UUIDField()


class VersionsForm(forms.Form):
    """Two versions to compare."""

    older = forms.IntegerField(min_value=0, required=False)
    newer = forms.IntegerField(min_value=1, required=False)


class TryForm(forms.Form):
    """A text to try the rules on."""

    text = forms.CharField(
        strip=False,
        max_length=LONGEST_TRIAL,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
        help_text="Write an invented text. Nothing of it is kept.",
    )
    surface = forms.ChoiceField(
        required=False, choices=[("", "Every surface"), *TEXT_SURFACES], label="As if it stood on"
    )
