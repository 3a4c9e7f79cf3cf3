"""What the case page shows of each item: words about it, never its bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import OuterRef, Subquery
from django.db.models.functions import Coalesce, Length
from django.urls import reverse
from django.utils.html import format_html

from accounts.models import User
from accounts.permissions import Permission
from core.errors import in_words
from core.foreign import spelt
from hashing.detectors.terms import steps_in_words
from hashing.models import Flag, FlagKind
from hashing.videos import clock
from moderation.looks import looks_at
from moderation.models import Case, CaseItem, Preview, PreviewState, RevealPurpose
from moderation.things import reports_of, things_of
from moderation.viewing import Look, Seen, most_seen, seen_in_words
from moderation.windows import Window, window
from reports.choices import NOT_SENT_WORDS
from reports.models import Item, ItemKind, ItemRole, ScanState

MOST_CARDS = 200
REPORTS_NAMED = 12
"""Reports of one thing that its card names; the rest is counted."""
DIGESTS_SHOWN = 2
"""Digests of one kind that are shown of a file: a film or an animation has hundreds."""
ICONS = {
    "image": "image",
    "video": "video",
    "audio": "audio",
    "text": "text",
    "other": "file",
    "not_sent": "blocked",
}


@dataclass(slots=True)
class Card:
    """One item as a cover card."""

    id: str
    item: Item
    position: int
    total: int
    kind: str
    title: str
    reason: str
    description: str
    preview_url: str = ""
    text_url: str = ""
    text_query: str = ""
    reveal_url: str = ""
    missing: str = ""
    viewed: str = "never"
    viewed_text: str = ""
    waits: bool = False
    active: bool = False
    caption: str = ""
    """How long the caption of a file is, in words; its words come when asked for."""
    shown_pieces: list[Piece] = field(default_factory=list)
    flags: list[Flag] = field(default_factory=list)
    facts: list[tuple[str, Any]] = field(default_factory=list)

    @property
    def strip_label(self) -> str:
        """Return what a screen reader says for the card's button in the strip."""
        seen = self.viewed_text or {"never": "not opened", "preview": "preview only"}[self.viewed]
        return f"File {self.position} of {self.total}, {self.title}, {seen[0].lower()}{seen[1:]}"


def items_window(case: Case, asked: Mapping[str, str]) -> Window:
    """Return which of a case's items are shown. A viral account brings thousands of them."""
    total = things_of(case).count()
    return window("items", asked, size=MOST_CARDS, total=total, order="the gravest first")


def cards(case: Case, user: User, *, part: Window, may_reveal: bool, page_view: str) -> list[Card]:
    """Return the cards of a part of a case, the gravest first, for this person.

    What several reports name is one card that says so. A fixed number of queries. No text is read: a card says how long it is, and shows it when asked.
    """
    case_items = _case_items(case, part)
    items = [row.item for row in case_items]
    flags = flags_by_item(items)
    previews = {
        preview.blob_id: preview
        for preview in Preview.objects.filter(blob__in=[item.blob_id for item in items])
    }
    digests = _digests(items)
    seen = looks_at(case, [item.blob_id for item in items if item.blob_id])
    reports = reports_of(case, [row.pk for row in case_items if row.times > 1])
    return [
        _card(
            case,
            row.item,
            user,
            position=position,
            part=part,
            length=row.text_length,
            flags=flags.get(row.item_id, []),
            preview=previews.get(row.item.blob_id) if row.item.blob_id else None,
            digests=digests.get(row.item.blob_id, []),
            looks=seen.get(row.item.blob_id, []),
            times=row.times,
            reports=reports.get(row.pk, []),
            may_reveal=may_reveal,
            page_view=page_view,
        )
        for position, row in enumerate(case_items, start=part.start + 1)
    ]


def _case_items(case: Case, part: Window) -> list[Any]:
    """Return the things of a part, as their first items, with ``text_length`` and ``times``.

    Which ones is settled before rows are read.
    """
    gravest = (
        Flag.objects.filter(item=OuterRef("item"), superseded_at=None)
        .order_by("-score")
        .values("score")[:1]
    )
    keys = dict(
        things_of(case)
        .annotate(gravest=Coalesce(Subquery(gravest), 0.0))
        # What is reported comes before what only helps to understand it.
        .order_by("-gravest", "-item__role", "position", "pk")
        .values_list("pk", "times")[part.start : part.stop]
    )
    rows: dict[Any, Any] = (
        CaseItem.objects.filter(pk__in=keys)
        .select_related("item", "item__blob", "item__sender", "item__report", "item__in_group")
        .defer(
            "item__text",
            "item__report__description",
            "item__sender__profile_text",
            "item__in_group__description",
        )
        .annotate(text_length=Length("item__text"))
        .in_bulk()
    )
    found: list[Any] = [rows[key] for key in keys]
    for row, times in zip(found, keys.values(), strict=True):
        row.times = times
    return found


