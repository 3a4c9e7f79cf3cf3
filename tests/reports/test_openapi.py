"""The OpenAPI document against the server: invented requests never break it, answers are as declared."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from config.api import api
from reports.models import ApiKey
from reports.payloads import Shape
from reports.reference import CODES, described
from reports.reference.document import operations
from tests.background import answer_lookups_at_once

# Requests go through the WSGI door, which ends its database connection as it does in production.
pytestmark = pytest.mark.django_db(transaction=True)
# Not the one of config.wsgi: at import that asks the database whether it fits, and there is none yet.
application = get_wsgi_application()


@schemathesis.check
def code_is_listed(ctx: Any, response: Any, case: Any) -> None:
    """The document says that codes are open; that each is told today is checked here."""
    if response.status_code >= 400:
        assert response.json()["code"] in CODES


CHECKS = (
    code_is_listed,
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)
SCHEMA = api.get_openapi_schema()
OPERATIONS = [(method, path) for method, path, _ in operations(SCHEMA)]


@schemathesis.serializer("application/x-ndjson")
def ndjson(ctx: Any, value: Any) -> bytes:
    """Send invented text as it is: the batch reader must cope with any bytes."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_invented_requests_get_declared_answers(
    issued: tuple[ApiKey, str], method: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_lookups_at_once(monkeypatch)
    served = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", application)
    operation = served[path][method]

    @given(case=operation.as_strategy())
    @settings(
        max_examples=10,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Any) -> None:
        case.call_and_validate(
            headers={"Authorization": f"Bearer {issued[1]}"}, checks=list(CHECKS)
        )

    check()


def test_every_operation_is_checked() -> None:
    served = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", application)
    known = {(found.ok().method.upper(), found.ok().path) for found in served.get_all_operations()}
    assert known == set(OPERATIONS)
    assert len(known) > 12


@pytest.mark.parametrize(
    "shape", [shape for shape in described.shapes.values() if issubclass(shape, Shape)]
)
def test_no_document_breaks_the_shapes(shape: type[Shape]) -> None:
    from pydantic import ValidationError

    from reports.wording import field_errors

    names = st.sampled_from([*shape.model_fields, "other"])
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    values = st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
        max_leaves=8,
    )

    @given(document=st.dictionaries(names, values))
    @settings(max_examples=40, deadline=None, database=None, derandomize=True)
    def check(document: dict[str, Any]) -> None:
        said = None
        try:
            shape.model_validate(document)
        except ValidationError as invalid:
            said = field_errors(invalid)
        assert said is None or said

    check()
