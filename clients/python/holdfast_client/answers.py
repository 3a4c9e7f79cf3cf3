"""What Holdfast answers, as types. Members that are added later are in the answer, and not in these."""

from __future__ import annotations

from typing import Any, Literal, TypedDict


class ItemAnswer(TypedDict):
    """An item of a report, or a scan."""

    id: str
    external_id: str
    surface: str
    kind: str
    scan_state: str


class ReportSummary(TypedDict):
    """Where a report stands. A state that you do not know: not over yet."""

    id: str
    number: str
    external_id: str
    received_at: str
    state: Literal["received", "in_review", "decided", "closed"]
    outcome: Literal["action_taken", "no_action"] | None
    decided_at: str | None
    metadata: dict[str, str]


class ReportAnswer(ReportSummary):
    """The same, with its items."""

    items: list[ItemAnswer]


class MediaAnswer(TypedDict):
    """A file that was taken. Its ``id`` is good for 24 hours."""

    id: str
    sha256: str
    size: int
    kind: str
    expires_at: str


class DirectoryAnswer(TypedDict):
    """An account or group that was described."""

    id: str
    external_id: str


class MembersAnswer(TypedDict):
    """How many members were added or changed."""

    group: str
    members: int


class FindingAnswer(TypedDict):
    """What a scan would have found."""

    detector: str
    kind: str
    category: str
    score: float
    summary: str
    evidence: dict[str, Any]


class ValueAnswer(TypedDict):
    """What is known of a digest or a text."""

    id: str
    findings: list[FindingAnswer]
    not_looked: list[str]


class FileAnswer(TypedDict):
    """A file's digests, and with a match what is known of it. Nothing found is nothing only if ``not_looked`` is empty."""

    name: str
    kind: str
    size: int
    md5: str
    sha1: str
    sha256: str
    frames: list[dict[str, Any]]
    not_looked: list[str]
    findings: list[FindingAnswer] | None


class MatchAnswer(TypedDict):
    """One answer for each thing asked about, in its order."""

    files: list[FileAnswer]
    digests: list[ValueAnswer]
    texts: list[ValueAnswer]


class LinksAnswer(TypedDict):
    """What came of a list of links."""

    id: str
    links: int
    added: int
    known: int
    groups: int


class ResultAnswer(TypedDict):
    """What you said that became of an order. ``stands`` is false where a later answer counts instead."""

    state: str
    at: str | None
    code: str
    detail: str
    received_at: str
    stands: bool


class EnforcementAnswer(TypedDict):
    """An order: where it stands, and the whole message as webhooks bring it."""

    id: str
    sequence: int
    verb: str
    state: str
    published_at: str
    result: ResultAnswer | None
    message: dict[str, Any]