def _card(
    case: Case,
    item: Item,
    user: User,
    *,
    position: int,
    part: Window,
    length: int,
    flags: list[Flag],
    preview: Preview | None,
    digests: list[tuple[str, str]],
    looks: list[Look],
    times: int,
    reports: list[int],
    may_reveal: bool,
    page_view: str,
) -> Card:
    blob = item.blob
    card = Card(
        id=str(item.pk),
        item=item,
        position=position,
        total=part.total,
        kind=ICONS[item.kind],
        title=_title(item),
        reason=flags[0].summary if flags else _unflagged(item),
        description=_description(item, preview, length, times),
        flags=flags,
        facts=_facts(item, digests, reports),
    )
    where = {"id": case.pk, "item_id": item.pk}
    if length and user.may(Permission.MEDIA_PREVIEW):
        card.text_url = text_url(case, item)
        card.text_query = f"?items={part.number}&text={item.pk}"
    if item.kind == ItemKind.TEXT:
        return card
    card.caption = _length_in_words(length) if length else ""
    if item.kind == ItemKind.NOT_SENT:
        card.missing = "Decide on what is said of it, or ask the platform for it."
        return card
    if blob is None or blob.destroyed_at is not None:
        card.missing = (
            "The original was destroyed. Digests and findings remain: decide on the metadata."
        )
        return card
    if user.may(Permission.MEDIA_PREVIEW) and preview is not None:
        if preview.state == PreviewState.READY:
            card.preview_url = f"{reverse('moderation:preview', kwargs=where)}?view={page_view}"
            card.viewed = "preview"
        elif preview.state == PreviewState.FAILED:
            card.description = f"{card.description} · No preview: {preview.reason}".strip(" ·")
        card.waits = preview.state == PreviewState.WAITING
    if may_reveal:
        card.reveal_url = reverse("moderation:reveal", kwargs=where)
    if level_of(looks) == "full":
        card.viewed = "full"
    card.viewed_text = seen_in_words(looks, you=user.pseudonym)
    return card


def text_url(case: Case, item: Item) -> str:
    """Return where the words of an item are uncovered."""
    return reverse("moderation:text", kwargs={"id": case.pk, "item_id": item.pk})


def not_sent_in_words(item: Item) -> str:
    """Return why an item has no content, in words; nothing for others."""
    if item.kind != ItemKind.NOT_SENT:
        return ""
    said = NOT_SENT_WORDS.get(item.not_sent, f"“{spelt(item.not_sent)}”")
    return f"Not sent: {said}"


def marks_of(item: Item) -> list[tuple[str, str]]:
    """Return what its sender did to a message afterwards, with the time if that is told."""
    return [
        (word, f"{at:%Y-%m-%d %H:%M} UTC" if at else "")
        for word, is_so, at in (
            ("Edited", item.is_edited, item.edited_at),
            ("Deleted by its sender", item.is_deleted, item.deleted_at),
        )
        if is_so
    ]


def _length_in_words(length: int) -> str:
    return "1 character" if length == 1 else f"{length:,} characters"


def _title(item: Item) -> str:
    surface = item.get_surface_display()
    return f"{surface} (context)" if item.role == ItemRole.CONTEXT else surface


def _unflagged(item: Item) -> str:
    if item.kind == ItemKind.NOT_SENT:
        return not_sent_in_words(item)
    if item.scan_state == ScanState.WAITING:
        return "Its scan has not finished yet"
    if item.scan_state == ScanState.SCANNED:
        return "Scanned, nothing matched"
    return item.get_scan_state_display()


def _description(item: Item, preview: Preview | None, length: int, times: int) -> str:
    parts = [item.get_kind_display()]
    if preview is not None and preview.frames and preview.frames > 1:
        parts.append(f"{preview.frames} frames")
    if item.blob is not None:
        parts.append(in_words(item.blob.size))
    if item.kind == ItemKind.TEXT:
        parts.append(_length_in_words(length))
    elif length:
        parts.append(f"caption of {_length_in_words(length)}")
    if times > 1:
        parts.append(f"reported {times} times")
    return " · ".join(parts)


