"""The client: one method an endpoint."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Self, cast
from urllib.parse import quote

import httpx

from holdfast_client import batches
from holdfast_client.answers import (
    DirectoryAnswer,
    EnforcementAnswer,
    FileAnswer,
    ItemAnswer,
    LinksAnswer,
    MatchAnswer,
    MediaAnswer,
    MembersAnswer,
    ReportAnswer,
    ReportSummary,
    ResultAnswer,
)
from holdfast_client.batches import BatchResult, LineResult
from holdfast_client.files import File
from holdfast_client.transport import Patience, Transport

Document = Mapping[str, Any]
PAGE = 200


class Holdfast:
    """One key of one installation.

    Each request is tried again as ``patience`` says; a POST carries an idempotency key for that, and is done once.
    Give a key of your own where you would repeat a request after a crash. Methods raise ``Problem`` for an answer
    that stays, and ``NotReached`` when none came. Use it from as many threads as you like.
    """

    def __init__(
        self,
        address: str,
        key: str,
        *,
        patience: Patience | None = None,
        timeout: float = 60.0,
        http: httpx.Client | None = None,
    ) -> None:
        self._transport = Transport(
            address, key, patience=patience or Patience(), timeout=timeout, http=http
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    # ── Reports ───────────────────────────────────────────────────────────────────────────────
    def submit_report(
        self,
        report: Document,
        files: Mapping[str, File] | None = None,
        *,
        idempotency_key: str = "",
    ) -> ReportAnswer:
        """Submit a report. Its items name ``files`` by the key here, in their member ``file``."""
        key = idempotency_key or _fresh()
        if files:
            answer = self._transport.ask(
                "POST",
                "/reports",
                form={"report": json.dumps(report)},
                files=files,
                idempotency_key=key,
            )
        else:
            answer = self._post("/reports", report, key)
        return cast(ReportAnswer, answer)

    def report(self, report_id: str) -> ReportAnswer:
        """Read where a report stands."""
        return cast(ReportAnswer, self._get(f"/reports/{_part(report_id)}"))

    def reports(
        self,
        *,
        external_id: str | None = None,
        state: str | None = None,
        since: datetime | str | None = None,
    ) -> Iterator[ReportSummary]:
        """Yield own reports, newest first, as many pages as there are."""
        wanted = {"external_id": external_id, "state": state, "since": _time(since)}
        return cast(Iterator[ReportSummary], self._pages("/reports", "reports", wanted))

    def upload(self, file: File, *, idempotency_key: str = "") -> MediaAnswer:
        """Send a file ahead. Items name it by the ``id`` of the answer, in their member ``media``."""
        key = idempotency_key or _fresh()
        answer = self._transport.ask("POST", "/media", files={"file": file}, idempotency_key=key)
        return cast(MediaAnswer, answer)

    def submit_scan(self, scan: Document, *, idempotency_key: str = "") -> ItemAnswer:
        """Have a photo, name or description looked at that nobody reported."""
        return cast(ItemAnswer, self._post("/scans", scan, idempotency_key or _fresh()))

    def scan(self, scan_id: str) -> ItemAnswer:
        """Read where a scan stands."""
        return cast(ItemAnswer, self._get(f"/scans/{_part(scan_id)}"))

    # ── Directory ─────────────────────────────────────────────────────────────────────────────
    def put_account(self, account_id: str, account: Document) -> DirectoryAnswer:
        """Create or complete an account. What is left out stays as it is."""
        return cast(DirectoryAnswer, self._put(f"/accounts/{_part(account_id)}", account))

    def put_group(self, group_id: str, group: Document) -> DirectoryAnswer:
        """Create or complete a group. What is left out stays as it is."""
        return cast(DirectoryAnswer, self._put(f"/groups/{_part(group_id)}", group))

    def put_members(self, group_id: str, members: Sequence[Document]) -> MembersAnswer:
        """Add or change members of a group. Those not listed stay as they are."""
        path = f"/groups/{_part(group_id)}/members"
        return cast(MembersAnswer, self._put(path, {"members": list(members)}))

    # ── Many at once ──────────────────────────────────────────────────────────────────────────
    def send_lines(
        self,
        lines: Iterable[Document],
        *,
        key: str = "",
        lines_per_request: int = batches.LINES,
    ) -> Iterator[LineResult]:
        """Send any number of lines, in requests of ``lines_per_request``; yield what became of each.

        Nothing is sent before the first result is asked for. With a ``key``, the same lines may be sent again after
        a crash: those that were taken are not taken twice.
        """
        return batches.send(self._transport, lines, key=key, lines_per_request=lines_per_request)

    def send_all(self, lines: Iterable[Document], *, key: str = "") -> BatchResult:
        """Send any number of lines and return how many were taken, and each that was not."""
        done = BatchResult()
        for found in self.send_lines(lines, key=key):
            if found.is_accepted:
                done.accepted += 1
            else:
                done.rejected.append(found)
        return done

    # ── Orders ────────────────────────────────────────────────────────────────────────────────
    def enforcements(
        self,
        *,
        state: str | None = None,
        verb: str | None = None,
        since: datetime | str | None = None,
        after_sequence: int | None = None,
        report: str | None = None,
        account: str | None = None,
        group: str | None = None,
    ) -> Iterator[EnforcementAnswer]:
        """Yield orders, newest first; with ``after_sequence`` those beyond it, oldest first.

        Whoever remembers the largest ``sequence`` that was handled, and asks from there, misses none.
        """
        wanted = {
            "state": state,
            "verb": verb,
            "since": _time(since),
            "after_sequence": after_sequence,
            "report": report,
            "account": account,
            "group": group,
        }
        found = self._pages("/enforcements", "enforcements", wanted)
        return cast(Iterator[EnforcementAnswer], found)

    def enforcement(self, enforcement_id: str) -> EnforcementAnswer:
        """Read an order, whole, and where it stands."""
        return cast(EnforcementAnswer, self._get(f"/enforcements/{_part(enforcement_id)}"))

    def report_result(
        self,
        enforcement_id: str,
        state: Literal["done", "impossible", "refused"],
        *,
        at: datetime | str | None = None,
        code: str = "",
        detail: str = "",
    ) -> ResultAnswer:
        """Say what became of an order. Safe to repeat: the same again is the same."""
        said = {"state": state, "at": _time(at), "code": code, "detail": detail}
        return cast(ResultAnswer, self._post(f"/enforcements/{_part(enforcement_id)}/result", said))

    # ── Erasures ──────────────────────────────────────────────────────────────────────────────
    def request_erasure(self, erasure: Document) -> dict[str, Any]:
        """Ask that what is known of an account or group is erased; the answer says what is done and what stays.

        With an ``external_id`` of yours it is one request, however often it is sent.
        """
        return cast("dict[str, Any]", self._post("/erasures", erasure, _fresh()))

    def erasure(self, erasure_id: str) -> dict[str, Any]:
        """Read where a request to erase stands."""
        return cast("dict[str, Any]", self._get(f"/erasures/{_part(erasure_id)}"))

    # ── Appeals, and messages once more ───────────────────────────────────────────────────────
    def appeal(
        self,
        enforcement_id: str,
        *,
        external_id: str,
        reason: str,
        received_at: datetime | None = None,
    ) -> dict[str, Any]:
        """Hand on an appeal against an order. The same ``external_id`` again is the same appeal."""
        said: dict[str, Any] = {
            "enforcement": enforcement_id,
            "external_id": external_id,
            "reason": reason,
        }
        if received_at is not None:
            said["received_at"] = _time(received_at)
        return cast("dict[str, Any]", self._post("/appeals", said, _fresh()))

    def appeal_state(self, appeal_id: str) -> dict[str, Any]:
        """Read where an appeal stands."""
        return cast("dict[str, Any]", self._get(f"/appeals/{_part(appeal_id)}"))

    def replay(
        self, since: datetime, *, until: datetime | None = None, endpoint: str = ""
    ) -> dict[str, Any]:
        """Ask for the messages of a span once more, with the ids they had: after an outage, or a restored backup."""
        said: dict[str, Any] = {"since": _time(since)}
        if until is not None:
            said["until"] = _time(until)
        if endpoint:
            said["endpoint"] = endpoint
        return cast("dict[str, Any]", self._post("/deliveries/replay", said, _fresh()))

    def replay_state(self, replay_id: str) -> dict[str, Any]:
        """Read how far a span is that is sent again."""
        return cast("dict[str, Any]", self._get(f"/deliveries/replays/{_part(replay_id)}"))

    # ── Without a case ────────────────────────────────────────────────────────────────────────
    def match(
        self, *, texts: Sequence[Document] = (), digests: Sequence[Document] = ()
    ) -> MatchAnswer:
        """Ask what is known of texts and digests. Nothing is kept."""
        asked = {"texts": list(texts), "digests": list(digests)}
        return cast(MatchAnswer, self._post("/match", asked))

    def match_files(self, files: Sequence[File]) -> MatchAnswer:
        """Ask what is known of up to 20 files. Nothing is kept."""
        named = [("file", file) for file in files]
        return cast(MatchAnswer, self._transport.ask("POST", "/match", files=named))

    def hash_files(self, files: Sequence[File]) -> list[FileAnswer]:
        """Return the digests of up to 20 files. Nothing is kept."""
        named = [("file", file) for file in files]
        answer = self._transport.ask("POST", "/hash", files=named)
        return cast("list[FileAnswer]", answer["files"])

    def import_links(self, place: str, links: Sequence[Document]) -> LinksAnswer:
        """Send invite links that stood in a place outside. Safe to repeat."""
        return cast(LinksAnswer, self._post("/links", {"place": place, "links": list(links)}))

    # ── About the key and the installation ────────────────────────────────────────────────────
    def key(self) -> dict[str, Any]:
        """Read what this key is, may do and when it ends."""
        return cast("dict[str, Any]", self._get("/key"))

    def status(self) -> dict[str, Any]:
        """Read how busy the installation is, and whether it takes more."""
        return cast("dict[str, Any]", self._get("/status"))

    def vocabulary(self) -> dict[str, Any]:
        """Read which words this installation knows."""
        return cast("dict[str, Any]", self._get("/vocabulary"))

    # ── How ───────────────────────────────────────────────────────────────────────────────────
    def _get(self, path: str, params: Document | None = None) -> Any:
        return self._transport.ask("GET", path, params=params)

    def _put(self, path: str, document: Document) -> Any:
        return self._transport.ask("PUT", path, json=dict(document))

    def _post(self, path: str, document: Document, idempotency_key: str = "") -> Any:
        return self._transport.ask(
            "POST", path, json=dict(document), idempotency_key=idempotency_key
        )

    def _pages(self, path: str, member: str, wanted: Document) -> Iterator[Any]:
        cursor: str | None = None
        while True:
            page = self._get(path, {**wanted, "limit": PAGE, "cursor": cursor})
            yield from page[member]
            cursor = page.get("next_cursor")
            if cursor is None:
                return


def _fresh() -> str:
    return str(uuid.uuid4())


def _part(own_id: str) -> str:
    return quote(own_id, safe="")


def _time(at: datetime | str | None) -> str | None:
    """Return a time as an address has it. Raises ValueError for one without an offset from UTC."""
    if not isinstance(at, datetime):
        return at
    if at.tzinfo is None:
        raise ValueError("a time must know its offset from UTC")
    return at.isoformat()
