"""Files that are neither picture nor video: looked up by their bytes, and left to a person."""

from __future__ import annotations

from django.conf import settings

from core.media_types import HEAD_BYTES, M4A, MediaType, sniff
from hashing import images, lookup
from hashing.contract import Finding, FlagKind, ScanItem, could_not_scan
from hashing.detectors.matches import exact, settled
from hashing.film_tracks import video_tracks

__all__ = ["KnownFile"]


class KnownFile:
    """Looks up MD5, SHA-1 and SHA-256 of a file of any other kind, and says that nothing more was looked at.

    Such a file is never handed to a decoder, whatever its sender called it. Sound is not looked at, and neither are
    pictures that lie in it, such as a cover. An MP4 that calls itself sound and has a video track is named: a browser
    plays it without showing that.
    """

    name = "known_file"
    version = "2"
    kinds = frozenset({"other", "audio"})
    surfaces: frozenset[str] | None = None

    def scan(self, item: ScanItem) -> list[Finding]:
        """Raises VaultDamage when the original cannot be read, database errors. Needs no index."""
        if item.media is None:
            raise ValueError("a file without a file")
        found = list(exact(lookup.exact_matches(item.media.file_digests())))
        with item.media.open() as stream:
            known = sniff(stream.read(HEAD_BYTES))
        if known is not None and known.kind == "audio":
            return [*settled(found), _not_listened_to(known), *_hidden_video(item, known)]
        is_what = f"it is {known.words}" if known else "its bytes are of no form that is known here"
        missing = could_not_scan(
            "The file",
            f"{is_what}, neither picture nor video; only its exact digests were looked up",
            code="wrong_type",
        )
        return [*settled(found), missing]


def _not_listened_to(known: MediaType) -> Finding:
    reason = f"it is {known.words}, and sound is not looked at"
    return Finding(
        kind=FlagKind.NOT_SCANNED,
        score=0.0,
        summary=f"Not scanned: {reason}. Only its exact digests were looked up; a person has to listen.",
        evidence={"reason": reason, "kind": "audio"},
    )


def _hidden_video(item: ScanItem, known: MediaType) -> list[Finding]:
    """Return what is said of a video that calls itself sound; nothing for other recordings."""
    if known != M4A or item.media is None:
        return []
    with item.media.open() as stream:
        data = images.read(stream, settings.HOLDFAST_MAX_UPLOAD_BYTES)
    if not video_tracks(data, "mov"):
        return []
    reason = "it calls itself sound and has a video track, which was not looked at and is not shown when it is played"
    return [could_not_scan("The video in it", reason, code="video_in_sound")]
