"""The machine API: one OpenAPI document over the rooms' routers."""

from __future__ import annotations

from ninja import NinjaAPI

from core.errors import install_problem_handlers

api = NinjaAPI(
    title="Holdfast API",
    version="1",
    description=(
        "Intake for platforms and trusted flaggers. Errors are problem documents (RFC 9457). "
        "Sign in with `Authorization: Bearer <key>`; each key belongs to one source."
    ),
    docs_url="docs",
)
install_problem_handlers(api)

from reports.api import router as reports_router  # noqa: E402 — routers need `api` set up first

api.add_router("", reports_router)
