"""The API's own description: what ninja cannot know, added to its OpenAPI document, and a page from it.

The page is rendered on the server. Viewers that build themselves in the browser need inline scripts,
which the content policy refuses on purpose.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from pydantic import BaseModel

from reports.payloads import LINES

MULTIPART = "multipart/form-data"
NDJSON = "application/x-ndjson"

IDEMPOTENCY_PARAMETER: dict[str, Any] = {
    "parameters": [
        {
            "in": "header",
            "name": "Idempotency-Key",
            "required": False,
            "description": (
                "A value of your choice, new for each new request. Sent again with the same body it "
                "brings the same answer and does nothing twice. Remembered for 7 days."
            ),
            "schema": {"type": "string", "maxLength": 200, "pattern": "^[!-~]+$"},
        }
    ]
}

EXAMPLES: dict[str, Any] = {
    "submit_report": {
        "external_id": "rep-7001",
        "subject": {"account": "user-1001"},
        "reporter": {"account": "user-2002"},
        "reason": "grooming",
        "description": "Wrote to me out of nowhere.",
        "occurred_at": "2026-11-22T10:40:00Z",
        "items": [
            {
                "surface": "reported_message",
                "external_id": "msg-1",
                "text": "markerword-alpha",
                "sender": "user-1001",
                "content_at": "2026-11-22T10:39:12Z",
            }
        ],
    },
    "submit_scan": {
        "subject": {"group": "group-77"},
        "surface": "group_name",
        "text": "Holiday pictures",
    },
    "upsert_account": {
        "username": "alex",
        "joined_at": "2024-03-01T08:00:00Z",
        "identifiers": [
            {"kind": "email", "value": "alex@mail.example", "verified": True},
            {"kind": "device", "value": "d-1", "detail": {"model": "Phone 5"}},
        ],
        "ip_events": [
            {"kind": "login", "ip": "203.0.113.7", "port": 50123, "at": "2026-11-22T10:31:00Z"}
        ],
    },
    "match": {
        "digests": [
            {"id": "a", "algorithm": "md5", "value": "d41d8cd98f00b204e9800998ecf8427e"},
        ],
        "texts": [{"id": "b", "text": "Holiday pictures", "surface": "group_name"}],
    },
    "import_links": {
        "place": "example directory",
        "links": [{"link": "https://chat.example/join/AbC123", "seen_at": "2026-11-22T10:42:00Z"}],
    },
    "upsert_group": {"name": "Holiday pictures", "member_count": 12},
    "upsert_members": {
        "members": [{"account": "user-1001", "role": "owner", "joined_at": "2025-01-05T09:00:00Z"}]
    },
}
WITHOUT_IDEMPOTENCY = frozenset({"hash_files", "match", "import_links"})
"""Operations that change nothing, or nothing more when they are repeated."""

BATCH_EXAMPLE = (
    {"type": "account", "external_id": "user-1001", "username": "alex"},
    {"type": "membership", "group": "group-77", "account": "user-1001", "role": "admin"},
    {"type": "report", "subject": {"group": "group-77"}, "reason": "spam"},
)


def body_of(
    shape: type[BaseModel] | None, *, multipart: str = "", ndjson: bool = False, files: str = ""
) -> dict[str, Any]:
    """Return the ``requestBody`` of an operation that reads its body itself.

    ``multipart`` names the part that holds the document (or, without a shape, the file). ``files`` names
    the part that several files may have, in the place of the document.
    """
    content: dict[str, Any] = {}
    schema = _inline(shape) if shape else {}
    if shape:
        content["application/json"] = {"schema": schema}
    if multipart and shape:
        content[MULTIPART] = {
            "schema": {
                "type": "object",
                "properties": {multipart: schema},
                "required": [multipart],
                "additionalProperties": {"type": "string", "format": "binary"},
            },
            "encoding": {multipart: {"contentType": "application/json"}},
        }
    elif multipart:
        content[MULTIPART] = {
            "schema": {
                "type": "object",
                "properties": {multipart: {"type": "string", "format": "binary"}},
                "required": [multipart],
            }
        }
    if files:
        several = {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}
        content[MULTIPART] = {
            "schema": {"type": "object", "properties": {files: several}, "required": [files]}
        }
    if ndjson:
        content[NDJSON] = {
            "schema": {"type": "string", "description": f"Lines of type {', '.join(LINES)}."}
        }
    return {"requestBody": {"required": True, "content": content}}


def _inline(shape: type[BaseModel]) -> dict[str, Any]:
    """Return a shape's schema without references: ninja collects only those it made itself."""
    schema = shape.model_json_schema()
    definitions = schema.pop("$defs", {})

    def resolve(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                target = resolve(definitions[node["$ref"].rpartition("/")[2]])
                return target | {k: resolve(v) for k, v in node.items() if k != "$ref"}
            return {key: resolve(value) for key, value in node.items()}
        return [resolve(value) for value in node] if isinstance(node, list) else node

    resolved: dict[str, Any] = resolve(schema)
    return resolved


def finish(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the document with the right media type on refusals and the headers of every answer."""
    done = copy.deepcopy(dict(schema))
    for operations in done["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    kept = response["content"].pop("application/json")
                    response["content"]["application/problem+json"] = kept
                if int(status) == 429:
                    response["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    return done


# ── The page ──────────────────────────────────────────────────────────────────────────────────
def operations_of(schema: dict[str, Any], address: str) -> list[dict[str, Any]]:
    """Return the operations for the page: fields as rows, answers, and a curl line that works."""
    found = []
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            body = operation.get("requestBody", {}).get("content", {})
            json_schema = body.get("application/json", {}).get("schema", {})
            found.append(
                {
                    "id": operation["operationId"],
                    "method": method.upper(),
                    "path": path,
                    "summary": operation["summary"],
                    "paragraphs": paragraphs(operation.get("description", "")),
                    "is_idempotent": any(
                        p["name"] == "Idempotency-Key" for p in operation.get("parameters", [])
                    ),
                    "media_types": list(body),
                    "fields": fields_of(json_schema),
                    "answers": [
                        (status, answer["description"])
                        for status, answer in sorted(operation["responses"].items(), key=str)
                    ],
                    "curl": curl(operation["operationId"], method.upper(), path, address),
                }
            )
    return found


def batch_example() -> str:
    """Return the lines of the example batch."""
    return "\n".join(json.dumps(line) for line in BATCH_EXAMPLE)


def paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a description, without the code marks."""
    return [" ".join(part.split()).replace("`", "") for part in text.split("\n\n") if part.strip()]


def fields_of(schema: dict[str, Any], prefix: str = "", *, depth: int = 0) -> list[dict[str, Any]]:
    """Return the members of a schema as rows, nested ones with their path."""
    rows: list[dict[str, Any]] = []
    required = set(schema.get("required", []))
    for name, member in schema.get("properties", {}).items():
        options = [o for o in member.get("anyOf", [member]) if o.get("type") != "null"]
        one = options[0] | {k: v for k, v in member.items() if k != "anyOf"}
        path = f"{prefix}{name}"
        inner = one.get("items", one)
        rows.append(
            {
                "path": path,
                "type": _type(one),
                "is_required": (name in required and depth == 0) or name in required,
                "text": member.get("description", "").replace("`", ""),
            }
        )
        if "properties" in inner and depth < 3:
            marks = "[]." if one.get("type") == "array" else "."
            rows += fields_of(inner, f"{path}{marks}", depth=depth + 1)
    return rows


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    kind = str(schema.get("format") or schema.get("type", "any"))
    if kind == "array":
        return "list"
    if "maxLength" in schema:
        return f"{kind}, up to {schema['maxLength']:,}"
    return kind


def curl(operation: str, method: str, path: str, address: str) -> str:
    """Return a command line for an operation. The documentation's tests run every one of them."""
    values = {
        "account_id": "user-1001",
        "group_id": "group-77",
        "report_id": "$REPORT_ID",
        "scan_id": "$SCAN_ID",
    }
    for name, value in values.items():
        path = path.replace("{" + name + "}", value)
    lines = [
        f'curl -sS -X {method} "{address}{path}"',
        '  -H "Authorization: Bearer $HOLDFAST_KEY"',
    ]
    if method == "POST" and operation not in WITHOUT_IDEMPOTENCY:
        lines.append('  -H "Idempotency-Key: $(uuidgen)"')
    if operation in {"upload_media", "hash_files"}:
        lines.append("  -F file=@photo.png")
    elif operation == "submit_batch":
        lines.append(f"  -H 'Content-Type: {NDJSON}'")
        lines.append("  --data-binary @batch.ndjson")
    elif operation in EXAMPLES:
        lines.append("  -H 'Content-Type: application/json'")
        lines.append(f"  -d '{json.dumps(EXAMPLES[operation], ensure_ascii=False)}'")
    return " \\\n".join(lines)