def _facts(item: Item, digests: list[tuple[str, str]], reports: list[int]) -> list[tuple[str, Any]]:
    facts: list[tuple[str, Any]] = []
    if item.role == ItemRole.CONTEXT:
        facts.append(("Part", "Context: not what was reported, and never ordered removed"))
    if item.sender is not None:
        facts.append(("Sent by", _named(item.sender)))
    if item.content_at is not None:
        facts.append(("On the platform since", f"{item.content_at:%Y-%m-%d %H:%M} UTC"))
    facts += _facts_of_message(item)
    facts.append(("Received", f"{item.received_at:%Y-%m-%d %H:%M} UTC"))
    if len(reports) > 1:
        named = ", ".join(f"R-{number:06d}" for number in reports[:REPORTS_NAMED])
        more = len(reports) - REPORTS_NAMED
        facts.append(("Reports", f"{named} and {more} more" if more > 0 else named))
    elif item.report is not None:
        facts.append(("Report", str(item.report)))
    if item.uploaded_ip:
        port = f", port {item.uploaded_port}" if item.uploaded_port is not None else ""
        facts.append(("Uploaded from", f"{item.uploaded_ip}{port}"))
    if item.is_public is not None:
        facts.append(("Public", "Yes" if item.is_public else "No"))
    if item.blob is not None:
        facts.append(("SHA-256", f"{item.blob.sha256[:16]}…"))
        facts.append(("MD5", item.blob.md5))
    facts += digests
    return facts


def _facts_of_message(item: Item) -> list[tuple[str, Any]]:
    facts: list[tuple[str, Any]] = []
    if item.in_group is not None:
        facts.append(("Written in", _named(item.in_group)))
    if item.conversation:
        place = f", position {item.position}" if item.position is not None else ""
        facts.append(
            ("Conversation", format_html("<bdi>{}</bdi>{}", spelt(item.conversation), place))
        )
    elif item.position is not None:
        facts.append(("Position", item.position))
    if item.reply_to:
        facts.append(("Reply to", format_html("<bdi>{}</bdi>", spelt(item.reply_to))))
    facts += [(word, at or "Yes, no time is told") for word, at in marks_of(item)]
    return facts


def _named(row: Any) -> Any:
    name, own_id = spelt(str(row)), spelt(row.external_id)
    if name == own_id:
        return format_html("<bdi>{}</bdi>", own_id)
    return format_html("<bdi>{}</bdi> (<bdi>{}</bdi>)", name, own_id)


def _digests(items: list[Item]) -> dict[Any, list[tuple[str, str]]]:
    from hashing.models import Algorithm, Digest

    found: dict[Any, list[tuple[str, str]]] = {}
    counted: Counter[tuple[Any, str]] = Counter()
    rows = Digest.objects.filter(
        blob__in=[item.blob_id for item in items if item.blob_id],
        algorithm__in=[Algorithm.PDQ, Algorithm.PHASH],
    ).order_by("algorithm", "frame")
    for row in rows:
        label = row.get_algorithm_display()
        counted[row.blob_id, label] += 1
        if counted[row.blob_id, label] > DIGESTS_SHOWN:
            continue
        quality = f", quality {row.quality}" if row.quality is not None else ""
        found.setdefault(row.blob_id, []).append((label, f"{row.value[:16]}…{quality}"))
    for (blob, label), count in counted.items():
        if count > DIGESTS_SHOWN:
            found[blob].append((label, f"and of {count - DIGESTS_SHOWN} more frames"))
    return found


def level_of(looks: list[Look]) -> str:
    """Return the mark of a card: viewed in full or in part, or not."""
    return "full" if most_seen(looks) in {Seen.VIEWED, Seen.IN_PART} else "never"


def purposes() -> list[tuple[str, str]]:
    """Return what may be given as the purpose of a look, as (value, words)."""
    return list(RevealPurpose.choices)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text; ``is_match`` when a detector's finding rests on it."""

    text: str
    is_match: bool


