"""The API reference as a page. Public: it says nothing that the source code does not say."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from ninja import NinjaAPI
from ninja.openapi.docs import DocsBase

from reports.reference import CODES
from reports.reference.page import messages_of, operations_of


class ReferencePage(DocsBase):
    """Renders the OpenAPI document on the server; viewers that build themselves need inline scripts."""

    def render_page(self, request: HttpRequest, api: NinjaAPI, **kwargs: Any) -> HttpResponse:
        """Show every operation with its fields, answers and a command line."""
        schema = api.get_openapi_schema(path_params=kwargs)
        context = {
            "operations": operations_of(schema, f"{request.scheme}://{request.get_host()}"),
            "messages": messages_of(schema),
            "codes": [(code, *said) for code, said in CODES.items()],
        }
        return render(request, "reports/api_reference.html", context)
