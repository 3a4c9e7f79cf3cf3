"""A messenger in one file, connected to Holdfast: what a platform has to do, and nothing else.

People, groups and messages live in memory. It describes them to Holdfast, reports what its people report, receives
signed orders, carries them out once, and says what became of each. Start with ``ToyPlatform``; ``main`` connects one
from the command line. Python's standard library and ``holdfast_client``.
"""

from __future__ import annotations

import argparse
import os
import queue
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

from holdfast_client import File, Holdfast, Problem, webhooks

LARGEST = 1 << 20
AROUND = 5
"""Messages before and after a reported one that go along, so that a reviewer understands it."""

TAKEN_BACK = {
    "unban_account": "ban_account",
    "restore_media": "remove_media",
    "reopen_group": "close_group",
    "restore_invite_link": "revoke_invite_link",
    "allow_forwarding": "limit_forwarding",
    "withdraw_warning": "warn",
}
"""Verbs that take back what another one ordered."""

Result = tuple[Literal["done", "impossible", "refused"], str]


@dataclass
class User:
    """Somebody with an account. ``facts`` are what the platform knows: identifiers, addresses, names."""

    id: str
    facts: dict[str, Any] = field(default_factory=dict)
    is_banned: bool = False
    warnings: int = 0


@dataclass
class Group:
    """A group, its members with their roles, and whether its invite link works."""

    id: str
    name: str
    members: dict[str, str] = field(default_factory=dict)
    invite_link: str = ""
    has_link: bool = True
    is_closed: bool = False


@dataclass
class Message:
    """A message in a group or between two people."""

    id: str
    chat: str
    sender: str
    at: datetime
    text: str = ""
    file: File | None = None
    is_removed: bool = False


