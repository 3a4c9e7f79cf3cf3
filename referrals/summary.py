"""``summary.pdf``: the case on a few pages for people, set by typst. It never contains an image.

The template receives one JSON text through ``sys.inputs`` and sets it as text: nothing from a case
is ever read as markup. The output is PDF/UA-1 (tagged, titled, in reading order), uses only the
fonts inside typst and the bagging date, so that the same description gives the same bytes.
"""

from __future__ import annotations

import json
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typst

from referrals import summary_parts
from referrals.summary_parts import TEXT, Words, called, digest, moment, place, rows, said_by

if TYPE_CHECKING:
    from referrals.package.description import PackageSpec
    from referrals.package.messages import Message

TEMPLATE = Path(__file__).parent / "templates_typst" / "summary.typ"

# Beyond these the reader is told how many more there are and sent to the metadata, which has everything.
MOST_EXHIBITS = 500
MOST_QUOTES = 40
MOST_TIMELINE = 200
MOST_PARAGRAPHS = 200
MOST_REPORTS = 100
MOST_ACCOUNTS = 200
MOST_GROUPS = 50
MOST_CONVERSATIONS = 50


def summary_pdf(spec: PackageSpec) -> bytes:
    """The document as bytes. About 0.1 s, plus about 1 ms per exhibit."""
    try:
        return _typeset(spec, Words(ascii_only=False))
    except typst.TypstError as error:
        if "could not be displayed" not in str(error):
            raise
        # A cluster that needs a glyph its single characters did not: spell everything out.
        return _typeset(spec, Words(ascii_only=True))


def _typeset(spec: PackageSpec, words: Words) -> bytes:
    return typst.compile(
        TEMPLATE.read_bytes(),
        format="pdf",
        pdf_standards=["ua-1"],
        ignore_system_fonts=True,
        timestamp=int(spec.bagged_at.timestamp()),
        sys_inputs={"summary": json.dumps(content(spec, words), sort_keys=True)},
    )


def content(spec: PackageSpec, words: Words) -> dict[str, Any]:
    """What the template sets, with every text already printable. What is cut says how much is missing and where it is."""
    case = spec.case
    bagged = spec.bagged_at.astimezone(UTC)
    quotes = [
        {
            "sender": words(message.sender),
            "at": moment(message.sent_at),
            "text": _quoted(message, words),
            "exhibits": ", ".join(message.exhibits),
            "place": _place(message, words, versions.get(message.id, 1)),
        }
        for conversation in spec.conversations
        for versions in [conversation.versions]
        for message in conversation.messages
        if message.is_reported or message.is_left_out
    ]
    paragraphs = [each for each in case.narrative.split("\n\n") if each.strip()]
    return {
        "package": spec.package_id,
        "year": bagged.year,
        "month": bagged.month,
        "day": bagged.day,
        "organisation": words(spec.organisation.name),
        "recipient": words(spec.recipient.label),
        "category": words(case.category),
        "facts": rows(
            ("For", words(spec.recipient.label)),
            ("From", words(spec.organisation.name)),
            ("Contact", words.all(_contact(spec))),
            ("Legal basis", words(spec.legal_basis.summary, 1000)),
            ("Urgency", words(spec.legal_basis.authority, TEXT)),
            (
                "Incident",
                said_by(
                    words(case.incident_type),
                    words(case.incident_type_said_by),
                    case.incident_type_said_at,
                ),
            ),
            (
                "Time of incident",
                said_by(
                    moment(case.incident_at),
                    words(case.incident_at_said_by),
                    case.incident_at_said_at,
                ),
            ),
            ("Prepared", moment(spec.bagged_at)),
            ("Replaces", words(spec.supersedes)),
            ("Subject", words(case.subject)),
            (
                "When opened",
                called(case.subject_when_opened, words, "case.json"),
            ),
            ("Severity", words(case.severity)),
            ("Our reference", words(case.id)),
            ("Case opened", moment(case.opened_at)),
            ("Decided", f"{moment(case.decided_at)}, by {words(case.decided_by)}"),
            ("Outcome", words(case.outcome)),
            ("Policy", words(case.policy)),
            ("Steps taken", words.all(case.enforcements)),
        ),
        "narrative": [words(paragraph, TEXT) for paragraph in paragraphs[:MOST_PARAGRAPHS]],
        "more_paragraphs": max(0, len(paragraphs) - MOST_PARAGRAPHS),
        "timeline": [
            [moment(entry.at), words(entry.text, 600)] for entry in case.timeline[:MOST_TIMELINE]
        ],
        "more_timeline": max(0, len(case.timeline) - MOST_TIMELINE),
        "reports": [summary_parts.report(each, words) for each in spec.reports[:MOST_REPORTS]],
        "more_reports": max(0, len(spec.reports) - MOST_REPORTS),
        "accounts": [summary_parts.account(each, words) for each in spec.accounts[:MOST_ACCOUNTS]],
        "more_accounts": max(0, len(spec.accounts) - MOST_ACCOUNTS),
        "groups": [summary_parts.group(each, words) for each in spec.groups[:MOST_GROUPS]],
        "more_groups": max(0, len(spec.groups) - MOST_GROUPS),
        "quotes": quotes[:MOST_QUOTES],
        "more_quotes": max(0, len(quotes) - MOST_QUOTES),
        "conversations": [
            [words(each.title), words(each.size_in_words, TEXT)]
            for each in spec.conversations[:MOST_CONVERSATIONS]
        ],
        "more_conversations": max(0, len(spec.conversations) - MOST_CONVERSATIONS),
        "exhibits": [
            summary_parts.exhibit(exhibit, words) for exhibit in spec.exhibits[:MOST_EXHIBITS]
        ],
        "more_exhibits": max(0, len(spec.exhibits) - MOST_EXHIBITS),
        "exhibit_count": len(spec.exhibits),
        "viewed_count": sum(exhibit.was_viewed for exhibit in spec.exhibits),
        "left_out": [words(sentence, TEXT) for sentence in spec.left_out],
        "custody_lines": len(spec.custody.lines),
        "custody_head": digest(spec.custody.inclusion.head),
        "custody_root": digest(spec.custody.inclusion.root),
        "principal": words(spec.signer.principal),
        "namespace": words(spec.namespace),
    }


def _place(message: Message, words: Words, versions: int) -> str:
    wordings = f"one of {versions:,} of this message" if versions > 1 else ""
    said = [("Group", message.group_id), *place(message.place), ("Version", wordings)]
    return " · ".join(f"{label}: {words(text)}" for label, text in said if text)


def _quoted(message: Message, words: Words) -> str:
    if message.is_left_out:
        return "[A message stood here. It is left out of this package.]"
    if message.place.not_sent:
        return f"[Not sent to us: {words(message.place.not_sent)}]"
    return words(message.text, TEXT)


def _contact(spec: PackageSpec) -> tuple[str, ...]:
    organisation = spec.organisation
    return tuple(
        text
        for text in (
            organisation.contact_name,
            organisation.contact_email,
            organisation.contact_phone,
        )
        if text
    )
