"""Items to scan, made by the real actions of intake."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core import vault
from core.audit import SYSTEM
from hashing import actions, health, jobs, lookup
from hashing.detectors import switched
from hashing.models import Category, Flag, HashList
from reports.actions import create_source, create_upload, submit_scan
from reports.models import Item, Source, SourceKind, Surface
from reports.payloads import ScanPayload
from tests.casework import Casework
from tests.hashing.risk_world import World

Put = Callable[..., Item]


@pytest.fixture(autouse=True)
def _forget_compiled_lists() -> None:
    """Begin without the tables of another test's database."""
    lookup.forget()
    switched.forget()
    health.forget()


@pytest.fixture
def source(db: None) -> Source:
    """Return the feed that scans come from."""
    return create_source(
        slug="scans",
        name="Proactive scans",
        kind=SourceKind.PROACTIVE_SCAN,
        is_own_platform=True,
        actor=SYSTEM,
    )


@pytest.fixture
def put(source: Source) -> Put:
    """Return a function that submits a file or a text to be scanned."""

    def submit(
        content: bytes | str, media_type: str = "image/jpeg", surface: str = Surface.PROFILE_PHOTO
    ) -> Item:
        said: dict[str, object] = {"subject": {"account": "invented-1"}, "surface": surface}
        if isinstance(content, str):
            said["surface"] = Surface.PROFILE_TEXT if surface == Surface.PROFILE_PHOTO else surface
            said["text"] = content
        else:
            blob = vault.store_bytes(content, media_type=media_type)
            upload = create_upload(source, blob, actor=SYSTEM)
            said["media"] = str(upload.pk)
        return submit_scan(source, payload=ScanPayload.model_validate(said), actor=SYSTEM)

    return submit


@pytest.fixture
def scanned(put: Put) -> Put:
    """Return a function that submits and scans, and returns the item as it is then."""

    def submit(content: bytes | str, media_type: str = "image/jpeg", **more: str) -> Item:
        item = put(content, media_type, **more)
        jobs.scan_item(str(item.pk))
        item.refresh_from_db()
        return item

    return submit


@pytest.fixture
def known(db: None) -> HashList:
    """Return an empty list of known pictures."""
    return actions.create_hash_list(
        name="Drawn pictures", category=Category.CSAM_KNOWN, actor=SYSTEM
    )


def flags_of(item: Item) -> list[Flag]:
    """Return the flags that stand, the surest first."""
    return list(Flag.objects.filter(item=item, superseded_at=None).order_by("-score", "pk"))


@pytest.fixture
def world(casework: Casework) -> World:
    """Return a small platform that is told of by the real actions."""
    return World(casework)
