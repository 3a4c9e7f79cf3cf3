"""How an endpoint or a webhook says what it takes and sends: once, where it stands.

An endpoint's decorator is the one place. ``response=`` names its answers, the view's docstring is its description,
``auth=SourceKey(…)`` its scopes, and ``openapi_extra=`` is made here::

    openapi_extra=body_of(ReportPayload, multipart="report", example={…}) | IDEMPOTENCY_PARAMETER

Everything else of the document (headers, media types of problems, scopes, codes) follows from those. What a room
sends by itself is told with ``webhook``. Each class becomes one named component, however often it is used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

MULTIPART = "multipart/form-data"
NDJSON = "application/x-ndjson"
REF = "#/components/schemas/{model}"

IDEMPOTENCY_PARAMETER: dict[str, Any] = {
    "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}]
}
"""For a POST that is done once per Idempotency-Key. Joined with ``|`` to what ``body_of`` returns."""

_BINARY = {"type": "string", "format": "binary"}


@dataclass(frozen=True, slots=True)
class Webhook:
    """A message that Holdfast sends: its shape as a component, and a whole example."""

    summary: str
    description: str
    shape: type[BaseModel]
    example: Mapping[str, Any]


class Described:
    """What was told so far, by name. Filled when the rooms' modules are imported."""

    def __init__(self) -> None:
        self.shapes: dict[str, type[BaseModel]] = {}
        self.forms: dict[str, dict[str, Any]] = {}
        self.webhooks: dict[str, Webhook] = {}

    def component(self, shape: type[BaseModel]) -> dict[str, str]:
        """Return a reference to a shape's component. Raises ValueError for a second class of this name."""
        if self.shapes.setdefault(shape.__name__, shape) is not shape:
            raise ValueError(f"two shapes are called {shape.__name__}; a reader needs two names")
        return {"$ref": REF.format(model=shape.__name__)}

    def form(self, name: str, schema: dict[str, Any]) -> dict[str, str]:
        """Return a reference to the component of a multipart body."""
        if self.forms.setdefault(name, schema) != schema:
            raise ValueError(f"two forms are called {name}; a reader needs two names")
        return {"$ref": REF.format(model=name)}


described = Described()


def body_of(
    shape: type[BaseModel] | None,
    *,
    multipart: str = "",
    ndjson: bool = False,
    files: str = "",
    example: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return the ``requestBody`` of an operation that reads its body itself.

    ``multipart`` names the part that holds the document (or, without a shape, the file). ``files`` names
    the part that several files may have, in the place of the document. ``example`` is a whole document of the
    shape, or the lines of a batch: the reference shows it, and tests check it and send it.
    """
    content: dict[str, Any] = {}
    if shape:
        content["application/json"] = {"schema": described.component(shape)}
        if example is not None:
            content["application/json"]["example"] = example
    if multipart and shape:
        name = shape.__name__.removesuffix("Payload") + "Form"
        form: dict[str, Any] = {
            "type": "object",
            "description": f"The document in the part `{multipart}`; each file in a part that it names.",
            "properties": {multipart: described.component(shape)},
            "required": [multipart],
            "additionalProperties": _BINARY,
        }
        content[MULTIPART] = {
            "schema": described.form(name, form),
            "encoding": {multipart: {"contentType": "application/json"}},
        }
    elif multipart:
        form = {
            "type": "object",
            "description": "One file.",
            "properties": {multipart: _BINARY},
            "required": [multipart],
        }
        content[MULTIPART] = {"schema": described.form("FileForm", form)}
    if files:
        form = {
            "type": "object",
            "description": f"One or more files, each in a part called `{files}`.",
            "properties": {files: {"type": "array", "items": _BINARY, "minItems": 1}},
            "required": [files],
        }
        content[MULTIPART] = {"schema": described.form("FilesForm", form)}
    if ndjson:
        content[NDJSON] = {
            "schema": {
                "type": "string",
                "description": "One JSON object a line, each a `BatchLine`.",
            },
            # `itemSchema` of OpenAPI 3.2; 3.1 has no word for it.
            "x-itemSchema": {"$ref": REF.format(model="BatchLine")},
        }
        if isinstance(example, Sequence):
            content[NDJSON]["example"] = "\n".join(json.dumps(line) for line in example)
    return {"requestBody": {"required": True, "content": content}}


def webhook(kind: str, shape: type[BaseModel], *, summary: str, example: Mapping[str, Any]) -> None:
    """Tell of a message that Holdfast sends: its ``type``, shape, and a whole example. Raises ValueError twice."""
    if kind in described.webhooks:
        raise ValueError(f"the message {kind} is described already")
    described.component(shape)
    described.webhooks[kind] = Webhook(summary, (shape.__doc__ or "").strip(), shape, example)
