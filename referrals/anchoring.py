"""Signing anchors, keeping them outside of the database, having them stamped, and checking all of that.

Only the package worker can sign; anybody who can read the public keys can check.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime
from pathlib import Path

from cryptography.x509 import load_pem_x509_certificates
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from core import outbound
from core.anchors import STORE, Statement, file_name, heads_name, token_name
from core.errors import describe
from core.models import AuditAnchor
from referrals import sshsig
from referrals.actions import anchors as actions
from referrals.sshsig import SignatureRefused, SigningKey

log = logging.getLogger(__name__)
_SECONDS = 15.0
_MOST = 64 * 1024
"""Bytes of an answer that are read: a time stamp has a few thousand."""


def namespace() -> str:
    """Return what an anchor's signature is made for; no other document has it."""
    return f"audit-anchor@{settings.HOLDFAST_DOMAIN}"


def make(reason: AuditAnchor.Reason, *, signer: SigningKey) -> AuditAnchor:
    """Make an anchor, keep it in the store, have it stamped and told where that is wanted.

    What does not work now is tried again by ``keep``; the anchor itself stands.
    """
    anchor = actions.make_anchor(
        reason,
        signer=signer.principal,
        sign=lambda statement: signer.sign(statement, namespace=namespace()),
    )
    keep(anchor)
    return anchor


def keep(anchor: AuditAnchor) -> None:
    """Do what is left to do for an anchor. Safe to repeat; what fails is logged and left for the next time."""
    for step in (_store, _stamp, _tell):
        try:
            step(anchor)
        except Exception as failed:  # noqa: BLE001 — any store, any endpoint: the anchor itself stands
            log.warning("anchor %s: %s: %s", anchor.number, step.__name__, describe(failed))


def is_stamping() -> bool:
    """Return whether a time-stamp authority is configured."""
    return bool(settings.HOLDFAST_TSA_URL)


def is_telling() -> bool:
    """Return whether an operator's endpoint is configured."""
    return bool(settings.HOLDFAST_ANCHOR_WEBHOOK_URL)


def document_of(anchor: AuditAnchor) -> dict[str, str]:
    """Return the anchor's file as it lies in the store."""
    return {
        "format": "holdfast-anchor/1",
        "statement": anchor.statement,
        "signature": anchor.signature,
        "namespace": namespace(),
        "signer": anchor.signer,
    }


def _store(anchor: AuditAnchor) -> None:
    if anchor.stored_at is not None:
        return
    whole = json.dumps(document_of(anchor), indent=1, sort_keys=True).encode() + b"\n"
    # The list first: whoever finds the statement finds what it speaks of.
    _write_once(heads_name(anchor.number), bytes(anchor.heads))
    _write_once(file_name(anchor.number), whole)
    actions.record_stored(anchor)


def _write_once(name: str, content: bytes) -> None:
    store = storages[STORE]
    if store.exists(name):
        with store.open(name) as stream:
            if stream.read() == content:
                return
        raise OSError(f"{name} is in the store already and is not what was to be written")
    store.save(name, ContentFile(content))


def _stamp(anchor: AuditAnchor) -> None:
    if not is_stamping():
        return
    if anchor.token is None:
        message = anchor.statement.encode()
        request = (
            TimestampRequestBuilder().data(message).hash_algorithm(HashAlgorithm.SHA256).build()
        )
        token = _post(
            settings.HOLDFAST_TSA_URL,
            request.as_bytes(),
            {"content-type": "application/timestamp-query"},
        )
        if problem := check_token(token, message):
            raise ValueError(problem)
        actions.record_token(anchor, token=token)
    _write_once(token_name(anchor.number), bytes(anchor.token or b""))


def _tell(anchor: AuditAnchor) -> None:
    if not is_telling() or anchor.told_at is not None:
        return
    body = json.dumps(
        {"type": "audit.anchor", "number": anchor.number} | document_of(anchor), sort_keys=True
    )
    headers = {"content-type": "application/json"}
    if settings.HOLDFAST_ANCHOR_WEBHOOK_SECRET:
        headers |= outbound.sign(
            f"anchor-{anchor.number}",
            datetime.now(anchor.made_at.tzinfo),
            body,
            [settings.HOLDFAST_ANCHOR_WEBHOOK_SECRET],
        )
    _post(settings.HOLDFAST_ANCHOR_WEBHOOK_URL, body.encode(), headers)
    actions.record_told(anchor)


def _post(url: str, body: bytes, headers: dict[str, str]) -> bytes:
    """POST and return the answer. Raises ValueError unless it is a 2xx of a few kilobytes."""
    with outbound.posting(
        url,
        body,
        headers,
        connect_seconds=5,
        seconds=_SECONDS,
        allow_private=settings.HOLDFAST_ANCHOR_ALLOW_PRIVATE,
    ) as response:
        if not response.is_success:
            raise ValueError(f"the answer was {response.status_code}")
        found = b""
        for piece in response.iter_bytes():
            found += piece
            if len(found) > _MOST:
                raise ValueError("the answer is too long")
        return found


def check_signature(statement: str, signature: str) -> str:
    """Return why a statement is not signed by one of our keys, or an empty text.

    The keys are those of ``HOLDFAST_ALLOWED_SIGNERS_FILE``, older ones too.
    """
    try:
        listed = Path(settings.HOLDFAST_ALLOWED_SIGNERS_FILE).read_text(encoding="utf-8")
    except OSError:
        return "its signature was not checked: the list of signing keys cannot be read"
    keys = [
        f"ssh-ed25519 {fields[fields.index('ssh-ed25519') + 1]}"
        for fields in (line.split() for line in listed.splitlines())
        if "ssh-ed25519" in fields[:-1] and fields[0] == f"packages@{settings.HOLDFAST_DOMAIN}"
    ]
    for key in keys:
        try:
            sshsig.verify(signature, statement.encode(), namespace=namespace(), public_key=key)
        except SignatureRefused:
            continue
        return ""
    return "its signature is not of any of our keys over this statement"


def check_token(token: bytes, message: bytes) -> str:
    """Return why a time stamp does not stand for ``message``, or an empty text.

    Its authority must lead to a certificate of ``HOLDFAST_TSA_CA_FILE``; without that nothing is proved.
    """
    if not settings.HOLDFAST_TSA_CA_FILE:
        return "its time stamp was not checked: HOLDFAST_TSA_CA_FILE names no certificates"
    try:
        roots = load_pem_x509_certificates(Path(settings.HOLDFAST_TSA_CA_FILE).read_bytes())
    except (OSError, ValueError):
        return "its time stamp was not checked: HOLDFAST_TSA_CA_FILE cannot be read"
    builder = VerifierBuilder()
    for root in roots:
        builder = builder.add_root_certificate(root)
    try:
        response: TimeStampResponse = decode_timestamp_response(token)
        builder.build().verify_message(response, message)
    except (VerificationError, ValueError) as failed:
        return f"its time stamp does not hold: {str(failed)[:200]}"
    return ""


def stamped_at(token: bytes) -> datetime | None:
    """Return the time that a stamp names, without checking it."""
    try:
        return decode_timestamp_response(token).tst_info.gen_time
    except ValueError:
        return None


__all__ = [
    "Statement",
    "check_signature",
    "check_token",
    "document_of",
    "is_stamping",
    "is_telling",
    "keep",
    "make",
    "namespace",
    "stamped_at",
]
