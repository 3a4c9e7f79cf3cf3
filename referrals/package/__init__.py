"""Build a sealed escalation package from a frozen description.

What comes out is ``ESC-2026-000123-r1.tar.age``: a BagIt 1.0 bag (RFC 8493) in a deterministic tar,
signed (SSHSIG over ``tagmanifest-sha512.txt``), then encrypted with age to the recipient and to the
escrow key. `build_package` is the only entry point; `PackageSpec`
says everything that goes in.

Two passes over the originals:

1. every original is read once and compared with its expected size, MD5 and SHA-256, while SHA-1
   and SHA-512 are computed; one wrong byte raises `ExhibitDamaged` before anything is written;
2. the tar is streamed straight into the encryption, and every original is compared again while it
   passes, so that what was signed is what was sent.

No clear byte of an original touches a disk, and memory does not grow with the exhibits: they pass
in chunks. Everything else (texts, custody lines, the summary) is held in memory.

Same description, same tar, byte for byte; only the age layer is random, as it must be.

No ORM, no clock, no settings: values in, values out.
"""

from __future__ import annotations

from referrals.package.building import (
    build_package,
    tar_package,
    write_package,
)
from referrals.package.description import (
    ROLES,
    Account,
    Appearance,
    BuiltPackage,
    CaseFacts,
    Earlier,
    Exhibit,
    Finding,
    Group,
    Identifier,
    LegalBasis,
    Link,
    Membership,
    NetworkEvent,
    Organisation,
    PackageSpec,
    Recipient,
    Report,
    Reveal,
    Signer,
    TimelineEntry,
    check,
    signature_namespace,
)
from referrals.package.issued import (
    IssuedPackage,
    registry,
)
from referrals.package.messages import Conversation, Message, Place, Told
from referrals.package.refusals import (
    ExhibitDamaged,
    ExhibitRefused,
    ExhibitUnreadable,
    PackageRefused,
)

__all__ = [
    "ROLES",
    "Account",
    "Appearance",
    "BuiltPackage",
    "CaseFacts",
    "Conversation",
    "Earlier",
    "Exhibit",
    "ExhibitDamaged",
    "ExhibitRefused",
    "ExhibitUnreadable",
    "Finding",
    "Group",
    "Identifier",
    "IssuedPackage",
    "LegalBasis",
    "Link",
    "Membership",
    "Message",
    "NetworkEvent",
    "Organisation",
    "PackageRefused",
    "PackageSpec",
    "Place",
    "Recipient",
    "Report",
    "Reveal",
    "Signer",
    "TimelineEntry",
    "Told",
    "build_package",
    "check",
    "registry",
    "signature_namespace",
    "tar_package",
    "write_package",
]
