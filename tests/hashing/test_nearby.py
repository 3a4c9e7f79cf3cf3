"""Look-ups in the lists in force: at once in every process, never from a bad file, never silently without."""

from __future__ import annotations

import hashlib
import io
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, connections, transaction
from django.db.models import F
from django.test import Client
from django.urls import reverse
from PIL import Image

from accounts.models import User
from config.sample.pictures import draw
from core import vault
from core.audit import SYSTEM
from core.models import Blob
from core.vault.receiving import vault_storage
from hashing import actions, images, jobs, lookup
from hashing.jobs import index as index_jobs
from hashing.lookup import IndexNotReady, files, nearby, sources
from hashing.models import (
    Algorithm,
    Category,
    Flag,
    FlagKind,
    HashEntry,
    HashList,
    IndexBuild,
    IndexState,
)
from reports.models import Item, ScanState
from tests import pictures
from tests.cast import signed_in
from tests.hashing.conftest import Put

QUERY = "0123456789abcdef" * 4


def away(bits: int, value: str = QUERY) -> str:
    """Return a digest that differs in so many bits, spread evenly."""
    number = int(value, 16)
    for place in range(bits):
        number ^= 1 << (place * 7 % (len(value) * 4))
    return f"{number:0{len(value)}x}"


def add(hash_list: HashList, value: str, algorithm: str = Algorithm.PDQ) -> HashEntry:
    return actions.add_entry(hash_list, algorithm=algorithm, value=value, actor=SYSTEM)


def insert(hash_list: HashList, value: str, algorithm: str) -> HashEntry:
    """Write a row as every action does, but for the audit log, whose chain has one writer at a time."""
    with transaction.atomic():
        HashList.objects.select_for_update(no_key=True).get(pk=hash_list.pk)
        entry = HashEntry.objects.create(hash_list=hash_list, algorithm=algorithm, value=value)
        HashList.objects.filter(pk=hash_list.pk).update(version=F("version") + 1)
    return entry


def found(value: str = QUERY, space: str = "pdq") -> list[tuple[int, int]]:
    return [(hit.id, hit.distance) for hit in lookup.near(space, [value])[0]]


def fill(hash_list: HashList, rows: int, seed: int = 1) -> None:
    """Put many digests on a list, as an import does: under its row lock, raising its version."""
    draw = random.Random(seed)
    lines = "".join(f"pdq,{draw.getrandbits(256):064x}\n" for _ in range(rows))
    result = actions.import_csv(
        hash_list, io.BytesIO(f"algorithm,value\n{lines}".encode()), actor=SYSTEM
    )
    assert result.added == rows


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> Path:
    """Give this test a folder for index files of its own."""
    settings.HOLDFAST_INDEX_DIR = tmp_path / "index"
    return tmp_path / "index"


def built() -> IndexBuild:
    """Have the index built and return its row."""
    build = actions.request_index("a test asks")
    assert build is not None
    jobs.build_index(build.pk)
    build.refresh_from_db()
    assert build.state == IndexState.READY, build.problem
    return build


@pytest.fixture
def in_file(known: HashList) -> HashEntry:
    """Return an entry that stands in the index file, with 5,000 others."""
    fill(known, 5000)
    entry = add(known, away(10))
    built()
    lookup.forget()
    return entry


# ── Without and with a file, every change counts at once ─────────────────────────────────────


@pytest.mark.parametrize("with_file", [False, True])
def test_entries_count_from_the_moment_they_are_added_until_they_are_retired(
    known: HashList, *, with_file: bool
) -> None:
    first = add(known, away(10))
    if with_file:
        built()
    assert found() == [(first.pk, 10)]
    second = add(known, away(5))
    assert found() == [(second.pk, 5), (first.pk, 10)]
    actions.retire_entry(first, reason="not what it seemed", actor=SYSTEM)
    assert found() == [(second.pk, 5)]
    actions.restore_entry(first, actor=SYSTEM)
    assert found() == [(second.pk, 5), (first.pk, 10)]
    lookup.forget()
    assert found() == [(second.pk, 5), (first.pk, 10)]


@pytest.mark.parametrize("with_file", [False, True])
def test_a_list_reaches_as_far_as_it_says_now(known: HashList, *, with_file: bool) -> None:
    entry = add(known, away(31))
    if with_file:
        built()
    assert found() == [(entry.pk, 31)]
    actions.change_hash_list(known, pdq_threshold=30, actor=SYSTEM)
    assert found() == []
    actions.change_hash_list(known, pdq_threshold=128, actor=SYSTEM)
    assert found() == [(entry.pk, 31)]
    actions.change_hash_list(known, is_active=False, actor=SYSTEM)
    assert found() == []
    actions.change_hash_list(known, is_active=True, actor=SYSTEM)
    assert found() == [(entry.pk, 31)]


