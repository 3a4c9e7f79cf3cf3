"""What every source hands over, and how its faults are said in plain words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from xml.etree.ElementTree import ParseError

import requests
from urllib3.exceptions import MaxRetryError

from core.outbound import AddressRefused

__all__ = ["Page", "Trouble", "Update", "asked_to_wait", "in_words"]


@dataclass(frozen=True)
class Update:
    """What a source now says of one of its records: all its digests, or that it is withdrawn.

    ``digests`` are (algorithm, value) as the source wrote them; they are checked where they are stored.
    ``unsupported`` names kinds of digest that Holdfast cannot compare. ``odd`` names values that are not known
    here; the record counts all the same. ``trouble`` is a sentence about a record that cannot be read: nothing of it
    counts, and what is known of it stays.
    """

    id: str
    digests: tuple[tuple[str, str], ...] = ()
    note: str = ""
    is_withdrawn: bool = False
    unsupported: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()
    trouble: str = ""


@dataclass(frozen=True)
class Page:
    """Some updates, and where to go on after them. ``is_whole`` ends a snapshot: what was not in it is withdrawn."""

    updates: tuple[Update, ...]
    checkpoint: Mapping[str, Any] = field(default_factory=dict)
    is_whole: bool = False


class Trouble(Exception):
    """A source cannot be read. The message is a sentence for the person who set it up."""


LONGEST_WAIT = 24 * 3600.0


def asked_to_wait(failed: BaseException) -> float:
    """Return how many seconds a source asked to be left alone (RFC 9110, Retry-After), a day at most; 0 for no word."""
    answer = failed.response if isinstance(failed, requests.HTTPError) else None
    said = answer.headers.get("Retry-After", "").strip() if answer is not None else ""
    if said.isdecimal():
        return min(float(said[:9]), LONGEST_WAIT)
    try:
        at = parsedate_to_datetime(said)
    except (ValueError, TypeError):
        return 0.0
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max((at - datetime.now(UTC)).total_seconds(), 0.0), LONGEST_WAIT)


def in_words(failed: BaseException) -> str:
    """Return what went wrong with a source in a plain sentence, without anything that it sent."""
    if isinstance(failed, Trouble):
        return str(failed)
    if isinstance(failed, AddressRefused):
        return f"Its address may not be contacted: {failed}."
    if isinstance(failed, requests.HTTPError) and failed.response is not None:
        status = failed.response.status_code
        if status in {401, 403}:
            return f"It refused the credentials ({status})."
        if asked_to_wait(failed):
            return f"It asked to be left alone for a while ({status})."
        return f"It answered with an error ({status})."
    if isinstance(failed, requests.TooManyRedirects):
        return "It sends the client to another address, which is not followed."
    if isinstance(failed, requests.exceptions.SSLError):
        return "Its certificate could not be verified."
    if isinstance(failed, requests.Timeout):
        return "It did not answer in time."
    if isinstance(failed, requests.exceptions.RetryError | MaxRetryError):
        return "It answered with errors, again and again."
    # Before the next one: requests makes it an OSError too.
    if isinstance(failed, json.JSONDecodeError | ParseError | requests.exceptions.JSONDecodeError):
        return "Its answer is not in the form that was expected."
    if isinstance(failed, requests.ConnectionError | OSError):
        return "It could not be reached."
    return f"Its answer could not be understood ({type(failed).__name__})."
