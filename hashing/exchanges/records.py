"""What a source's records say, read here and not by its client. Values in, values out.

A client that drops what it does not know drops it before anybody has counted it, and may write it to the log. Here a
record that cannot be read is an update with its ``trouble``; a value that is not known is kept and named in ``odd``;
that a record is withdrawn counts whatever else stands in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree.ElementTree import Element

from hashing.csv_lists import check_other
from hashing.exchanges.contract import Update

__all__ = ["of_json", "of_ncmec", "of_stopncii", "of_tat", "of_threatexchange"]

_LONGEST_ID = 200
_LONGEST_NOTE = 400


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _no_object(number: int) -> Update:
    return Update(f"record {number}", trouble="It is not an object.")


def _is_gone(value: Any, name: str) -> bool:
    """Return what a switch says. Raises ValueError for a text, which is true whatever it says."""
    if value is None or value is False or value == 0:
        return False
    if value is True or value == 1:
        return True
    raise ValueError(
        f"“{name}” is true or false, not the text or number that stands there: the record is left as it is."
    )


# ── NCMEC ─────────────────────────────────────────────────────────────────────────────────────
NCMEC_KINDS = {"md5": "md5", "sha1": "sha1", "pdq": "pdq"}


def of_ncmec(root: Element) -> Iterator[Update]:
    """Yield the records of a page of NCMEC's hash sharing, version 2, without namespaces."""
    number = 0
    for group in root:
        if group.tag.lower() == "paging":
            continue
        for record in group:
            number += 1
            yield _of_ncmec(record, number)


def _of_ncmec(record: Element, number: int) -> Update:
    tag = record.tag.lower()
    is_gone = tag.startswith("deleted")
    member, id_ = record.find("member"), record.findtext("id") or ""
    who = "" if member is None else member.get("id") or ""
    if not id_ or not who:
        return Update(f"record {number}", trouble="It has no id, or names no member.")
    found = record.find("fingerprints")
    prints = [
        (each.tag.lower(), each.text.strip())
        for each in (found if found is not None else ())
        if each.text
    ]
    about = [tag.removeprefix("deleted")]
    if said := record.findtext("classification"):
        about.append(f"class {said}")
    against = sum(
        len(each.findall("reasons/members/member")) for each in record.iter("negativeFeedback")
    )
    if against:
        about.append(f"{against} against")
    return Update(
        f"{who}-{id_}"[:_LONGEST_ID],
        tuple((NCMEC_KINDS[kind], value) for kind, value in prints if kind in NCMEC_KINDS),
        ", ".join(about)[:_LONGEST_NOTE],
        is_withdrawn=is_gone,
        unsupported=tuple(kind for kind, _ in prints if kind not in NCMEC_KINDS),
        odd=()
        if tag.removeprefix("deleted") in {"image", "video"}
        else (f"records of the kind “{record.tag[:40]}”",),
    )


# ── StopNCII ──────────────────────────────────────────────────────────────────────────────────
STOPNCII_KINDS = {"ImagePDQ": "pdq", "VideoMD5": "md5"}
_STOPNCII_STATES = frozenset({"Unknown", "Received", "Active", "Withdrawn", "Deleted"})
_STOPNCII_GONE = frozenset({"Withdrawn", "Deleted"})
_STOPNCII_FEEDBACK = frozenset(
    {"Unknown", "None", "QualityUnknown", "PendingReview", "Blocked", "NotBlocked"}
    | {"Withdrawn", "Deleted"}
)


