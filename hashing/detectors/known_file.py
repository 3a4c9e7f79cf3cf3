"""Files that are neither picture nor video: looked up by their bytes, and shown to a person."""

from __future__ import annotations

from core.media_types import HEAD_BYTES, sniff
from hashing import lookup
from hashing.contract import Finding, ScanItem, could_not_scan
from hashing.detectors.matches import exact, settled

__all__ = ["KnownFile"]


class KnownFile:
    """Looks up MD5, SHA-1 and SHA-256 of a file of any other kind, and says that nothing more was looked at.

    Such a file is never handed to a decoder, whatever its sender called it.
    """

    name = "known_file"
    version = "1"
    kinds = frozenset({"other"})
    surfaces: frozenset[str] | None = None

    def scan(self, item: ScanItem) -> list[Finding]:
        """Raises VaultDamage when the original cannot be read, database errors. Needs no index."""
        if item.media is None:
            raise ValueError("a file without a file")
        found = list(exact(lookup.exact_matches(item.media.file_digests())))
        with item.media.open() as stream:
            known = sniff(stream.read(HEAD_BYTES))
        is_what = f"it is {known.words}" if known else "its bytes are of no form that is known here"
        missing = could_not_scan(
            "The file",
            f"{is_what}, neither picture nor video; only its exact digests were looked up",
            code="wrong_type",
        )
        return [*settled(found), missing]
