"""Exhibits: the originals of a case, what is known of each, and who looked at it."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from core import vault
from core.errors import VaultDamage, VaultDestroyed
from core.media_types import HEAD_BYTES, sniff
from core.models import Blob
from hashing.models import Flag
from moderation.looks import look_of, reveals_of
from referrals import package
from referrals.models import Exhibit, Referral
from reports.models import Item

Watch = Callable[[int], None]
"""Called with the number of bytes just read of an original."""


def exhibit_name(position: int) -> str:
    """Return an exhibit's name in the package, such as ``EX-0001``."""
    return f"EX-{position:04d}"


class Watched:
    """A stream that tells how much was read of it."""

    def __init__(self, stream: BinaryIO, watch: Watch) -> None:
        self._stream, self._watch = stream, watch

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._watch(len(data))
        return data

    def close(self) -> None:
        self._stream.close()

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def recognised(blob: Blob) -> str:
    """Return what the bytes of an original are, such as “PNG picture”, or nothing. Damage is the build's to tell."""
    try:
        with vault.open(blob) as stream:
            found = sniff(stream.read(HEAD_BYTES))
    except (VaultDamage, VaultDestroyed):
        return ""
    return found.words.split(" ", 1)[-1] if found is not None else ""


def group_of(item: Item) -> str:
    """Return the platform's id of the group that an item was written in or belongs to."""
    group = item.in_group or item.group
    return group.external_id if group else ""


def place_of(item: Item) -> package.Place:
    """Return where an item stood in its conversation, and what its sender did to it."""
    return package.Place(
        conversation=item.conversation,
        position=item.position,
        reply_to=item.reply_to,
        is_edited=item.is_edited,
        edited_at=item.edited_at,
        is_deleted=item.is_deleted,
        deleted_at=item.deleted_at,
        not_sent=item.not_sent,
    )


def describe_exhibit(row: Exhibit, referral: Referral, watch: Watch) -> package.Exhibit:
    """Return one exhibit. Raises PackageRefused when it has no original."""
    item = row.item
    blob = item.blob
    if blob is None:
        raise package.PackageRefused(f"Exhibit {exhibit_name(row.position)} has no original.")
    owner = item.sender or item.account
    flags = Flag.objects.filter(item=item, superseded_at=None).order_by("created_at")
    until = referral.approved_at
    reveals = reveals_of(referral.case, [blob.pk], until=until)
    looks = [look_of(seen, until=until) for seen in reveals]
    others = (
        Item.objects.filter(case_items__case=referral.case, blob=blob)
        .exclude(pk=item.pk)
        .select_related("account", "group", "in_group", "sender", "report", "source")
        .order_by("received_at", "pk")
    )
    return package.Exhibit(
        id=exhibit_name(row.position),
        original_name=item.original_name,
        media_type=blob.media_type or "application/octet-stream",
        recognised_as=recognised(blob),
        size=blob.size,
        sha256=blob.sha256,
        md5=blob.md5,
        open=lambda: Watched(vault.open(blob), watch),  # type: ignore[return-value,arg-type]
        item_id=str(item.pk),
        platform_id=item.external_id,
        surface=item.get_surface_display(),
        role=item.get_role_display(),
        account_id=owner.external_id if owner else "",
        group_id=group_of(item),
        place=place_of(item),
        report=str(item.report) if item.report else "",
        source=item.source.name,
        source_url=item.source_url,
        uploaded_at=item.content_at,
        upload_ip=item.uploaded_ip or "",
        upload_port=item.uploaded_port,
        is_public=item.is_public,
        received_at=item.received_at,
        is_animation=any(look.is_animation for look in looks),
        is_sound=any(look.is_sound for look in looks),
        relevance=row.get_relevance_display(),
        annotations=(row.note,) if row.note else (),
        findings=tuple(
            package.Finding(flag.detector, flag.summary, flag.created_at) for flag in flags
        ),
        reveals=tuple(
            package.Reveal(
                id=str(seen.pk),
                person=seen.user.pseudonym,
                purpose=seen.get_purpose_display(),
                opened_at=seen.issued_at,
                served_at=seen.used_at,
                closed_at=look.span[1] if look.span else None,
                shown_seconds=None if seen.shown_ms is None else seen.shown_ms / 1000,
                whole=seen.is_complete,
                painted_ms=look.painted_ms,
                played=look.played,
                film_ms=look.film_ms,
            )
            for seen, look in zip(reveals, looks, strict=True)
        ),
        also=tuple(_appearance(other) for other in others),
    )


def _appearance(item: Item) -> package.Appearance:
    owner = item.sender or item.account
    return package.Appearance(
        item_id=str(item.pk),
        original_name=item.original_name,
        platform_id=item.external_id,
        surface=item.get_surface_display(),
        role=item.get_role_display(),
        account_id=owner.external_id if owner else "",
        group_id=group_of(item),
        place=place_of(item),
        report=str(item.report) if item.report else "",
        source=item.source.name,
        source_url=item.source_url,
        uploaded_at=item.content_at,
        upload_ip=item.uploaded_ip or "",
        upload_port=item.uploaded_port,
        is_public=item.is_public,
        received_at=item.received_at,
    )