def test_each_list_has_a_reach_of_its_own(known: HashList) -> None:
    strict = actions.create_hash_list(
        name="Strict", category=Category.CSAM_SUSPECTED, actor=SYSTEM, pdq_threshold=4
    )
    far, near = add(known, away(20)), add(strict, away(4))
    add(strict, away(5))
    built()
    assert found() == [(near.pk, 4), (far.pk, 20)]


def test_every_kind_of_digest_is_compared_with_its_own_kind(known: HashList) -> None:
    value = "0123456789abcdef"
    entries = {
        algorithm: insert(known, away(distance, value), algorithm)
        for algorithm, distance in (("phash", 8), ("dhash", 6), ("whash", 4))
    }
    built()
    for algorithm, entry in entries.items():
        assert [hit[0] for hit in found(value, algorithm)] == [entry.pk]
    actions.change_hash_list(known, phash_threshold=7, actor=SYSTEM)
    assert found(value, "phash") == []


def test_a_large_list_is_searched_by_its_file_and_small_changes_beside_it(
    in_file: HashEntry, known: HashList, django_assert_max_num_queries: object
) -> None:
    assert found() == [(in_file.pk, 10)]
    view = lookup.current()
    assert view.generation
    entry = add(known, QUERY)
    assert found() == [(entry.pk, 0), (in_file.pk, 10)]
    assert [hit.id for hit in view.near("pdq", [QUERY])[0]] == [in_file.pk]


