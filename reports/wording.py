"""What is wrong with what was sent, in the sender's words."""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError

from reports.choices import IdentifierKind, ItemRole, PlatformStatus, Surface
from reports.payloads import COUNTRY, EXTERNAL_ID, REASON, URL


def field_errors(invalid: ValidationError) -> dict[str, list[str]]:
    """Return the sentences of a failed check by field, as ``items.0.text``.

    The sender's values are not repeated: they may be evidence, and the answer may be logged.
    """
    errors: dict[str, list[str]] = {}
    for found in invalid.errors(include_url=False, include_input=False):
        field = ".".join(str(part) for part in found["loc"])
        errors.setdefault(field, []).append(sentence_of(found))
    return errors


_PATTERNS = {
    EXTERNAL_ID: "May not begin or end with a blank, nor hold a line break.",
    REASON: "Use a code of lower-case letters, digits, _ . : and -, such as grooming.",
    COUNTRY: "Use the two capital letters of ISO 3166-1, or nothing.",
    URL: "Must be an address that begins with http:// or https://, without blanks.",
}
_ENUM = {
    f"{choices.__name__}.{member.name}": str(member.value)
    for choices in (IdentifierKind, ItemRole, PlatformStatus, Surface)
    for member in choices
}


def sentence_of(found: Any) -> str:
    """Return one of pydantic's faults in the sender's words: what may be sent, never how it is called in here."""
    context = found.get("ctx", {})
    match found["type"]:
        case "enum" | "literal_error":
            said = [each.strip("'") for each in re.split(r",\s|\sor\s", context["expected"])]
            return f"Must be one of {', '.join(_ENUM.get(one, one) for one in said)}."
        case "extra_forbidden":
            return "Holdfast knows no member of this name."
        case "missing":
            return "Is missing."
        case "model_type" | "model_attributes_type" | "dict_type":
            return "Must be an object."
        case "list_type":
            return "Must be a list."
        case "string_type":
            return "Must be a text."
        case "string_pattern_mismatch" if context["pattern"] in _PATTERNS:
            return _PATTERNS[context["pattern"]]
        case _:
            return str(found["msg"].removeprefix("Value error, "))
