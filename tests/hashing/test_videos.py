"""Known videos: every usual copy is found, nothing else is, and hostile files end in a sentence."""

from __future__ import annotations

import functools
import io
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from accounts.models import User
from core import vault
from core.audit import SYSTEM
from core.errors import Invalid, Refused
from hashing import actions, images, jobs, videos
from hashing.film import film_of
from hashing.images import CannotDecode
from hashing.models import FlagKind, HashList, ListedVideo, VideoWatch
from hashing.video_files import parse_frames
from hashing.videos import Seen, VideoLimits, clock, match, runs
from moderation.actions import route_report
from reports.models import Item, ScanState
from tests import clips
from tests.casework import Casework, grant_all
from tests.cast import signed_in
from tests.hashing.conftest import flags_of

Scanned = Callable[..., Item]
MP4 = "video/mp4"


@functools.cache
def listed_clip() -> bytes:
    return clips.clip(1, 10)


@functools.cache
def shots() -> tuple:
    return tuple(clips.frames(1, 10))


COPIES: dict[str, Callable[[], bytes]] = {
    "the same file": listed_clip,
    "re-encoded, 180 lines, crf 35": lambda: clips.encode(
        shots(), each=lambda shot: shot.resize((320, 180)), quality=35
    ),
    "a 10 s clip inside a 30 s video": lambda: clips.encode(
        [*clips.frames(50, 10), *shots(), *clips.frames(51, 10)]
    ),
    "trimmed to 4 s": lambda: clips.encode(shots()[36:84]),
    "3 s of it, looped": lambda: clips.encode(shots()[:36] * 3),
    "mirrored": lambda: clips.encode(shots(), each=ImageOps.mirror),
    "letterboxed": lambda: clips.encode(shots(), each=clips.letterboxed),
    "sped up 1.1 times, 24 frames a second": lambda: clips.encode(
        [shots()[min(119, round(number * 12 * 1.1 / 24))] for number in range(218)], rate=24
    ),
    "another codec and container": lambda: clips.encode(
        shots(), codec="libvpx-vp9", container="webm"
    ),
}


@pytest.fixture
def listed(known: HashList) -> ListedVideo:
    """Put the drawn clip on the list, as a worker does."""
    blob = vault.store_bytes(listed_clip(), media_type=MP4)
    video = actions.add_video_file(known, blob, note="a drawn clip", actor=SYSTEM)
    jobs.watch_listed(video.pk)
    video.refresh_from_db()
    assert (video.state, video.problem) == ("ready", "")
    return video


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_of_a_listed_video_is_found(
    scanned: Scanned, listed: ListedVideo, name: str
) -> None:
    item = scanned(COPIES[name](), MP4)
    assert item.scan_state == ScanState.SCANNED
    (flag,) = [each for each in flags_of(item) if each.evidence.get("algorithm") == "vpdq"]
    evidence = flag.evidence
    assert (flag.kind, flag.hash_list) == (FlagKind.HASH_MATCH, listed.hash_list)
    assert evidence["video"] == listed.pk
    enough = (
        evidence["compared_share"] >= 0.8
        or evidence["query_share"] >= 0.8
        or evidence["run_seconds"] >= 5
    )
    assert enough
    if name.startswith("a 10 s clip"):
        assert evidence["matched_spans"] == [[10, 20]]
        assert "0:10–0:20" in flag.summary
        assert evidence["pairs"] == [[10, 20, 0, 10]]
    if name.endswith("looped"):
        assert len(evidence["pairs"]) == 3, "each turn of the loop is a stretch of its own"
        assert all(listed_from == 0 for _, _, listed_from, _ in evidence["pairs"])


@pytest.mark.parametrize("turn", [lambda shot: shot, ImageOps.mirror], ids=["as it is", "mirrored"])
def test_a_listed_picture_is_found_in_a_video(
    scanned: Scanned, known: HashList, turn: Callable[..., Any]
) -> None:
    still = io.BytesIO()
    turn(shots()[48]).save(still, "PNG")  # Twelve frames a second: at 0:04.
    pdq = images.digest(still.getvalue(), algorithms=["pdq"]).digests[0].pdq
    entry = actions.add_entry(known, algorithm="pdq", value=pdq, actor=SYSTEM)
    (flag,) = flags_of(scanned(listed_clip(), MP4))
    assert (flag.hash_list, flag.hash_entry_id) == (known, entry.pk)
    assert abs(flag.evidence["at_ms"] - 4000) <= 500
    assert f"At {clock(flag.evidence['at_ms'])} this video looks like a picture" in flag.summary
    assert flags_of(scanned(clips.clip(72, 6), MP4)) == []


