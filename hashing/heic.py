"""HEIC pictures: turned into JPEG by a program of the operating system, where the operator switched that on.

No wheel of libheif is kept in step with its corrections; the distribution's package is. So Holdfast brings none: with
``HOLDFAST_HEIC`` the converter of the package ``libheif-examples`` is run, once for each picture, in a process of its own
in the sandbox (``hashing.confined_programs``). Without, a person looks: a picture that nobody decoded is never "no match".
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from django.conf import settings

from hashing import confined_programs, system_package
from hashing.confined_programs import NotRun
from hashing.decoder import HEIC_IS_OFF, CannotDecode

__all__ = ["MOST_PICTURES", "Converter", "converter", "described", "to_jpegs"]

PROGRAMS = ("heif-dec", "heif-convert")
"""The program's names, the newer first: ``heif-convert`` until libheif 1.18."""
MOST_PICTURES = 16
"""Pictures in one file that are looked at, as many as frames of an animation."""
_QUALITY = "98"


@dataclass(frozen=True)
class Converter:
    """The program that is used, and the version of its library as the distribution names it."""

    path: str
    version: str


def converter() -> Converter | None:
    """Return the converter that is switched on, or None. Raises LookupError if it is not installed."""
    wanted = settings.HOLDFAST_HEIC
    if not wanted:
        return None
    names = PROGRAMS if wanted == "1" else (wanted,)
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        raise LookupError(" or ".join(names))
    version = system_package.version_of(
        path, debian="libheif1", rpm="libheif", says=r"libheif version: (\S+)"
    )
    return Converter(path, version)


def is_ready() -> bool:
    """Return whether HEIC pictures are decoded here: it is switched on and the converter is installed."""
    try:
        return converter() is not None
    except LookupError:
        return False


def described() -> str:
    """Return a sentence for the operator: whether HEIC is decoded, by what, and of which version."""
    try:
        found = converter()
    except LookupError as missing:
        return f"HEIC is switched on, but {missing} is not installed."
    if found is None:
        return "HEIC is switched off (HOLDFAST_HEIC): such pictures go to a person undecoded."
    return (
        f"HEIC is decoded by {found.path}, whose libheif is {found.version}. "
        "Its corrections come with the system's updates, not from here."
    )


def to_jpegs(data: bytes, *, seconds: float, memory: int) -> list[bytes]:
    """Return the pictures in a HEIC file as JPEGs, upright; one more than ``MOST_PICTURES`` if there are more.

    Raises CannotDecode.

    ``seconds`` of time and ``memory`` in bytes are the limits of the converter.
    """
    try:
        found = converter()
    except LookupError:
        raise CannotDecode(
            "HEIC is switched on, but its converter is not installed here", "heic_missing"
        ) from None
    if found is None:
        raise CannotDecode(*HEIC_IS_OFF)
    # One picture is written under the name itself, several with their numbers. What it has no name for, it
    # leaves out and says nothing: hence one name more.
    numbered = [f"out-{number}.jpg" for number in range(1, MOST_PICTURES + 2)]
    try:
        ran = confined_programs.run(
            found.path,
            ["--quiet", "-q", _QUALITY, "in.heic", "out.jpg"],
            given={"in.heic": data},
            wanted=["out.jpg", *numbered],
            limits=confined_programs.Limits(seconds=seconds, memory=memory),
        )
    except NotRun as failed:
        raise CannotDecode(f"the HEIC converter {failed.reason}", f"heic_{failed.code}") from None
    written = ["out.jpg"] if "out.jpg" in ran.files else numbered[: len(ran.files)]
    if not written or set(written) != set(ran.files):
        raise CannotDecode("the HEIC converter did not write each of its pictures", "heic_failed")
    return [ran.files[name] for name in written]