def test_a_change_made_while_the_index_is_built_counts(
    known: HashList, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, stays = add(known, away(10)), add(known, away(12))
    usual, during = index_jobs.read, []

    def read(source: sources.Source, *args: object, **more: object) -> object:
        rows = usual(source, *args, **more)  # type: ignore[arg-type]
        if source.space == "pdq":
            actions.retire_entry(gone, reason="meanwhile", actor=SYSTEM)
            during.append(add(known, away(3)))
        return rows

    monkeypatch.setattr(index_jobs, "read", read)
    built()
    assert found() == [(during[0].pk, 3), (stays.pk, 12)]


@pytest.mark.django_db(transaction=True)
def test_a_change_that_is_committed_late_is_not_skipped(known: HashList) -> None:
    """The writer takes the list's lock first, so a later version never hides an earlier row."""
    add(known, away(20))
    began, go_on = threading.Event(), threading.Event()

    def slowly() -> None:
        try:
            with transaction.atomic():
                insert(known, away(1), Algorithm.PDQ)
                began.set()
                go_on.wait(30)
        finally:
            connections.close_all()

    writer = threading.Thread(target=slowly)
    writer.start()
    assert began.wait(30)
    built()
    assert [hit[1] for hit in found()] == [20]
    go_on.set()
    writer.join(30)
    add(known, away(2))
    assert [hit[1] for hit in found()] == [1, 2, 20]


@pytest.mark.django_db(transaction=True)
def test_another_process_sees_a_change_within_two_seconds(known: HashList) -> None:
    """The other process looks up once a line that it is sent; it holds the index open all the while."""
    entry = add(known, away(10))
    built()
    with _other_process() as ask:
        assert ask() == [10]
        add(known, away(3))
        assert ask() == [3, 10]
        actions.retire_entry(entry, reason="gone", actor=SYSTEM)
        assert ask() == [3]
        actions.change_hash_list(known, pdq_threshold=2, actor=SYSTEM)
        assert ask() == []
        actions.change_hash_list(known, pdq_threshold=31, actor=SYSTEM)
        actions.restore_entry(entry, actor=SYSTEM)
        assert ask() == [3, 10]
        actions.change_hash_list(known, is_active=False, actor=SYSTEM)
        assert ask() == []


_PROGRAM = """
import sys, django
django.setup()
from django.conf import settings
from pathlib import Path
from typing import Any
settings.HOLDFAST_INDEX_DIR = Path(sys.argv[1])
settings.DATABASES["default"]["NAME"] = sys.argv[2]
from hashing import lookup
for line in sys.stdin:
    print(*[hit.distance for hit in lookup.near("pdq", [line.strip()])[0]], flush=True)
"""


class _other_process:  # noqa: N801 — used as a function
    def __enter__(self) -> Callable[[], list[int]]:
        name = str(connection.settings_dict["NAME"])
        self.child = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(settings.HOLDFAST_INDEX_DIR), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self.ask

    def ask(self) -> list[int]:
        assert self.child.stdin
        assert self.child.stdout
        print(QUERY, file=self.child.stdin, flush=True)
        return [int(each) for each in self.child.stdout.readline().split()]

    def __exit__(self, *_: object) -> None:
        self.child.communicate()


# ── When it is built ──────────────────────────────────────────────────────────────────────────


def test_small_lists_need_no_index(known: HashList) -> None:
    add(known, QUERY)
    assert jobs.sweep_index() == 0
    assert not IndexBuild.objects.exists()
    assert len(found()) == 1


def test_the_sweep_has_an_index_built_when_lists_grow(
    known: HashList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_jobs, "WORTH_BUILDING", 50)
    fill(known, 49)
    assert jobs.sweep_index() == 0
    fill(known, 1, seed=2)
    assert jobs.sweep_index() == 1
    assert jobs.sweep_index() == 1, "one waits at a time"
    build = IndexBuild.objects.get()
    assert "there is no index" in build.reason
    jobs.build_index(build.pk)
    assert jobs.sweep_index() == 0
    fill(known, 50, seed=3)
    assert jobs.sweep_index() == 1
    newer = IndexBuild.objects.get(state=IndexState.WAITING)
    assert f"newer than index {build.pk}" in newer.reason
    jobs.build_index(newer.pk)
    assert newer.pk == lookup.current().generation
    assert jobs.sweep_index() == 0


def test_a_build_that_runs_twice_counts_once(known: HashList) -> None:
    add(known, QUERY)
    build = built()
    jobs.build_index(build.pk)
    assert IndexBuild.objects.count() == 1


def test_a_build_that_was_killed_is_due_again(known: HashList) -> None:
    add(known, QUERY)
    build = actions.request_index("a test asks")
    assert build is not None
    assert actions.begin_index_build(build) is not None
    assert actions.begin_index_build(build) is None
    IndexBuild.objects.filter(pk=build.pk).update(due_at=build.requested_at)
    assert jobs.sweep_index() == 1


def test_a_build_that_fails_says_why_and_is_tried_later(
    known: HashList, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(known, QUERY)

    def broken(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(vault, "receive", broken)
    build = actions.request_index("a test asks")
    assert build is not None
    with pytest.raises(Exception, match="OSError"):
        jobs.build_index(build.pk)
    build.refresh_from_db()
    assert build.state == IndexState.WAITING
    assert build.problem.startswith("OSError")
    assert build.due_at > build.requested_at
    assert len(found()) == 1, "small lists go on without"


def test_older_files_go_from_the_machine_and_from_the_vault(known: HashList, folder: Path) -> None:
    add(known, QUERY)
    builds = [built() for _ in range(4)]
    assert len(list(folder.glob("*.idx"))) == files.KEPT
    kept = IndexBuild.objects.filter(blob__isnull=False).values_list("pk", flat=True)
    assert sorted(kept) == [builds[2].pk, builds[3].pk]
    assert Blob.objects.filter(destroyed_at__isnull=False).count() == 2
    states = IndexBuild.objects.order_by("pk").values_list("state", flat=True)
    assert list(states) == ["replaced", "replaced", "replaced", "ready"]
    assert not list(folder.glob("*.part"))
    for file in folder.glob("*.idx"):
        assert file.stat().st_mode & 0o777 == 0o600


def test_a_kind_of_digests_that_is_younger_than_the_file_is_found(
    known: HashList, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = "0123456789abcdef"
    entry = insert(known, value, Algorithm.DHASH)
    with monkeypatch.context() as before:
        before.delitem(sources.SOURCES, "dhash")
        assert "dhash" not in built().entries
    lookup.forget()
    assert found(value, "dhash") == [(entry.pk, 0)]
    monkeypatch.setattr(index_jobs, "WORTH_BUILDING", 1)
    assert jobs.sweep_index() == 1
    jobs.build_index(IndexBuild.objects.get(state=IndexState.WAITING).pk)
    assert found(value, "dhash") == [(entry.pk, 0)]
    assert jobs.sweep_index() == 0


# ── Files that are gone or damaged ────────────────────────────────────────────────────────────


def test_a_machine_without_the_file_takes_it_from_the_vault(
    in_file: HashEntry, folder: Path
) -> None:
    for path in folder.iterdir():
        path.unlink()
    assert found() == [(in_file.pk, 10)]
    assert len(list(folder.glob("*.idx"))) == 1


def test_a_file_that_is_deleted_under_a_running_worker_stays_readable(
    in_file: HashEntry, folder: Path
) -> None:
    assert found() == [(in_file.pk, 10)]
    for path in folder.iterdir():
        path.unlink()
    assert found() == [(in_file.pk, 10)]


@pytest.mark.parametrize("damage", ["cut", "foreign", "seal", "another"])
def test_a_damaged_file_of_this_machine_is_replaced(
    in_file: HashEntry, folder: Path, damage: str, known: HashList
) -> None:
    (path,) = folder.glob("*.idx")
    data = path.read_bytes()
    path.unlink()
    if damage == "another":
        built()
        newest = max(folder.glob("*.idx"))
        data = newest.read_bytes()
        newest.unlink()
        path = folder / f"index-{IndexBuild.objects.latest('pk').pk + 1}-x.idx"
        latest = built()
        path = files.path_of(latest)
        path.unlink()
    bad = {
        "cut": data[: len(data) // 2],
        "foreign": b"not an index" * 1000,
        "seal": data[:-1] + bytes([data[-1] ^ 1]),
        "another": data,
    }[damage]
    path.write_bytes(bad)
    lookup.forget()
    assert found() == [(in_file.pk, 10)]
    assert path.read_bytes() != bad


def test_without_the_stored_file_nothing_is_said_until_it_is_built_anew(
    in_file: HashEntry, folder: Path
) -> None:
    build = IndexBuild.objects.get()
    assert build.blob
    vault_storage().delete(build.blob.storage_name)
    for path in folder.glob("*.idx"):
        path.unlink()
    with pytest.raises(IndexNotReady, match="damaged and is built anew"):
        found()
    build.refresh_from_db()
    assert build.state == IndexState.DAMAGED
    assert build.problem
    assert jobs.sweep_index() == 1
    jobs.build_index(IndexBuild.objects.get(state=IndexState.WAITING).pk)
    assert found() == [(in_file.pk, 10)]
    assert jobs.sweep_index() == 0


# ── A scan waits ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def too_large(known: HashList, monkeypatch: pytest.MonkeyPatch) -> HashList:
    """Return a list that is too large to be searched without an index."""
    monkeypatch.setattr(nearby, "MOST_DELTA", 20)
    fill(known, 21)
    return known


def test_a_scan_waits_for_the_index_and_says_so(put: Put, too_large: HashList) -> None:
    data = pictures.jpeg(3)
    item = put(data)
    jobs.scan_item(str(item.pk))
    item.refresh_from_db()
    assert item.scan_state == ScanState.WAITING
    assert item.scan_waits_for.startswith("Waits: the lists are larger")
    assert item.scan_attempts == 0
    assert item.scan_due_at > item.received_at
    assert not Flag.objects.filter(item=item).exists()
    built()
    Item.objects.filter(pk=item.pk).update(scan_due_at=item.received_at)
    jobs.scan_item(str(item.pk))
    item.refresh_from_db()
    assert item.scan_state == ScanState.SCANNED
    assert item.scan_waits_for == ""


def test_a_text_does_not_wait_for_the_index(scanned: Put, too_large: HashList) -> None:
    assert scanned("a harmless text").scan_state == ScanState.SCANNED


# ── What a person is told ─────────────────────────────────────────────────────────────────────


@pytest.fixture
def lists_page(client: Client, policy_admin: User) -> Client:
    return signed_in(client, policy_admin)


def test_the_page_of_lists_says_how_digests_are_looked_up(
    lists_page: Client, known: HashList
) -> None:
    page = reverse("hashing:lists")
    add(known, QUERY)
    assert "index" not in lists_page.get(page).text.partition('id="index-state"')[2][:200]
    build = actions.request_index("a test asks")
    assert build is not None
    assert "The index is being built: a test asks." in lists_page.get(page).text
    jobs.build_index(build.pk)
    assert "Looked up in an index of 1 digests" in lists_page.get(page).text
    actions.report_index_damage(build, problem="the file is not whole")
    assert "The file of the index is damaged" in lists_page.get(page).text


def test_the_page_of_lists_counts_what_waits_for_the_index(
    lists_page: Client, put: Put, too_large: HashList
) -> None:
    item = put(pictures.jpeg(3))
    jobs.scan_item(str(item.pk))
    answer = lists_page.get(reverse("hashing:lists")).text
    assert "1 item waits until it is there; nothing is said about it before." in answer


# ── Pictures ──────────────────────────────────────────────────────────────────────────────────


def standing(item: Item) -> list[Flag]:
    return list(Flag.objects.filter(item=item, superseded_at=None).order_by("-score", "pk"))


@pytest.mark.parametrize(
    ("turn", "said"),
    [
        (Image.Transpose.FLIP_LEFT_RIGHT, "mirrored left to right"),
        (Image.Transpose.FLIP_TOP_BOTTOM, "mirrored top to bottom"),
        (Image.Transpose.ROTATE_180, "turned upside down"),
        (Image.Transpose.ROTATE_90, "turned 90° left"),
    ],
)
def test_a_turned_copy_matches_and_says_how(
    scanned: Put, known: HashList, turn: Image.Transpose, said: str
) -> None:
    original = draw(7, (640, 640))
    hashed = images.digest(pictures.encode(original, "PNG")).digests[0]
    assert hashed.quality >= 50
    entry = add(known, hashed.pdq)
    item = scanned(pictures.encode(original.transpose(turn), "PNG"), "image/png")
    (flag,) = standing(item)
    assert flag.hash_entry_id == entry.pk
    assert flag.evidence["turned"] == said
    assert said in flag.summary


def test_harmless_material_silences_a_match_that_is_no_nearer(
    scanned: Put, known: HashList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup, "is_harmless", lambda each: each.slug == "harmless")
    harmless = actions.create_hash_list(name="Harmless", category=Category.SPAM_OTHER, actor=SYSTEM)
    data = pictures.encode(draw(7, (640, 640)), "PNG")
    value = images.digest(data).digests[0].pdq
    add(known, away(8, value))
    far = actions.add_entry(
        harmless, algorithm="pdq", value=away(12, value), note="a stock picture", actor=SYSTEM
    )
    (flag,) = standing(scanned(data, "image/png"))
    assert flag.kind == FlagKind.HASH_MATCH, "the harmless one is farther away"
    actions.retire_entry(far, reason="replaced", actor=SYSTEM)
    near = actions.add_entry(
        harmless, algorithm="pdq", value=away(4, value), note="a stock picture", actor=SYSTEM
    )
    (note,) = standing(scanned(data, "image/png"))
    assert note.kind == FlagKind.NOTE
    assert note.evidence["silenced_by"]["entry"] == near.pk
    assert note.summary.startswith("Silenced by “Harmless” (known harmless: a stock picture).")


def test_harmless_look_alikes_do_not_silence_an_exact_copy(
    scanned: Put, known: HashList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup, "is_harmless", lambda each: each.slug == "harmless")
    harmless = actions.create_hash_list(name="Harmless", category=Category.SPAM_OTHER, actor=SYSTEM)
    data = pictures.encode(draw(7, (640, 640)), "PNG")
    add(known, hashlib.sha256(data).hexdigest(), "sha256")
    add(harmless, images.digest(data).digests[0].pdq)
    kinds = [flag.kind for flag in standing(scanned(data, "image/png"))]
    assert kinds == [FlagKind.HASH_MATCH]


def test_scanning_twice_finds_the_same(scanned: Put, known: HashList) -> None:
    data = pictures.encode(draw(7, (640, 640)), "PNG")
    add(known, away(6, images.digest(data).digests[0].pdq))
    item = scanned(data, "image/png")
    before = list(Flag.objects.filter(item=item).values_list("pk", "fingerprint"))
    built()
    Item.objects.filter(pk=item.pk).update(
        scan_state=ScanState.WAITING, scan_due_at=item.received_at
    )
    jobs.scan_item(str(item.pk))
    assert list(Flag.objects.filter(item=item).values_list("pk", "fingerprint")) == before
    assert len(before) == 1


def test_a_batch_sees_a_change_after_a_second_at_the_latest(
    known: HashList, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    add(known, away(200))
    now = 1000.0
    monkeypatch.setattr(nearby.time, "monotonic", lambda: now)
    with lookup.held():
        assert lookup.near("pdq", [QUERY]) == [[]]
        add(known, QUERY)
        with django_assert_num_queries(0):
            assert lookup.near("pdq", [QUERY]) == [[]]
        now += nearby.HELD_SECONDS
        assert len(lookup.near("pdq", [QUERY])[0]) == 1
    assert nearby.HELD_SECONDS <= 2


def test_outside_a_batch_a_change_counts_at_once(known: HashList) -> None:
    with lookup.held(), lookup.held():
        assert lookup.near("pdq", [QUERY]) == [[]]
    add(known, QUERY)
    assert len(lookup.near("pdq", [QUERY])[0]) == 1
