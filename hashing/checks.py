"""Start-up checks of flagging."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Info, register

from hashing import film_program, heic, sandbox
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


@register()
def the_sandbox_is_complete(**_: Any) -> list[CheckMessage]:
    """hashing.E002, W002, I002: what this machine does not offer to confine what decodes files of strangers."""
    hint = "docs/operations.md tells what a container or a kernel must allow."
    found: list[CheckMessage] = []
    for gap in sandbox.gaps():
        if gap.is_covered:
            found.append(Info(gap.sentence, id="hashing.I002"))
        elif settings.HOLDFAST_REQUIRE_SANDBOX:
            found.append(Error(gap.sentence, hint=hint, id="hashing.E002"))
        else:
            found.append(checks.Warning(gap.sentence, hint=hint, id="hashing.W002"))
    return found


@register()
def heic_converter_is_there(**_: Any) -> list[CheckMessage]:
    """hashing.E003: switched on without a converter, every HEIC picture would wait for a person."""
    try:
        heic.converter()
    except LookupError as missing:
        return [
            Error(
                f"HOLDFAST_HEIC is on, but {missing} is not installed.",
                hint="Install the distribution's converter (Debian: libheif-examples), or set HOLDFAST_HEIC=0.",
                id="hashing.E003",
            )
        ]
    return []


@register()
def the_systems_ffmpeg_is_there(**_: Any) -> list[CheckMessage]:
    """hashing.E004: switched on without ffmpeg, every interlaced or HDR film would wait for a person."""
    try:
        film_program.program()
    except LookupError as missing:
        return [
            Error(
                f"HOLDFAST_FFMPEG is on, but {missing} is not installed.",
                hint="Install the distribution's package ffmpeg (5.1 or newer), or set HOLDFAST_FFMPEG=0.",
                id="hashing.E004",
            )
        ]
    return []
