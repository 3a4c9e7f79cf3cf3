"""ASGI entry point: what ``python -m config.runtime.web`` serves."""

from django.conf import settings

from config.web.bridge import Bridge
from config.wsgi import application as _django
from core.errors import in_words

application = Bridge(
    _django,
    threads=settings.HOLDFAST_WEB_THREADS,
    # Several files may come at once; forms and the marks between files need room as well.
    largest=2 * settings.HOLDFAST_MAX_UPLOAD_BYTES + 16 * 1024 * 1024,
    in_words=in_words,
)
