"""The settings that a detector asks for: a small closed language, from which a form is made.

A detector of another author describes its settings in JSON, so the description itself is checked before
anything is done with it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

__all__ = ["KINDS", "MOST_SETTINGS", "BadSchema", "Setting", "clean", "defaults", "parse"]

KINDS = ("bool", "int", "float", "text", "choice")
MOST_SETTINGS = 30
_LONGEST_TEXT = 500
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


class BadSchema(ValueError):
    """A description that cannot be used. The message says which setting and why."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting. ``kind`` is one of ``KINDS``; ``minimum`` and ``maximum`` bound numbers, ``longest``
    a text; ``choices`` are (value, label) pairs.
    """

    name: str
    label: str
    kind: str
    default: Any
    help: str = ""
    minimum: float | None = None
    maximum: float | None = None
    longest: int = 200
    choices: tuple[tuple[str, str], ...] = ()


def parse(described: object) -> tuple[Setting, ...]:
    """Return the settings of a description (a list of objects). Raises BadSchema."""
    if not isinstance(described, Sequence) or isinstance(described, str | bytes):
        raise BadSchema("the settings are not a list")
    if len(described) > MOST_SETTINGS:
        raise BadSchema(f"there are more than {MOST_SETTINGS} settings")
    found = tuple(_setting(each, number) for number, each in enumerate(described, start=1))
    names = [each.name for each in found]
    if len(set(names)) != len(names):
        raise BadSchema("two settings have the same name")
    return found


def defaults(settings: Sequence[Setting]) -> dict[str, Any]:
    """Return every setting at its default."""
    return {each.name: each.default for each in settings}


def clean(
    settings: Sequence[Setting], values: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values that are right, defaults in the place of missing ones, and errors by name.

    A name that no setting has is an error under that name.
    """
    cleaned: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for setting in settings:
        value = values.get(setting.name, setting.default)
        if problem := _problem(setting, value):
            errors[setting.name] = problem
        else:
            cleaned[setting.name] = float(value) if setting.kind == "float" else value
    for name in sorted(set(values) - {setting.name for setting in settings}):
        errors[name] = "There is no such setting."
    return cleaned, errors


def _setting(described: object, number: int) -> Setting:
    if not isinstance(described, Mapping):
        raise BadSchema(f"setting {number} is not an object")
    name = described.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadSchema(f"setting {number} has no name of small letters, digits and underscores")
    kind = described.get("kind")
    if kind not in KINDS:
        raise BadSchema(f"setting “{name}” has none of the kinds {', '.join(KINDS)}")
    setting = Setting(
        name=name,
        label=_text(described, "label", name, longest=80) or name.replace("_", " ").capitalize(),
        kind=str(kind),
        default=described.get("default"),
        help=_text(described, "help", name, longest=300),
        minimum=_number(described, "minimum", name),
        maximum=_number(described, "maximum", name),
        longest=_longest(described, name),
        choices=_choices(described, name) if kind == "choice" else (),
    )
    if problem := _problem(setting, setting.default):
        raise BadSchema(f"the default of setting “{name}” does not fit: {problem}")
    return setting


def _text(described: Mapping[Any, Any], key: str, name: str, *, longest: int) -> str:
    text = described.get(key, "")
    if not isinstance(text, str) or len(text) > longest:
        raise BadSchema(
            f"“{key}” of setting “{name}” is not a text of at most {longest} characters"
        )
    return text


def _number(described: Mapping[Any, Any], key: str, name: str) -> float | None:
    value = described.get(key)
    if value is not None and not _is_number(value):
        raise BadSchema(f"“{key}” of setting “{name}” is not a number")
    return value


def _longest(described: Mapping[Any, Any], name: str) -> int:
    value = described.get("longest", 200)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _LONGEST_TEXT:
        raise BadSchema(f"“longest” of setting “{name}” is not between 1 and {_LONGEST_TEXT}")
    return value


def _choices(described: Mapping[Any, Any], name: str) -> tuple[tuple[str, str], ...]:
    found = described.get("choices")
    if not isinstance(found, list) or not 1 <= len(found) <= 50:
        raise BadSchema(f"setting “{name}” has no list of 1 to 50 choices")
    pairs = []
    for each in found:
        pair = [each, each] if isinstance(each, str) else each
        if (
            not isinstance(pair, list | tuple)
            or len(pair) != 2
            or not all(isinstance(part, str) and 0 < len(part) <= 80 for part in pair)
        ):
            raise BadSchema(f"a choice of setting “{name}” is not a text or a pair of texts")
        pairs.append((pair[0], pair[1]))
    return tuple(pairs)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _problem(setting: Setting, value: object) -> str:
    if setting.kind == "bool":
        return "" if isinstance(value, bool) else "Say yes or no."
    if setting.kind == "text":
        if not isinstance(value, str):
            return "Write a text."
        return "" if len(value) <= setting.longest else f"Use at most {setting.longest} characters."
    if setting.kind == "choice":
        return "" if value in [key for key, _ in setting.choices] else "Choose one of the list."
    if not _is_number(value) or (setting.kind == "int" and not isinstance(value, int)):
        return "Write a whole number." if setting.kind == "int" else "Write a number."
    number = float(cast("float", value))
    if setting.minimum is not None and number < setting.minimum:
        return f"Write {setting.minimum:g} or more."
    if setting.maximum is not None and number > setting.maximum:
        return f"Write {setting.maximum:g} or less."
    return ""
