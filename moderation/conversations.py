"""The conversations of a case as its page shows them: who said what after whom, all of it covered.

No text is read here until somebody asks for it; lines say how long a text is and lead to the card of a file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.db.models.functions import MD5, Length

from accounts.models import User
from accounts.permissions import Permission
from core.errors import in_words
from core.foreign import spelt
from moderation import evidence
from moderation.models import Case, CaseItem
from moderation.windows import Window, window
from reports.choices import ItemRole, Surface
from reports.conversations import Entry, Gap, in_order
from reports.models import Item

MOST_TOLD = 3000
"""Messages of a case that are put in order for its page; the others are among the evidence."""
ON_A_PAGE = 200
AROUND = 5
"""Messages before and after what is reported that stand open; longer runs are folded."""
SHORTEST_FOLD = 3


@dataclass(frozen=True, slots=True)
class Reply:
    """What a message answers: a line of the page, or one that was never sent."""

    words: str
    item: str = ""


@dataclass(slots=True)
class Message:
    """One message, however many reports tell it."""

    item: Item
    is_reported: bool
    side: str
    """``subject``, ``reporter`` or ``other``."""
    sender: str
    part: str
    """What the sender is to the case, in words; empty for anybody else."""
    at: datetime | None
    day: date | None
    """The day of it, where it is another one than that of the line before, or the first of a stretch."""
    what: str
    icon: str
    not_sent: str
    reply: Reply | None
    marks: list[str]
    reports: list[str]
    later: str
    version: str
    card: str
    """The id of its card among the evidence, if the card is on the page."""
    text_url: str = ""
    pieces: list[evidence.Piece] = field(default_factory=list)
    is_same_day: bool = False
    """The day stands once more only because what is before it is folded."""
    takes_focus: bool = False


@dataclass(slots=True)
class Missing:
    """Places of which nothing was sent."""

    words: str


@dataclass(slots=True)
class Stretch:
    """Lines that stand open together, or are folded behind ``fold``."""

    lines: list[Message | Missing]
    fold: str = ""

    @property
    def first(self) -> str:
        return next((str(one.item.pk) for one in self.lines if isinstance(one, Message)), "")

    @property
    def last(self) -> str:
        return next(
            (str(one.item.pk) for one in reversed(self.lines) if isinstance(one, Message)), ""
        )

    @property
    def uncovered(self) -> list[Item]:
        """The items whose words are shown."""
        return [one.item for one in self.lines if isinstance(one, Message) and one.pieces]

    @property
    def covered_texts(self) -> int:
        """How many texts may be uncovered in it."""
        return sum(
            isinstance(line, Message) and bool(line.text_url) and not line.pieces
            for line in self.lines
        )


@dataclass(slots=True)
class Conversation:
    """One conversation."""

    number: int
    total: int
    title: str
    where: str
    count: str
    """How many messages it has, in words: versions of one message are one."""
    is_told: bool
    """Its sender said that it is a conversation; others are messages that one report lists."""
    stretches: list[Stretch]
    window: Window
    is_cut: bool

    @property
    def previous(self) -> int | None:
        return self.number - 1 if self.number > 1 else None

    @property
    def next(self) -> int | None:
        return self.number + 1 if self.number < self.total else None


@dataclass(frozen=True, slots=True)
class _Row:
    item: UUID
    report: int
    listed: int
    position: int | None
    external_id: str
    is_told: bool


_Key = tuple[str, str]


def conversation_of(
    case: Case, user: User, *, asked: Mapping[str, str], cards: Iterable[str]
) -> Conversation | None:
    """Return the conversation that the address asks for (``?conversation=2``), else the first; nothing where there is none."""
    found, is_cut = _conversations(case)
    if not found:
        return None
    keys = list(found)
    text = asked.get("conversation", "")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 1
    number = min(max(number, 1), len(keys))
    key = keys[number - 1]
    lines = _lines(case, user, found[key], set(cards))
    part = _part(lines, asked)
    stretches = _folded(lines[part.start : part.stop])
    _mark_days([stretch.lines for stretch in stretches])
    first = next((line.item for line in lines if isinstance(line, Message)), None)
    groups = {
        str(line.item.in_group)
        for line in lines
        if isinstance(line, Message) and line.item.in_group
    }
    return Conversation(
        number=number,
        total=len(keys),
        title=key[1] if key[0] != "report" else f"Messages of {key[1]}",
        where=", ".join(sorted(groups)[:3]),
        count=_counted(lines),
        is_told=any(row.is_told for row in found[key]) and first is not None,
        stretches=stretches,
        window=part,
        is_cut=is_cut,
    )


def uncovered(case: Case, user: User, *, first: str, last: str) -> Stretch | None:
    """Return the lines between two messages with their texts, for whoever may read them; None if they are not told together."""
    found, _ = _conversations(case)
    for rows in found.values():
        if {first, last} <= {str(row.item) for row in rows}:
            lines = _lines(case, user, rows, None)
            places = [
                index
                for index, line in enumerate(lines)
                if isinstance(line, Message) and str(line.item.pk) in {first, last}
            ]
            if not places:
                return None
            shown = lines[places[0] : places[-1] + 1][:ON_A_PAGE]
            _mark_days([lines[: places[0]], shown])
            _uncover(shown)
            for line in shown:
                if isinstance(line, Message) and line.pieces:
                    line.takes_focus = True  # The button that had it is gone.
                    break
            return Stretch(shown)
    return None


def _uncover(lines: Sequence[Message | Missing]) -> None:
    asked = [line for line in lines if isinstance(line, Message) and line.text_url]
    texts = dict(
        Item.objects.filter(pk__in=[line.item.pk for line in asked]).values_list("pk", "text")
    )
    flags = evidence.flags_by_item([line.item for line in asked])
    for line in asked:
        spans = evidence.spans_of(flags.get(line.item.pk, []))
        line.pieces = evidence.pieces(texts[line.item.pk], spans)


def _conversations(case: Case) -> tuple[dict[_Key, list[_Row]], bool]:
    """Return the messages of each conversation of a case; whether there are more than are put in order.

    Chats of partners do not mix with the platform's: what a hotline calls ``1`` is another chat.
    """
    rows: Iterable[tuple[Any, ...]] = (
        CaseItem.objects.filter(case=case)
        .filter(Q(item__surface=Surface.REPORTED_MESSAGE) | ~Q(item__conversation=""))
        .order_by("position", "pk")
        .values_list(
            "item",
            "item__conversation",
            "item__report__number",
            "item__source__is_own_platform",
            "item__source__slug",
            "item__position",
            "item__external_id",
            "item__role",
            "item__reply_to",
        )[: MOST_TOLD + 1]
    )
    found: dict[_Key, list[_Row]] = {}
    for number, row in enumerate(rows):
        if number == MOST_TOLD:
            return _told(found), True
        item, name, report, is_own, source, position, external_id, role, reply_to = row
        if name:
            key = ("" if is_own else source, name)
        elif report is None:
            continue  # Found by scanning: nobody told it as part of anything.
        else:
            key = ("report", f"R-{report:06d}")
        is_told = bool(name or reply_to or position is not None or role == ItemRole.CONTEXT)
        found.setdefault(key, []).append(
            _Row(item, report or 0, number, position, external_id, is_told)
        )
    return _told(found), False


def _told(found: dict[_Key, list[_Row]]) -> dict[_Key, list[_Row]]:
    kept = {key: rows for key, rows in found.items() if len(rows) > 1}
    # What senders call a conversation comes before messages that one report lists.
    return dict(sorted(kept.items(), key=lambda each: not any(row.is_told for row in each[1])))


def _lines(
    case: Case, user: User, rows: Sequence[_Row], cards: set[str] | None
) -> list[Message | Missing]:
    """Return the lines of a conversation, the whole of it. ``cards`` are those on the page; None: it knows them itself."""
    items = (
        Item.objects.select_related("sender", "report__reporter_account", "blob", "in_group")
        .defer("text", "report__description", "sender__profile_text", "in_group__description")
        .annotate(text_length=Length("text"), text_md5=MD5("text"))
        .in_bulk([row.item for row in rows])
    )
    told = [row for row in rows if row.item in items]
    order = in_order(
        Entry(row.item, row.report, row.listed, row.position, row.external_id) for row in told
    )
    first_report = min((row.report for row in told), default=0)
    by_id: dict[str, UUID] = {}
    for entry in order:
        if isinstance(entry, Entry) and entry.external_id:
            by_id.setdefault(entry.external_id, entry.key)
    versions: dict[str, set[Any]] = {}
    for item in items.values():
        if item.external_id:
            versions.setdefault(item.external_id, set()).add(_content(item))
    lines: list[Message | Missing] = []
    merged: dict[Any, Message] = {}
    reporters = {item.report.reporter_account_id for item in items.values() if item.report}
    accused = _accused(case, items.values())
    for entry in order:
        if isinstance(entry, Gap):
            lines.append(Missing(entry.words))
            continue
        item = items[entry.key]
        report = str(item.report) if item.report else ""
        key = (item.external_id, _content(item)) if item.external_id else item.pk
        if (known := merged.get(key)) is not None:
            _merge(known, item, report)
            continue
        side, part = _side(item, accused, reporters - {None})
        replied = by_id.get(item.reply_to)
        line = Message(
            item=item,
            is_reported=item.role == ItemRole.REPORTED,
            side=side,
            sender=spelt(str(item.sender)) if item.sender else "Sender not told",
            part=part,
            at=item.content_at,
            day=None,
            what=_what(item),
            icon=evidence.ICONS[item.kind],
            not_sent=evidence.not_sent_in_words(item),
            reply=_reply(item, items.get(replied) if replied else None),
            marks=_marks(item),
            reports=[report] if report else [],
            later=f"Arrived later, with {report}" if entry.arrival > first_report else "",
            version="",
            card=f"evidence-{item.pk}" if cards is None or str(item.pk) in cards else "",
        )
        if item.text_length and user.may(Permission.MEDIA_PREVIEW):
            line.text_url = evidence.text_url(case, item)
        if item.external_id and len(versions[item.external_id]) > 1:
            line.version = f"One of {len(versions[item.external_id])} versions, from {report}"
        merged[key] = line
        lines.append(line)
    return lines


def _content(item: Any) -> tuple[Any, ...]:
    return item.kind, item.blob_id, item.text_md5, item.not_sent, item.sender_id


def _merge(line: Message, item: Item, report: str) -> None:
    """Add what another report says of the same message: it may call it reported, edited or deleted meanwhile."""
    if report and report not in line.reports:
        line.reports.append(report)
    line.is_reported = line.is_reported or item.role == ItemRole.REPORTED
    line.marks += [mark for mark in _marks(item) if mark not in line.marks]


def _accused(case: Case, items: Iterable[Item]) -> set[UUID | None]:
    """Return whose side is the subject's: the account of the case, or in a group whoever sent what is reported."""
    if case.account_id is not None:
        return {case.account_id}
    return {item.sender_id for item in items if item.role == ItemRole.REPORTED} - {None}


