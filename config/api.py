"""The machine API: one OpenAPI document over the rooms' routers."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, URLResolver
from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema

from core.errors import install_problem_handlers
from hashing.api import router as hashing_router
from moderation.api import router as moderation_router
from moderation.api_appeals import router as appeals_router
from moderation.api_vocabulary import router as vocabulary_router
from moderation.messages import describe_messages
from reports.api import router as reports_router
from reports.api_about import router as about_router
from reports.api_directory import router as directory_router
from reports.api_erasures import router as erasures_router
from reports.choices import Scope
from reports.door import SourceKey, machine_door
from reports.reference import described
from reports.reference.document import finish
from reports.views.documentation import ReferencePage
from reports.wording import sentence_of


class HoldfastAPI(NinjaAPI):
    """ninja's API with our door around every view and a finished OpenAPI document."""

    def get_openapi_schema(self, **kwargs: Any) -> OpenAPISchema:
        schema = super().get_openapi_schema(**kwargs)
        done = finish(schema, described, self._scopes())
        schema.clear()
        schema.update(done)
        return schema

    def _scopes(self) -> dict[str, list[Scope]]:
        """Return for each operation the scopes of which its key needs one."""
        return {
            operation.operation_id or "": [
                scope
                for door in operation.auth_callbacks
                if isinstance(door, SourceKey)
                for scope in door.scopes
            ]
            for router in self._get_bound_routers()
            for view in router.path_operations.values()
            for operation in view.operations
        }

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
        "How platforms and trusted flaggers report, ask and hear what was decided. Errors are problem documents "
        "(RFC 9457). Sign in with `Authorization: Bearer <key>`; each key belongs to one source.\n\n"
        "Within version 1 things are only added: endpoints, optional members of what is sent, members of what is "
        "answered, values of open strings (`x-extensible-enum`) and messages. Pass over what you do not know."
    ),
    openapi_extra={"info": {"license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}}},
    docs=ReferencePage(),
    docs_url="/docs",
)
install_problem_handlers(api, sentence_of=sentence_of)
describe_messages()
api.add_router("", reports_router)
api.add_router("", directory_router)
api.add_router("", hashing_router)
api.add_router("", about_router)
api.add_router("", erasures_router)
api.add_router("", vocabulary_router)
api.add_router("", moderation_router)
api.add_router("", appeals_router)
