"""The sources themselves. ThreatExchange's clients speak the partners' protocols; their records are read here
(``hashing.exchanges.records``), as the clients drop and log what they do not know.

* NCMEC: the client writes local times and marks them as UTC; here they are UTC. Windows of time overlap.
* StopNCII: a page that is cut off is asked for again with fewer records.
* ThreatExchange: the client reads without its session, so without time limit and following redirects; here with it.
* None follows redirects or leaves its host; answers are bounded (``hashing.exchanges.connection``).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import requests
from threatexchange.exchanges.clients.fb_threatexchange.api import ThreatExchangeAPI
from threatexchange.exchanges.clients.ncmec import hash_api as ncmec
from threatexchange.exchanges.clients.stopncii import api as stopncii
from threatexchange.exchanges.clients.techagainstterrorism.api import TATEndpoint, TATHashListAPI

from core.outbound import check_url
from hashing.csv_lists import Row
from hashing.exchanges.connection import careful
from hashing.exchanges.contract import Page, Trouble, Update
from hashing.exchanges.records import of_json, of_ncmec, of_stopncii, of_tat, of_threatexchange
from hashing.list_files import read_rows

__all__ = ["ENVIRONMENTS", "FIELDS", "OPTIONAL", "ncmec_client", "pages", "stopncii_client", "test"]

FIELDS: dict[str, dict[str, tuple[str, bool, str]]] = {
    "ncmec": {
        "environment": (
            "Environment",
            False,
            "Which of its lists; NCMEC says which one your account may use.",
        ),
        "username": ("User name", False, ""),
        "password": ("Password", True, ""),
        "negative_reason": (
            "Reason for negative feedback",
            False,
            "As NCMEC names it; needed only when reviews are sent back and it knows several.",
        ),
    },
    "stopncii": {
        "subscription_key": ("Subscription key", True, ""),
        "fetch_key": ("Function key for FetchHashes", True, ""),
        "feedback_key": (
            "Function key for SubmitFeedback",
            True,
            "Needed only when reviews are sent back.",
        ),
    },
    "threatexchange": {
        "privacy_group": ("Privacy group (number)", False, ""),
        "api_token": ("Access token (app|secret)", True, ""),
    },
    "tat": {"username": ("User name", False, ""), "password": ("Password", True, "")},
    "https_json": {
        "url": ("Address", False, "https://… It answers as the documentation says."),
        "token": ("Bearer token", True, "Empty: none is sent."),
    },
    "file": {"path": ("File", False, "Its name below the folder that the operator set.")},
}
"""What each kind asks for: field → (label, is secret, help)."""

OPTIONAL = frozenset({"token", "negative_reason", "feedback_key"})
"""Fields that may stay empty."""

ENVIRONMENTS = tuple(ncmec.NCMECEnvironment.__members__)

_FILE_PAGE = 5000
_TEXT = "text/plain"

Settings = Mapping[str, Any]


def pages(
    kind: str,
    said: Settings,
    checkpoint: Mapping[str, Any],
    *,
    allow_private: bool,
    folder: Path | None,
) -> Iterator[Page]:
    """Yield what is new since ``checkpoint``, a page at a time. Raises Trouble, and what requests raises."""
    return _KINDS[kind](said, checkpoint, allow_private, folder)


def test(kind: str, said: Settings, *, allow_private: bool, folder: Path | None) -> str:
    """Contact a source and return a sentence about what it said. Raises as ``pages`` does."""
    if kind == "ncmec":
        status = ncmec_client(said, allow_private=allow_private).status()
        return f"Connected as “{status.esp_name}”."
    page = next(iter(pages(kind, said, {}, allow_private=allow_private, folder=folder)), None)
    count = len(page.updates) if page else 0
    return f"Connected. The first page holds {count} record{'' if count == 1 else 's'}."


def _check(url: str, allow_private: bool) -> None:  # noqa: FBT001 — named at every call
    """Refuse an address as it is written; where its name leads is checked at each connection."""
    if refused := check_url(url, allow_private=allow_private):
        raise Trouble(refused)


# ── NCMEC ─────────────────────────────────────────────────────────────────────────────────────
class _Ncmec(ncmec.NCMECHashAPI):
    """The client with times in UTC and without redirects."""

    allow_private = False

    def _get_session(self) -> requests.Session:
        return careful(
            super()._get_session(), base=self._base_url, allow_private=self.allow_private
        )

    def entries(self, start: int, end: int, next_: str) -> Element:
        """Return a page as it was sent, without namespaces."""
        between = {"from": _utc(start), "to": _utc(end)}
        answer: Element = self._get(ncmec.NCMECEndpoint.entries, next_=next_, **between)
        return answer


def _utc(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ncmec_client(said: Settings, *, allow_private: bool) -> _Ncmec:
    """Return NCMEC's client, corrected and careful. Raises Trouble."""
    try:
        environment = ncmec.NCMECEnvironment[str(said.get("environment") or "Industry")]
    except KeyError:
        known = ", ".join(ncmec.NCMECEnvironment.__members__)
        raise Trouble(f"This environment is not known; use one of {known}.") from None
    client = _Ncmec(str(said["username"]), str(said["password"]), environment)
    if said.get("base_url"):
        client._base_url = str(said["base_url"]).rstrip("/")  # noqa: SLF001 — it takes no address
    client.allow_private = allow_private
    _check(client._base_url, allow_private)  # noqa: SLF001
    return client


