"""The machine door of flagging: digests and matches for platforms that want no case made."""

from __future__ import annotations

import time
import uuid
from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja import Router, Schema
from ninja.errors import HttpError
from pydantic import Field

from core.errors import Invalid
from core.rates import spend
from core.uploads import VaultUpload
from hashing import actions, answering, lookup_access
from hashing.csv_lists import normalised
from hashing.link_files import LONGEST_PLACE, LinkRow
from hashing.models import FileLookup, LookupState
from reports import access as keys
from reports.answers import Problem
from reports.door import SourceKey, digest, once, read_json
from reports.links import LONGEST_LINK, NotALink, link_key
from reports.models import ApiKey, Scope, Surface
from reports.payloads import Body, Instant, SentSurface, Shape, Short, Text
from reports.reference import IDEMPOTENCY_PARAMETER, body_of

router = Router(tags=["Matching"])

MULTIPART = "multipart/form-data"
MOST_FILES = 20
MOST_DIGESTS = 1_000
MOST_TEXTS = 100
MOST_LINKS = 1_000
VALUES_PER_REQUEST = 100
"""Digests or texts that count as one request towards the key's rate limit, as has each file."""
LONGEST_WAIT = 25.0
"""Seconds that an answer about files is waited for."""

MATCH_EXAMPLE = {
    "digests": [{"id": "a", "algorithm": "md5", "value": "d41d8cd98f00b204e9800998ecf8427e"}],
    "texts": [{"id": "b", "text": "Holiday pictures", "surface": "group_name"}],
}
LINKS_EXAMPLE = {
    "place": "example directory",
    "links": [{"link": "https://chat.example/join/AbC123", "seen_at": "2026-11-22T10:42:00Z"}],
}

_ALWAYS = {401: Problem, 403: Problem, 429: Problem, 503: Problem}
_POSTED = _ALWAYS | {400: Problem, 413: Problem, 415: Problem, 422: Problem}


class DigestAsked(Shape):
    """A digest to look for; `id` comes back with its answer."""

    id: Short = ""
    algorithm: Literal["md5", "sha1", "sha256", "pdq", "phash", "dhash", "whash"]
    value: Short


class TextAsked(Shape):
    """A text to look at as if it stood on `surface`."""

    id: Short = ""
    text: Body
    surface: SentSurface = Surface.REPORTED_MESSAGE


class MatchPayload(Shape):
    """Digests, texts, or both."""

    digests: Annotated[list[DigestAsked], Field(max_length=MOST_DIGESTS)] = []
    texts: Annotated[list[TextAsked], Field(max_length=MOST_TEXTS)] = []


class FindingAnswer(Schema):
    """What a scan would have found. `evidence` names list, entry, distance, spans."""

    detector: str
    kind: str
    category: str
    score: float
    summary: str
    evidence: dict[str, Any]


class FrameAnswer(Schema):
    frame: int
    quality: int
    low_quality: bool
    pdq: str
    phash: str = ""
    dhash: str = ""
    whash: str = ""


class InsideAnswer(Schema):
    """A picture or video that lies in a file besides what the file shows, such as a thumbnail."""

    where: str
    kind: str
    md5: str
    sha1: str
    sha256: str
    frames: list[FrameAnswer]
    problem: str = ""


class FileAnswer(Schema):
    """A file's digests, computed for every file, whatever it is.

    `not_looked` names in sentences whatever could not look at it, or not at all of it: a decoder, a detector, the
    index, the time that an answer has. Only where it is empty do no `findings` mean that nothing in force matches.
    `problem` is the first of these sentences about its pixels, with its `code`. `inside` (of `/hash`) are the pictures and
    videos that lie in the file besides what it shows: thumbnails, covers, attachments, what stands behind its end. `/match`
    looks at them and names the place in `evidence.inside`.
    """

    name: str
    kind: str
    size: int
    md5: str
    sha1: str
    sha256: str
    format: str = ""
    width: int = 0
    height: int = 0
    frames_total: int = 0
    frames: list[FrameAnswer]
    inside: list[InsideAnswer] = []
    problem: str = ""
    code: str = ""
    not_looked: list[str]
    findings: list[FindingAnswer] | None = None


class HashAnswer(Schema):
    files: list[FileAnswer]