def test_a_picture_in_a_video_that_is_known_to_be_harmless_is_a_note(
    scanned: Scanned, known: HashList
) -> None:
    still = io.BytesIO()
    shots()[48].save(still, "PNG")
    pdq = images.digest(still.getvalue(), algorithms=["pdq"]).digests[0].pdq
    harmless = actions.create_hash_list(name="Logos", category="spam_other", actor=SYSTEM)
    actions.change_hash_list(harmless, is_negative=True, actor=SYSTEM)
    for hash_list in (known, harmless):
        actions.add_entry(hash_list, algorithm="pdq", value=pdq, actor=SYSTEM)
    (flag,) = flags_of(scanned(listed_clip(), MP4))
    assert flag.kind == FlagKind.NOTE
    assert "known harmless" in flag.summary


def test_the_case_draws_which_part_shows_which(
    client: Client, lead: User, casework: Casework, listed: ListedVideo
) -> None:
    grant_all(lead)
    video = COPIES["a 10 s clip inside a 30 s video"]()
    report = casework.report("invented-9", pictures=[video], media_type=MP4)
    (item,) = report.items.all()
    jobs.scan_item(str(item.pk))
    report.refresh_from_db()
    case = route_report(report)
    assert case is not None
    signed_in(client, lead)
    page = client.get(reverse("moderation:case", args=[case.pk])).content.decode()
    assert "What this video shows of the listed one: 0:10–0:20 shows 0:00–0:10 of it." in page
    assert '<polygon class="film__join"' in page
    assert "100% is seen" in page


_moments = st.builds(Seen, st.integers(0, 60_000), st.integers(0, 60_000), st.integers(0, 31))


