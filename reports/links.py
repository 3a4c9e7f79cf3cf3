"""Invite links as they are compared: one key for the many ways in which a link is written."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import parse_qsl, unquote, urlsplit

__all__ = ["LONGEST_KEY", "LONGEST_LINK", "NotALink", "link_key"]

LONGEST_LINK = 1000
LONGEST_KEY = 400
_CODES = frozenset({"code", "group", "id", "invite", "token"})
"""Parameters that name a group; all others (campaigns, referrers, ways of sharing) say who passed a link on."""
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_HOST = re.compile(r"^(?=.{1,253}$)[^\s/@:]+(\.[^\s/@:]+)+$")


class NotALink(ValueError):
    """The text is no link. Its message is a sentence for a person."""


def link_key(text: str) -> str:
    """Return the key of a link, at most ``LONGEST_KEY`` characters (the end of a longer one as its SHA-256): host and path, without what does not name a group.

    Left out: scheme, ``www.``, port, fragment, a slash at the end, percent-encoding, capitals of the host, and
    of the query all but ``code``, ``group``, ``id``, ``invite`` and ``token``. Capitals of the path count: invite codes have them. A link of a scheme of an app
    (``example://join/abc``) keeps its scheme. Raises NotALink.
    """
    said = text.strip()
    if not said:
        raise NotALink("The link is empty.")
    if len(said) > LONGEST_LINK:
        raise NotALink(f"A link has at most {LONGEST_LINK:,} characters.")
    if any(ord(letter) < 33 for letter in said):
        raise NotALink("A link has no spaces and no control characters.")
    scheme = _SCHEME.match(said)
    is_web = scheme is None or scheme.group().lower() in {"http://", "https://"}
    try:
        parts = urlsplit(said if scheme else f"https://{said}")
        host = (parts.hostname or "").removeprefix("www.")
    except ValueError:
        raise NotALink("This is no link.") from None
    path = unquote(parts.path).strip("/")
    if is_web and (not _HOST.match(host) or not path):
        raise NotALink("A link has a host and a path, such as https://chat.example/join/abc.")
    if not is_web and not (host or path):
        raise NotALink("This is no link.")
    codes = sorted(pair for pair in parse_qsl(parts.query) if pair[0].lower() in _CODES)
    name = "/".join(part for part in (host, path) if part)
    if codes:
        name += "?" + "&".join(f"{key.lower()}={value}" for key, value in codes)
    if "\x00" in name:
        raise NotALink("A link has no NUL character.")
    key = name if is_web else f"{parts.scheme.lower()}://{name}"
    if len(key) <= LONGEST_KEY:
        return key
    return f"{key[: LONGEST_KEY - 65]}…{hashlib.sha256(key.encode()).hexdigest()}"
