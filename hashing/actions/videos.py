"""Videos on lists: adding them by their frames or by a file, taking them off, putting them back."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit, vault
from core.audit import Actor, AuditEvent, Person
from core.errors import Invalid, Refused
from core.jobs import enqueue
from core.leases import kept, lease_after
from core.models import Blob
from hashing.actions.hash_lists import raise_version
from hashing.digests import LOW_QUALITY
from hashing.models import HashList, ListedVideo, VideoFrame, VideoState
from hashing.video_files import Frame

__all__ = [
    "add_video",
    "add_video_file",
    "begin_watching",
    "keep_watching",
    "refuse_video",
    "restore_video",
    "retire_video",
    "waiting_videos",
    "watched_video",
]

MOST_ATTEMPTS = 3


@transaction.atomic
def add_video(
    hash_list: HashList,
    frames: Sequence[Frame],
    *,
    actor: Actor | Person,
    note: str = "",
    duration_ms: int | None = None,
) -> ListedVideo:
    """Put a video on a list by the hashes of its frames; it counts from the next item on.

    Raises Invalid when no frame has enough detail to be compared, Refused when it stands there already.
    Can be undone by ``retire_video``.
    """
    require(actor, Permission.HASHING_LISTS_EDIT)
    hash_list = _locked_list(hash_list)
    video = ListedVideo.objects.create(
        hash_list=hash_list, note=_checked_note(note), added_by=_person(actor)
    )
    return _put_in_force(video, hash_list, frames, duration_ms=duration_ms, actor=actor)


@transaction.atomic
def add_video_file(
    hash_list: HashList, blob: Blob, *, actor: Actor | Person, note: str = ""
) -> ListedVideo:
    """Have a worker watch a file and put it on a list. Only its hashes stay; the file is let go of.

    Raises Invalid for an empty file. Can be undone by ``retire_video``.
    """
    require(actor, Permission.HASHING_LISTS_EDIT)
    if blob.size == 0:
        raise Invalid({"file": ["The file is empty (0 bytes)."]})
    hash_list = _locked_list(hash_list)
    video = ListedVideo.objects.create(
        hash_list=hash_list,
        note=_checked_note(note),
        blob=vault.hold(blob),
        added_by=_person(actor),
    )
    audit.record(
        AuditEvent.LISTED_VIDEO_SENT,
        actor=actor,
        subject=video,
        hash_list=hash_list,
        sha256=blob.sha256,
    )
    enqueue("watch_listed", video.pk)
    return video


def waiting_videos() -> QuerySet[ListedVideo]:
    """Return the listed videos that are due to be watched."""
    return ListedVideo.objects.filter(state=VideoState.WAITING, due_at__lte=Now()).order_by(
        "due_at"
    )


@transaction.atomic
def begin_watching(video: ListedVideo) -> ListedVideo | None:
    """Take up a listed video; None if it is watched, in work, or was given up just now."""
    taken = (
        ListedVideo.objects.select_for_update(no_key=True, skip_locked=True, of=("self",))
        .select_related("blob", "hash_list")
        .filter(pk=video.pk, state=VideoState.WAITING, due_at__lte=Now())
        .first()
    )
    if taken is None:
        return None
    if taken.attempts >= MOST_ATTEMPTS:
        refuse_video(
            taken, problem=f"Watching it began {taken.attempts} times and never came to an end."
        )
        return None
    ListedVideo.objects.filter(pk=taken.pk).update(
        attempts=taken.attempts + 1, due_at=Now() + lease_after(taken.attempts)
    )
    taken.attempts += 1
    return taken


def keep_watching(video: ListedVideo) -> AbstractContextManager[None]:
    """Keep a listed video that was taken up from others while the block watches it and its process lives."""
    rows = ListedVideo.objects.filter(
        pk=video.pk, state=VideoState.WAITING, attempts=video.attempts
    )
    return kept(rows, field="due_at")


@transaction.atomic
def watched_video(
    video: ListedVideo,
    frames: Sequence[Frame],
    *,
    duration_ms: int,
    problem: str = "",
    actor: Actor = audit.SYSTEM,
) -> ListedVideo:
    """Put a video that was watched in force. The first result stands. Can be undone by ``retire_video``."""
    hash_list = _locked_list(video.hash_list)
    video = ListedVideo.objects.select_for_update(no_key=True).get(pk=video.pk)
    if video.state != VideoState.WAITING:
        return video
    video.problem = problem[:300]
    try:
        with transaction.atomic():
            return _put_in_force(video, hash_list, frames, duration_ms=duration_ms, actor=actor)
    except Invalid as invalid:
        return refuse_video(video, problem=next(iter(invalid.errors.values()))[0], actor=actor)
    except Refused as refused:
        return refuse_video(video, problem=refused.message, actor=actor)


@transaction.atomic
def refuse_video(video: ListedVideo, *, problem: str, actor: Actor = audit.SYSTEM) -> ListedVideo:
    """Record that a listed video could not be watched, with the reason. Cannot be undone; send it again."""
    video = ListedVideo.objects.select_for_update(no_key=True).get(pk=video.pk)
    if video.state != VideoState.WAITING:
        return video
    video.state, video.problem, video.blob = VideoState.FAILED, problem[:300], None
    video.save(update_fields=["state", "problem", "blob"])
    audit.record(AuditEvent.LISTED_VIDEO_FAILED, actor=actor, subject=video, problem=problem)
    return video


@transaction.atomic
def retire_video(video: ListedVideo, *, reason: str, actor: Actor | Person) -> ListedVideo:
    """Take a video out of force; it matches nothing from the next item on.

    Raises Invalid without a reason, Refused when it is not in force. Can be undone by ``restore_video``.
    """
    require(actor, Permission.HASHING_LISTS_EDIT)
    if not reason.strip():
        raise Invalid({"reason": ["Say why the video is taken off the list."]})
    hash_list = _locked_list(video.hash_list)
    video = ListedVideo.objects.select_for_update(no_key=True).get(pk=video.pk)
    if video.retired_at is not None or video.state != VideoState.READY:
        raise Refused("This video is not in force.", code="not_in_force")
    raise_version(hash_list)
    ListedVideo.objects.filter(pk=video.pk).update(
        retired_at=Now(),
        retired_reason=reason.strip()[:500],
        retired_by=_person(actor),
        list_version=hash_list.version,
    )
    audit.record(
        AuditEvent.LISTED_VIDEO_RETIRED,
        actor=actor,
        subject=video,
        hash_list=hash_list,
        version=hash_list.version,
        reason=reason,
    )
    video.refresh_from_db()
    return video


@transaction.atomic
def restore_video(video: ListedVideo, *, actor: Actor | Person) -> ListedVideo:
    """Put a retired video in force again. Raises Refused when it is. Can be undone by retiring it."""
    require(actor, Permission.HASHING_LISTS_EDIT)
    hash_list = _locked_list(video.hash_list)
    video = ListedVideo.objects.select_for_update(no_key=True).get(pk=video.pk)
    if video.retired_at is None:
        raise Refused("This video is in force.", code="in_force")
    raise_version(hash_list)
    ListedVideo.objects.filter(pk=video.pk).update(
        retired_at=None, retired_reason="", retired_by=None, list_version=hash_list.version
    )
    audit.record(
        AuditEvent.LISTED_VIDEO_RESTORED,
        actor=actor,
        subject=video,
        hash_list=hash_list,
        version=hash_list.version,
    )
    video.refresh_from_db()
    return video


def _put_in_force(
    video: ListedVideo,
    hash_list: HashList,
    frames: Sequence[Frame],
    *,
    duration_ms: int | None,
    actor: Actor | Person,
) -> ListedVideo:
    good = [frame for frame in frames if frame.quality >= LOW_QUALITY]
    if not good:
        raise Invalid(
            {
                "frames": [
                    (
                        "No frame has enough detail to be compared "
                        f"(a PDQ quality of {LOW_QUALITY} or more)."
                    )
                ]
            }
        )
    lines = "\n".join(f"{frame.at_ms} {frame.value}" for frame in good)
    video.content = hashlib.sha256(lines.encode()).hexdigest()
    raise_version(hash_list)
    video.state, video.blob = VideoState.READY, None
    video.frame_count, video.list_version = len(good), hash_list.version
    video.duration_ms = max([duration_ms or 0, *(frame.at_ms for frame in good)])
    try:
        with transaction.atomic():
            video.save()
    except IntegrityError:
        raise Refused("This video is on the list already.", code="known_video") from None
    VideoFrame.objects.bulk_create(
        [
            VideoFrame(video=video, at_ms=frame.at_ms, value=frame.value, quality=frame.quality)
            for frame in good
        ],
        batch_size=2000,
    )
    audit.record(
        AuditEvent.LISTED_VIDEO_ADDED,
        actor=actor,
        subject=video,
        hash_list=hash_list,
        version=hash_list.version,
        frames=len(good),
    )
    return video


def _locked_list(hash_list: HashList) -> HashList:
    return HashList.objects.select_for_update(no_key=True).get(pk=hash_list.pk)


def _checked_note(note: str) -> str:
    if len(note) > 500:
        raise Invalid({"note": ["Use at most 500 characters."]})
    return note.strip()


def _person(actor: Actor | Person) -> User | None:
    return actor if isinstance(actor, User) else None