NCMEC_OVERLAP = 15 * 60
"""Seconds by which two windows of time overlap. A record is stamped before it can be read, and from is exclusive: one
that is stamped with the second of a fetch, or by a clock that differs, stands in the next window too."""


def _ncmec_pages(
    said: Settings,
    checkpoint: Mapping[str, Any],
    allow_private: bool,  # noqa: FBT001
    folder: Path | None,
) -> Iterator[Page]:
    client = ncmec_client(said, allow_private=allow_private)
    start = int(checkpoint.get("start", 0))
    # A page's address is good only with the times that it was made for; those stay until the last page.
    end = int(checkpoint.get("end") or time.time())
    next_ = str(checkpoint.get("next", ""))
    while True:
        root = client.entries(max(start - NCMEC_OVERLAP, 0), end, next_)
        if root.tag != "queryResult":
            raise Trouble("Its answer is not in the form that was expected.")
        next_ = root.findtext("paging/next") or ""
        more = {"start": start, "end": end, "next": next_}
        yield Page(tuple(of_ncmec(root)), more if next_ else {"start": end})
        if not next_:
            return


# ── StopNCII ──────────────────────────────────────────────────────────────────────────────────
class _StopNcii(stopncii.StopNCIIAPI):
    allow_private = False

    def _get_session(self, endpoint: Any) -> Any:
        return careful(
            super()._get_session(endpoint), base=self._base_url, allow_private=self.allow_private
        )


def stopncii_client(said: Settings, *, allow_private: bool) -> _StopNcii:
    """Return StopNCII's client, careful. Raises Trouble."""
    address = str(said.get("base_url") or stopncii.StopNCIIAPI.BASE_URL)
    _check(address, allow_private)
    more = {stopncii.StopNCIIEndpoint.SubmitFeedback: str(said.get("feedback_key") or "")}
    client = _StopNcii(
        str(said["subscription_key"]), str(said["fetch_key"]), more, base_url_override=address
    )
    client.allow_private = allow_private
    return client


