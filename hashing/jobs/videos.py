"""Watching the videos that somebody puts on a list."""

from __future__ import annotations

import logging

from django.conf import settings

from core import disk, vault
from core.errors import VaultDamage, describe
from core.jobs import enqueue, job, waits_for_room
from core.models import Blob
from hashing import actions, videos
from hashing.images import CannotDecode
from hashing.models import ListedVideo
from hashing.video_files import Frame
from hashing.videos import LISTED_EVERY, VideoLimits

__all__ = ["sweep_listed_videos", "watch_listed"]

log = logging.getLogger(__name__)


@job
def watch_listed(video_id: int) -> None:
    """Watch one video that waits for its list, and put its frames in force. Safe to repeat and to kill."""
    video = actions.begin_watching(ListedVideo(pk=video_id))
    if video is None or video.blob is None:
        return
    with waits_for_room(video), actions.keep_watching(video):
        _watch(video, video.blob)


def _watch(video: ListedVideo, blob: Blob) -> None:
    limits = VideoLimits(bytes=settings.HOLDFAST_MAX_UPLOAD_BYTES)
    try:
        with vault.open(blob) as stream:
            watched = videos.watch(stream, every=LISTED_EVERY, limits=limits)
    except CannotDecode as refused:
        actions.refuse_video(video, problem=f"{refused.reason[0].upper()}{refused.reason[1:]}.")
    except VaultDamage as damage:
        actions.refuse_video(video, problem=f"The file could not be read: {damage.reason}.")
    except Exception as failed:  # noqa: BLE001 — whoever waits for it is told; the log says where
        disk.raise_if_full(failed)
        log.error("watching a listed video failed: %s", describe(failed))
        actions.refuse_video(video, problem="Watching it failed. The log says where.")
    else:
        frames = [
            Frame(frame.at_ms, digests.pdq, digests.quality)
            for frame in watched.frames
            for digests in (frame.digests, frame.cropped)
            if digests is not None
        ]
        actions.watched_video(
            video, frames, duration_ms=watched.duration_ms, problem=watched.problem
        )


def sweep_listed_videos() -> int:
    """Wake a worker for listed videos that wait; return how many."""
    waiting = list(actions.waiting_videos().values_list("pk", flat=True)[:200])
    for video_id in waiting:
        enqueue("watch_listed", video_id)
    return len(waiting)
