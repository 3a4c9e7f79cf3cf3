"""The machine API: one OpenAPI document over the rooms' routers."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, URLResolver
from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema

from core.errors import install_problem_handlers
from hashing.api import router as hashing_router
from moderation.api_vocabulary import router as vocabulary_router
from reports.api import router as reports_router
from reports.api_about import router as about_router
from reports.door import machine_door
from reports.payloads import sentence_of
from reports.reference import finish
from reports.views.documentation import ReferencePage


class HoldfastAPI(NinjaAPI):
    """ninja's API with our door around every view and a finished OpenAPI document."""

    def get_openapi_schema(self, **kwargs: Any) -> OpenAPISchema:
        schema = super().get_openapi_schema(**kwargs)
        schema.update(finish(schema))
        return schema

    def guarded_urls(self) -> tuple[list[URLPattern | URLResolver], str, str]:
        """Return the addresses of the API; only the door decides who may enter, not the session."""
        patterns, app, namespace = self.urls
        for pattern in patterns:
            if isinstance(pattern, URLPattern):
                pattern.callback = machine_door(pattern.callback)
        return patterns, app, namespace


api = HoldfastAPI(
    title="Holdfast API",
    version="1",
    description=(
        "Intake and matching for platforms and trusted flaggers. Errors are problem documents (RFC 9457). "
        "Sign in with `Authorization: Bearer <key>`; each key belongs to one source."
    ),
    docs=ReferencePage(),
    docs_url="/docs",
)
install_problem_handlers(api, sentence_of=sentence_of)
api.add_router("", reports_router)
api.add_router("", hashing_router)
api.add_router("", about_router)
api.add_router("", vocabulary_router)
