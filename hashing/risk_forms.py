"""Forms of risk: weights and thresholds, filters, links."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms

from hashing import risk
from hashing.link_files import LONGEST_PLACE
from hashing.models import RiskPolicy
from hashing.models.risk import GROUP_LIMIT, QUIET_DAYS, RAISE_BY
from hashing.risk import Signal, Weight

__all__ = ["LinkImportForm", "LinkSearchForm", "RiskFilterForm", "RiskPolicyForm"]

KINDS = ("group", "account")


class RiskFilterForm(forms.Form):
    """Which scores are shown."""

    q = forms.CharField(label="Name or id", required=False, max_length=200)
    kind = forms.ChoiceField(
        label="What",
        required=False,
        choices=[("", "Groups and accounts"), ("group", "Groups"), ("account", "Accounts")],
    )
    above = forms.ChoiceField(
        label="Score", required=False, choices=[("", "All"), ("yes", "Above the threshold")]
    )


@dataclass(frozen=True)
class WeightRow:
    """One signal with its two fields, for the table."""

    signal: Signal
    points: forms.BoundField
    full: forms.BoundField
    errors: list[str]


class RiskPolicyForm(forms.Form):
    """All weights and thresholds; ``based_on`` is the version that the person saw."""

    based_on = forms.IntegerField(widget=forms.HiddenInput)
    group_open_at = forms.IntegerField(
        label="Groups: a case from", min_value=1, max_value=100, help_text="Points, 1 to 100."
    )
    account_open_at = forms.IntegerField(
        label="Accounts: a case from", min_value=1, max_value=100, help_text="Points, 1 to 100."
    )
    drop = forms.IntegerField(
        label="Below again after falling",
        min_value=0,
        max_value=50,
        help_text="Points under the threshold, so that a wavering score does not ask twice.",
    )
    raise_by = forms.IntegerField(
        label="Ask again after rising",
        min_value=RAISE_BY[0],
        max_value=RAISE_BY[1],
        help_text="Points since the last case.",
    )
    quiet_days = forms.IntegerField(
        label="Quiet after “not violating”",
        min_value=QUIET_DAYS[0],
        max_value=QUIET_DAYS[1],
        help_text="Days without a new case, unless the score rises.",
    )
    group_limit = forms.IntegerField(
        label="Members a group may have", min_value=GROUP_LIMIT[0], max_value=GROUP_LIMIT[1]
    )
    opens_cases = forms.BooleanField(
        label="Scores open cases",
        required=False,
        help_text="Off: scores are computed and shown, and bring nobody a case.",
    )
    note = forms.CharField(
        label="Why", max_length=300, required=False, help_text="Shown beside the version."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for kind in KINDS:
            for signal in risk.signals_of(kind):
                self.fields[f"{kind}_{signal.key}_points"] = forms.IntegerField(
                    label=f"{signal.label}: points", min_value=0, max_value=risk.HIGHEST
                )
                self.fields[f"{kind}_{signal.key}_full"] = forms.FloatField(
                    label=f"{signal.label}: in full at" + (" (%)" if _percent(signal) else ""),
                    min_value=0,
                    widget=forms.NumberInput(attrs={"step": "any"}),
                )

    @classmethod
    def of(cls, policy: RiskPolicy, data: Any = None) -> RiskPolicyForm:
        """Return the form of a version of the weights."""
        initial: dict[str, Any] = {
            name: getattr(policy, name)
            for name in (
                "group_open_at",
                "account_open_at",
                "drop",
                "raise_by",
                "quiet_days",
                "group_limit",
                "opens_cases",
            )
        }
        initial["based_on"] = policy.version
        for kind in KINDS:
            for key, weight in risk.weights_of(policy.weights, kind).items():
                signal = next(each for each in risk.signals_of(kind) if each.key == key)
                factor = 100 if _percent(signal) else 1
                initial[f"{kind}_{key}_points"] = weight.points
                full = round(weight.full * factor, 4)
                initial[f"{kind}_{key}_full"] = int(full) if full.is_integer() else full
        return cls(data, initial=initial)

    @property
    def weights(self) -> dict[str, dict[str, Weight]]:
        """The weights that were typed, by kind and signal."""
        found: dict[str, dict[str, Weight]] = {}
        for kind in KINDS:
            found[kind] = {}
            for signal in risk.signals_of(kind):
                factor = 100 if _percent(signal) else 1
                found[kind][signal.key] = Weight(
                    self.cleaned_data[f"{kind}_{signal.key}_points"],
                    self.cleaned_data[f"{kind}_{signal.key}_full"] / factor,
                )
        return found

    @property
    def settings(self) -> dict[str, Any]:
        """What ``change_risk_policy`` takes besides the weights."""
        names = ("based_on", "group_open_at", "account_open_at", "drop", "raise_by", "quiet_days")
        return {
            name: self.cleaned_data[name] for name in (*names, "group_limit", "opens_cases", "note")
        }

    def add_errors(self, errors: dict[str, list[str]]) -> None:
        """Show what the action found wrong at the fields concerned."""
        for name, sentences in errors.items():
            place = f"{name}_full" if f"{name}_full" in self.fields else name
            self.add_error(place if place in self.fields else None, sentences)

    def rows(self, kind: str) -> list[WeightRow]:
        return [
            WeightRow(
                signal,
                self[f"{kind}_{signal.key}_points"],
                self[f"{kind}_{signal.key}_full"],
                [
                    *self[f"{kind}_{signal.key}_points"].errors,
                    *self[f"{kind}_{signal.key}_full"].errors,
                ],
            )
            for signal in risk.signals_of(kind)
        ]

    @property
    def group_rows(self) -> list[WeightRow]:
        """The signals of groups with their fields."""
        return self.rows("group")

    @property
    def account_rows(self) -> list[WeightRow]:
        """The signals of accounts with their fields."""
        return self.rows("account")


def _percent(signal: Signal) -> bool:
    return signal.unit in {"share", "score"}


class LinkImportForm(forms.Form):
    """A file of links found outside."""

    place = forms.CharField(
        label="Where they were found",
        max_length=LONGEST_PLACE,
        help_text="A site or a search, such as “example.org directory”. A row may name its own place.",
    )
    file = forms.FileField(label="File", help_text="One link a line, CSV or JSON lines, in UTF-8.")
    skip_bad_rows = forms.BooleanField(label="Keep the good rows when some are bad", required=False)


class LinkSearchForm(forms.Form):
    """A link to look for."""

    link = forms.CharField(label="Is this link known?", required=False, max_length=1000)
