"""The API's description as a page's values: operations with their fields as rows, answers, and a curl line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from reports.reference.describing import MULTIPART, NDJSON
from reports.reference.document import operations, resolve

DEEPEST = 3
"""Members of members that the page shows; the document has them all."""

OWN_IDS = {"account_id": "user-1001", "group_id": "group-77"}
"""What stands in an address for the sender's own ids. Ids that Holdfast gave are shell variables: ``$REPORT_ID``."""


IN_BODIES = {"enforcement": "ENFORCEMENT_ID"}
"""Members of bodies that hold an id that Holdfast gave: the command line takes a shell variable for them."""


def operations_of(schema: Mapping[str, Any], address: str) -> list[dict[str, Any]]:
    """Return the operations for the page: fields as rows, answers, and a curl line that works."""
    found = []
    for method, path, operation in operations(schema):
        content = operation.get("requestBody", {}).get("content", {})
        shape = content.get("application/json", {}).get("schema", {})
        answers = {
            status: resolve(schema, answer) for status, answer in operation["responses"].items()
        }
        parameters = [resolve(schema, each) for each in operation.get("parameters", [])]
        found.append(
            {
                "id": operation["operationId"],
                "method": method,
                "path": path,
                "summary": operation["summary"],
                "paragraphs": paragraphs(operation.get("description", "")),
                "scopes": [scope for each in operation["security"] for scope in each["SourceKey"]],
                "is_idempotent": _is_idempotent(schema, operation),
                "media_types": list(content),
                "parameters": [
                    {
                        "path": each["name"],
                        "type": _type(each["schema"]),
                        "is_required": each.get("required", False),
                        "text": each.get("description", ""),
                    }
                    for each in parameters
                    if each["in"] == "query"
                ],
                "fields": fields_of(schema, shape),
                "answers": [(status, answer["description"]) for status, answer in answers.items()],
                "curl": curl(schema, method, path, operation, address),
                "lines": content.get(NDJSON, {}).get("example", ""),
            }
        )
    return found


def messages_of(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the messages that Holdfast sends, for the page."""
    found = []
    for kind, methods in schema["webhooks"].items():
        [body] = methods["post"]["requestBody"]["content"].values()
        found.append(
            {
                "kind": kind,
                "summary": methods["post"]["summary"],
                "paragraphs": paragraphs(methods["post"]["description"]),
                "fields": fields_of(schema, body["schema"]),
                "example": json.dumps(body["example"], indent=2, ensure_ascii=False),
            }
        )
    return found


def paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a description, without the code marks."""
    return [" ".join(part.split()).replace("`", "") for part in text.split("\n\n") if part.strip()]


def fields_of(
    schema: Mapping[str, Any], shape: Mapping[str, Any], prefix: str = "", *, depth: int = 0
) -> list[dict[str, Any]]:
    """Return the members of a shape of the document as rows, nested ones with their path."""
    rows: list[dict[str, Any]] = []
    shape = resolve(schema, shape)
    required = set(shape.get("required", []))
    for name, member in shape.get("properties", {}).items():
        one = _only(schema, member)
        path = f"{prefix}{name}"
        inner = _only(schema, one.get("items", one))
        rows.append(
            {
                "path": path,
                "type": _type(one),
                "is_required": name in required,
                "text": paragraphs(member.get("description") or one.get("description", ""))[:1],
            }
        )
        if "properties" in inner and depth < DEEPEST:
            marks = "[]." if one.get("type") == "array" else "."
            rows += fields_of(schema, inner, f"{path}{marks}", depth=depth + 1)
    return rows


def _only(schema: Mapping[str, Any], member: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a member that may also be null, references followed."""
    member = resolve(schema, member)
    options = [o for o in member.get("anyOf", [member]) if o.get("type") != "null"]
    return {**resolve(schema, options[0]), **{k: v for k, v in member.items() if k != "anyOf"}}


def _type(schema: Mapping[str, Any]) -> str:
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


def _is_idempotent(schema: Mapping[str, Any], operation: Mapping[str, Any]) -> bool:
    named = [resolve(schema, each)["name"] for each in operation.get("parameters", [])]
    return "Idempotency-Key" in named


def curl(
    schema: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any], address: str
) -> str:
    """Return a command line for an operation. The documentation's tests run every one of them."""
    for each in operation.get("parameters", []):
        name = each.get("name", "")
        path = path.replace("{" + name + "}", OWN_IDS.get(name, f"${name.upper()}"))
    lines = [
        f'curl -sS -X {method} "{address}{path}"',
        '  -H "Authorization: Bearer $HOLDFAST_KEY"',
    ]
    if _is_idempotent(schema, operation):
        lines.append('  -H "Idempotency-Key: $(uuidgen)"')
    content = operation.get("requestBody", {}).get("content", {})
    if "example" in content.get("application/json", {}):
        example = content["application/json"]["example"]
        lines.append("  -H 'Content-Type: application/json'")
        document = json.dumps(example, ensure_ascii=False)
        for member in IN_BODIES.keys() & set(example):
            variable = f'"\'"${IN_BODIES[member]}"\'"'
            document = document.replace(json.dumps(example[member]), variable, 1)
        lines.append(f"  -d '{document}'")
    elif NDJSON in content:
        lines.append(f"  -H 'Content-Type: {NDJSON}'")
        lines.append("  --data-binary @batch.ndjson")
    elif MULTIPART in content:
        lines.append("  -F file=@photo.png")
    return " \\\n".join(lines)
