"""Packages that the worker builds from real cases, and everything that can stop or disturb a build."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from django.contrib.auth.management import create_permissions
from django.core.files.storage import storages
from django.core.management import call_command
from django.db import connection
from django.test import Client

from core import vault
from core.errors import Invalid
from core.jobs import run_now
from core.models import AuditEntry
from moderation.models import Reveal
from referrals import actions, jobs
from referrals.actions.building import MOST_ATTEMPTS, waiting_builds
from referrals.describing.exhibits import describe_exhibit
from referrals.models import Package, Referral
from tests.pictures import animated_gif, jpeg
from tests.referrals import stock_tools
from tests.referrals.desk import (
    Desk,
    events,
    let_the_builder_go_silent,
    page,
    spoil,
    stored_files,
)
from tests.stack import REPOSITORY, wait_until

pytestmark = pytest.mark.django_db


def text_of(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


# ── What is inside ────────────────────────────────────────────────────────────────────────────
def test_a_sealed_package_holds_for_an_officer_with_stock_tools(
    desk: Desk, signing: Path, tmp_path: Path, age_command: str
) -> None:
    original = jpeg(5, (96, 64))
    referral = desk.sealed(desk.case(pictures=[original], texts=["An invented line."]))
    assert referral.state == "sealed"
    bag = desk.opened(referral, tmp_path, age_command)
    assert stock_tools.ssh_keygen(bag, (signing / "allowed_signers").read_text())
    assert stock_tools.sha512sum(bag)
    assert stock_tools.bagit(bag)
    assert stock_tools.file_count(bag)
    assert (bag / "data/media/EX-0001.bin").read_bytes() == original
    package = referral.package
    sealed = (tmp_path / package.file_name).read_bytes()
    assert (package.size, package.sha256) == (len(sealed), hashlib.sha256(sealed).hexdigest())
    tags = (bag / "tagmanifest-sha512.txt").read_bytes()
    assert package.tagmanifest_sha512 == hashlib.sha512(tags).hexdigest()
    # The escrow key opens it too, for the day on which we must prove what was sent.
    escrow = tmp_path / "escrow.tar"
    subprocess.run(
        [
            *(age_command, "-d", "-i", str(signing / "escrow.agekey")),
            *("-o", str(escrow), str(tmp_path / package.file_name)),
        ],
        check=True,
        timeout=60,
    )
    assert hashlib.sha256(escrow.read_bytes()).hexdigest() == package.tar_sha256


def test_our_own_verifier_knows_the_package_and_the_revision_that_replaced_it(
    desk: Desk, signing: Path, tmp_path: Path, age_command: str
) -> None:
    referral = desk.sealed()
    desk.opened(referral, tmp_path, age_command)

    def verdict() -> tuple[int, dict[str, Any]]:
        out, code = io.StringIO(), 0
        arguments = ["--identity", str(tmp_path / "agency.key"), "--json"]
        path = str(tmp_path / referral.package.file_name)
        try:
            call_command("verify_package", path, *arguments, stdout=out)
        except SystemExit as done:
            code = int(str(done.code))
        return code, json.loads(out.getvalue())

    code, report = verdict()
    # Amber, as it must be: no time authority is configured.
    assert (code, report["verdict"]) == (3, "amber"), report
    assert [check["check"] for check in report["checks"] if check["result"] == "red"] == []
    revision = actions.open_revision(
        referral, reason="The narrative named a wrong day.", actor=desk.author
    )
    actions.request_approval(revision, version=revision.version, actor=desk.author)
    revision.refresh_from_db()
    actions.approve(revision, version=revision.version, actor=desk.second)
    assert desk.build(revision).state == "sealed"
    code, report = verdict()
    assert code == 2
    assert [check["check"] for check in report["checks"] if check["result"] == "red"] == [
        "registry"
    ]


@pytest.mark.parametrize(
    ("reveals", "viewed"),
    [
        ([], "Not opened"),
        (["part"], "Opened, not viewed"),
        (["whole"], "Opened, not viewed"),
        (["part", "viewed"], "Viewed by {}, 1.0 s"),
    ],
)
def test_viewed_by_a_person_is_what_the_reveal_log_says(
    desk: Desk, author: Client, signing: Path, tmp_path: Path, age_command: str,
    reveals: list[str], viewed: str,
) -> None:  # fmt: skip
    large = jpeg(3, (400, 300)) + b"\0" * 3_000_000  # More than one chunk of a stream.
    case = desk.case(pictures=[large], reveals=reveals)
    assert Reveal.objects.count() == len(reveals)
    referral = desk.awaiting(case)
    shown = text_of(author.get(page("detail", referral)))
    words = viewed.format(desk.reviewer.pseudonym)
    assert words in shown
    actions.approve(referral, version=referral.version, actor=desk.second)
    referral = desk.build(referral)
    (exhibit,) = desk.read(desk.opened(referral, tmp_path, age_command), "metadata/exhibits.json")[
        "exhibits"
    ]
    assert exhibit["viewing"]["words"] == words
    assert exhibit["viewed_by_a_person"] is ("viewed" in reveals)
    assert ("first_viewed_at" in exhibit["viewing"]) is ("viewed" in reveals)


def test_an_animation_is_seen_in_part_on_the_page_and_in_the_package(
    desk: Desk, author: Client
) -> None:
    referral = desk.awaiting(desk.case(pictures=[animated_gif()], reveals=["viewed"]))
    told = describe_exhibit(referral.exhibits.get(), referral, lambda read: None)
    assert told.is_animation
    assert not told.was_viewed
    assert told.viewed.startswith(f"Viewed in part by {desk.reviewer.pseudonym}, 1.0 s of an anim")
    assert told.viewed in text_of(author.get(page("detail", referral)))


def test_custody_lines_are_those_of_this_case_and_of_no_other(
    desk: Desk, signing: Path, tmp_path: Path, age_command: str
) -> None:
    other = desk.case("somebody-else")
    referral = desk.sealed(desk.case("subject-one", reveals=["whole"]))
    bag = desk.opened(referral, tmp_path, age_command)
    lines = (bag / "data/custody/audit.jsonl").read_text().splitlines()
    log = list(
        AuditEntry.objects.filter(chain=f"case:{referral.case_id}")
        .order_by("seq")
        .values_list("line", "hash")
    )
    assert lines == [line for line, _ in log][: len(lines)]
    names = [json.loads(line)["event"] for line in lines]
    assert "media.reveal.served" in names
    assert names[-1] == "package.build.started"
    chain = (bag / "data/custody/audit.chain").read_text()
    assert log[len(lines) - 1][1] in chain
    everything = "".join(
        path.read_text(errors="replace") for path in bag.rglob("*") if path.is_file()
    )
    assert str(other.pk) not in everything
    assert "somebody-else" not in everything
    assert desk.reviewer.name not in everything
    assert desk.reviewer.email not in everything


def test_an_exhibit_that_stays_behind_is_not_in_the_package_but_its_reason_is_kept(
    desk: Desk, author: Client, signing: Path, tmp_path: Path, age_command: str
) -> None:
    case = desk.case(pictures=[jpeg(1, (96, 64)), jpeg(2, (96, 64))])
    referral = desk.draft(case)
    first = referral.exhibits.get(position=1)
    change = actions.ExhibitChange(
        is_included=False, relevance="reported", note="", left_out_reason="Shows nothing at all."
    )
    referral = desk.write(referral, exhibits={first.pk: change})
    referral = actions.request_approval(referral, version=referral.version, actor=desk.author)
    referral = actions.approve(referral, version=referral.version, actor=desk.second)
    referral = desk.build(referral)
    assert referral.package.exhibit_count == 1
    bag = desk.opened(referral, tmp_path, age_command)
    assert [path.name for path in (bag / "data/media").iterdir()] == ["EX-0002.bin"]
    kept = (bag / "data/media/EX-0002.bin").read_bytes()
    assert hashlib.sha256(kept).hexdigest() == referral.exhibits.get(position=2).item.blob.sha256
    assert kept in {jpeg(1, (96, 64)), jpeg(2, (96, 64))}
    assert "No: Shows nothing at all." in text_of(author.get(page("detail", referral)))


def test_a_correction_supersedes_and_says_why(
    desk: Desk, author: Client, signing: Path, tmp_path: Path, age_command: str
) -> None:
    referral = desk.sealed()
    reason = "The day of the incident was wrong."
    answer = author.post(page("revise", referral), {"reason": reason})
    revision = Referral.objects.get(revision=2)
    assert answer["Location"] == page("detail", revision)
    assert author.post(page("revise", referral), {"reason": reason}).status_code == 409
    assert author.post(page("revise", revision), {"reason": reason}).status_code == 409
    assert "Do not hand it out any more" in text_of(author.get(page("detail", referral)))
    assert reason in text_of(author.get(page("detail", revision)))
    before = Package.objects.get().sha256
    revision = actions.request_approval(revision, version=revision.version, actor=desk.author)
    revision = actions.approve(revision, version=revision.version, actor=desk.second)
    revision = desk.build(revision)
    assert str(revision) == f"{referral.reference}-r2"
    bag = desk.opened(revision, tmp_path, age_command)
    assert f"Supersedes: {referral}" in (bag / "bag-info.txt").read_text()
    assert Package.objects.get(referral=referral).sha256 == before
    other = actions.create_recipient(name="Another Agency", actor=desk.author)
    third = actions.open_revision(revision, reason="Once more, please.", actor=desk.author)
    with pytest.raises(Invalid, match="earlier revision"):
        desk.write(third, recipient=other)


def test_the_package_is_sealed_to_the_keys_that_were_approved(
    desk: Desk, signing: Path, tmp_path: Path, age_command: str
) -> None:
    referral = desk.approved()
    desk.enter_key("age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg")
    desk.confirm_keys()
    referral = desk.build(referral)
    assert desk.opened(referral, tmp_path, age_command).is_dir()  # With the approved key.


# ── What stops a build ────────────────────────────────────────────────────────────────────────
def test_one_wrong_byte_in_the_vault_stops_the_build_until_it_is_put_right(
    desk: Desk, second: Client, signing: Path
) -> None:
    referral = desk.approved()
    spoil(referral.case)
    referral = desk.build(referral)
    assert referral.state == "build_failed"
    assert "EX-0001" in referral.build_error
    assert stored_files(referral) == []
    assert not Package.objects.exists()
    shown = text_of(second.get(page("detail", referral)))
    assert "The package could not be built" in shown
    assert "Exhibit EX-0001" in shown
    assert second.post(page("build_again", referral)).status_code == 302
    assert desk.build(referral).state == "build_failed"
    spoil(referral.case)  # The same byte again: the backup was put back.
    assert second.post(page("build_again", referral)).status_code == 302
    assert desk.build(referral).state == "sealed"
    names = [name for name in events(referral) if name.startswith("package.")]
    assert names == [
        "package.build.started",
        "package.build.failed",
        "package.build.retried",
        "package.build.started",
        "package.build.failed",
        "package.build.retried",
        "package.build.started",
        "package.sealed",
    ]


def test_a_destroyed_original_stops_the_build_and_the_draft_can_leave_it_out(
    desk: Desk, second: Client, signing: Path
) -> None:
    referral = desk.approved(desk.case(pictures=[jpeg(1, (96, 64)), jpeg(2, (96, 64))]))
    blob = referral.exhibits.get(position=2).item.blob
    assert blob is not None
    vault.destroy(blob, reason="An invented order.", actor=desk.author)
    referral = desk.build(referral)
    assert referral.state == "build_failed"
    assert "EX-0002" in referral.build_error
    answer = second.post(page("return", referral), {"reason": "Leave EX-0002 out."})
    assert answer.status_code == 302
    referral.refresh_from_db()
    assert (referral.state, referral.approved_by, referral.bagged_at) == ("draft", None, None)


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("HOLDFAST_SIGNING_KEY_FILE", "", "The package worker has no signing key"),
        ("HOLDFAST_SIGNING_KEY_FILE", "missing", "cannot be read by the package worker"),
        ("HOLDFAST_SIGNING_KEY_FILE", "escrow.recipient", "is not a readable OpenSSH key"),
        ("HOLDFAST_ESCROW_RECIPIENT_FILE", "missing", "There is no escrow key"),
        ("HOLDFAST_ESCROW_RECIPIENT", "age1nonsense", "is not an age public key"),
    ],
)
def test_a_missing_or_broken_key_is_told_in_a_plain_sentence(
    desk: Desk, second: Client, signing: Path, settings: Any,
    setting: str, value: str, sentence: str,
) -> None:  # fmt: skip
    is_file = setting.endswith("_FILE") and value
    setattr(settings, setting, str(signing / value) if is_file else value)
    referral = desk.build(desk.approved())
    assert referral.state == "build_failed"
    assert sentence in referral.build_error
    shown = second.get(page("state", referral)).content.decode()
    assert "Build again" in shown
    assert str(signing) not in shown


def test_a_build_that_stops_without_a_word_is_tried_again_and_then_shown(
    desk: Desk, author: Client, signing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    referral = desk.approved()

    def broken(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(jobs, "build", broken)
        for attempt in range(1, MOST_ATTEMPTS + 1):
            assert waiting_builds() == [referral.pk]
            with pytest.raises(Exception, match="OSError"):
                run_now("build_package", referral.pk)
            referral.refresh_from_db()
            assert (referral.state, referral.build_attempts) == ("building", attempt)
            assert waiting_builds() == []  # Not before its sign of life is stale.
            let_the_builder_go_silent(referral)
        run_now("build_package", referral.pk)
    referral.refresh_from_db()
    assert referral.state == "build_failed"
    assert f"stopped {MOST_ATTEMPTS} times" in referral.build_error
    assert f"stopped {MOST_ATTEMPTS} times" in text_of(author.get(page("detail", referral)))
    actions.build_again(referral, actor=desk.second)
    assert desk.build(referral).state == "sealed"


# ── Once, whatever happens ────────────────────────────────────────────────────────────────────
def test_a_job_that_runs_twice_seals_one_package(desk: Desk, signing: Path) -> None:
    referral = desk.sealed()
    sealed, files = referral.package.sha256, stored_files(referral)
    assert len(files) == 1
    run_now("build_package", referral.pk)
    assert Package.objects.get().sha256 == sealed
    assert stored_files(referral) == files
    assert AuditEntry.objects.filter(event="package.sealed").count() == 1


@pytest.mark.parametrize("moment", ["build", "_record"])
def test_of_two_builders_one_seals_and_the_others_file_is_gone(
    desk: Desk, signing: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    referral = desk.approved()
    usual = getattr(jobs, moment)
    seen: list[bool] = []

    def overtaken(*arguments: Any) -> Any:
        if not seen:
            seen.append(True)
            let_the_builder_go_silent(referral)
            run_now("build_package", referral.pk)
        return usual(*arguments)

    monkeypatch.setattr(jobs, moment, overtaken)
    run_now("build_package", referral.pk)
    referral.refresh_from_db()
    assert (referral.state, referral.build_attempts) == ("sealed", 2)
    package = Package.objects.get()
    assert stored_files(referral) == [package.storage_name.partition("/")[2]]
    with storages["packages"].open(package.storage_name) as stream:
        assert hashlib.sha256(stream.read()).hexdigest() == package.sha256
    assert AuditEntry.objects.filter(event="package.sealed").count() == 1


KILLED = """
import django, sys, time
django.setup()
from referrals import jobs