def of_stopncii(record: Any, number: int) -> Update:
    """Return one of StopNCII's records. Its status decides, not its feedback, which is only named."""
    if not isinstance(record, Mapping):
        return _no_object(number)
    kind, value = _text(record.get("signalType")), _text(record.get("hashValue")).strip()
    if not value:
        return Update(f"record {number}", trouble="It has no hashValue.")
    status = _text(record.get("hashStatus"))
    cases = record.get("caseNumbers")
    states = [_text(each) for each in cases.values()] if isinstance(cases, Mapping) else []
    feedback = record.get("CSPFeedbacks")
    values = [
        _text(each.get("feedbackValue"))
        for each in (feedback if isinstance(feedback, list) else [])
        if isinstance(each, Mapping)
    ]
    odd = [f"hashStatus “{status[:40]}”"] if status not in _STOPNCII_STATES else []
    odd += [f"feedbackValue “{each[:40]}”" for each in values if each not in _STOPNCII_FEEDBACK]
    # A status that says nothing leaves it to the cases: when the last of them is withdrawn, so is the record.
    is_silent = status not in _STOPNCII_STATES or status == "Unknown"
    withdrawn = status in _STOPNCII_GONE or (
        is_silent and bool(states) and set(states) <= _STOPNCII_GONE
    )
    known = STOPNCII_KINDS.get(kind)
    return Update(
        f"{kind}:{value}"[:_LONGEST_ID],
        ((known, value),) if known else (),
        f"{len(states)} case{'' if len(states) == 1 else 's'}",
        is_withdrawn=withdrawn,
        unsupported=() if known else (kind,),
        odd=tuple(dict.fromkeys(odd)),
    )


# ── Meta ThreatExchange, Tech Against Terrorism ───────────────────────────────────────────────
TE_KINDS = {
    "HASH_PDQ": "pdq",
    "HASH_MD5": "md5",
    "HASH_SHA1": "sha1",
    "HASH_SHA256": "sha256",
    "HASH_VIDEO_MD5": "md5",
}
TAT_KINDS = {"md5": "md5", "pdq": "pdq", "sha1": "sha1", "sha256": "sha256"}


def of_threatexchange(record: Any, number: int) -> Update:
    """Return one of ThreatExchange's threat updates."""
    if not isinstance(record, Mapping):
        return _no_object(number)
    if not record.get("id"):
        return Update(f"record {number}", trouble="It has no id.")
    kind = _text(record.get("type"))
    tags = record.get("tags")
    return _switched(
        record,
        "should_delete",
        id_=_text(record["id"]),
        kind=TE_KINDS.get(kind),
        value=_text(record.get("indicator")),
        note=", ".join(map(_text, tags)) if isinstance(tags, list) else "",
        name=kind,
    )


def of_tat(record: Any, number: int) -> Update:
    """Return one of Tech Against Terrorism's entries."""
    if not isinstance(record, Mapping):
        return _no_object(number)
    name, value = _text(record.get("algorithm")).lower(), _text(record.get("hash_digest"))
    if not (record.get("id") or value):
        return Update(f"record {number}", trouble="It has no id and no digest.")
    return _switched(
        record,
        "deleted",
        id_=_text(record.get("id") or value),
        kind=TAT_KINDS.get(name),
        value=value,
        note=_text(record.get("file_type")),
        name=name,
    )


def _switched(
    record: Mapping[str, Any],
    switch: str,
    *,
    id_: str,
    kind: str | None,
    value: str,
    note: str,
    name: str,
) -> Update:
    id_ = id_[:_LONGEST_ID]
    try:
        is_gone = _is_gone(record.get(switch), switch)
    except ValueError as wrong:
        return Update(id_, trouble=str(wrong))
    return Update(
        id_,
        ((kind, value),) if kind else (),
        note[:_LONGEST_NOTE],
        is_withdrawn=is_gone,
        unsupported=() if kind else (name,),
    )


# ── Our own form ──────────────────────────────────────────────────────────────────────────────
_OWN = frozenset({"id", "algorithm", "value", "note", "deleted", "retired_at", "retired_reason"})


def of_json(record: Any, number: int) -> Update:
    """Return one entry of an HTTPS, JSON exchange."""
    if not isinstance(record, Mapping):
        return _no_object(number)
    id_ = _text(record.get("id") or f"{record.get('algorithm')}:{record.get('value')}")
    id_ = id_[:_LONGEST_ID]
    try:
        is_gone = _is_gone(record.get("deleted"), "deleted") or bool(record.get("retired_at"))
        for name, value in record.items():
            if name not in _OWN and not is_gone:
                check_other(str(name), "" if value in (None, False) else _text(value))
    except ValueError as wrong:
        return Update(id_, trouble=str(wrong))
    return Update(
        id_,
        ((_text(record.get("algorithm")), _text(record.get("value"))),),
        _text(record.get("note"))[:500],
        is_withdrawn=is_gone,
    )
