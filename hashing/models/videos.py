"""Listed videos and their frames, and what watching a stored video came to."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from hashing.models.hash_lists import HashList


class VideoState(models.TextChoices):
    WAITING = "waiting", "Waiting to be watched"
    READY = "ready", "In force"
    FAILED = "failed", "Could not be watched"


class ListedVideo(models.Model):
    """One known video on a list, as the hashes of its frames. Retired ones stay, like entries."""

    hash_list = models.ForeignKey(HashList, on_delete=models.PROTECT, related_name="videos")
    note = models.CharField(max_length=500, blank=True)
    state = models.CharField(max_length=8, choices=VideoState.choices, default=VideoState.WAITING)
    problem = models.CharField(max_length=300, blank=True)
    blob = models.ForeignKey(
        "core.Blob",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="The file while it waits to be watched.",
    )
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(db_default=Now())
    duration_ms = models.PositiveIntegerField(null=True, blank=True)
    frame_count = models.PositiveIntegerField(default=0)
    content = models.CharField(
        max_length=64,
        blank=True,
        help_text="SHA-256 over its frames: the same video is listed once.",
    )
    added_by = models.ForeignKey(
        "accounts.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    retired_at = models.DateTimeField(null=True, blank=True)
    retired_reason = models.CharField(max_length=500, blank=True)
    retired_by = models.ForeignKey(
        "accounts.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    list_version = models.PositiveIntegerField(
        default=1, help_text="The list's version when it last began or ceased to count."
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(retired_at=None) | ~Q(retired_reason=""),
                name="retired_video_has_a_reason",
            ),
            models.UniqueConstraint(
                fields=["hash_list", "content"],
                condition=~Q(content=""),
                name="video_once_per_list",
            ),
        ]
        indexes = [
            models.Index(
                fields=["due_at"], condition=Q(state="waiting"), name="videos_to_be_watched"
            ),
            models.Index(fields=["hash_list", "list_version"], name="videos_by_change"),
        ]


class VideoFrame(models.Model):
    """The PDQ hash of one frame of a listed video."""

    video = models.ForeignKey(ListedVideo, on_delete=models.CASCADE, related_name="frames")
    at_ms = models.PositiveIntegerField(help_text="Milliseconds from the beginning.")
    value = models.CharField(max_length=64)
    quality = models.PositiveSmallIntegerField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(value__regex=r"^[0-9a-f]{64}$"), name="frame_digest_is_well_formed"
            )
        ]
        indexes = [models.Index(fields=["video", "at_ms"], name="frames_of_video")]


class VideoWatch(models.Model):
    """What watching a stored video came to. One per original: the same bytes are watched once.

    ``storyboard`` holds up to nine frames as a few hundred grey points each: nothing more of the film can be
    told from them, whatever is done to them.
    """

    blob = models.OneToOneField("core.Blob", on_delete=models.CASCADE, related_name="watch")
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    duration_ms = models.PositiveIntegerField()
    frame_count = models.PositiveIntegerField()
    problem = models.CharField(max_length=300, blank=True)
    storyboard = models.JSONField(default=list)
    watched_at = models.DateTimeField(db_default=Now(), editable=False)