@given(seen=st.lists(_moments, max_size=40))
def test_stretches_hold_every_second_once(seen: list[Seen]) -> None:
    shares = match(
        seen,
        query_ms=[each.query_ms for each in seen],
        listed_ms=[each.listed_ms for each in seen],
    )
    covered = [second for a, b, _, _ in shares.pairs for second in range(a, b)]
    assert len(covered) == len(set(covered))
    assert {each.query_ms // 1000 for each in seen} <= set(covered)
    assert all(a < b and c < d for a, b, c, d in shares.pairs)
    film = film_of(
        {"pairs": [list(pair) for pair in shares.pairs], "duration_s": 61, "listed_s": 61}
    )
    assert (film is None) == (not seen)
    for each in film.stretches if film else ():
        places = [float(part) for point in each.points.split() for part in point.split(",")]
        assert all(0 <= place <= film.width for place in places)


def test_unlisted_videos_are_not_flagged(scanned: Scanned, listed: ListedVideo) -> None:
    for seed in (71, 72, 73):
        assert flags_of(scanned(clips.clip(seed, 6), MP4)) == []


def test_a_retired_video_matches_nothing_until_it_is_restored(
    scanned: Scanned, listed: ListedVideo
) -> None:
    actions.retire_video(listed, reason="a mistake", actor=SYSTEM)
    assert flags_of(scanned(COPIES["trimmed to 4 s"](), MP4)) == []
    with pytest.raises(Refused):
        actions.retire_video(listed, reason="again", actor=SYSTEM)
    actions.restore_video(listed, actor=SYSTEM)
    assert flags_of(scanned(COPIES["mirrored"](), MP4))


def test_exact_digests_of_a_video_match(scanned: Scanned, known: HashList) -> None:
    data = clips.clip(9, 2)
    import hashlib

    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    actions.add_entry(known, algorithm="md5", value=md5, actor=SYSTEM)
    (flag,) = flags_of(scanned(data, MP4))
    assert (flag.score, flag.evidence["algorithm"]) == (1.0, "md5")


def test_what_was_watched_is_kept_once_with_a_storyboard_of_points(scanned: Scanned) -> None:
    one, other = scanned(clips.clip(5, 6), MP4), scanned(clips.clip(5, 6), MP4)
    assert one.blob_id == other.blob_id
    watch = VideoWatch.objects.get()
    assert (watch.width, watch.height) == clips.SIZE
    assert 5500 <= watch.duration_ms <= 6100
    assert len(watch.storyboard) == 9
    assert all(len(frame["points"]) < 900 for frame in watch.storyboard)
    kept = one.blob.digests.filter(algorithm="pdq")
    assert 11 <= kept.count() <= 14


def test_what_was_watched_last_counts(scanned: Scanned, monkeypatch: pytest.MonkeyPatch) -> None:
    """A film of which little could be seen once, for lack of time, is seen whole when it comes again."""
    with monkeypatch.context() as patch:
        patch.setattr("hashing.media.VideoLimits", functools.partial(VideoLimits, longest=1))
        assert scanned(clips.clip(5, 6), MP4).scan_state == ScanState.PARTLY
    assert "longer than" in VideoWatch.objects.get().problem
    assert scanned(clips.clip(5, 6), MP4).scan_state == ScanState.SCANNED
    watch = VideoWatch.objects.get()
    assert (watch.problem, len(watch.storyboard)) == ("", 9)


def test_a_film_most_of_which_cannot_be_compared_says_so(scanned: Scanned) -> None:
    shots = list(clips.frames(5, 1))
    black = Image.new("RGB", shots[0].size)
    (note,) = flags_of(scanned(clips.encode([*shots, *[black] * 60]), MP4))
    assert note.kind == FlagKind.NOTE
    assert "in 5 of 6 s none has enough detail" in note.summary


# ── Hostile and broken files ──────────────────────────────────────────────────────────────────
def test_a_file_that_only_says_it_is_a_video_goes_to_a_person(scanned: Scanned) -> None:
    for data in (b"\x00\x00\x00\x18ftypmp42" + b"\x00" * 300, b"\x1aE\xdf\xa3" + b"x" * 500):
        item = scanned(data, MP4)
        (flag,) = flags_of(item)
        assert (flag.kind, flag.evidence["code"]) == (FlagKind.COULD_NOT_SCAN, "wrong_type")
        assert item.scan_state == ScanState.PARTLY


def test_a_truncated_video_is_looked_at_as_far_as_it_goes(
    scanned: Scanned, listed: ListedVideo
) -> None:
    whole = COPIES["another codec and container"]()
    item = scanned(whole[: len(whole) * 6 // 10], "video/webm")
    assert [flag for flag in flags_of(item) if flag.kind == FlagKind.HASH_MATCH]


def test_a_film_beyond_the_limits_is_looked_at_within_them() -> None:
    watched = videos.watch(clips.clip(3, 6), every=0.5, limits=VideoLimits(longest=3))
    assert watched.frames[-1].at_ms <= 3000
    assert "longer than" in watched.problem
    watched = videos.watch(clips.clip(3, 6), every=0.5, limits=VideoLimits(frames=4))
    assert len(watched.frames) == 4
    assert "more than the 4 frames" in watched.problem


def test_frames_of_too_many_pixels_are_refused() -> None:
    with pytest.raises(CannotDecode) as refused:
        videos.watch(clips.clip(3, 1), every=0.5, limits=VideoLimits(pixels=1000))
    assert refused.value.code == "too_many_pixels"


def test_a_video_without_frames_and_an_empty_file_are_refused() -> None:
    for data, code in ((clips.clip(3, 1)[:400], "wrong_type"), (b"", "empty")):
        with pytest.raises(CannotDecode) as refused:
            videos.watch(data, every=0.5)
        assert refused.value.code == code


def test_a_film_that_takes_too_long_is_ended_and_the_next_one_watched() -> None:
    data = clips.clip(3, 10)
    images.decoder_pid()
    try:
        watched = videos.watch(data, every=0.25, limits=VideoLimits(seconds=0.02))
    except CannotDecode as refused:
        assert refused.code == "too_slow"  # noqa: PT017 — as far as it got, or not at all
    else:
        assert "too long" in watched.problem
    assert videos.watch(data, every=0.5).frames


def test_a_listed_video_that_cannot_be_watched_says_why(known: HashList) -> None:
    blob = vault.store_bytes(b"no video at all" * 40, media_type=MP4)
    video = actions.add_video_file(known, blob, actor=SYSTEM)
    jobs.watch_listed(video.pk)
    video.refresh_from_db()
    assert (video.state, video.problem) == (
        "failed",
        "The file is not a video, it looks like a text.",
    )
    assert video.blob is None


def test_a_listed_video_whose_worker_dies_is_taken_again_and_given_up(known: HashList) -> None:
    blob = vault.store_bytes(listed_clip(), media_type=MP4)
    video = actions.add_video_file(known, blob, actor=SYSTEM)
    for _ in range(3):
        assert actions.begin_watching(video) is not None
        assert actions.begin_watching(video) is None
        ListedVideo.objects.update(due_at="2020-01-01T00:00:00Z")
    assert actions.begin_watching(video) is None
    video.refresh_from_db()
    assert (video.state, video.blob) == ("failed", None)


def test_the_same_video_is_listed_once(known: HashList, listed: ListedVideo) -> None:
    blob = vault.store_bytes(listed_clip(), media_type=MP4)
    again = actions.add_video_file(known, blob, actor=SYSTEM)
    jobs.watch_listed(again.pk)
    again.refresh_from_db()
    assert (again.state, again.problem) == ("failed", "This video is on the list already.")


# ── Frames from a file, and the page ──────────────────────────────────────────────────────────
HASH = "f" * 32 + "0" * 32


def test_frames_are_read_from_vpdq_and_from_objects() -> None:
    text = json.dumps([f"{HASH.upper()},88,1.5", f"{HASH},90,0.0"])
    assert [(each.at_ms, each.quality) for each in parse_frames(text)] == [(0, 90), (1500, 88)]
    text = json.dumps({"frames": [{"pdq": HASH, "quality": 80, "at": 2}]})
    assert parse_frames(text)[0].at_ms == 2000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "no list of frames"),
        (json.dumps(["abc,1,2"]), "Frame 1: the hash has not 64"),
        (json.dumps([f"{HASH},80,0", f"{HASH},101,1"]), "Frame 2: the quality"),
        (json.dumps([f"{HASH},80,-1"]), "the time must lie"),
        (json.dumps([7]), "a text or an object"),
    ],
)
def test_bad_frames_are_named(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_frames(text)


@given(st.text(max_size=80) | st.binary(max_size=80).map(repr))
@settings(max_examples=60, deadline=None)
def test_any_text_is_frames_or_a_sentence(text: str) -> None:
    said = ""
    try:
        frames = parse_frames(text)
    except ValueError as wrong:
        frames, said = [], str(wrong)
    assert frames or said.endswith(".")


def test_a_video_without_detail_is_not_listed(known: HashList) -> None:
    frames = parse_frames(json.dumps([f"{HASH},10,0"]))
    with pytest.raises(Invalid):
        actions.add_video(known, frames, actor=SYSTEM)
    assert not ListedVideo.objects.exists()


def test_the_page_takes_a_file_or_frames(
    client: Client, policy_admin: User, known: HashList
) -> None:
    signed_in(client, policy_admin)
    page = reverse("hashing:video_new", args=[known.pk])
    assert client.get(page).status_code == 200
    answer = client.post(page, {"file": SimpleUploadedFile("a.mp4", listed_clip(), MP4)})
    assert answer.status_code == 302
    video = ListedVideo.objects.get()
    listing = reverse("hashing:list_videos", args=[known.pk])
    assert "Waiting to be watched" in client.get(listing).text
    jobs.watch_listed(video.pk)
    assert "In force" in client.get(listing).text
    frames = json.dumps([f"{HASH},88,0", f"{HASH[::-1]},88,1"])
    assert client.post(page, {"frames": frames, "note": "by hashes"}).status_code == 302
    assert client.post(page, {"frames": "[1]"}).status_code == 422
    assert client.post(page, {}).status_code == 422
    retire = reverse("hashing:video_retire", args=[video.pk])
    assert client.post(retire, {"reason": ""}).status_code == 422
    assert client.post(retire, {"reason": "a mistake"}).status_code == 302
    assert "Retired" in client.get(listing).text
    assert client.post(reverse("hashing:video_restore", args=[video.pk])).status_code == 302


# ── The rule ──────────────────────────────────────────────────────────────────────────────────
def test_shares_count_seconds_in_both_directions() -> None:
    seen = [Seen(at, at + 2000, 4) for at in range(0, 4000, 250)]
    shares = match(seen, query_ms=range(0, 8000, 250), listed_ms=range(0, 10_000, 500))
    assert (shares.compared, shares.query, shares.run) == (0.4, 0.5, 4)
    assert shares.spans == ((0, 4),)
    assert match([], query_ms=[], listed_ms=[]).compared == 0


@given(st.sets(st.integers(0, 200)))
def test_runs_cover_their_seconds_and_are_apart(seconds: set[int]) -> None:
    spans = runs(seconds)
    assert all(any(start <= second < end for start, end in spans) for second in seconds)
    assert all(later[0] - before[1] > 1 for before, later in itertools.pairwise(spans))
