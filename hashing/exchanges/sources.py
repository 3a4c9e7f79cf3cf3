"""The sources themselves. Partner protocols are spoken by ThreatExchange's clients, corrected where they err.

* NCMEC: the client writes local times and marks them as UTC; here they are UTC. MD5 and SHA-1 of pictures and SHA-1 of
  videos, which its conversion drops, are kept, and capitals do not matter. Downvotes stand in the note.
* StopNCII: its conversion compares the digest, not the status, with Withdrawn and Deleted; here the status counts.
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

import requests
from threatexchange.exchanges.clients.fb_threatexchange.api import ThreatExchangeAPI
from threatexchange.exchanges.clients.ncmec import hash_api as ncmec
from threatexchange.exchanges.clients.stopncii import api as stopncii
from threatexchange.exchanges.clients.techagainstterrorism.api import TATHashListAPI

from core.outbound import check_url
from hashing.csv_lists import Row
from hashing.exchanges.connection import careful
from hashing.exchanges.contract import Page, Trouble, Update
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

    def get_entries(
        self, *, start_timestamp: int = 0, end_timestamp: int = 0, next_: str = ""
    ) -> ncmec.GetEntriesResponse:
        between = {"from": _utc(start_timestamp), "to": _utc(end_timestamp or int(time.time()))}
        answer = self._get(ncmec.NCMECEndpoint.entries, next_=next_, **between)
        return ncmec.GetEntriesResponse.from_xml(ncmec._XMLWrapper(answer), end_timestamp)  # noqa: SLF001


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


_NCMEC_KINDS = {"md5": "md5", "sha1": "sha1", "pdq": "pdq"}


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
    for answer in client.get_entries_iter(
        start_timestamp=start, end_timestamp=end, resume_paging_url=next_
    ):
        updates = []
        for entry in answer.updates:
            prints = {str(key).lower(): str(value) for key, value in entry.fingerprints.items()}
            against = sum(
                opinion.feedback_type == ncmec.FeedbackType.downvote
                for opinions in entry.feedback.values()
                for opinion in opinions
            )
            about = [
                entry.entry_type.value,
                f"class {entry.classification}" if entry.classification else "",
            ]
            about.append(f"{against} against" if against else "")
            updates.append(
                Update(
                    f"{entry.member_id}-{entry.id}",
                    tuple((_NCMEC_KINDS[k], v) for k, v in prints.items() if k in _NCMEC_KINDS),
                    ", ".join(part for part in about if part),
                    is_withdrawn=entry.deleted,
                    unsupported=tuple(k for k in prints if k not in _NCMEC_KINDS),
                )
            )
        more = {"start": start, "end": end, "next": answer.next}
        yield Page(tuple(updates), more if answer.next else {"start": end})


# ── StopNCII ──────────────────────────────────────────────────────────────────────────────────
class _StopNcii(stopncii.StopNCIIAPI):
    allow_private = False

    def _get_session(self, endpoint: Any) -> Any:
        return careful(
            super()._get_session(endpoint), base=self._base_url, allow_private=self.allow_private
        )


_GONE = {stopncii.StopNCIICaseStatus.Withdrawn, stopncii.StopNCIICaseStatus.Deleted}
_STOPNCII_KINDS = {
    stopncii.StopNCIISignalType.ImagePDQ: "pdq",
    stopncii.StopNCIISignalType.VideoMD5: "md5",
}


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
    for answer in client.fetch_hashes_iter(start_timestamp=start):
        updates = []
        for record in answer.hashRecords:
            kind = _STOPNCII_KINDS.get(record.signalType)
            updates.append(
                Update(
                    f"{record.signalType.value}:{record.hashValue}"[:200],
                    ((kind, record.hashValue),) if kind else (),
                    f"{len(record.caseNumbers)} case{'' if len(record.caseNumbers) == 1 else 's'}",
                    is_withdrawn=record.hashStatus in _GONE,
                    unsupported=() if kind else (record.signalType.value,),
                )
            )
        # A page's token does not live long; after a crash the set begins anew, which repeats and loses nothing.
        done = {"start": answer.nextSetTimestamp} if not answer.hasMoreRecords else {"start": start}
        yield Page(tuple(updates), done)


# ── Meta ThreatExchange ───────────────────────────────────────────────────────────────────────
_TE_KINDS = {
    "HASH_PDQ": "pdq",
    "HASH_MD5": "md5",
    "HASH_SHA1": "sha1",
    "HASH_SHA256": "sha256",
    "HASH_VIDEO_MD5": "md5",
}


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
            return answer.json(object_hook=json_obj_hook)


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
        updates = []
        for each in batch:
            since = max(since, int(each.get("last_updated") or 0))
            kind = _TE_KINDS.get(str(each.get("type", "")))
            tags = each.get("tags") or []
            updates.append(
                Update(
                    str(each["id"]),
                    ((kind, str(each.get("indicator", ""))),) if kind else (),
                    ", ".join(str(tag) for tag in tags)[:400],
                    is_withdrawn=bool(each.get("should_delete")),
                    unsupported=() if kind else (str(each.get("type", "")),),
                )
            )
        yield Page(tuple(updates), {"since": since})


# ── Tech Against Terrorism ────────────────────────────────────────────────────────────────────
_TAT_KINDS = {"md5": "md5", "pdq": "pdq", "sha1": "sha1", "sha256": "sha256"}


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
    for answer in client.fetch_hashes_iter(str(checkpoint.get("checkpoint", ""))):
        updates = []
        for each in answer.results:
            document = each if isinstance(each, dict) else vars(each)
            name = str(document.get("algorithm") or "").lower()
            value = str(document.get("hash_digest") or "")
            kind = _TAT_KINDS.get(name)
            updates.append(
                Update(
                    f"{document.get('id') or value}"[:200],
                    ((kind, value),) if kind else (),
                    str(document.get("file_type") or ""),
                    is_withdrawn=bool(document.get("deleted")),
                    unsupported=() if kind else (name,),
                )
            )
        yield Page(
            tuple(updates), {"checkpoint": answer.checkpoint or checkpoint.get("checkpoint", "")}
        )


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
            yield Page(tuple(_of_json(each) for each in entries), {"next": yield_next or next_})
            if not yield_next or yield_next == next_:
                return
            next_ = yield_next


def _of_json(said: Any) -> Update:
    if not isinstance(said, dict):
        return Update("", (("", ""),))
    id_ = str(said.get("id") or f"{said.get('algorithm')}:{said.get('value')}")
    return Update(
        id_[:200],
        ((str(said.get("algorithm", "")), str(said.get("value", ""))),),
        str(said.get("note") or "")[:500],
        is_withdrawn=bool(said.get("deleted")),
    )


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
            for each in read_rows(file):
                if isinstance(each, Row):
                    updates.append(
                        Update(
                            f"{each.algorithm}:{each.value}",
                            ((each.algorithm, each.value),),
                            each.note,
                        )
                    )
                else:
                    updates.append(Update(f"row {each.number}", (("", each.reason),)))
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
