"""Sealing what text rules look for: one key a list, sealed by the master key, and under it each row.

A list may have 100,000 rules, and opening a sealed value costs a key derivation: so the list's own key is
opened once, and each row is AES-256-GCM under it with a random nonce (NIST SP 800-38D allows 2^32 of them).
The row's digest or version is bound in, so that a row moved or swapped does not open.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.crypto import KEY_BYTES, Unsealable, seal, unseal
from hashing.models import Term, TermChange, TermList
from hashing.rule_lines import Joint, Operand, Part, Rule, RuleKind, parse_rule

__all__ = ["Lines", "ListSeal", "new_list_key", "resealed_list_key"]

_NONCE_BYTES = 12


@dataclass(frozen=True)
class Lines:
    """What a version changed, as lines of rules. ``rewritten`` are pairs of before and after."""

    added: Sequence[str] = ()
    removed: Sequence[str] = ()
    rewritten: Sequence[tuple[str, str]] = ()


def _context(term_list: TermList) -> str:
    return f"terms:{term_list.pk}"


def new_list_key(term_list: TermList) -> bytes:
    """Return a fresh key for a list, sealed."""
    return seal(secrets.token_bytes(KEY_BYTES), _context(term_list))


def resealed_list_key(term_list: TermList) -> bytes:
    """Return the list's key, sealed by the current master key. Raises Unsealable."""
    context = _context(term_list)
    return seal(unseal(bytes(term_list.sealed_key or b""), context), context)


class ListSeal:
    """Seals and opens the rules of one list. Raises Unsealable when its key cannot be opened."""

    def __init__(self, term_list: TermList) -> None:
        self._list = str(term_list.pk)
        self._cipher: AESGCM | None = None
        self._digest_key = b""
        if term_list.sealed_key is not None:
            key = unseal(bytes(term_list.sealed_key), _context(term_list))
            self._cipher = AESGCM(key)
            self._digest_key = hmac.digest(key, b"holdfast-term-digest-1", "sha256")

    def digest(self, rule: Rule) -> str:
        """Return the keyed hash (HMAC-SHA-256, hex) of what a rule looks for."""
        basis = rule.identity.encode("utf-8", "surrogatepass")
        return hmac.new(self._key(), basis, hashlib.sha256).hexdigest()

    def seal_rule(self, rule: Rule) -> tuple[str, bytes]:
        """Return a rule's digest and its sealed line."""
        digest = self.digest(rule)
        return digest, self._seal(rule.line.encode("utf-8", "surrogatepass"), f"term:{digest}")

    def line(self, term: Term) -> str:
        """Return the line of a row, sealed or from before lists were sealed."""
        if term.sealed is None:
            return legacy_rule(term.text, term.note).line
        opened = self._open(bytes(term.sealed), f"term:{term.digest}")
        return opened.decode("utf-8", "surrogatepass")

    def rule(self, term: Term) -> Rule:
        """Return the rule of a row. A rule that can no longer be read raises ValueError."""
        if term.sealed is None:
            return legacy_rule(term.text, term.note)
        return parse_rule(self.line(term))

    def seal_change(self, version: int, lines: Lines) -> bytes:
        """Return what a version changed, sealed."""
        document = {
            "added": list(lines.added),
            "removed": list(lines.removed),
            "rewritten": [list(pair) for pair in lines.rewritten],
        }
        text = json.dumps(document, ensure_ascii=True, separators=(",", ":"))
        return self._seal(text.encode(), f"change:{version}")

    def lines_of(self, change: TermChange) -> Lines:
        """Return what a version changed."""
        if change.sealed is None:
            return Lines(
                [legacy_rule(text).line for text in change.added],
                [legacy_rule(text).line for text in change.removed],
            )
        opened = self._open(bytes(change.sealed), f"change:{change.version}")
        document: dict[str, Any] = json.loads(opened)
        pairs = cast("list[tuple[str, str]]", [tuple(pair) for pair in document["rewritten"]])
        return Lines(document["added"], document["removed"], pairs)

    def _key(self) -> bytes:
        if not self._digest_key:
            raise Unsealable("the list has no key yet")
        return self._digest_key

    def _seal(self, plain: bytes, what: str) -> bytes:
        self._key()
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + cast("AESGCM", self._cipher).encrypt(nonce, plain, self._bind(what))

    def _open(self, sealed: bytes, what: str) -> bytes:
        self._key()
        nonce, body = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return cast("AESGCM", self._cipher).decrypt(nonce, body, self._bind(what))
        except (InvalidTag, ValueError):
            raise Unsealable("a sealed rule was changed or belongs somewhere else") from None

    def _bind(self, what: str) -> bytes:
        return f"holdfast-terms-1:{self._list}:{what}".encode()


def legacy_rule(text: str, note: str = "") -> Rule:
    """Return the rule that a term from before rules had a syntax is: these words, nothing longer."""
    return Rule(RuleKind.TERM, (Part(Joint.FIRST, Operand(text)),), note=note)