class ValueAnswer(Schema):
    """What was found. `not_looked` names in sentences whatever could not look."""

    id: str
    findings: list[FindingAnswer]
    not_looked: list[str]


class MatchAnswer(Schema):
    """One answer for each thing asked about, in its order.

    No findings and nothing in `not_looked`: nothing in force matches.
    """

    files: list[FileAnswer] = []
    digests: list[ValueAnswer] = []
    texts: list[ValueAnswer] = []


class LinkFound(Shape):
    """A link that stood outside the platform."""

    link: Annotated[str, Text(LONGEST_LINK, 1)]
    seen_at: Instant | None = None


class LinksPayload(Shape):
    """Up to 1,000 links that were found in one place."""

    place: Annotated[str, Text(LONGEST_PLACE, 1)]
    links: Annotated[list[LinkFound], Field(min_length=1, max_length=MOST_LINKS)]


class LinksAnswer(Schema):
    """What came of it. `known` were listed in that place already; `groups` is how many groups they lead to."""

    id: uuid.UUID
    links: int
    added: int
    known: int
    groups: int


@router.post(
    "/hash",
    auth=SourceKey(Scope.MATCH, repeats=False),
    response={200: HashAnswer} | _POSTED,
    operation_id="hash_files",
    summary="Hash files",
    openapi_extra=body_of(None, files="file"),
)
def post_hash(request: HttpRequest) -> HttpResponse:
    """Return the digests of up to 20 files, each in a part called `file`. Nothing is kept.

    The bytes are encrypted as they arrive, looked at by a worker and destroyed. MD5, SHA-1 and SHA-256
    are of the file, whatever it is; PDQ, pHash and dHash of each frame of a picture that was looked at. Frames of
    videos are not hashed here, and `not_looked` says so. 503 when no worker answered in time.
    """
    rows = _ask(request, with_matches=False)
    return JsonResponse({"files": _answers(rows)})