def _stopncii_pages(
    said: Settings,
    checkpoint: Mapping[str, Any],
    allow_private: bool,  # noqa: FBT001
    folder: Path | None,
) -> Iterator[Page]:
    client = stopncii_client(said, allow_private=allow_private)
    start = int(checkpoint.get("start", stopncii.StopNCIIAPI.DEFAULT_START_TIME))
    next_ = ""
    while True:
        answer = _stopncii_page(client, start, next_)
        records = answer.get("hashRecords")
        if not isinstance(records, list):
            raise Trouble("Its answer holds no list called hashRecords.")
        next_ = str(answer.get("nextPageToken") or "")
        has_more = bool(answer.get("hasMoreRecords"))
        if has_more and not next_:
            raise Trouble("It says that there are more records, and not where.")
        # A page's token does not live long; after a crash the set begins anew, which repeats and loses nothing.
        end = {"start": start if has_more else int(answer.get("nextSetTimestamp") or start)}
        yield Page(tuple(of_stopncii(each, n) for n, each in enumerate(records, start=1)), end)
        if not has_more:
            return


STOPNCII_SIZES = (800, 100, 10)
"""Records of a page, fewer each time that it comes cut off."""


def _stopncii_page(client: _StopNcii, start: int, next_: str) -> dict[str, Any]:
    for size in STOPNCII_SIZES:
        asked: dict[str, int | str] = {"startTimestamp": start, "pageSize": size}
        asked |= {"nextPageToken": next_} if next_ else {}
        try:
            answer = client._get(stopncii.StopNCIIEndpoint.FetchHashes, **asked)  # noqa: SLF001
        except requests.exceptions.JSONDecodeError as cut:
            if not cut.doc.lstrip().startswith("{"):
                raise  # No page of it.
            continue
        if not isinstance(answer, dict):
            raise Trouble("Its answer is not in the form that was expected.")
        return answer
    raise Trouble(
        f"A page of it is cut off, also when it is asked for {STOPNCII_SIZES[-1]} records at a time. What lies behind that "
        "page is not known here until its operator mends it: tell them."
    )


# ── Meta ThreatExchange ───────────────────────────────────────────────────────────────────────
class _ThreatExchange(ThreatExchangeAPI):
    """The client with its own session for reading too, which it opens and then does not use."""

    allow_private = False

    def _get_session(self) -> requests.Session:
        return careful(
            super()._get_session(), base=self._base_url, allow_private=self.allow_private
        )

    def get_json_from_url(self, url: str, params: Any = None, *, json_obj_hook: Any = None) -> Any:
        with self._get_session() as session:
            answer = session.get(url, params=params or {})
            answer.raise_for_status()
            document = answer.json(object_hook=json_obj_hook)
        if not isinstance(document, dict) or not isinstance(document.get("data"), list):
            raise Trouble("Its answer is not in the form that was expected.")
        return document


def _threatexchange_pages(
    said: Settings,
    checkpoint: Mapping[str, Any],
    allow_private: bool,  # noqa: FBT001
    folder: Path | None,
) -> Iterator[Page]:
    address = said.get("base_url")
    client = _ThreatExchange(str(said["api_token"]), endpoint_override=address)
    client.allow_private = allow_private
    _check(client._base_url, allow_private)  # noqa: SLF001
    try:
        group = int(said["privacy_group"])
    except ValueError:
        raise Trouble("The privacy group is a number.") from None
    since = int(checkpoint.get("since", 0))
    for batch in client.get_threat_updates(group, start_time=since or None, page_size=500):
        updates = [of_threatexchange(each, number) for number, each in enumerate(batch, start=1)]
        stamps = [str(each.get("last_updated")) for each in batch if isinstance(each, dict)]
        since = max([since, *(int(each) for each in stamps if each.isdecimal())])
        yield Page(tuple(updates), {"since": since})


