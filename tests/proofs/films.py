"""What lists are promised to find: films by hashes that other programs made of them, and what lies hidden in files."""

from __future__ import annotations

import json
import secrets
import uuid
from functools import partial
from typing import Any

from hashing import digests
from tests import clips, enclosed, peers
from tests.proofs import proof
from tests.proofs.installation import Installation

LISTS = """
import json, sys
from core.audit import SYSTEM
from hashing import actions
from hashing.video_files import parse_frames
made = actions.create_hash_list(name={name!r}, category="spam_other", actor=SYSTEM)
for note, frames in json.loads({listed!r}).items():
    actions.add_video(made, parse_frames(json.dumps(frames)), note=note, actor=SYSTEM)
"""


def scanned(place: Installation, film: bytes) -> tuple[Any, ...] | None:
    """Report a film; return the item's state and its flags, once it was looked at."""
    item = sent(place, film)
    state = place.wait("a scan", partial(_ended, place, item), seconds=120)
    flags = place.rows(
        "SELECT evidence->>'video_note', (evidence->>'compared_share')::float FROM hashing_flag "
        "WHERE item_id = %s AND evidence->>'algorithm' = 'vpdq'",
        item,
    )
    return state, flags


def sent(place: Installation, data: bytes) -> str:
    """Report a file; return its item's number."""
    tag = uuid.uuid4().hex
    file = {"file": ("clip.mp4", data, "video/mp4")}
    media = place.api("POST", "media", files=file, headers={"Idempotency-Key": f"f-{tag}"})
    assert media.status_code == 201, f"the film was answered {media.status_code}"
    report = place.report(items=[{"surface": "reported_message", "media": media.json()["id"]}])
    assert report.status_code == 201, f"the report was answered {report.status_code}"
    ((item,),) = place.rows(
        "SELECT id::text FROM reports_item WHERE report_id = %s AND blob_id IS NOT NULL",
        report.json()["id"],
    )
    return str(item)


def _ended(place: Installation, item: str) -> str | None:
    ((state,),) = place.rows("SELECT scan_state FROM reports_item WHERE id = %s", item)
    return None if state == "waiting" else str(state)


@proof("A list with one hash a second finds its films, whatever their frame rate")
def foreign_lists(place: Installation) -> str:
    films = {
        f"{rate} a second": clips.encode(peers.lively(rate, seed=700 + rate), rate=rate)
        for rate in peers.RATES
    }
    films["a variable rate"] = peers.variable(seed=790)
    listed = {name: peers.vpdq_json(peers.each_second(film)) for name, film in films.items()}
    made = place.manage(
        "shell", "-c", LISTS.format(name=f"Films {uuid.uuid4().hex[:8]}", listed=json.dumps(listed))
    )
    assert made.returncode == 0, made.stderr[-400:]
    least = 1.0
    for name, film in films.items():
        state, flags = scanned(place, film) or ("", [])
        assert state == "scanned", f"{name}: {state}"
        shares = dict(flags)
        assert name in shares, f"{name}: not found ({flags})"
        least = min(least, shares[name])
    state, flags = scanned(place, clips.encode(peers.lively(25, seed=795), rate=25)) or ("", [])
    assert (state, flags) == ("scanned", []), f"a film that nobody listed: {state}, {flags}"
    return f"{len(films)} films found, at least {least:.0%} of the listed seconds seen, nothing in another film"


PICTURES = """
import json
from core.audit import SYSTEM
from hashing import actions
made = actions.create_hash_list(name={name!r}, category="spam_other", actor=SYSTEM)
actions.add_entry(made, algorithm="pdq", value={value!r}, actor=SYSTEM)
"""
SECONDS = 240
"""How long the scans are waited for: the machine may be busy with other work."""


@proof(
    "A listed picture is found in whatever hides it: an edit list, a thumbnail, an attachment, a motion photo",
    quick=True,
)
def enclosed_media(place: Installation) -> str:
    outer, inner = secrets.randbelow(10**6), 10**6 + secrets.randbelow(10**6)
    name = f"Pictures {uuid.uuid4().hex[:8]}"
    grey = enclosed.drawn(inner).convert("L")
    value = digests.of_frame(0, grey, ("pdq",)).pdq
    made = place.manage("shell", "-c", PICTURES.format(name=name, value=value))
    assert made.returncode == 0, made.stderr[-400:]
    files = {each: build(outer, inner) for each, build in enclosed.ENCLOSED.items()}
    items = {each: sent(place, data) for each, data in files.items()}
    odd = sent(place, enclosed.shown_by(outer) + bytes(range(1, 255)) * 40)
    for each, item in items.items():
        state = place.wait(f"the scan of {each}", partial(_ended, place, item), seconds=SECONDS)
        found = place.rows(
            "SELECT summary FROM hashing_flag WHERE item_id = %s AND evidence->>'list_name' = %s",
            item,
            name,
        )
        assert (state, len(found)) == ("scanned", 1), f"{each}: {state}, {found}"
    state = place.wait("a scan", partial(_ended, place, odd), seconds=SECONDS)
    assert state == "partly", f"bytes of no form behind a picture's end: {state}"
    return (
        f"{len(files)} of {len(files)} found; what is of no form is partly scanned, with the reason"
    )
