"""Invented people, groups and reports for the sample installation, as the API would receive them.

Drawn pictures and marker words only. Telephone numbers, addresses and names come from the ranges that are
set aside for fiction and documentation (RFC 5737, RFC 3849, RFC 2606).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from config.sample.pictures import draw, encode, variants

LISTED_SEEDS = (101, 102, 103, 104)
"""Pictures whose digests stand on the sample hash list."""
NGO_SEEDS = (105,)
"""Pictures on the list of the invented hotline."""

MARKERS = {
    "sample-solicitation": ("grooming", ["markerword-alpha", "markerword-beta"]),
    "sample-group-names": ("harmful_group", ["markerword-gamma", "markerword epsilon"]),
    "sample-spam": ("spam_other", ["markerword-delta"]),
}

REASONS = {
    "imagery": "csam",
    "contact": "grooming",
    "group": "harmful_group",
    "spam": "spam",
    "other": "other",
}


@dataclass(frozen=True, slots=True)
class Media:
    """A file that goes along with an item."""

    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class SampleReport:
    """One report: which source sends it, its payload, and the files of its items by position."""

    source: str
    payload: dict[str, Any]
    media: dict[int, Media] = field(default_factory=dict)
    age: timedelta = timedelta()


ACCOUNT_NAMES = [
    ("river.stone", "River Stone"),
    ("quiet_maple", "Quiet Maple"),
    ("north-lantern", "North Lantern"),
    ("paper.kite", "Paper Kite"),
    ("slow_comet", "Slow Comet"),
    ("amber-field", "Amber Field"),
    ("blue.teapot", "Blue Teapot"),
    ("tall_harbour", "Tall Harbour"),
    ("seven-birches", "Seven Birches"),
    ("copper.bell", "Copper Bell"),
    ("little_dune", "Little Dune"),
    ("glass-orchard", "Glass Orchard"),
]

GROUP_NAMES = [
    ("g-2001", "Weekend hikers", "Walks, maps and photographs of hills."),
    ("g-2002", "markerword-gamma friends", "An invented group whose name carries a marker word."),
    ("g-2003", "Neighbourhood swap", "Give away what you no longer need."),
    ("g-2004", "Retro games corner", "Scores, cartridges and markerword epsilon."),
    ("g-2005", "Choir rehearsals", "Dates and scores for the Tuesday choir."),
]


def accounts(now: datetime) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ``(external id, payload)`` of twelve accounts with what a referral needs."""
    for index, (username, name) in enumerate(ACCOUNT_NAMES):
        joined = now - timedelta(days=40 + 37 * index)
        events = [
            {
                "kind": kind,
                "ip": f"203.0.113.{10 + index}" if step % 2 else f"2001:db8::{index + 1:x}",
                "port": 40000 + index * 100 + step,
                "at": utc(now - timedelta(days=step, hours=index)),
                "user_agent": "ExampleMessenger/7.2 (sample)",
            }
            for step, kind in enumerate(("login", "upload", "login"))
        ]
        yield (
            f"u-{1001 + index}",
            {
                "username": username,
                "display_name": name,
                "profile_text": f"Invented profile of {name}.",
                "profile_url": f"https://messenger.example/u/{username}",
                "country": ["DE", "FR", "US", "GB"][index % 4],
                "language": ["de", "fr", "en", "en"][index % 4],
                "joined_at": utc(joined),
                "platform_status": "active",
                "identifiers": [
                    {"kind": "phone", "value": f"+1 202 555 01{10 + index}", "verified": True},
                    {
                        "kind": "email",
                        "value": f"{username}@mail.example",
                        "verified": index % 2 == 0,
                    },
                    {
                        "kind": "device",
                        "value": f"device-{7000 + index}",
                        "detail": {"model": "Sample phone"},
                    },
                ],
                "ip_events": events,
            },
        )


def groups(now: datetime) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ``(external id, payload)`` of five groups."""
    for index, (external_id, name, description) in enumerate(GROUP_NAMES):
        yield (
            external_id,
            {
                "name": name,
                "description": description,
                "invite_link": f"https://messenger.example/join/sample{index + 1}",
                "member_count": 12 + 31 * index,
                "created_on_platform_at": utc(now - timedelta(days=200 + 20 * index)),
                "platform_status": "active",
            },
        )


def members(now: datetime) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield ``(group, members)``: every account is in two groups."""
    for index, (group, _, _) in enumerate(GROUP_NAMES):
        chosen = [(index * 2 + step) % len(ACCOUNT_NAMES) for step in range(5)]
        yield (
            group,
            [
                {
                    "account": f"u-{1001 + who}",
                    "role": "owner" if place == 0 else "admin" if place == 1 else "member",
                    "joined_at": utc(now - timedelta(days=30 + who)),
                }
                for place, who in enumerate(chosen)
            ],
        )


