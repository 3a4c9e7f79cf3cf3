"""What can stop a package from being built."""

from __future__ import annotations


class PackageRefused(ValueError):
    """The description cannot become a package; the message says what to put right."""


class ExhibitRefused(PackageRefused):
    """An original stopped the build."""

    def __init__(self, exhibit_id: str, name: str, sentence: str) -> None:
        super().__init__(sentence)
        self.exhibit_id = exhibit_id
        self.name = name


class ExhibitDamaged(ExhibitRefused):
    """An original is not what was received. `expected` and `found` are like ``sha256 12ab…``."""

    def __init__(self, exhibit_id: str, name: str, expected: str, found: str) -> None:
        super().__init__(
            exhibit_id,
            name,
            f"Exhibit {exhibit_id} is damaged: expected {expected}, found {found}.",
        )
        self.expected = expected
        self.found = found


class ExhibitUnreadable(ExhibitRefused):
    """The vault refused to hand out an original; the cause is chained."""

    def __init__(self, exhibit_id: str, name: str, reason: str) -> None:
        super().__init__(exhibit_id, name, f"Exhibit {exhibit_id} cannot be read: {reason}.")
