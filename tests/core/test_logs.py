"""What the log may say of a failed request: never what an exception quotes, never a link that works."""

from __future__ import annotations

import logging
import secrets
import uuid
from typing import Any

import pytest
from django.conf import settings
from django.utils.module_loading import import_string

from core.errors import QuietFormatter

LINE = QuietFormatter("{levelname} {name} {message}", style="{")


def _record(message: str, *args: object, exc: BaseException | None = None) -> logging.LogRecord:
    info = (type(exc), exc, exc.__traceback__) if exc else None
    return logging.LogRecord("django.request", logging.ERROR, "", 0, message, args, info)


def _fail() -> None:
    try:
        int("markerword-alpha")
    except ValueError as inner:
        raise RuntimeError("markerword-beta in a file") from inner


def test_what_an_exception_quotes_is_not_logged_but_its_kind_and_place_are() -> None:
    with pytest.raises(RuntimeError) as caught:
        _fail()
    text = LINE.format(_record("%s: %s", "Internal Server Error", "/reports/", exc=caught.value))
    assert "markerword" not in text
    assert "Internal Server Error: /reports/" in text
    assert "RuntimeError at core/test_logs.py" in text
    assert "from ValueError at core/test_logs.py" in text


def test_a_one_time_link_and_an_api_key_are_not_logged() -> None:
    token = secrets.token_urlsafe(32)
    key = f"hf_{secrets.token_hex(5)}_{secrets.token_urlsafe(32)}"
    text = LINE.format(_record("%s: %s", "Unprocessable Entity", f"/invitation/{token}/"))
    assert token not in text
    assert "/invitation/…/" in text
    assert key not in LINE.format(_record("sent %s", key))


def test_ids_stay_readable() -> None:
    key = str(uuid.uuid4())
    assert key in LINE.format(_record("Not Found: %s", f"/cases/{key}/"))
    assert f"scan_item-{key}" in LINE.format(_record("job %s", f"scan_item-{key}"))


def test_every_handler_of_the_settings_writes_this_way() -> None:
    logging: Any = settings.LOGGING
    handlers = logging["handlers"].values()
    assert handlers
    for handler in handlers:
        formatter = logging["formatters"][handler["formatter"]]
        assert import_string(formatter["()"]) is QuietFormatter
