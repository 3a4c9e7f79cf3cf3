"""Addresses of intake for people."""

from django.urls import URLPattern, URLResolver, path

from reports.views import entry, erasures, sources

app_name = "reports"

_SOURCE = "sources/<slug:slug>/"

urlpatterns: list[URLPattern | URLResolver] = [
    # Entered by hand
    path("reports/", entry.index, name="entered"),
    path("reports/new/", entry.new, name="new"),
    path("reports/subjects/", entry.search, name="subjects"),
    path("reports/<uuid:id>/", entry.report, name="report"),
    path("erasures/", erasures.index, name="erasures"),
    # Sources
    path("sources/", sources.index, name="sources"),
    path("sources/new/", sources.new, name="source_new"),
    path(_SOURCE, sources.source, name="source"),
    path(f"{_SOURCE}edit/", sources.edit, name="source_edit"),
    path(f"{_SOURCE}keys/", sources.issue, name="key_issue"),
    path(f"{_SOURCE}keys/<uuid:key_id>/rotate/", sources.rotate, name="key_rotate"),
    path(f"{_SOURCE}keys/<uuid:key_id>/revoke/", sources.revoke, name="key_revoke"),
]