# ── Tech Against Terrorism ────────────────────────────────────────────────────────────────────
def _tat_pages(
    said: Settings,
    checkpoint: Mapping[str, Any],
    allow_private: bool,  # noqa: FBT001
    folder: Path | None,
) -> Iterator[Page]:
    class Client(TATHashListAPI):
        BASE_URL = str(said.get("base_url") or TATHashListAPI.BASE_URL)

        @contextmanager
        def _get_session(self, auth_token: str | None = None) -> Iterator[requests.Session]:
            with super()._get_session(auth_token) as session:
                yield careful(session, base=self.BASE_URL, allow_private=allow_private)

    _check(Client.BASE_URL, allow_private)
    client = Client(str(said["username"]), str(said["password"]))
    after, next_ = str(checkpoint.get("checkpoint", "")), None
    while True:
        token = client.get_auth_token(client.username, client.password)
        url = f"{client.BASE_URL}{TATEndpoint.hash_list.value}?{next_}"
        answer = client._get(full_url=url, auth_token=token, order="asc", after=after)  # noqa: SLF001
        entries = answer.get("results") if isinstance(answer, dict) else None
        if not isinstance(entries, list):
            raise Trouble("Its answer is not in the form that was expected.")
        updates = tuple(of_tat(each, number) for number, each in enumerate(entries, start=1))
        reached = str(answer.get("checkpoint") or checkpoint.get("checkpoint", ""))
        yield Page(updates, {"checkpoint": reached})
        next_ = answer.get("next")
        if not next_:
            return


# ── Our own: HTTPS and files ──────────────────────────────────────────────────────────────────
def _json_pages(
    said: Settings,
    checkpoint: Mapping[str, Any],
    allow_private: bool,  # noqa: FBT001
    folder: Path | None,
) -> Iterator[Page]:
    url = str(said["url"])
    next_ = str(checkpoint.get("next", ""))
    headers = {"Accept": "application/json"}
    if said.get("token"):
        headers["Authorization"] = f"Bearer {said['token']}"
    named = {next_}
    with careful(requests.Session(), base=url, allow_private=allow_private) as session:
        while True:
            _check(url, allow_private)
            answer = session.get(url, params={"after": next_} if next_ else {}, headers=headers)
            answer.raise_for_status()
            document = answer.json()
            entries = document.get("entries") if isinstance(document, dict) else None
            if not isinstance(entries, list):
                raise Trouble("Its answer holds no list called entries.")
            yield_next = str(document.get("next") or "")
            updates = tuple(of_json(each, number) for number, each in enumerate(entries, start=1))
            yield Page(updates, {"next": yield_next or next_})
            if not yield_next or yield_next == next_:
                return
            next_ = yield_next
            if next_ in named:
                raise Trouble("Its pages lead back to one that was fetched already, without end.")
            named.add(next_)


def _file_pages(
    said: Settings,
    checkpoint: Mapping[str, Any],
    allow_private: bool,  # noqa: FBT001
    folder: Path | None,
) -> Iterator[Page]:
    if folder is None:
        raise Trouble("The operator has set no folder for files (HOLDFAST_EXCHANGE_DIR).")
    path = (folder / str(said["path"])).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise Trouble("The file must lie below the folder that the operator set.")
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest == checkpoint.get("sha256"):
                return
            file.seek(0)
            updates: list[Update] = []
            for each in read_rows(file, now=datetime.now(UTC)):
                if isinstance(each, Row):
                    updates.append(
                        Update(
                            f"{each.algorithm}:{each.value}",
                            ((each.algorithm, each.value),),
                            each.note,
                            is_withdrawn=each.retired_at is not None,
                        )
                    )
                else:
                    updates.append(Update(f"row {each.number}", trouble=each.reason))
                if len(updates) >= _FILE_PAGE:
                    yield Page(tuple(updates))
                    updates = []
            yield Page(tuple(updates), {"sha256": digest}, is_whole=True)
    except FileNotFoundError:
        raise Trouble("There is no such file.") from None
    except ValueError as unreadable:
        raise Trouble(str(unreadable)) from None


_KINDS: dict[str, Callable[[Settings, Mapping[str, Any], bool, Path | None], Iterator[Page]]] = {
    "ncmec": _ncmec_pages,
    "stopncii": _stopncii_pages,
    "threatexchange": _threatexchange_pages,
    "tat": _tat_pages,
    "https_json": _json_pages,
    "file": _file_pages,
}