def stop_before_sealing(spec, path):
    path.with_suffix(".part").write_bytes(b"half of a sealed file")
    wait()

def stop_before_recording(*_):
    wait()

def wait():
    print("here", flush=True)
    time.sleep(120)

setattr(jobs, sys.argv[1], {"build": stop_before_sealing, "_record": stop_before_recording}[sys.argv[1]])
jobs.build_package(sys.argv[2])
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("moment", ["build", "_record"])
def test_a_builder_killed_in_the_middle_is_replaced_and_one_package_remains(
    request: pytest.FixtureRequest, moment: str
) -> None:
    from django.apps import apps

    create_permissions(apps.get_app_config("moderation"), verbosity=0)
    signing: Path = request.getfixturevalue("signing")
    desk: Desk = request.getfixturevalue("desk")
    referral = desk.approved()
    stored = connection.settings_dict
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{quote(str(stored['NAME']))}")
    environment = os.environ | {
        "DATABASE_URL": url.geturl(),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "HOLDFAST_SIGNING_KEY_FILE": str(signing / "signing_key"),
        "HOLDFAST_ESCROW_RECIPIENT": (signing / "escrow.recipient").read_text().strip(),
        "TMPDIR": tempfile.gettempdir(),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, moment, str(referral.pk)],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == b"here\n"
        left_behind = list(Path(tempfile.gettempdir()).glob(f"holdfast-package-{referral.pk}-*"))
        assert len(left_behind) == 1
        assert len(stored_files(referral)) == (1 if moment == "_record" else 0)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert jobs.sweep_packages() == 0  # It may still live, as far as anybody knows.
    let_the_builder_go_silent(referral)
    assert jobs.sweep_packages() == 1
    wait_until(lambda: referral.pk in waiting_builds(), what="the dead build being found")
    run_now("build_package", referral.pk)
    referral.refresh_from_db()
    assert (referral.state, referral.build_attempts) == ("sealed", 2)
    package = Package.objects.get()
    assert stored_files(referral) == [package.storage_name.partition("/")[2]]
    assert not list(Path(tempfile.gettempdir()).glob(f"holdfast-package-{referral.pk}-*"))
    assert jobs.sweep_packages() == 0


def test_the_building_page_shows_how_far_it_is_and_loads_anew_when_it_ends(
    desk: Desk, author: Client, signing: Path
) -> None:
    referral = desk.approved()
    building = actions.start_build(referral.pk)
    assert building is not None
    actions.beat(building, percent=41)
    shown = author.get(page("state", referral))
    assert 'value="41"' in shown.content.decode()
    assert "HX-Refresh" not in shown
    let_the_builder_go_silent(referral)
    desk.build(referral)
    done = author.get(page("state", referral))
    assert done["HX-Refresh"] == "true"
    assert "hx-trigger" not in done.content.decode()
