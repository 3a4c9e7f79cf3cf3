"""What lists of others are promised to find: films, by one hash a second that other programs made of them."""

from __future__ import annotations

import json
import uuid
from functools import partial
from typing import Any

from tests import clips, peers
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
    tag = uuid.uuid4().hex
    file = {"file": ("clip.mp4", film, "video/mp4")}
    media = place.api("POST", "media", files=file, headers={"Idempotency-Key": f"f-{tag}"})
    assert media.status_code == 201, f"the film was answered {media.status_code}"
    report = place.report(items=[{"surface": "reported_message", "media": media.json()["id"]}])
    assert report.status_code == 201, f"the report was answered {report.status_code}"
    ((item,),) = place.rows(
        "SELECT id::text FROM reports_item WHERE report_id = %s AND blob_id IS NOT NULL",
        report.json()["id"],
    )
    state = place.wait("a scan", partial(_ended, place, item), seconds=120)
    flags = place.rows(
        "SELECT evidence->>'video_note', (evidence->>'compared_share')::float FROM hashing_flag "
        "WHERE item_id = %s AND evidence->>'algorithm' = 'vpdq'",
        item,
    )
    return state, flags


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