def _side(item: Item, accused: set[UUID | None], reporters: set[UUID | None]) -> tuple[str, str]:
    if item.sender_id is None:
        return "other", ""
    if item.sender_id in accused:
        return (
            "subject",
            "reported" if item.account_id == item.sender_id else "sent what is reported",
        )
    if item.sender_id in reporters:
        return "reporter", "reporter"
    return "other", ""


def _what(item: Any) -> str:
    parts = []
    if item.blob is not None:
        parts = [item.get_kind_display(), in_words(item.blob.size)]
    if item.text_length:
        words = "1 character" if item.text_length == 1 else f"{item.text_length:,} characters"
        parts.append(f"with a caption of {words}" if item.blob is not None else f"Text, {words}")
    return " · ".join(parts)


def _marks(item: Item) -> list[str]:
    return [f"{word} {at}".strip() for word, at in evidence.marks_of(item)]


def _reply(item: Item, to: Item | None) -> Reply | None:
    if not item.reply_to:
        return None
    if to is None:
        return Reply(f"Reply to {spelt(item.reply_to)}, which was not sent")
    whom = spelt(str(to.sender)) if to.sender else spelt(to.external_id)
    return Reply(f"Reply to {whom}", str(to.pk))


def _part(lines: Sequence[Message | Missing], asked: Mapping[str, str]) -> Window:
    """Return the part that is asked for, else the one that holds what is reported first."""
    if "messages" not in asked:
        first = next(
            (n for n, line in enumerate(lines) if isinstance(line, Message) and line.is_reported), 0
        )
        asked = {"messages": str(first // ON_A_PAGE + 1)}
    return window(
        "messages",
        asked,
        size=ON_A_PAGE,
        total=len(lines),
        order="in the conversation's order",
        called="lines of the conversation",
    )


def _counted(lines: Iterable[Message | Missing]) -> str:
    """Return how many messages lines tell, for people: what is told in two versions is one message."""
    versions = Counter(
        line.item.external_id or str(line.item.pk) for line in lines if isinstance(line, Message)
    )
    said = f"{len(versions):,} message{'' if len(versions) == 1 else 's'}"
    for number, several in sorted(Counter(versions.values()).items()):
        if number > 1:
            said += f", {several:,} in {number} versions"
    return said


def _mark_days(stretches: Iterable[Iterable[Message | Missing]]) -> None:
    """Let each stretch begin with its day, and each day in it: what is before it may be folded."""
    before: date | None = None
    for lines in stretches:
        is_first = True
        for line in lines:
            if isinstance(line, Message) and line.at is not None:
                day = line.at.date()
                line.is_same_day = day == before
                line.day = day if is_first or not line.is_same_day else None
                before, is_first = day, False


def _folded(lines: Sequence[Message | Missing]) -> list[Stretch]:
    """Fold what stands far from everything that is reported. Where nothing is, nothing is folded."""
    reported = [n for n, line in enumerate(lines) if isinstance(line, Message) and line.is_reported]
    near = {n for at in reported for n in range(at - AROUND, at + AROUND + 1)}
    stretches: list[Stretch] = []
    for number, line in enumerate(lines):
        is_far = bool(reported) and number not in near
        if not stretches or bool(stretches[-1].fold) != is_far:
            stretches.append(Stretch([], "far" if is_far else ""))
        stretches[-1].lines.append(line)
    joined: list[Stretch] = []
    for stretch in stretches:
        is_open = not stretch.fold or len(stretch.lines) < SHORTEST_FOLD
        if is_open and joined and not joined[-1].fold:
            joined[-1].lines += stretch.lines
        elif is_open:
            joined.append(Stretch(stretch.lines))
        else:
            joined.append(Stretch(stretch.lines, f"{_counted(stretch.lines)} more"))
    return joined
