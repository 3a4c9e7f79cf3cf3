"""The core has no pages of its own: health and error pages are wired in ``config.urls``.

The audit and operations pages need permissions, which the core does not know; they live in ``accounts``.
"""

from django.urls import URLPattern

app_name = "core"
urlpatterns: list[URLPattern] = []