@router.post(
    "/match",
    auth=SourceKey(Scope.MATCH, repeats=False),
    response={200: MatchAnswer} | _POSTED,
    operation_id="match",
    summary="Match files, digests or texts",
    openapi_extra=body_of(MatchPayload, files="file", example=MATCH_EXAMPLE),
)
def post_match(request: HttpRequest) -> HttpResponse:
    """Return what a scan would find, without an item, a report or a case. Nothing is kept.

    Send JSON with `digests` (up to 1,000) and `texts` (up to 100), or multipart/form-data with up to 20
    files, each in a part called `file`. Lists that are not in force match nothing; a match that a list of harmless
    material silences is told as a note.

    The exact digests of every file are looked up, whatever it is. What was not looked at is named in `not_looked`:
    a file that no decoder reads, a damaged video, one that takes longer than the 25 seconds of an answer.
    """
    if request.content_type == MULTIPART:
        rows = _ask(request, with_matches=True)
        return JsonResponse({"files": _answers(rows), "digests": [], "texts": []})
    payload = read_json(request, MatchPayload)
    if not payload.digests and not payload.texts:
        raise Invalid({"digests": ["Ask about at least one digest or text."]})
    wanted = _checked(payload.digests)
    _count(request, (len(payload.digests) + len(payload.texts)) // VALUES_PER_REQUEST)
    found = answering.of_digests(wanted)
    digests = [
        {"id": asked.id, "findings": findings, "not_looked": []}
        for asked, findings in zip(payload.digests, found, strict=True)
    ]
    texts = [_text_answer(asked) for asked in payload.texts]
    key = _key(request)
    actions.record_match(
        digests=len(digests),
        texts=len(texts),
        found=sum(bool(each["findings"]) for each in [*digests, *texts]),
        asked_for=key.source,
        actor=keys.actor_for(key),
    )
    return JsonResponse({"files": [], "digests": digests, "texts": texts})


def _text_answer(asked: TextAsked) -> dict[str, Any]:
    findings = answering.of_text(asked.text, asked.surface)
    return {
        "id": asked.id,
        "findings": findings,
        "not_looked": answering.not_looked(findings),
    }


def _key(request: HttpRequest) -> ApiKey:
    return request.auth  # type: ignore[attr-defined]


def _count(request: HttpRequest, more: int) -> None:
    """Let what is large count as several requests; it is answered all the same."""
    key = _key(request)
    if more > 0:
        request.rate = spend(str(key.pk), key.rate_per_minute, cost=more)  # type: ignore[attr-defined]


def _checked(asked: list[DigestAsked]) -> list[tuple[str, str]]:
    wanted, errors = [], {}
    for index, each in enumerate(asked):
        try:
            wanted.append(normalised(each.algorithm, each.value))
        except ValueError as wrong:
            errors[f"digests.{index}.value"] = [str(wrong)]
    if errors:
        raise Invalid(errors)
    return wanted


@router.post(
    "/links",
    auth=SourceKey(Scope.LINKS_WRITE),
    response={200: LinksAnswer} | _POSTED,
    operation_id="import_links",
    summary="Send invite links found outside",
    openapi_extra=body_of(LinksPayload, example=LINKS_EXAMPLE) | IDEMPOTENCY_PARAMETER,
)
def post_links(request: HttpRequest) -> HttpResponse:
    """Take invite links that stood in a directory or a search result. One bad link and none is kept.

    Each is joined to the groups that it leads to, also to groups that are told of later, and counts in their risk.
    Safe to repeat: a link that is known in its place is not added again.
    """
    payload = read_json(request, LinksPayload)
    rows, wrong = [], {}
    for number, found in enumerate(payload.links):
        try:
            link_found = link_key(found.link)
        except NotALink as no:
            wrong[f"links.{number}.link"] = [str(no)]
            continue
        rows.append(LinkRow(link_found, found.link.strip(), "", found.seen_at))
    if wrong:
        raise Invalid(wrong)
    _count(request, len(rows) // VALUES_PER_REQUEST)
    key = _key(request)

    def work() -> tuple[int, Any]:
        made = actions.add_links(
            rows, place=payload.place, source=key.source, actor=keys.actor_for(key)
        )
        return 200, {
            "id": str(made.pk),
            "links": made.rows,
            "added": made.added,
            "known": made.known,
            "groups": made.groups,
        }

    return once(request, "POST /links", digest(payload.model_dump(mode="json")), work)


def _ask(request: HttpRequest, *, with_matches: bool) -> list[FileLookup]:
    if request.content_type != MULTIPART:
        raise HttpError(415, "Send multipart/form-data with each file in a part called `file`.")
    files = [file for file in request.FILES.getlist("file") if isinstance(file, VaultUpload)]
    if request.POST:
        part = next(iter(request.POST))[:80]
        raise Invalid(
            {part: ["Only files are taken here. Ask about texts and digests in a request of JSON."]}
        )
    if not files or len(files) != sum(len(request.FILES.getlist(part)) for part in request.FILES):
        raise Invalid({"file": ["Send at least one file; each in a part called `file`."]})
    if len(files) > MOST_FILES:
        raise Invalid({"file": [f"Send at most {MOST_FILES} files at a time."]})
    _count(request, len(files) - 1)
    key = _key(request)
    return actions.ask_about_files(
        files, asked_for=key.source, with_matches=with_matches, actor=keys.actor_for(key)
    )


def _answers(rows: list[FileLookup]) -> list[dict[str, Any]]:
    """Wait for the workers, and take what they know so far of files that take longer.

    Raises HttpError 503 when a file had no worker at all in time: nothing is known of it.
    """
    names: list[uuid.UUID] = [row.pk for row in rows]
    deadline = time.monotonic() + LONGEST_WAIT
    pause = 0.01
    while time.monotonic() < deadline:
        found = lookup_access.answered(names)
        if len(found) == len(names):
            return [_answer(found[name]) for name in names]
        time.sleep(pause)
        pause = min(pause * 1.3, 0.1)
    found = lookup_access.known_so_far(names)
    if len(found) == len(names):
        return [_answer(found[name]) for name in names]
    raise HttpError(503, "No worker has looked at the files in time. Try again later.")


def _answer(row: FileLookup) -> dict[str, Any]:
    if row.state != LookupState.FAILED:
        return dict(row.result or {})
    nothing = {
        "name": row.name,
        "kind": row.kind,
        "size": 0,
        "md5": "",
        "sha1": "",
        "sha256": "",
        "frames": [],
    }
    failed = {"problem": row.problem, "code": "failed", "not_looked": [row.problem]}
    return nothing | dict(row.result or {}) | failed
