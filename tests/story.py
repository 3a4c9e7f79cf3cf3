"""A group and an account of which everything is told that the API takes, each thing with a marker of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reports import payloads
from reports.models import Surface
from tests.markers import LEFT_OUT, Filler, Marker

SHAPES_TOLD: frozenset[type[payloads.Shape]] = frozenset(
    {
        payloads.Subject,
        payloads.Reporter,
        payloads.ItemPayload,
        payloads.ReportPayload,
        payloads.Identifier,
        payloads.IpUse,
        payloads.AccountPayload,
        payloads.GroupPayload,
        payloads.MembershipPayload,
    }
)
"""The shapes that a story fills in."""

SHAPES_OF_THE_SAME: dict[type[payloads.Shape], str] = {
    payloads.Content: "an item's",
    payloads.Telling: "what accounts, groups and members have in common",
    payloads.Scanned: "what accounts and groups have in common",
    payloads.OneSubject: "a report's subject that is one of the two",
    payloads.ScanPayload: "an item and its subject, without a report",
    payloads.MembersPayload: "a list of members",
    payloads.AccountLine: "an account in a batch",
    payloads.GroupLine: "a group in a batch",
    payloads.MembershipLine: "a member in a batch",
    payloads.ReportLine: "a report in a batch",
    payloads.ScanLine: "a scan in a batch",
}
"""Shapes whose members are those of the others, and what they are."""

OWN_MEMBERS = {
    (payloads.ScanPayload, "subject"),
    (payloads.MembersPayload, "members"),
    *((line, "type") for line in payloads.LINES.values()),
    (payloads.AccountLine, "external_id"),
    (payloads.GroupLine, "external_id"),
    (payloads.MembershipLine, "group"),
}
"""What such a shape has beyond the others: only what says whom or what it is about."""


class Story:
    """What a platform tells, in the order in which it is told."""

    def __init__(self, filler: Filler) -> None:
        self.filler = filler
        self.former = f"former{filler.tag}"
        self.account = filler.text("report.subject.account")
        self.sender = filler.text("report.items.sender")
        self.reporter = filler.text("report.reporter.account")
        self.group = filler.text("report.subject.group")

    # ── The directory ─────────────────────────────────────────────────────────────────────────
    def accounts(self) -> dict[str, dict[str, Any]]:
        """Return what is told about accounts, by their ids."""
        return {name: self._account(name) for name in (self.account, self.sender)}

    def _account(self, name: str) -> dict[str, Any]:
        filler = self.filler
        given = {
            "identifiers": filler.each_choice(payloads.Identifier, "identifier", "kind"),
            "ip_events": [filler.shape(payloads.IpUse, "ip_event")],
        }
        return filler.shape(payloads.AccountPayload, "account", given)

    def group_before(self) -> dict[str, Any]:
        """Return what is told about the group before it is reported."""
        return self.filler.shape(
            payloads.GroupPayload,
            "group (when reported)",
            {"invite_link": self._link("group.invite_link (when reported)")},
        )

    def group_after(self) -> dict[str, Any]:
        """Return what is told about the group after it was reported."""
        return self.filler.shape(
            payloads.GroupPayload, "group", {"invite_link": self._link("group.invite_link")}
        )

    def _link(self, path: str) -> str:
        value = f"https://chat.example/+{self.filler._text()}"
        self.filler.markers.append(Marker(path, (value,)))
        return value

    def members(self, about: str) -> list[dict[str, Any]]:
        """Return the two accounts as members, one of whom left, and for a group one of each role, all of whom left.

        What a case about an account says of its groups is said of the places of its own accounts only.
        """
        filler, shape = self.filler, payloads.MembershipPayload
        some = []
        if about == "group":
            some += filler.each_choice(shape, "membership", "role")
            some.append(
                filler.shape(shape, "membership", {"account": self.former, "role": "owner"})
            )
        else:
            some.append({"account": self.former, "role": "owner", "joined_at": None})
        here = {"role": "admin", "left_at": LEFT_OUT}
        some.append(filler.shape(shape, "membership", {"account": self.sender, **here}))
        # Whoever runs a group now is an account of its case; who left is not.
        left = here if about == "group" else {"role": "admin"}
        some.append(filler.shape(shape, "membership", {"account": self.account, **left}))
        return some

    # ── Reports ───────────────────────────────────────────────────────────────────────────────
    def report(self, about: str, media: Iterator[str]) -> dict[str, Any]:
        """Return a report about ``account`` or ``group`` with a file and a text on each surface.

        ``media`` yields references of uploads.
        """
        filler = self.filler
        items = []
        # A text that comes with a file is its caption.
        for sent in ("media", "text", "not_sent"):
            given: Mapping[str, Any] = {
                "sender": self.sender,
                "file": LEFT_OUT,
                "media": (lambda: next(media)) if sent == "media" else LEFT_OUT,
                **({"text": LEFT_OUT} if sent == "not_sent" else {"not_sent": LEFT_OUT}),
            }
            path = f"report.items ({sent})"
            items += filler.each_choice(payloads.ItemPayload, path, "surface", given)
        subject = {about: getattr(self, about)}
        if about == "account":
            subject["group"] = filler.text("report.subject.group (where it happened)")
        reporter = {"account": self.reporter, "ref": filler.text("report.reporter.ref")}
        return filler.shape(
            payloads.ReportPayload,
            "report",
            {"subject": subject, "reporter": reporter, "items": items},
        )


FILES = len([each for each in Surface.values if each != Surface.REPORT_DESCRIPTION])
"""Uploads that one report of a story takes."""
