"""The parts of ``summary.pdf`` as the template takes them: every text printable, every cut told with its number."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from referrals.custody import utc_text
from referrals.glyphs import printable

if TYPE_CHECKING:
    from referrals.package.description import (
        Account,
        Earlier,
        Exhibit,
        Group,
        Identifier,
        Membership,
        Report,
    )
    from referrals.package.messages import Place

MOST_EVENTS = 12
MOST_MEMBERS = 50
MOST_LISTED = 50
NAMELESS = "–"
NAME = 240
TEXT = 4000


class Words:
    """Cleans every text on its way into the document."""

    def __init__(self, *, ascii_only: bool) -> None:
        self._ascii_only = ascii_only

    def __call__(self, text: str, limit: int = NAME) -> str:
        return printable(text, limit=limit, ascii_only=self._ascii_only)

    def all(self, texts: Sequence[str], where: str = "case.json", limit: int = NAME) -> str:
        """Return texts in one line; of more than fifty, how many more there are and the file that has them."""
        shown = ", ".join(self(text, limit) for text in texts[:MOST_LISTED])
        more = len(texts) - MOST_LISTED
        return f"{shown} and {more:,} more, in {where}" if more > 0 else shown


def rows(*facts: tuple[str, str]) -> list[list[str]]:
    """Return pairs of a label and what there is to say under it."""
    return [[label, value] for label, value in facts if value]


def said_by(what: str, person: str, at: datetime | None) -> str:
    """Return what a person here said, with who it was and when, if that was kept."""
    return f"{what}, said by {person} on {moment(at)}" if what and person else what


def report(found: Report, words: Words) -> dict[str, Any]:
    """Return one report."""
    return {
        "number": words(found.number) or NAMELESS,
        "facts": rows(
            ("From", words(f"{found.source} ({found.source_kind})")),
            ("Their reference", words(found.external_id)),
            ("Reason given", words(found.reason)),
            ("Happened", moment(found.occurred_at)),
            ("Received by us", moment(found.received_at)),
            (
                "Reporter",
                words.all([each for each in (found.reporter_account, found.reporter_ref) if each]),
            ),
            ("Entered by", words(found.entered_by)),
            ("About", words(found.about)),
            ("In group", words(found.in_group)),
            ("Called then", called(found.about_then, words, "reports.json")),
            ("What it says", words(found.description, TEXT)),
        ),
    }


def account(found: Account, words: Words) -> dict[str, Any]:
    """Return one account: what it is called, how to find it, where it was."""
    network = sorted(found.network, key=lambda event: event.at, reverse=True)
    kinds: dict[str, list[str]] = {}
    for each in found.identifiers:
        kinds.setdefault(each.kind, []).append(_identifier(each))
    where = "accounts.json"
    return {
        "role": found.role,
        "name": words(found.display_name)
        or words(found.username)
        or words(found.platform_id)
        or NAMELESS,
        "id": words(found.platform_id),
        "facts": rows(
            ("Part", said_by(words(found.role), words(found.role_said_by), found.role_said_at)),
            ("User name", words(found.username)),
            ("Display name", words(found.display_name)),
            ("Profile text", words(found.profile_text, TEXT)),
            ("Profile", words(found.profile_url, 1000)),
            ("Country", words(found.country)),
            ("Language", words(found.language)),
            ("Status", words(found.platform_status)),
            ("Joined", moment(found.joined_at)),
            ("Known to us", moment(found.first_seen_at)),
            *((words(kind), words.all(all_, where, 1200)) for kind, all_ in kinds.items()),
            (
                "Groups",
                words.all(
                    [
                        f"{place.name or place.group_id} ({place.group_id}): {_place(place)}"
                        for place in found.memberships
                    ],
                    where,
                    900,
                ),
            ),
            ("Earlier", _earlier(found.earlier, words, where)),
        ),
        "network": [
            [
                moment(event.at),
                words(event.ip if event.port is None else f"{event.ip} port {event.port}"),
                words(event.kind),
                words(event.device, 600),
            ]
            for event in network[:MOST_EVENTS]
        ],
        "more_network": max(0, len(network) - MOST_EVENTS),
    }


def group(found: Group, words: Words) -> dict[str, Any]:
    """Return one group, with its members if the case is about it."""
    members = found.members or ()
    links = [
        f"{link.link} ({'present' if link.is_present else 'earlier'}"
        f"{f', known to us since {moment(link.first_seen_at)}' if link.first_seen_at else ''})"
        for link in found.links
    ]
    return {
        "name": words(found.name) or words(found.platform_id) or NAMELESS,
        "id": words(found.platform_id),
        "facts": rows(
            ("Description", words(found.description, TEXT)),
            ("Invite links", words.all(links, "groups.json", 1100)),
            (
                "Members",
                ""
                if found.member_count is None
                else f"{found.member_count:,} as the platform says",
            ),
            ("Created", moment(found.created_at)),
            ("Status", words(found.platform_status)),
            ("Known to us", moment(found.first_seen_at)),
            ("Earlier", _earlier(found.earlier, words, "groups.json")),
        ),
        "members": [
            [
                words(f"{each.name} ({each.account_id})" if each.name else each.account_id, 500),
                words(_place(each), 600),
            ]
            for each in members[:MOST_MEMBERS]
        ],
        "more_members": max(0, len(members) - MOST_MEMBERS),
        "members_left_out": found.members is None,
    }


def _place(place: Membership) -> str:
    """Return a membership in words: whoever left is no member."""
    said = [place.role if place.left_at is None else f"former {place.role}"]
    if place.joined_at:
        said.append(f"joined {moment(place.joined_at)}")
    if place.left_at:
        said.append(f"left {moment(place.left_at)}")
    said += [f"{each.field} {each.value} until {moment(each.until)}" for each in place.earlier]
    return ", ".join(said)


def _identifier(each: Identifier) -> str:
    said = [f"{name}: {value}" for name, value in each.detail.items()]
    if each.verified is not None:
        said.append("verified" if each.verified else "not verified")
    if each.first_seen_at:
        said.append(f"first seen {moment(each.first_seen_at)}")
    if each.last_seen_at:
        said.append(f"last seen {moment(each.last_seen_at)}")
    return f"{each.value} ({', '.join(said)})" if said else each.value


def _earlier(changes: Iterable[Earlier], words: Words, where: str) -> str:
    return words.all(
        [f"{each.field} {each.value} until {moment(each.until)}" for each in changes], where, 2200
    )


def called(said: Mapping[str, str], words: Words, where: str) -> str:
    """Return what an account or a group was called at some time: fields and times in words."""
    return words.all(
        [f"{FIELDS.get(name, name)}: {_value(value)}" for name, value in said.items()], where, 600
    )


FIELDS = {
    "kind": "Kind",
    "external_id": "Id",
    "username": "User name",
    "display_name": "Display name",
    "profile_text": "Profile text",
    "profile_url": "Profile",
    "country": "Country",
    "language": "Language",
    "platform_status": "Status",
    "joined_at": "Joined",
    "name": "Name",
    "description": "Description",
    "invite_link": "Invite link",
    "member_count": "Members",
    "created_on_platform_at": "Created",
}
"""What the fields of an account or a group are called in the document for people."""


def _value(value: str) -> str:
    """Return a stored value as people read it: a time like every other time of the document."""
    if not _TIME.match(value):
        return value
    try:
        return moment(datetime.fromisoformat(value))
    except ValueError:
        return value


_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}.*(Z|[+-]\d{2}:\d{2})\Z", re.ASCII)


def exhibit(found: Exhibit, words: Words) -> dict[str, Any]:
    words_used = len(found.relevance) + sum(map(len, found.annotations))
    words_used += len(found.source_url) + sum(len(each.summary) for each in found.findings)
    return {
        "is_long": words_used > 1500,  # too much for one page: let it break
        "id": found.id,
        "viewed": words(found.viewed, 600),
        "is_viewed": found.was_viewed,
        "facts": rows(
            ("Original name", words(found.original_name)),
            ("Type and size", f"{words(_type(found))}, {found.size:,} bytes"),
            ("Surface", words(found.surface)),
            ("Part", words(found.role)),
            ("Platform's id", words(found.platform_id)),
            ("Account", words(found.account_id)),
            ("Group", words(found.group_id)),
            *((label, words(text)) for label, text in place(found.place)),
            ("Reports", words.all(_reports(found), "exhibits.json")),
            ("Also under", words.all(_other_ids(found), "exhibits.json")),
            ("Public", "" if found.is_public is None else "yes" if found.is_public else "no"),
            ("Source", words(found.source_url, 2000)),
            ("Uploaded", _upload(found, words)),
            ("Received by us", moment(found.received_at)),
            ("Relevance", words(found.relevance, TEXT)),
            ("Annotations", words.all(found.annotations)),
            ("Findings", "; ".join(words(each.summary, 400) for each in found.findings)),
        ),
        "sha256": digest(found.sha256.lower()),
    }


def _type(found: Exhibit) -> str:
    """Return what a file is by its bytes, and what its sender called it."""
    is_said = found.media_type != "application/octet-stream"
    if not found.recognised_as:
        return found.media_type
    said = f"sent as {found.media_type}" if is_said else "the sender said no type"
    return f"{found.recognised_as} ({said})"


def _reports(found: Exhibit) -> list[str]:
    named = [found.report, *(each.report for each in found.also)]
    return list(dict.fromkeys(report for report in named if report))


def _other_ids(found: Exhibit) -> list[str]:
    ids = dict.fromkeys(each.platform_id for each in found.also if each.platform_id)
    return [each for each in ids if each != found.platform_id]


def place(found: Place) -> list[tuple[str, str]]:
    """Return where a message stood and what its sender did to it, as pairs of a label and what there is to say."""
    position = "" if found.position is None else f"position {found.position}"
    return [
        ("Conversation", ", ".join(filter(None, (found.conversation, position)))),
        ("Reply to", found.reply_to),
        ("Edited", _mark(found.edited_at, is_so=found.is_edited)),
        ("Deleted by its sender", _mark(found.deleted_at, is_so=found.is_deleted)),
    ]


def _mark(at: datetime | None, *, is_so: bool | None) -> str:
    if is_so is None:
        return ""
    return moment(at) or ("yes" if is_so else "no")


def _upload(exhibit: Exhibit, words: Words) -> str:
    parts = [moment(exhibit.uploaded_at)]
    if exhibit.upload_ip:
        port = "" if exhibit.upload_port is None else f" port {exhibit.upload_port}"
        parts.append(f"from {words(exhibit.upload_ip)}{port}")
    return " ".join(part for part in parts if part)


def digest(value: str) -> str:
    """A digest in groups of eight, which people can compare."""
    return " ".join(value[start : start + 8] for start in range(0, len(value), 8))


def moment(at: datetime | None) -> str:
    """Return a time for people, in UTC, with the fraction of a second that is known."""
    if at is None:
        return ""
    text = utc_text(at)
    return f"{text[:10]} {text[11:].removesuffix('Z')} UTC"
