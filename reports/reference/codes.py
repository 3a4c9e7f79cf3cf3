"""The ``code`` of every refusal that a sender can hear. Stable: one is never given another meaning.

``tests/reports/test_codes.py`` reads the source and fails for a code that is said and not listed here, or listed
and never said.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypeAliasType

CODES: dict[str, tuple[str, str]] = {
    "bad_request": (
        "400",
        "The request could not be read, or its body is not what its media type says.",
    ),
    "malformed": ("400", "The body is not valid JSON."),
    "unauthorized": ("401", "No key, or an unknown, expired or revoked one."),
    "forbidden": ("403", "The key lacks the scope, or its source is paused."),
    "not_own_platform": (
        "403",
        "Only the platform itself writes the directory and hears of orders.",
    ),
    "not_found": ("404", "There is no such thing, or it is not yours."),
    "method_not_allowed": ("405", "The address takes other methods; `Allow` names them."),
    "timeout": ("408", "The request did not arrive in time. Send it again."),
    "too_slow": ("408", "The batch did not arrive in time. Send the same batch again."),
    "blob_destroyed": ("409", "The file is not stored any more. Send it again."),
    "duplicate_external_id": (
        "409",
        "This source sent a report with this id; `existing` names it.",
    ),
    "idempotency_in_progress": (
        "409",
        "The first request of this key is still running. Ask again.",
    ),
    "idempotency_key_reused": ("409", "The key was used for something else. Use a new one."),
    "contradicts": (
        "409",
        "The order was said to be something else at that very moment; `existing` is that answer.",
    ),
    "duplicate_appeal": (
        "409",
        "This source handed on another appeal with this id; `existing` is it.",
    ),
    "not_appealable": (
        "409",
        "The order takes another one back: there is nothing to appeal against.",
    ),
    "withdrawn": ("409", "The order was taken back before it was sent. Do not carry it out."),
    "vault_damage": ("410, 500", "A stored file cannot be read, or was destroyed on purpose."),
    "length_required": ("411", "Send the length of the body (Content-Length)."),
    "too_large": ("413", "Larger than `limit` bytes. Nothing of it was kept."),
    "too_many_files": ("413", "More files than one request may have. Nothing of it was kept."),
    "unsupported_media_type": ("415", "Another media type than the endpoint takes, or compressed."),
    "invalid": ("422", "Fields do not make sense; `errors` names each."),
    "too_many_requests": ("429", "The key's rate is used up. Wait `Retry-After` seconds."),
    "source_slow_down": (
        "429",
        "Too much that this source sent waits to be looked at. Wait `Retry-After` seconds.",
    ),
    "header_too_large": ("431", "The header of the request is too large."),
    "error": ("500", "A fault of Holdfast. Send the same again with the same Idempotency-Key."),
    "busy": ("503", "Too many requests wait, or others changed the same thing. Nothing was taken."),
    "disk_full": (
        "503",
        "A disk is full. Nothing was taken; what was acknowledged before is kept.",
    ),
    "index_not_ready": ("503", "The index of known material is being built. Ask again."),
    "slow_down": (
        "503",
        "Too much waits to be looked at. Nothing was taken; wait `Retry-After` seconds.",
    ),
    "service_unavailable": ("503", "No worker looked at the files in time. Ask again."),
    "unavailable": (
        "503",
        "The database does not answer; whether it was done may not be known. Send the same again.",
    ),
    "scope": ("line of a batch", "The key lacks the scope that lines of this type need."),
    "too_long": ("line of a batch", "The line is longer than a line may be."),
    "unknown_type": ("line of a batch", "No line has this `type`."),
}
"""Code -> the statuses that it comes with, and what it means."""

ProblemCode = TypeAliasType(
    "ProblemCode",
    Annotated[
        str,
        Field(
            description="What went wrong, for programs. New codes are added: treat an unknown one by its status.\n\n"
            + "\n".join(f"- `{code}` ({status}): {text}" for code, (status, text) in CODES.items()),
            json_schema_extra={"x-extensible-enum": list(CODES)},
        ),
    ],
)
"""A code as a named component; open, because codes are added."""