class ToyPlatform:
    """The platform: its data, what it says to Holdfast, and what it does when it is told something."""

    def __init__(self, holdfast: Holdfast | None = None, secret: str = "") -> None:
        self.holdfast, self.secret = holdfast, secret
        self.users: dict[str, User] = {}
        self.groups: dict[str, Group] = {}
        self.messages: dict[str, Message] = {}
        self.received: list[Mapping[str, Any]] = []
        self.results: dict[str, Result] = {}
        self.refused = 0
        self._seen: set[str] = set()
        self._newest: dict[str, int] = {}
        self._waiting: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
        self._changed = threading.Condition()

    # ── What it says ──────────────────────────────────────────────────────────────────────────
    def directory(self) -> Iterator[dict[str, Any]]:
        """Yield a line for everybody and everything: accounts before groups, groups before their members."""
        for user in self.users.values():
            yield {
                "type": "account",
                "external_id": user.id,
                "platform_status": "banned" if user.is_banned else "active",
                **user.facts,
            }
        for group in self.groups.values():
            line = {"type": "group", "external_id": group.id, "name": group.name}
            yield line | {"member_count": len(group.members), "invite_link": group.invite_link}
        for group in self.groups.values():
            for member, role in group.members.items():
                yield {"type": "membership", "group": group.id, "account": member, "role": role}

    def back_fill(self) -> int:
        """Describe everything. Safe to repeat, every night for example. Raises Problem for a line that is wrong."""
        done = self._holdfast().send_all(self.directory())
        for found in done.rejected:
            raise Problem(422, {"code": found.code, "errors": found.errors})
        return done.accepted

    def report(self, message_id: str, *, reporter: str, reason: str, words: str = "") -> str:
        """Report a message with what was said around it; return Holdfast's number of the report.

        The report's own id makes it one report, however often this is tried.
        """
        about = self.messages[message_id]
        chat = sorted((m for m in self.messages.values() if m.chat == about.chat), key=_when)
        place = chat.index(about)
        near = list(enumerate(chat))[max(0, place - AROUND) : place + AROUND + 1]
        files = {m.id: m.file for _, m in near if m.file is not None and not m.is_removed}
        own_id = f"report-{reporter}-{message_id}"
        document: dict[str, Any] = {
            "external_id": own_id,
            "subject": {"account": about.sender},
            "reporter": {"account": reporter},
            "reason": reason,
            "description": words,
            "occurred_at": about.at.isoformat(),
            "items": [self._item(m, place=at, is_reported=m is about) for at, m in near],
        }
        if about.chat in self.groups:
            document["subject"]["group"] = about.chat
        try:
            answer = self._holdfast().submit_report(document, files, idempotency_key=own_id)
        except Problem as refused:
            if refused.code != "duplicate_external_id":
                raise
            return str(refused.document["existing"]["number"])
        return answer["number"]

    def _item(self, message: Message, *, place: int, is_reported: bool) -> dict[str, Any]:
        item: dict[str, Any] = {
            "surface": "reported_message",
            "external_id": message.id,
            "role": "reported" if is_reported else "context",
            "conversation": message.chat,
            "position": place,
            "sender": message.sender,
            "content_at": message.at.isoformat(),
        }
        if message.chat in self.groups:
            item["group"] = message.chat
        if message.is_removed:
            return item | {"not_sent": "deleted", "is_deleted": True}
        if message.text:
            item["text"] = message.text
        if message.file is not None:
            item |= {"file": message.id, "name": message.file.name}
        return item

    def _holdfast(self) -> Holdfast:
        if self.holdfast is None:
            raise RuntimeError("the platform is not connected")
        return self.holdfast

    # ── What it hears ─────────────────────────────────────────────────────────────────────────
    def take(self, headers: Mapping[str, str], body: bytes) -> int:
        """Return the status to answer a webhook with. Fast: the order is only put down here.

        A real platform writes it to its database before it answers, since it will not come again after a 2xx.
        """
        try:
            message = webhooks.verify(self.secret, headers, body)
        except (webhooks.NotGenuine, ValueError):
            with self._changed:
                self.refused += 1
                self._changed.notify_all()
            return 401
        with self._changed:
            # It comes again when the answer was lost: taken again, and not done again.
            is_new = message.id not in self._seen
            self._seen.add(message.id)
            if is_new and message.is_order:
                self.received.append(message.data)
                self._waiting.put(message.data)
            self._changed.notify_all()
        return 204

    def work(self, *, seconds: float = 0.0) -> int:
        """Carry out what was put down, waiting up to ``seconds`` for the first order; return how many there were."""
        done = 0
        while True:
            try:
                order = (
                    self._waiting.get(timeout=seconds)
                    if seconds and not done
                    else self._waiting.get_nowait()
                )
            except queue.Empty:
                return done
            self._answer(order)
            done += 1

    def catch_up(self, after_sequence: int = 0) -> int:
        """Ask for the orders beyond the last one that was handled; return the largest number there is now.

        After an outage, or instead of webhooks.
        """
        last = after_sequence
        for found in self._holdfast().enforcements(after_sequence=after_sequence):
            if found["state"] in {"pending", "acknowledged", "failed"}:
                self._answer(found["message"]["data"])
            last = max(last, found["sequence"])
        return last

    def _answer(self, order: Mapping[str, Any]) -> None:
        state, words = result = self.carry_out(order)
        with self._changed:
            self.results[order["enforcement_id"]] = result
            self._changed.notify_all()
        if self.holdfast is not None:
            self.holdfast.report_result(order["enforcement_id"], state, detail=words)

    def carry_out(self, order: Mapping[str, Any]) -> Result:
        """Do what an order says, and say what became of it. Doing it twice changes nothing more.

        Orders may arrive in any order: of two about one thing the one with the larger ``sequence`` counts.
        """
        target = order["target"]
        about = str((TAKEN_BACK.get(order["verb"], order["verb"]), target))
        number = order.get("sequence", 0)
        if number < self._newest.get(about, 0):
            return "done", "A later order says otherwise."
        self._newest[about] = number
        user = self.users.get(target.get("account", {}).get("external_id", ""))
        group = self.groups.get(target.get("group", {}).get("external_id", ""))
        message = self.messages.get(target.get("item", {}).get("external_id", ""))
        match order["verb"]:
            case "ban_account" | "unban_account" if user is not None:
                user.is_banned = order["verb"] == "ban_account"
            case "warn" if user is not None:
                user.warnings += order["enforcement_id"] not in self.results
            case "withdraw_warning" if user is not None:
                user.warnings -= order["enforcement_id"] not in self.results
            case "limit_forwarding" | "allow_forwarding" if user is not None:
                return "refused", "This platform has no forwarding."
            case "remove_media" | "restore_media" if message is not None:
                message.is_removed = order["verb"] == "remove_media"
            case "close_group" | "reopen_group" if group is not None:
                group.is_closed = order["verb"] == "close_group"
            case "revoke_invite_link" | "restore_invite_link" if group is not None:
                group.has_link = order["verb"] == "restore_invite_link"
            case _:
                # A verb of a newer version, or somebody who is gone: a person at the other end should know.
                return "impossible", "There is no such thing here, or no way to do this to it."
        return "done", ""

    def wait_for(self, wanted: int, *, matching: str, seconds: float) -> list[Mapping[str, Any]]:
        """Return the orders that mention ``matching`` once there are ``wanted``, or what came in time."""

        def found() -> list[Mapping[str, Any]]:
            return [order for order in self.received if matching in str(order)]

        with self._changed:
            self._changed.wait_for(lambda: len(found()) >= wanted, timeout=seconds)
            return found()


