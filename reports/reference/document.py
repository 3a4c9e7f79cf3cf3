"""What ninja cannot know, added to its OpenAPI document: components, headers, problems, scopes, messages."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Union

from pydantic import Field, TypeAdapter
from pydantic.json_schema import models_json_schema

from reports.choices import Scope
from reports.payloads import LINES
from reports.reference.describing import REF, Described

KEY = "SourceKey"
SERVERS = [
    {
        "url": "/",
        "description": "The installation that serves this document; the paths below begin there.",
    }
]

PROBLEMS: dict[int, tuple[str, str]] = {
    400: ("BadRequest", "Not JSON, or a broken multipart body."),
    401: ("Unauthorized", "No key, an unknown, expired or revoked one."),
    403: ("Forbidden", "The key lacks the scope, or its source may not do this."),
    404: ("NotFound", "Not there, or not yours."),
    408: ("RequestTimeout", "It did not arrive in time. Send it again."),
    409: ("Conflict", "The right request at the wrong moment. Read `code`."),
    410: ("Gone", "It was there and is not any more."),
    411: ("LengthRequired", "Send the length of the body (Content-Length)."),
    413: ("TooLarge", "Larger than the installation accepts; `limit` in bytes."),
    415: ("UnsupportedMediaType", "Another media type than the endpoint takes."),
    422: ("Invalid", "Fields do not make sense; `errors` names them."),
    429: ("TooManyRequests", "Too many requests. Wait `Retry-After` seconds."),
    503: (
        "Unavailable",
        "Not now. Repeat the same request, with the same Idempotency-Key, after `Retry-After` seconds.",
    ),
}
"""How a refusal is called in the document, and what it means whatever refused."""

HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-Id": {
        "description": "The id of this request. Name it when you ask an operator about it.",
        "schema": {"type": "string"},
        "example": "0f8fad5bd9cb469fa16570867728950e",
    },
    "RateLimit-Policy": {
        "description": "How many requests the key may make (`q`) in how many seconds (`w`).",
        "schema": {"type": "string"},
        "example": '"key";q=600;w=60',
    },
    "RateLimit": {
        "description": "Requests left (`r`), and seconds until the window ends (`t`).",
        "schema": {"type": "string"},
        "example": '"key";r=598;t=41',
    },
    "Retry-After": {
        "description": "Seconds to wait before the same request is sent again.",
        "schema": {"type": "integer", "minimum": 0},
        "example": 5,
    },
    "Idempotent-Replayed": {
        "description": "`true`: this is the first answer again, and nothing was done this time.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "Sunset": {
        "description": "When this key ends (RFC 8594). Only on a key that does: change to another one before.",
        "schema": {"type": "string"},
        "example": "Sun, 29 Nov 2026 10:00:00 GMT",
    },
}
ALWAYS = ("X-Request-Id", "RateLimit-Policy", "RateLimit", "Sunset")
WITH_RETRY_AFTER = frozenset({409, 429, 503})

PARAMETERS: dict[str, dict[str, Any]] = {
    "RequestId": {
        "in": "header",
        "name": "X-Request-Id",
        "required": False,
        "description": (
            "Your own id of the request, 8 to 64 letters, digits, `_`, `.`, `:` or `-`. It counts only where the "
            "operator's proxy passes it on and Holdfast was told to believe that proxy; else a fresh one is made."
        ),
        "schema": {"type": "string"},
        "example": "0f8fad5bd9cb469fa16570867728950e",
    },
    "IdempotencyKey": {
        "in": "header",
        "name": "Idempotency-Key",
        "required": False,
        "description": (
            "A value of your choice, new for each new request. Sent again with the same body it "
            "brings the same answer and does nothing twice. Remembered for 7 days."
        ),
        "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
        "example": "report-7001",
    },
}

TAGS = {
    "Reports": "What somebody reported, and what became of it.",
    "Media": "Files, sent before they are named.",
    "Scans": "Photos, names and descriptions that nobody reported.",
    "Directory": "What the platform says of its own accounts and groups.",
    "Batches": "Many things at once.",
    "Matching": "What Holdfast knows, without making a case.",
    "Enforcements": "Orders to the platform, and what became of them.",
    "Appeals": "Appeals against orders, and what became of them.",
    "Key": "What the key itself is and may do.",
    "Vocabulary": "The words that are sent and answered.",
}


def finish(
    schema: Mapping[str, Any], described: Described, scopes: Mapping[str, list[Scope]]
) -> dict[str, Any]:
    """Return the whole document. ``scopes`` names for each operation those of which its key needs one.

    Raises ValueError when two different things would be called the same.
    """
    done = copy.deepcopy(dict(schema))
    done["servers"] = SERVERS
    components = done["components"]
    _add(components["schemas"], _shapes(described))
    _add(components["schemas"], described.forms)
    components["headers"] = HEADERS
    components["parameters"] = PARAMETERS
    components["responses"] = {}
    components["securitySchemes"] = {
        KEY: {
            "type": "http",
            "scheme": "bearer",
            "description": "A key of one source. It opens what its scopes name.",
            "x-scopes": {scope.value: scope.label for scope in Scope},
        }
    }
    for _, _, operation in operations(done):
        _finish_operation(operation, components["responses"], scopes[operation["operationId"]])
    done["webhooks"] = {kind: _message(kind, described) for kind in described.webhooks}
    _drop_titles(done)
    _drop_unused(done)
    for shape in components["schemas"].values():
        _say_defaults(shape)
    used = [tag for _, _, operation in operations(done) for tag in operation["tags"]]
    done["tags"] = [
        {"name": name, "description": TAGS.get(name, "")} for name in dict.fromkeys(used)
    ]
    return done


def operations(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield method, path and operation."""
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def resolve(schema: Mapping[str, Any], node: Any) -> Any:
    """Return what a ``$ref`` of the document points at, with what stands beside it; anything else as it is."""
    if not isinstance(node, Mapping) or "$ref" not in node:
        return node
    found: Any = schema
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return {**found, **{key: value for key, value in node.items() if key != "$ref"}}


