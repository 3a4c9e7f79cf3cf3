"""Telling an exchange what reviewers found of its entries, where its client supports that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from threatexchange.exchanges.clients.ncmec import hash_api as ncmec
from threatexchange.exchanges.clients.stopncii import api as stopncii

from hashing.exchanges.contract import Trouble
from hashing.exchanges.sources import ncmec_client, stopncii_client

__all__ = ["TAKES_FEEDBACK", "missing_for_feedback", "send"]

TAKES_FEEDBACK = frozenset({"ncmec", "stopncii"})
"""ThreatExchange's client reacts to descriptors, which its feed of indicators does not name; the others have
no way at all."""

_NCMEC = {
    "md5": ncmec.FingerprintType.md5,
    "sha1": ncmec.FingerprintType.sha1,
    "pdq": ncmec.FingerprintType.pdq,
}
_STOPNCII = {
    "pdq": stopncii.StopNCIISignalType.ImagePDQ,
    "md5": stopncii.StopNCIISignalType.VideoMD5,
}


def missing_for_feedback(kind: str, said: Mapping[str, Any]) -> str:
    """Return why reviews cannot be sent yet, as a sentence; nothing when they can."""
    if kind not in TAKES_FEEDBACK:
        return "This exchange takes no feedback."
    if kind == "stopncii" and not said.get("feedback_key"):
        return "Fill in the function key for SubmitFeedback in the settings first."
    return ""


def send(
    kind: str,
    said: Mapping[str, Any],
    *,
    remote_id: str,
    algorithm: str,
    value: str,
    is_violation: bool,
    allow_private: bool,
) -> None:
    """Tell an exchange that an entry was confirmed or found not violating. Safe to repeat: the newest counts there.

    Raises Trouble, and what requests raises.
    """
    if missing := missing_for_feedback(kind, said):
        raise Trouble(missing)
    if kind == "ncmec":
        _to_ncmec(
            said, remote_id, algorithm, is_violation=is_violation, allow_private=allow_private
        )
        return
    signal = _STOPNCII.get(algorithm)
    if signal is None:
        raise Trouble(f"It knows no digests of the kind {algorithm}.")
    values = stopncii.StopNCIICSPFeedbackValue
    stopncii_client(said, allow_private=allow_private).submit_feedback(
        signal, value, values.Blocked if is_violation else values.NotBlocked
    )


def _to_ncmec(
    said: Mapping[str, Any],
    remote_id: str,
    algorithm: str,
    *,
    is_violation: bool,
    allow_private: bool,
) -> None:
    member, _, entry = remote_id.partition("-")
    kind = _NCMEC.get(algorithm)
    if kind is None or not member.isdecimal() or not entry:
        raise Trouble("The entry has no name that it would know.")
    client = ncmec_client(said, allow_private=allow_private)
    if is_violation:
        client.submit_feedback(int(member), entry, kind, ncmec.FeedbackType.upvote)
        return
    reasons = client.feedback_reasons(kind)
    wanted = str(said.get("negative_reason") or "").strip().lower()
    guid = next((each for each, name in reasons.items() if name.strip().lower() == wanted), None)
    if guid is None and len(reasons) == 1 and not wanted:
        guid = next(iter(reasons))
    if guid is None:
        known = "; ".join(sorted(reasons.values()))[:200]
        raise Trouble(f"It wants one of its reasons in the settings: {known}.")
    client.submit_feedback(
        int(member), entry, kind, ncmec.FeedbackType.downvote, negative_reason_guid=guid
    )
