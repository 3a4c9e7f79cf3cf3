"""What a hostile file is promised to reach: nothing. Each is sent as a stranger would, through the API."""

from __future__ import annotations

import time
import uuid
from functools import partial
from pathlib import Path
from typing import Any

from tests.proofs import proof
from tests.proofs.installation import Installation

PORT = 40516
PRESENT, ABSENT = "docs/images/home.png", "docs/images/nowhere.png"
MPD = b"<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static'></MPD>"


def listing(name: str) -> bytes:
    return f"ffconcat version 1.0\nfile {name}\nduration 2\n".encode() * 3


HOSTILE = {
    "a list of files": listing(PRESENT),
    "a description of a stream": (
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        b"m=video %d RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n" % PORT
    ),
    "a playlist": f"#EXTM3U\n#EXTINF:2,\n{PRESENT}\n#EXT-X-ENDLIST\n".encode(),
    "an MPD": MPD,
    "a text for a terminal": b"\x1b[2J" + b"word " * 4000,
    "a pattern of names": b"docs/images/%03d.png",
}


def sent(place: Installation, content: bytes) -> tuple[str, str]:
    """Report a file as a video; return the numbers of the report and of its item."""
    tag = uuid.uuid4().hex
    # A comment makes each file another one: what was seen before is not looked at again.
    file = {"file": ("clip.mp4", content + f"\n# {tag}\n".encode(), "video/mp4")}
    media = place.api("POST", "media", files=file, headers={"Idempotency-Key": f"m-{tag}"})
    assert media.status_code == 201, f"the file was answered {media.status_code}"
    report = place.report(items=[{"surface": "reported_message", "media": media.json()["id"]}])
    assert report.status_code == 201, f"the report was answered {report.status_code}"
    number = report.json()["id"]
    ((item,),) = place.rows(
        "SELECT id::text FROM reports_item WHERE report_id = %s AND blob_id IS NOT NULL", number
    )
    return number, item


def looked_at(place: Installation, item: str) -> tuple[Any, ...] | None:
    """Return state, kind and what a person is told, once the item was looked at."""
    found = place.rows(
        "SELECT i.scan_state, i.kind, f.kind, f.summary FROM reports_item i "
        "JOIN hashing_flag f ON f.item_id = i.id WHERE i.id = %s ORDER BY f.kind",
        item,
    )
    return found[0] if found else None


def bound() -> bool:
    """Say whether anybody listens at the port that the description of a stream names."""
    tables = (Path("/proc/net/udp"), Path("/proc/net/udp6"))
    return any(f":{PORT:04X} " in table.read_text() for table in tables if table.exists())


@proof("A file that names files, streams or addresses reaches none of them", quick=True)
def texts(place: Installation) -> str:
    slowest = 0.0
    for name, content in HOSTILE.items():
        _, item = sent(place, content)
        began, listened, told = time.monotonic(), False, None
        while told is None:
            listened = listened or bound()
            told = looked_at(place, item)
            assert time.monotonic() - began < 60, f"{name} was not looked at within 60 s"
        slowest = max(slowest, time.monotonic() - began)
        assert not listened, f"{name}: a UDP socket was bound at port {PORT}"
        state, kind, flag, sentence = told
        assert (state, kind, flag) == ("partly", "other", "could_not_scan"), f"{name}: {told}"
        assert "could not be scanned" in sentence, f"{name}: {sentence}"
        digests = place.rows(
            "SELECT count(*) FROM hashing_digest d JOIN reports_item i ON "
            "d.blob_id = i.blob_id WHERE i.id = %s AND d.algorithm NOT IN "
            "('md5', 'sha1', 'sha256')",
            item,
        )
        assert digests == [(0,)], f"{name}: a digest of something that was looked at as a picture"
    return f"{len(HOSTILE)} kinds, each could not be scanned, no socket, no digest, at most {slowest:.1f} s"


@proof("Nobody learns from an answer which files the server has", quick=True)
def oracle(place: Installation) -> str:
    answers = []
    for name in (PRESENT, ABSENT):
        number, item = sent(place, listing(name))
        told = place.wait(f"the scan of {name}", partial(looked_at, place, item))
        answer = place.api("GET", f"reports/{number}").json()
        shown = [
            {key: value for key, value in each.items() if key not in {"id", "number"}}
            for each in answer["items"]
        ]
        answers.append((told, shown))
    assert answers[0] == answers[1], f"a file that is there: {answers[0]}; absent: {answers[1]}"
    return "the same answer for a file that is there and one that is not"
