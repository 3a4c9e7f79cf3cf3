"""Lists of others, one hash a second: each listed second of a film is seen, whatever its frame rate."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from hashing import videos
from hashing.digests import LOW_QUALITY
from hashing.videos import LISTED_EVERY, SEEN_EVERY
from tests import clips, peers

REACH = 31


def _constant(rate: int) -> bytes:
    return clips.encode(peers.lively(rate), rate=rate)


FILMS: dict[str, Callable[[], bytes]] = {
    **{f"{rate} a second": partial(_constant, rate) for rate in peers.RATES},
    "variable": peers.variable,
}


def bits_between(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


@pytest.mark.parametrize("name", FILMS)
def test_every_second_that_a_peer_listed_is_seen(name: str) -> None:
    film = FILMS[name]()
    listed = [each for each in peers.each_second(film) if each[2] >= LOW_QUALITY]
    assert len(listed) >= 4
    watched = videos.watch(film, every=SEEN_EVERY)
    assert not watched.problem
    seen = [value for frame in watched.frames for value in frame.queries()]
    nearest = {at: min(bits_between(value, each) for each in seen) for at, value, _ in listed}
    assert all(distance <= REACH for distance in nearest.values()), nearest


@pytest.mark.parametrize("every", [SEEN_EVERY, LISTED_EVERY])
@pytest.mark.parametrize("name", FILMS)
def test_frames_are_picked_on_a_grid_that_no_frame_rate_moves(name: str, every: float) -> None:
    """Each step of the grid has its frame, within the time that one frame lasts: a tenth of a second at most."""
    times = [frame.at_ms / 1000 for frame in videos.watch(FILMS[name](), every=every).frames]
    for step in range(int(5.9 / every)):
        assert any(0 <= at - step * every <= 0.101 for at in times), (step * every, times)
