"""The words of intake, each with a sentence, for whoever writes a sender. No rows: words that are data come from their room."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reports.choices import ItemKind, ItemRole, PlatformStatus, ScanState, Scope, Surface


@dataclass(frozen=True, slots=True)
class Word:
    """One word that is sent or answered: the word itself, its name for people, and what it means."""

    code: str
    name: str
    means: str


SURFACES = {
    Surface.PROFILE_PHOTO: "The picture of an account.",
    Surface.PROFILE_NAME: "The name that an account shows.",
    Surface.PROFILE_TEXT: "What an account says about itself.",
    Surface.GROUP_PHOTO: "The picture of a group.",
    Surface.GROUP_NAME: "The name of a group.",
    Surface.GROUP_DESCRIPTION: "What a group says about itself.",
    Surface.REPORTED_MESSAGE: "A message, with or without a file, that came with a report.",
    Surface.INVITE_LINK: "A link by which one joins a group.",
}
ITEM_ROLES = {
    ItemRole.REPORTED: "What the report is about; orders may name it.",
    ItemRole.CONTEXT: "What helps to understand the report; never ordered removed.",
}
ITEM_KINDS = {
    ItemKind.TEXT: "Words.",
    ItemKind.IMAGE: "A picture, by its first bytes.",
    ItemKind.VIDEO: "A video, by its first bytes.",
    ItemKind.OTHER: "Another file. Its exact digests are looked up; a person sees it.",
}
SCAN_STATES = {
    ScanState.WAITING: "It was received and waits for its scan.",
    ScanState.SCANNED: "Everything that should look at it has looked at all of it.",
    ScanState.PARTLY: "Something looked at it, and something could not, or not at all of it; a person sees what.",
    ScanState.NOT_SCANNED: "Nothing that is turned on looks at things of its kind; a person sees it.",
    ScanState.FAILED: "It could not be looked at; a person sees it.",
}
PLATFORM_STATUSES = {
    PlatformStatus.ACTIVE: "It can be used.",
    PlatformStatus.SUSPENDED: "It cannot be used for a while.",
    PlatformStatus.BANNED: "It may not be used any more.",
    PlatformStatus.DISABLED: "It was switched off by the platform.",
    PlatformStatus.REMOVED: "It was taken away by the platform.",
    PlatformStatus.CLOSED: "Its owner closed it.",
    PlatformStatus.DELETED: "It is gone, and so is what the platform knew of it.",
    PlatformStatus.UNKNOWN: "What was said of it holds no more: an order was done and then was not.",
}
REPORT_STATES = {
    "received": "It is committed and waits for its scan and for routing.",
    "in_review": "It joined a case, on which no decision is in effect.",
    "decided": "The decision on its case is in effect; `outcome` and `decided_at` say which way and since when.",
    "closed": "It called for no case, or it was decided and this source is not told the outcome.",
}
SCOPES = {
    Scope.REPORTS_WRITE: "Submit reports, and files along with them if `media:write` is there too.",
    Scope.DIRECTORY_WRITE: "Describe accounts, groups and members. Only for the platform itself.",
    Scope.DIRECTORY_READ: "Read back what is known of accounts, groups and members. Only for the platform itself.",
    Scope.SCANS_WRITE: "Submit photos, names and descriptions that nobody reported.",
    Scope.MEDIA_WRITE: "Upload files.",
    Scope.STATUS_READ: "Read where own submissions stand.",
    Scope.MATCH: "Hash files and look up digests and texts; nothing is kept.",
    Scope.ERASURES_WRITE: "Ask to erase what was told of accounts and groups. Only for the platform itself.",
    Scope.LINKS_WRITE: "Send invite links that stood outside of the platform.",
    Scope.ENFORCEMENTS_READ: "Read orders. Only for the platform itself.",
    Scope.APPEALS_WRITE: "Hand on appeals against orders. Only for the platform itself.",
    Scope.ENFORCEMENTS_WRITE: "Say what became of orders. Only for the platform itself.",
}


def words(meanings: Iterable[tuple[str, str]]) -> list[Word]:
    """Return words with their meanings in their order; the name for people is the word's label, if it has one."""
    return [Word(str(code), str(getattr(code, "label", code)), means) for code, means in meanings]
