"""The OpenAPI document is whole: each address described, each name used once, each example valid."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from moderation.enforcement import trial_message
from reports.choices import Scope
from reports.reference import CODES
from reports.reference.describing import Described, body_of
from reports.reference.document import finish, operations, resolve

WITHOUT_DESCRIPTION = {"openapi.json", "docs", ""}
"""The description itself, its page, and an address that only names it (404)."""

Schema = dict[str, Any]


@pytest.fixture(scope="module")
def schema() -> Schema:
    found: Schema = Client().get("/api/v1/openapi.json").json()
    return found


def addresses() -> set[str]:
    """Return every address under /api/v1/ as the document writes it."""
    [api] = [
        each
        for each in get_resolver().url_patterns
        if isinstance(each, URLResolver) and str(each.pattern) == "api/v1/"
    ]
    assert all(isinstance(each, URLPattern) for each in api.url_patterns)
    found = {str(each.pattern) for each in api.url_patterns}
    plain = {re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", each) for each in found - WITHOUT_DESCRIPTION}
    return {f"/api/v1/{each}" for each in plain}


def examples(schema: Schema) -> Iterator[tuple[str, Any, Any]]:
    """Yield the place, schema and value of every example of a body, message, header or parameter."""

    def walk(place: str, node: Any) -> Iterator[tuple[str, Any, Any]]:
        if isinstance(node, dict):
            if "example" in node and "schema" in node:
                yield place, node["schema"], node["example"]
            for value in node.get("examples", []) if isinstance(node.get("examples"), list) else []:
                yield place, {k: v for k, v in node.items() if k != "examples"}, value
            for key, value in node.items():
                if key not in {"example", "examples"}:
                    yield from walk(f"{place}/{key}", value)
        elif isinstance(node, list):
            for index, value in enumerate(node):
                yield from walk(f"{place}/{index}", value)

    return walk("", schema)


def test_the_document_is_openapi(schema: Schema) -> None:
    assert schema["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(schema).validate()


def test_every_address_is_described_and_every_description_has_an_address(schema: Schema) -> None:
    assert set(schema["paths"]) == addresses()


def test_every_operation_says_what_it_does_takes_answers_and_needs(schema: Schema) -> None:
    for method, path, operation in operations(schema):
        where = f"{method} {path}"
        assert operation["summary"], where
        assert operation["description"].strip(), f"{where}: its view needs a docstring"
        assert operation["tags"], where
        for answer in operation["responses"].values():
            content = resolve(schema, answer)["content"]
            assert all("$ref" in each["schema"] for each in content.values()), where
        content = operation.get("requestBody", {}).get("content", {})
        assert not method.startswith("P") or content, f"{where} takes nothing that is described"
        for kind, body in content.items():
            if kind != "multipart/form-data":
                assert "example" in body, f"{where} needs an example: body_of(…, example=…)"
            assert "$ref" in body.get("x-itemSchema", body["schema"]), where
        for parameter in operation.get("parameters", []):
            said = resolve(schema, parameter)
            assert said["in"] == "path" or said["description"], f"{where}: {said['name']}"
        [door] = {name for each in operation["security"] for name in each}
        needed = {scope for each in operation["security"] for scope in each[door]}
        assert needed <= set(schema["components"]["securitySchemes"][door]["x-scopes"]), where


def test_every_scope_opens_something(schema: Schema) -> None:
    needed = {
        scope
        for _, _, operation in operations(schema)
        for each in operation["security"]
        for scope in each["SourceKey"]
    }
    assert needed == set(Scope.values)


def test_nothing_stands_in_the_document_twice(schema: Schema) -> None:
    """An object with members of its own is a component; outside of components there are only references."""

    def inlined(node: Any, place: str) -> Iterator[str]:
        if isinstance(node, dict):
            if "properties" in node and not re.fullmatch(r"/components/schemas/\w+", place):
                yield place
            for key, value in node.items():
                yield from inlined(value, f"{place}/{key}")
        elif isinstance(node, list):
            for value in node:
                yield from inlined(value, place + "/-")

    assert list(inlined(schema, "")) == []
    shapes = [json.dumps(each, sort_keys=True) for each in schema["components"]["schemas"].values()]
    assert len(set(shapes)) == len(shapes)


def test_every_component_is_used_and_says_what_it_is(schema: Schema) -> None:
    text = json.dumps(schema)
    for kind in ("schemas", "responses", "headers", "parameters"):
        for name in schema["components"][kind]:
            assert f'"#/components/{kind}/{name}"' in text, name


def test_answers_name_their_headers(schema: Schema) -> None:
    def headers(path: str, method: str, status: str) -> set[str]:
        answer = schema["paths"][f"/api/v1{path}"][method]["responses"][status]
        return set(resolve(schema, answer)["headers"])

    always = {"X-Request-Id", "RateLimit", "RateLimit-Policy", "Sunset"}
    assert headers("/reports", "post", "201") == always | {"Idempotent-Replayed"}
    assert headers("/reports/{report_id}", "get", "200") == always
    for status in ("409", "429", "503"):
        assert headers("/reports", "post", status) == always | {"Retry-After"}


def test_every_example_is_what_its_schema_says(schema: Schema) -> None:
    registry: Any = Registry().with_resource("urn:holdfast", DRAFT202012.create_resource(schema))

    def absolute(node: Any) -> Any:
        if isinstance(node, dict):
            return {
                key: f"urn:holdfast{value}" if key == "$ref" else absolute(value)
                for key, value in node.items()
            }
        return [absolute(each) for each in node] if isinstance(node, list) else node

    checked = 0
    for place, shape, value in examples(schema):
        validator = Draft202012Validator(
            absolute(shape),
            registry=registry,
            format_checker=Draft202012Validator.FORMAT_CHECKER,
        )
        found = [f"{place}: {error.message}" for error in validator.iter_errors(value)]
        assert not found
        checked += 1
    assert checked > 15
    [batch] = [
        body["content"]["application/x-ndjson"]
        for _, _, operation in operations(schema)
        if "application/x-ndjson" in (body := operation.get("requestBody", {})).get("content", {})
    ]
    lines = Draft202012Validator(absolute(batch["x-itemSchema"]), registry=registry)
    for line in batch["example"].splitlines():
        lines.validate(json.loads(line))
    assert not lines.is_valid({"type": "wish"})


def test_lines_of_a_batch_are_told_apart_by_their_type(schema: Schema) -> None:
    line = schema["components"]["schemas"]["BatchLine"]
    assert line["discriminator"]["propertyName"] == "type"
    assert {ref["$ref"] for ref in line["oneOf"]} == set(line["discriminator"]["mapping"].values())
    assert set(line["discriminator"]["mapping"]) == {
        "account",
        "group",
        "membership",
        "report",
        "scan",
    }


def test_the_codes_stand_in_the_document_and_on_the_page(schema: Schema) -> None:
    code = schema["components"]["schemas"]["ProblemCode"]
    assert code["x-extensible-enum"] == list(CODES)
    assert "enum" not in code  # A client of today must take a code of tomorrow.
    page = Client().get("/api/v1/docs").content.decode()
    for name in CODES:
        assert name in code["description"]
        assert f">{name}</th>" in page


def test_every_message_is_described(schema: Schema) -> None:
    from django.utils import timezone

    assert set(schema["webhooks"]) >= {"test"}
    sent = trial_message(timezone.now())
    [body] = schema["webhooks"]["test"]["post"]["requestBody"]["content"].values()
    assert set(body["example"]) == set(sent)
    page = Client().get("/api/v1/docs").content.decode()
    for kind in schema["webhooks"]:
        assert f'id="message-{kind}"' in page


def test_two_things_of_one_name_are_refused() -> None:
    class First(BaseModel):
        """One."""

    def second() -> type[BaseModel]:
        class First(BaseModel):
            """Another."""

            more: int

        return First

    told = Described()
    told.component(First)
    told.component(First)
    with pytest.raises(ValueError, match="two shapes are called First"):
        told.component(second())
    with pytest.raises(ValueError, match="two components are called First"):
        finish({"paths": {}, "components": {"schemas": {"First": {"type": "null"}}}}, told, {})


def test_a_body_is_one_component_in_json_and_in_a_form() -> None:
    class OnePayload(BaseModel):
        """One."""

    content = body_of(OnePayload, multipart="one", example={})["requestBody"]["content"]
    assert content["application/json"]["schema"] == {"$ref": "#/components/schemas/OnePayload"}
    assert content["multipart/form-data"]["schema"] == {"$ref": "#/components/schemas/OneForm"}
