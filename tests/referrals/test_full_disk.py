"""Packages on a full disk: the page says which one, no attempt counts, and the build goes on by itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from core.jobs import run_now
from core.models import AuditEntry
from referrals import actions
from referrals import jobs as building
from referrals.models import Package
from tests.pictures import jpeg
from tests.referrals.desk import Desk, let_the_builder_go_silent, page
from tests.small_disk import files_below, put_store, small_disk

pytestmark = pytest.mark.django_db
WAITS = "Waits: the disk that holds the packages is full."


def said(client: Client, path: str) -> str:
    return " ".join(client.get(path).content.decode().split())


def test_a_package_waits_for_its_disk_says_so_and_is_built_when_there_is_room(
    desk: Desk, author: Client, signing: Path, tmp_path: Path, settings: Any
) -> None:
    original = jpeg(5, (96, 64)) + os.urandom(1_500_000)
    referral = desk.approved(desk.case(pictures=[original]))
    settings.HOLDFAST_DISK_RESERVE_BYTES = 0
    with small_disk(tmp_path / "packages-disk") as small:
        put_store(settings, "packages", small.folder)
        small.fill()
        for _ in range(actions.building.MOST_ATTEMPTS + 2):
            run_now("build_package", referral.pk)
        referral.refresh_from_db()
        assert (referral.build_attempts, referral.build_waits_for) == (0, WAITS)
        assert WAITS in said(author, page("detail", referral))
        assert "the packages" in author.get("/healthz").json()["disk"]
        assert not AuditEntry.objects.filter(event="package.build.failed").exists()
        small.free()
        run_now("build_package", referral.pk)
        referral.refresh_from_db()
        assert (referral.state, referral.build_waits_for) == ("sealed", "")
        assert Package.objects.count() == 1


def test_a_disk_that_fills_up_in_the_middle_of_a_build_costs_no_attempt(
    desk: Desk, signing: Path, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = jpeg(5, (96, 64)) + os.urandom(1_500_000)
    referral = desk.approved(desk.case(pictures=[original]))
    monkeypatch.setattr(building, "_no_room", lambda key: "")
    with small_disk(tmp_path / "packages-disk") as small:
        put_store(settings, "packages", small.folder)
        small.fill()
        run_now("build_package", referral.pk)
        referral.refresh_from_db()
        assert (referral.state, referral.build_attempts) == ("building", 0)
        assert referral.build_waits_for == WAITS
        assert files_below(small.folder) == []
        small.free()
        let_the_builder_go_silent(referral)
        run_now("build_package", referral.pk)
        referral.refresh_from_db()
        assert referral.state == "sealed"
