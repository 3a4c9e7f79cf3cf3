"""A check of the environment itself."""

from __future__ import annotations

import os
from typing import Any

from django.core.checks import CheckMessage, Warning, register  # noqa: A004

from config import given


@register
def settings_are_read(**_: Any) -> list[CheckMessage]:
    """W001: a setting that is misspelt does nothing, and what it should have done is missed much later."""
    return [
        Warning(
            f"Nobody reads the setting {name}.",
            hint=f"Did you mean {near}?"
            if near
            else "docs/operations.md lists all of them; unset it if it is of the past.",
            id="config.W001",
        )
        for name, near in given.unread(os.environ).items()
    ]
