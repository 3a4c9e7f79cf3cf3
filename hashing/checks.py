"""Start-up checks of flagging."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from hashing.digests import PERCEPTUAL


@register()
def digests_are_known(**_: Any) -> list[CheckMessage]:
    """hashing.E001: a misspelt digest would never be computed, and its lists never match."""
    unknown = sorted(set(settings.HOLDFAST_DIGESTS) - set(PERCEPTUAL))
    if not unknown:
        return []
    return [
        Error(
            f"HOLDFAST_DIGESTS names digests that nobody computes: {', '.join(unknown)}.",
            hint=f"Use some of {', '.join(PERCEPTUAL)}, separated by commas.",
            id="hashing.E001",
        )
    ]