def pieces(text: str, spans: list[tuple[int, int]]) -> list[Piece]:
    """Cut a text at the spans of matches. Spans may overlap, be unordered or out of range."""
    is_match = [False] * len(text)
    for start, end in spans:
        for index in range(max(0, start), min(len(text), end)):
            is_match[index] = True
    cut: list[Piece] = []
    begin = 0
    for index in range(1, len(text) + 1):
        if index == len(text) or is_match[index] != is_match[begin]:
            cut.append(Piece(text[begin:index], is_match[begin]))
            begin = index
    return cut


def flags_of(item: Item) -> list[Flag]:
    """Return the findings on an item that stand, the most certain first."""
    return flags_by_item([item]).get(item.pk, [])


def flags_by_item(items: Iterable[Item]) -> dict[Any, list[Flag]]:
    """Return the findings on items that stand, the most certain first; nothing for those without any."""
    found: dict[Any, list[Flag]] = {}
    for flag in (
        Flag.objects.filter(item__in=list(items), superseded_at=None)
        .select_related("hash_list", "term_list")
        .order_by("-score", "created_at")
    ):
        found.setdefault(flag.item_id, []).append(flag)
    return found


def spans_of(flags: list[Flag]) -> list[tuple[int, int]]:
    """Return where terms and what a classifier rests on stand in the text, in characters."""
    found: list[tuple[int, int]] = []
    for flag in flags:
        if flag.kind not in {FlagKind.TERM_MATCH, FlagKind.CLASSIFIER}:
            continue
        spans = flag.evidence.get("spans") or [flag.evidence.get("span")]
        found.extend(
            (int(span[0]), int(span[1]))
            for span in spans
            if isinstance(span, list | tuple) and len(span) == 2
        )
    return found


def _weights(evidence: dict[str, Any]) -> str:
    """Return the terms a classifier weighed most, with what each added to the log-odds."""
    terms = [f"{each['term']} {each['weight']:+.2f}" for each in evidence.get("terms", [])]
    others = f"all others {evidence.get('base', 0) + evidence.get('rest', 0):+.2f}"
    return " · ".join([*terms, others])


def match_facts(flag: Flag) -> list[tuple[str, Any]]:
    """Return what a finding rests on, as pairs for the page: never a reference picture."""
    evidence = flag.evidence
    facts: list[tuple[str, Any]] = []
    name = evidence.get("list_name") or (str(flag.hash_list or flag.term_list or "") or None)
    if name:
        version = evidence.get("list_version")
        facts.append(("List", f"{name}, version {version}" if version is not None else name))
    if evidence.get("classifier_name"):
        number = evidence.get("classifier_version")
        facts.append(("Classifier", f"{evidence['classifier_name']}, version {number}"))
        facts.append(
            ("Score", f"{flag.score:.1%}, from {evidence.get('threshold', 0):.1%} on it flags")
        )
        facts.append(("Rests on", _weights(evidence)))
    if evidence.get("algorithm"):
        facts.append(("Algorithm", str(evidence["algorithm"]).upper()))
    if evidence.get("distance") is not None:
        threshold = evidence.get("threshold")
        is_exact = evidence["distance"] == 0 and not threshold
        facts.append(
            ("Distance", "Exact" if is_exact else f"{evidence['distance']} of {threshold}")
        )
    if evidence.get("compared_share") is not None:
        facts.append(("Of the listed video", f"{evidence['compared_share']:.0%} is seen"))
        facts.append(("Of this video", f"{evidence.get('query_share', 0):.0%} shows it"))
        facts.append(("Longest stretch", f"{evidence.get('run_seconds', 0)} s in a row"))
    if evidence.get("at_ms") is not None:
        facts.append(("At", clock(int(evidence["at_ms"]))))
    if evidence.get("quality") is not None:
        facts.append(("Quality", evidence["quality"]))
    if evidence.get("entry") is not None:
        facts.append(("Entry", evidence["entry"]))
    if evidence.get("folding"):
        facts.append(("Written with", ", ".join(steps_in_words(evidence["folding"]))))
    if evidence.get("language"):
        facts.append(("Language", evidence["language"]))
    if evidence.get("suppressed"):
        facts.append(("Not counted", f"{len(evidence['suppressed'])} in an allowed phrase"))
    if evidence.get("restricted"):
        facts.append(("What it looks for", "Hidden: the list is restricted"))
    if evidence.get("reason"):
        facts.append(("Because", evidence["reason"]))
    facts.append(("Detector", f"{flag.detector} {flag.detector_version}"))
    return facts