def _when(message: Message) -> datetime:
    return message.at


class Receiver:
    """Listens for webhooks on a port of this machine, and hands them to a platform."""

    def __init__(self, platform: ToyPlatform, *, host: str = "127.0.0.1", port: int = 0) -> None:
        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = min(int(self.headers.get("Content-Length") or 0), LARGEST)
                status = platform.take(dict(self.headers.items()), self.rfile.read(size))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: a message names people's accounts."""

        self._server = ThreadingHTTPServer((host, port), Door)
        self.url = f"http://{host}:{self._server.server_address[1]}/holdfast"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def a_small_world() -> ToyPlatform:
    """Return a platform with three people, a group and a few messages. All of it is invented."""
    toy = ToyPlatform()
    for name in ("alex", "sam", "kim"):
        mail = {"kind": "email", "value": f"{name}@mail.example"}
        facts = {"username": name, "joined_at": "2026-01-05T09:30:00Z", "identifiers": [mail]}
        toy.users[f"user-{name}"] = User(f"user-{name}", facts)
    toy.groups["group-7"] = Group(
        "group-7",
        "Holiday pictures",
        {"user-alex": "owner", "user-sam": "member", "user-kim": "member"},
        "https://chat.example/join/AbC123",
    )
    said = [("user-sam", "hello"), ("user-alex", "markerword-alpha"), ("user-sam", "please stop")]
    for number, (sender, text) in enumerate(said, 1):
        at = datetime(2026, 11, 22, 10, 40, number, tzinfo=UTC)
        toy.messages[f"msg-{number}"] = Message(f"msg-{number}", "group-7", sender, at, text)
    return toy


def main() -> None:
    """Describe the small world, report one message, then receive orders until the program is stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", help="of Holdfast, such as https://holdfast.example")
    parser.add_argument("--port", type=int, default=8090, help="where orders arrive")
    given = parser.parse_args()
    toy = a_small_world()
    toy.secret = os.environ["WEBHOOK_SECRET"]
    with (
        Holdfast(given.address, os.environ["HOLDFAST_KEY"]) as holdfast,
        Receiver(toy, port=given.port) as receiver,
    ):
        toy.holdfast = holdfast
        print(f"{toy.back_fill()} lines of the directory taken")
        print(f"reported as {toy.report('msg-2', reporter='user-sam', reason='grooming')}")
        print(f"orders arrive at {receiver.url}; stop with Ctrl-C")
        while True:
            for order in toy.received[-toy.work(seconds=3600) :]:
                print(order["verb"], order["target"], *toy.results[order["enforcement_id"]])


if __name__ == "__main__":
    main()
