"""What a list held at an earlier version, and what lies between two. Values in, values out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from hashing.rule_lines import Rule, parse_rule

__all__ = ["Changed", "difference", "rules_before"]


class Change(Protocol):
    """What one version changed, as lines."""

    @property
    def added(self) -> Sequence[str]: ...
    @property
    def removed(self) -> Sequence[str]: ...
    @property
    def rewritten(self) -> Sequence[tuple[str, str]]: ...


@dataclass(frozen=True)
class Changed:
    """The difference between two versions. ``rewritten`` has pairs of before and after."""

    added: list[Rule]
    removed: list[Rule]
    rewritten: list[tuple[Rule, Rule]]


def rules_before(now: Iterable[str], changes: Iterable[Change]) -> list[Rule]:
    """Return the rules as they were before some changes, which are given newest first.

    Raises ValueError for a line that can no longer be read.
    """
    rules = {rule.identity: rule for rule in map(parse_rule, now)}
    for change in changes:
        for line in change.added:
            rules.pop(parse_rule(line).identity, None)
        for before, _ in change.rewritten:
            rule = parse_rule(before)
            rules[rule.identity] = rule
        for line in change.removed:
            rule = parse_rule(line)
            rules[rule.identity] = rule
    return list(rules.values())


def difference(older: Iterable[Rule], newer: Iterable[Rule]) -> Changed:
    """Return what was added, removed and rewritten from ``older`` to ``newer``, in alphabetical order."""
    before = {rule.identity: rule for rule in older}
    after = {rule.identity: rule for rule in newer}
    return Changed(
        added=sorted((after[key] for key in after.keys() - before.keys()), key=str),
        removed=sorted((before[key] for key in before.keys() - after.keys()), key=str),
        rewritten=sorted(
            (
                (before[key], after[key])
                for key in before.keys() & after.keys()
                if before[key].line != after[key].line
            ),
            key=lambda pair: str(pair[0]),
        ),
    )