def listed_pictures() -> Iterator[tuple[int, bytes]]:
    """Yield ``(seed, file)`` of the pictures on the sample hash list."""
    for seed in LISTED_SEEDS:
        yield seed, encode(draw(seed))


def utc(at: datetime) -> str:
    """Return a time as the API takes it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _picture(seed: int, variant: str, name: str) -> Media:
    if variant == "as_listed":
        return Media(name, "image/jpeg", encode(draw(seed)))
    data, media_type = variants(draw(seed))[variant]
    return Media(name, media_type, data)


def _animated() -> Media:
    """Return a GIF of six drawn frames."""
    frames = [draw(300 + step, (240, 180)).quantize(64) for step in range(6)]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], duration=200, loop=0)
    return Media("moving.gif", "image/gif", out.getvalue())


def broken_picture() -> Media:
    """Return a JPEG that ends in the middle."""
    data = encode(draw(400))
    return Media("holiday.jpg", "image/jpeg", data[: len(data) // 3])


def _clip() -> Media:
    """Return the head of an MP4 file without any film in it: a kind that is stored, not scanned."""
    head = b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41" + b"\x00\x00\x00\x08free"
    return Media("clip.mp4", "video/mp4", head + bytes(4096))


def _photo_item(surface: str, sender: str | None, at: datetime, **more: Any) -> dict[str, Any]:
    item = {"surface": surface, "content_at": utc(at), "is_public": surface != "reported_message"}
    if sender:
        item["sender"] = sender
    return item | more


def reports(now: datetime) -> list[SampleReport]:
    """Return about forty reports, oldest first."""
    found = [*_imagery(now), *_contacts(now), *_groups(now), *_spam(now), *_odd(now)]
    return sorted(found, key=lambda report: report.age, reverse=True)


def _imagery(now: datetime) -> Iterator[SampleReport]:
    """Near-duplicates of listed pictures, reported by people and by the invented hotline."""
    cases = [
        ("u-1001", 101, "saved_again", "app-reports", "profile_photo"),
        ("u-1001", 102, "smaller", "app-reports", "reported_message"),
        ("u-1001", 101, "cropped", "hotline", "reported_message"),
        ("u-1002", 103, "as_listed", "hotline", "reported_message"),
        ("u-1002", 103, "saved_again", "app-reports", "profile_photo"),
        ("u-1003", 104, "smaller", "app-reports", "reported_message"),
        ("u-1004", 105, "cropped", "hotline", "reported_message"),
        ("u-1005", 102, "grey", "app-reports", "profile_photo"),
    ]
    for index, (account, seed, variant, source, surface) in enumerate(cases):
        at = now - timedelta(hours=30 - 3 * index, minutes=7 * index)
        yield SampleReport(
            source,
            {
                "external_id": f"img-{index + 1}",
                "subject": {"account": account},
                "reporter": {"ref": f"person-{500 + index}"},
                "reason": REASONS["imagery"],
                "description": "Sample report: a drawn picture that stands on the sample list.",
                "occurred_at": utc(at),
                "items": [
                    _photo_item(
                        surface,
                        account,
                        at,
                        uploaded_ip=f"203.0.113.{20 + index}",
                        uploaded_port=51000 + index,
                        name=f"picture-{index + 1}.jpg",
                    ),
                    {
                        "surface": "reported_message",
                        "text": f"Sample message {index + 1} that came with the picture.",
                        "sender": account,
                        "content_at": utc(at + timedelta(minutes=1)),
                    },
                ],
            },
            {0: _picture(seed, variant, f"picture-{index + 1}.jpg")},
            now - at,
        )
    for index, seed in enumerate((201, 202, 203, 204, 205)):
        at = now - timedelta(hours=9 - index, minutes=11 * index)
        account = f"u-{1006 + index}"
        yield SampleReport(
            "app-reports",
            {
                "external_id": f"unlisted-{index + 1}",
                "subject": {"account": account},
                "reporter": {"account": f"u-{1012 - index}"},
                "reason": REASONS["imagery"],
                "description": "Sample report: a drawn picture that stands on no list.",
                "items": [_photo_item("profile_photo", account, at, name=f"profile-{index}.webp")],
            },
            {0: _picture(seed, "webp", f"profile-{index}.webp")},
            now - at,
        )


def _contacts(now: datetime) -> Iterator[SampleReport]:
    """Messages with and without marker words."""
    texts = [
        "Sample text with markerword-alpha in the middle of a sentence.",
        "Sample text: MARKERWORD-BETA, written in capitals.",
        "A plain sample message without any marker.",
        "First line.\nSecond line with markerword-alpha.\nThird line.",
        "Sample text that only contains markerword-alphabet, which is another word.",
        "Another plain sample message.",
        "Sample text with markerword-beta; and again markerword-beta.",
        "A short note.",
    ]
    for index, text in enumerate(texts):
        at = now - timedelta(hours=20 - 2 * index, minutes=3 * index)
        account = f"u-{1003 + index % 6}"
        yield SampleReport(
            "app-reports",
            {
                "external_id": f"contact-{index + 1}",
                "subject": {"account": account},
                "reporter": {"account": f"u-{1009 + index % 4}"},
                "reason": REASONS["contact"],
                "description": "Sample report about messages.",
                "occurred_at": utc(at),
                "items": [
                    {
                        "surface": "reported_message",
                        "text": text,
                        "sender": account,
                        "content_at": utc(at),
                        "external_id": f"m-{9000 + index}",
                    }
                ],
            },
            age=now - at,
        )


def _groups(now: datetime) -> Iterator[SampleReport]:
    """Groups with marker words in name or description, reported several times."""
    for index in range(8):
        group, name, description = GROUP_NAMES[index % 5]
        at = now - timedelta(hours=16 - 2 * index)
        yield SampleReport(
            "hotline" if index in {1, 3} else "app-reports",
            {
                "external_id": f"group-{index + 1}",
                "subject": {"group": group},
                "reporter": {"ref": f"person-{600 + index}"},
                "reason": REASONS["group"],
                "description": "Sample report about a group.",
                "items": [
                    {"surface": "group_name", "text": name, "is_public": True},
                    {"surface": "group_description", "text": description, "is_public": True},
                    _photo_item("group_photo", None, at, name="group.png"),
                ],
            },
            {2: _picture(210 + index % 5, "png", "group.png")},
            now - at,
        )


def _spam(now: datetime) -> Iterator[SampleReport]:
    for index in range(6):
        at = now - timedelta(hours=7 - index)
        account = f"u-{1007 + index % 3}"
        text = "markerword-delta: an invented offer." if index % 2 else "An invented offer."
        yield SampleReport(
            "app-reports",
            {
                "external_id": f"spam-{index + 1}",
                "subject": {"account": account},
                "reporter": {"account": f"u-{1001 + index}"},
                "reason": REASONS["spam" if index % 3 else "other"],
                "description": "Sample report about spam.",
                "items": [{"surface": "reported_message", "text": text, "sender": account}],
            },
            age=now - at,
        )


def _odd(now: datetime) -> Iterator[SampleReport]:
    """What cannot be scanned (broken, video), moves, or carries nothing at all."""
    kinds = [
        ("u-1009", "A sample picture that ends in the middle.", broken_picture()),
        ("u-1010", "A sample file that says it is a film.", _clip()),
        ("u-1011", "A sample picture that moves.", _animated()),
        (
            "u-1012",
            "The same listed picture, palette and all.",
            _picture(104, "palette_png", "p.png"),
        ),
    ]
    for index, (account, words, media) in enumerate(kinds):
        at = now - timedelta(hours=5 - index, minutes=20)
        yield SampleReport(
            "app-reports",
            {
                "external_id": f"odd-{index + 1}",
                "subject": {"account": account},
                "reporter": {"ref": "person-700"},
                "reason": REASONS["imagery"],
                "description": words,
                "items": [_photo_item("reported_message", account, at, name=media.name)],
            },
            {0: media},
            now - at,
        )
    yield SampleReport(
        "app-reports",
        {
            "external_id": "bare-1",
            "subject": {"account": "u-1006"},
            "reporter": {"account": "u-1001"},
            "reason": REASONS["other"],
            "description": "Sample report without any item: words only.",
        },
        age=timedelta(hours=1),
    )
