"""The list of packages that were really issued, so that an old revision cannot pass as the last."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from referrals.custody import utc_text


@dataclass(frozen=True, slots=True)
class IssuedPackage:
    """One line of the registry of packages that we really sent."""

    package_id: str
    tagmanifest_sha512: str
    issued_at: datetime


def registry(packages: list[IssuedPackage], *, organisation: str, issued_at: datetime) -> bytes:
    """The list of issued packages that a verifier compares with, so that no old revision passes.

    Publish it over HTTPS or send it with each answer; it names no case, person or content.
    """
    document = {
        "format": "escalation-package-registry/1",
        "issued_at": utc_text(issued_at),
        "organisation": organisation,
        "packages": {
            package.package_id: {
                "issued_at": utc_text(package.issued_at),
                "tagmanifest_sha512": package.tagmanifest_sha512,
            }
            for package in packages
        },
    }
    return (json.dumps(document, indent=2, sort_keys=True) + "\n").encode()
