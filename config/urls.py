"""Every address of the installation."""

from django.urls import URLPattern, URLResolver, include, path

from config.api import api
from core.views import health

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health, name="health"),
    path("api/v1/", api.guarded_urls()),
    path("", include("accounts.urls")),
    path("", include("reports.urls")),
    path("", include("hashing.urls")),
    path("", include("moderation.urls")),
    path("", include("referrals.urls")),
    path("", include("core.urls")),
]
handler400 = "core.views.bad_request"
handler403 = "core.views.forbidden"
handler404 = "core.views.not_found"
handler500 = "core.views.server_error"