def _add(known: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, schema in more.items():
        if known.setdefault(name, schema) != schema:
            raise ValueError(f"two components are called {name} and differ")


def _shapes(described: Described) -> dict[str, Any]:
    """Return the components of bodies, lines and messages, and of what they are made of."""
    _, collected = models_json_schema(
        [(shape, "validation") for shape in described.shapes.values()], ref_template=REF
    )
    found: dict[str, Any] = dict(collected.get("$defs", {}))
    line: Any = Annotated[Union[tuple(LINES.values())], Field(discriminator="type")]  # noqa: UP007 — made at run time
    lines = TypeAdapter(line).json_schema(ref_template=REF)
    _add(found, lines.pop("$defs"))
    lines["description"] = "A line of a batch; `type` says what it is."
    found["BatchLine"] = lines
    return found


def _finish_operation(
    operation: dict[str, Any], responses: dict[str, Any], scopes: list[Scope]
) -> None:
    named = operation.setdefault("parameters", [])
    named.append({"$ref": "#/components/parameters/RequestId"})
    is_idempotent = any("IdempotencyKey" in each.get("$ref", "") for each in named)
    for each in named:
        if "schema" in each:
            each["schema"] = _without_null(each["schema"])
            each["schema"].pop("description", None)
    # One of them is enough: each stands as an alternative of its own. Without any, every key will do.
    operation["security"] = [{KEY: [scope.value]} for scope in scopes] or [{KEY: []}]
    for status, response in operation["responses"].items():
        if int(status) >= 400:
            operation["responses"][status] = _problem(int(status), response, responses)
        else:
            names = [*ALWAYS, *(["Idempotent-Replayed"] if is_idempotent else [])]
            response["headers"] = _headers(names) | response.get("headers", {})
    # JSON has texts as keys, and a reader finds them in order.
    operation["responses"] = {
        str(status): operation["responses"][status]
        for status in sorted(operation["responses"], key=int)
    }


def _problem(status: int, response: dict[str, Any], responses: dict[str, Any]) -> dict[str, str]:
    """Return a reference to a refusal: one component for a status and a shape."""
    schema = response["content"]["application/json"]["schema"]
    name, meaning = PROBLEMS[status]
    shape = schema["$ref"].rpartition("/")[2]
    if shape != "Problem":
        name = f"{shape}{status}"
    headers = [*ALWAYS, *(["Retry-After"] if status in WITH_RETRY_AFTER else [])]
    responses[name] = {
        "description": meaning,
        "headers": _headers(headers),
        "content": {"application/problem+json": {"schema": schema}},
    }
    return {"$ref": f"#/components/responses/{name}"}


def _headers(names: list[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _message(kind: str, described: Described) -> dict[str, Any]:
    told = described.webhooks[kind]
    return {
        "post": {
            "operationId": "receive_" + kind.replace(".", "_"),
            "summary": told.summary,
            "description": told.description,
            "parameters": [
                {"in": "header", "name": name, "required": True, "schema": {"type": "string"}}
                for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
            ],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {"$ref": REF.format(model=told.shape.__name__)},
                        "example": dict(told.example),
                    }
                },
            },
            "responses": {
                "2XX": {"description": "Taken. The body is not read."},
                "410": {"description": "Nobody listens here any more: it is given up at once."},
                "default": {"description": "It is sent again later, for 48 hours."},
            },
        }
    }


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a parameter's schema: an address has no way to say null, it leaves the parameter out."""
    options = [each for each in schema.get("anyOf", []) if each.get("type") != "null"]
    if len(options) != 1:
        return schema
    return options[0] | {k: v for k, v in schema.items() if k not in {"anyOf", "default"}}


def _drop_titles(node: Any) -> None:
    """Leave out pydantic's titles ("External Id"): generators would name classes after them."""
    if isinstance(node, dict):
        # Not the document's own, not a member that is called so, and not one in an example.
        if isinstance(node.get("title"), str) and "version" not in node and "status" not in node:
            del node["title"]
        for key, value in node.items():
            if key != "example":
                _drop_titles(value)
    elif isinstance(node, list):
        for each in node:
            _drop_titles(each)


def _say_defaults(shape: dict[str, Any]) -> None:
    """Say in words what counts when a member is left out.

    ``default`` says the same for programs, and generators of types then call the member required.
    """
    for member in shape.get("properties", {}).values():
        default = member.pop("default", None)
        if default not in (None, "", [], {}):
            said = f"Left out: `{json.dumps(default, ensure_ascii=False)}`."
            member["description"] = f"{member.get('description', '')} {said}".strip()


def _drop_unused(done: dict[str, Any]) -> None:
    """Leave out schemas that nothing refers to, such as the one of a query that ninja took apart."""
    schemas = done["components"]["schemas"]
    used: set[str] = set()
    pending = [{key: value for key, value in done.items() if key != "components"}]
    pending += [value for key, value in done["components"].items() if key != "schemas"]
    while pending:
        for name in _names(pending.pop()):
            if name not in used:
                used.add(name)
                pending.append(schemas[name])
    done["components"]["schemas"] = {name: schemas[name] for name in sorted(used)}


def _names(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key in ("$ref", "x-itemSchema"):
            said = node.get(key)
            if isinstance(said, str) and said.startswith("#/components/schemas/"):
                yield said.rpartition("/")[2]
        for value in node.values():
            yield from _names(value)
    elif isinstance(node, list):
        for each in node:
            yield from _names(each)
