"""What counts towards the risk of a group or an account: the facts, and the signals that read them.

Pure: values in, values out. ``hashing.risk`` adds them up; ``docs/detection/risk.md`` lists them for people.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = [
    "ACCOUNT_SIGNALS",
    "GROUP_SIGNALS",
    "PHANTOMS",
    "AccountFacts",
    "Facts",
    "GroupFacts",
    "Signal",
    "Weight",
]

PHANTOMS = 10
"""Members that every share is counted with besides the real ones: of one banned member among three nothing
follows, of a hundred among three hundred a lot (additive smoothing, Laplace)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFacts:
    """What is known of a group. Counts are 0 or more; scores 0 to 1. Recent is within the last 7 days."""

    members: int = 0
    """Known members, or what the platform says if that is more."""
    limit: int = 256
    """The most members that a group may have on the platform."""
    text_score: float = 0.0
    """The surest finding in its name, description or links."""
    text_sent: float = 0.0
    """The surest finding in the texts of reported messages."""
    photo_score: float = 0.0
    """The surest finding of an image classifier on its picture."""
    photo_sent: float = 0.0
    """The surest finding of an image classifier on files of reported messages."""
    known_media: int = 0
    """Items of the group that are known material."""
    banned: int = 0
    """Members that are banned, or whose content people confirmed as violating."""
    reported: int = 0
    """Further members that were reported."""
    hits: int = 0
    """Members with known material of their own."""
    linked: int = 0
    """Members who share a device, an address or a block of numbers with a banned account."""
    reporters: int = 0
    """Independent reporters of the group itself."""
    listings: int = 0
    """Places outside the platform that list a link to it."""
    joined: int = 0
    """Members who joined recently."""
    left: int = 0
    """Members who left recently."""
    shared_media: int = 0
    """Other groups that hold the very same media."""
    same_device: int = 0
    """Members who share a device with another member."""
    same_ip: int = 0
    """Members who share an IP address with another member."""
    same_prefix: int = 0
    """Members in the largest block of neighbouring telephone numbers; 0 if nobody has a neighbour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFacts:
    """What is known of an account. Counts are 0 or more; scores 0 to 1."""

    text_score: float = 0.0
    """The surest finding in its name or profile."""
    text_sent: float = 0.0
    """The surest finding in messages that were reported of it, but for those that others sent."""
    photo_score: float = 0.0
    photo_sent: float = 0.0
    known_media: int = 0
    """Items of the account, or sent by it, that are known material."""
    confirmed: int = 0
    """Decisions that confirmed a violation."""
    reporters: int = 0
    groups: int = 0
    """Groups above the threshold that it is a member of."""
    runs: int = 0
    """Those of them that it owns or administers."""
    device: int = 0
    """Banned accounts that used the same device."""
    ip: int = 0
    prefix: int = 0
    shared_media: int = 0
    """Other accounts and groups that hold the very same media."""


Facts = GroupFacts | AccountFacts


@dataclass(frozen=True, slots=True)
class Weight:
    """The most points a signal may give, and the value at which it gives them all."""

    points: int
    full: float


@dataclass(frozen=True, slots=True)
class Signal:
    """One thing that counts. ``value`` reads it from the facts, ``say`` puts it in words."""

    key: str
    label: str
    default: Weight
    value: Callable[[Any], float]
    say: Callable[[Any], str]
    why: str
    unit: str = "count"
    """``count``, ``share`` (0 to 1) or ``score`` (0 to 1)."""
    least: float = 0.0
    """Below this value it gives nothing."""


def _share(count: int, facts: GroupFacts) -> float:
    return count / (max(facts.members, count) + PHANTOMS)


def _of_members(count: int, facts: GroupFacts, what: str) -> str:
    return f"{count:,} of {max(facts.members, count):,} members {what}"


def _text_in(facts: Facts, surfaces: str) -> str:
    """Say where the surest finding stands: on a surface of its own, or in what was reported of it."""
    if facts.text_score >= facts.text_sent:
        return f"a finding of {facts.text_score:.0%} in its {surfaces}"
    return f"a finding of {facts.text_sent:.0%} in a reported message"


def _classified(facts: Facts) -> str:
    if facts.photo_score >= facts.photo_sent:
        return f"a classifier gives its picture {facts.photo_score:.0%}"
    return f"a classifier gives a file of a reported message {facts.photo_sent:.0%}"


def _many(count: int, one: str, more: str) -> str:
    return f"1 {one}" if count == 1 else f"{count:,} {more}"


GROUP_SIGNALS: tuple[Signal, ...] = (
    Signal(
        "known_media",
        "Known material in the group",
        Weight(40, 1),
        lambda f: f.known_media,
        lambda f: _many(
            f.known_media, "item of the group is known material", "items are known material"
        ),
        "Its picture or a reported message is on a hash list.",
    ),
    Signal(
        "hits",
        "Members with known material",
        Weight(35, 0.05),
        lambda f: _share(f.hits, f),
        lambda f: _of_members(f.hits, f, "with known material"),
        "Where several members hold known material, the group is likely where they trade it.",
        "share",
    ),
    Signal(
        "banned",
        "Banned members",
        Weight(30, 0.1),
        lambda f: _share(f.banned, f),
        lambda f: _of_members(f.banned, f, "banned"),
        "Banned for abuse, or confirmed by reviewers. People come back to the same groups.",
        "share",
    ),
    Signal(
        "listings",
        "Links listed outside",
        Weight(20, 2),
        lambda f: f.listings,
        lambda f: _many(
            f.listings, "outside listing has its invite link", "outside listings have its link"
        ),
        "Directories and search engines are how strangers find such groups.",
    ),
    Signal(
        "reporters",
        "Independent reporters",
        Weight(20, 5),
        lambda f: f.reporters,
        lambda f: f"{f.reporters:,} independent reporters",
        "One report may be a quarrel; several people who do not know each other are not.",
        least=2,
    ),
    Signal(
        "text_score",
        "Name, description and messages",
        Weight(20, 0.9),
        lambda f: max(f.text_score, f.text_sent),
        lambda f: _text_in(f, "name or description"),
        "Open names are how these groups are found.",
        "score",
    ),
    Signal(
        "shared_media",
        "Same media in other groups",
        Weight(15, 4),
        lambda f: f.shared_media,
        lambda f: _many(
            f.shared_media, "other group holds the same media", "other groups hold the same media"
        ),
        "The same files in several groups are spread on purpose.",
    ),
    Signal(
        "photo_score",
        "Classifier on pictures",
        Weight(10, 0.9),
        lambda f: max(f.photo_score, f.photo_sent),
        _classified,
        "A weak sign: classifiers err more than hashes.",
        "score",
    ),
    Signal(
        "reported",
        "Reported members",
        Weight(10, 0.1),
        lambda f: _share(f.reported, f),
        lambda f: _of_members(f.reported, f, "reported"),
        "Members that other people complained about, not counting the banned ones.",
        "share",
    ),
    Signal(
        "linked",
        "Members linked to banned accounts",
        Weight(10, 0.1),
        lambda f: _share(f.linked, f),
        lambda f: _of_members(f.linked, f, "share a device, address or number block with a ban"),
        "New accounts of banned people keep the telephone.",
        "share",
    ),
    Signal(
        "churn",
        "Coming and going",
        Weight(8, 0.5),
        lambda f: _share(f.joined + f.left, f),
        lambda f: f"{f.joined:,} joined and {f.left:,} left within 7 days",
        "Groups that are shared as links fill and empty quickly.",
        "share",
        least=0.1,
    ),
    Signal(
        "same_device",
        "Members on one device",
        Weight(8, 0.1),
        lambda f: _share(f.same_device, f),
        lambda f: _of_members(f.same_device, f, "share a device with another one"),
        "One person behind several members.",
        "share",
    ),
    Signal(
        "same_prefix",
        "Neighbouring numbers",
        Weight(4, 0.2),
        lambda f: _share(f.same_prefix, f),
        lambda f: _of_members(f.same_prefix, f, "from one block of telephone numbers"),
        "Numbers bought together.",
        "share",
    ),
    Signal(
        "same_ip",
        "Members on one address",
        Weight(4, 0.2),
        lambda f: _share(f.same_ip, f),
        lambda f: _of_members(f.same_ip, f, "share an IP address with another one"),
        "Weak: carriers put many customers behind one address.",
        "share",
    ),
    Signal(
        "size",
        "Near the size limit",
        Weight(4, 1.0),
        lambda f: min(max(f.members / max(f.limit, 1), 0.0), 1.0),
        lambda f: f"{f.members:,} of at most {f.limit:,} members",
        "Groups for strangers are filled up; families are not.",
        "share",
        least=0.8,
    ),
)

ACCOUNT_SIGNALS: tuple[Signal, ...] = (
    Signal(
        "known_media",
        "Known material",
        Weight(45, 1),
        lambda f: f.known_media,
        lambda f: _many(f.known_media, "item is known material", "items are known material"),
        "Its picture or something it sent is on a hash list.",
    ),
    Signal(
        "confirmed",
        "Confirmed before",
        Weight(30, 1),
        lambda f: f.confirmed,
        lambda f: _many(
            f.confirmed, "decision confirmed a violation", "decisions confirmed violations"
        ),
        "People looked and found a violation.",
    ),
    Signal(
        "reporters",
        "Independent reporters",
        Weight(25, 4),
        lambda f: f.reporters,
        lambda f: f"{f.reporters:,} independent reporters",
        "Several people who do not know each other.",
        least=2,
    ),
    Signal(
        "runs",
        "Runs risky groups",
        Weight(20, 1),
        lambda f: f.runs,
        lambda f: f"owns or administers {_many(f.runs, 'group', 'groups')} above the threshold",
        "Whoever opens a group answers for it.",
    ),
    Signal(
        "groups",
        "In risky groups",
        Weight(20, 3),
        lambda f: f.groups,
        lambda f: f"member of {_many(f.groups, 'group', 'groups')} above the threshold",
        "Being in one may be chance, in three it is not.",
    ),
    Signal(
        "device",
        "Device of a banned account",
        Weight(20, 1),
        lambda f: f.device,
        lambda f: f"shares a device with {_many(f.device, 'banned account', 'banned accounts')}",
        "New accounts of banned people keep the telephone.",
    ),
    Signal(
        "text_score",
        "Name, profile and messages",
        Weight(15, 0.9),
        lambda f: max(f.text_score, f.text_sent),
        lambda f: _text_in(f, "name or profile"),
        "Open names and profiles advertise.",
        "score",
    ),
    Signal(
        "photo_score",
        "Classifier on pictures",
        Weight(10, 0.9),
        lambda f: max(f.photo_score, f.photo_sent),
        _classified,
        "A weak sign: classifiers err more than hashes.",
        "score",
    ),
    Signal(
        "shared_media",
        "Same media elsewhere",
        Weight(10, 3),
        lambda f: f.shared_media,
        lambda f: _many(
            f.shared_media,
            "other account or group holds the same media",
            "other accounts and groups hold the same media",
        ),
        "The same files in several places are spread on purpose.",
    ),
    Signal(
        "ip",
        "Address of a banned account",
        Weight(6, 2),
        lambda f: f.ip,
        lambda f: f"shares an IP address with {_many(f.ip, 'banned account', 'banned accounts')}",
        "Weak: carriers put many customers behind one address.",
    ),
    Signal(
        "prefix",
        "Numbers beside a banned account",
        Weight(4, 2),
        lambda f: f.prefix,
        lambda f: (
            "its telephone number is in one block with "
            f"{_many(f.prefix, 'banned account', 'banned accounts')}"
        ),
        "Numbers bought together.",
    ),
)
