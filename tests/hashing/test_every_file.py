"""Exact digests are looked up for every file, whatever it is; what nobody looked at is named, never "nothing found"."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from accounts.models import User
from core import vault
from core.audit import SYSTEM
from hashing import actions, answering, jobs
from hashing import api as matching
from hashing.lookup import IndexNotReady
from hashing.models import FileLookup, FlagKind, HashList
from reports.models import ScanState
from tests import clips, pictures
from tests.hashing.conftest import Put, flags_of
from tests.hashing.test_lookups import Asking, asking, nothing_is_left
from tests.hashing.test_scanning import list_picture

__all__ = ["asking"]

pytestmark = pytest.mark.django_db


def film(codec: str = "libx264", container: str = "mp4", seconds: float = 1) -> bytes:
    return clips.encode(
        clips.frames(3, seconds, rate=12, size=(176, 144)), codec=codec, container=container
    )


ODD = {
    "JPEG 2000": b"\x00\x00\x00\x0cjP  \r\n\x87\n\x00\x00\x00\x14ftypjp2 " + b"\x00" * 60,
    "JPEG 2000, bare": b"\xff\x4f\xff\x51\x00\x2f" + b"\x00" * 60,
    "JPEG XL": b"\x00\x00\x00\x0cJXL \r\n\x87\n" + b"\x00" * 60,
    "JPEG XL, bare": b"\xff\x0a\x7a\x0f" + b"\x00" * 60,
    "icon": b"\x00\x00\x01\x00\x01\x00\x10\x10" + b"\x00" * 60,
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'><circle r='4'/></svg>",
    "PPM": b"P6\n2 2\n255\n" + bytes(range(12)),
    "TGA": b"\x00\x00\x02" + b"\x00" * 9 + b"\x02\x00\x02\x00\x18\x00" + bytes(range(12)),
    "PDF": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n",
    "BigTIFF": b"II+\x00\x08\x00\x00\x00" + b"\x10" + b"\x00" * 60,
    "Ogg video": b"OggS\x00\x02" + b"\x00" * 22 + b"\x01\x2a\x80theora" + b"\x00" * 40,
    "a JPEG behind line ends": b"\r\n\r\n" + pictures.jpeg(5, (64, 48)),
    "bytes of no form": b"\x80\x81\x82 of no form",
    "text": b"markerword-alpha, a text",
}


def odd_files() -> dict[str, bytes]:
    return ODD | {
        "transport stream": film("mpeg2video", "mpegts"),
        "Windows Media": film("wmv2", "asf"),
        "damaged video": film()[:2000],
        "damaged picture": pictures.truncated_jpeg(),
    }


def list_exactly(known: HashList, *files: bytes) -> None:
    for data in files:
        actions.add_entry(known, algorithm="md5", value=vault.store_bytes(data).md5, actor=SYSTEM)


def test_every_file_is_found_by_match_and_what_did_not_look_is_named(
    asking: Asking, known: HashList
) -> None:
    files = odd_files()
    list_exactly(known, *files.values())
    answer = asking.files("/match", *files.values())
    assert answer.status_code == 200, answer.content
    for name, told in zip(files, answer.json()["files"], strict=True):
        exact = [each for each in told["findings"] if each["kind"] == "hash_match"]
        assert [each["evidence"]["algorithm"] for each in exact] == ["md5"], name
        if name != "transport stream":  # The one that is decoded to its end.
            assert told["not_looked"], name
            assert told["problem"], name
            assert told["code"], name
            assert all(each[0].isupper() for each in told["not_looked"]), told["not_looked"]


def test_every_file_has_its_digests_by_hash_and_what_did_not_look_is_named(asking: Asking) -> None:
    files = odd_files() | {"video": film()}
    answer = asking.files("/hash", *files.values())
    assert answer.status_code == 200, answer.content
    for name, told in zip(files, answer.json()["files"], strict=True):
        assert [len(told[each]) for each in ("md5", "sha1", "sha256")] == [32, 40, 64], name
        assert told["not_looked"] == [told["problem"]], name
        assert told["problem"], name
        assert "findings" not in told
    assert nothing_is_left()


def test_a_picture_and_a_video_that_were_looked_at_have_nothing_in_not_looked(
    asking: Asking, known: HashList
) -> None:
    list_picture(known, pictures.jpeg(9))
    answer = asking.files("/match", pictures.jpeg(5), film())
    for told in answer.json()["files"]:
        assert (told["findings"], told["not_looked"]) == ([], [])
        assert (told["problem"], told["code"]) == ("", "")


@pytest.mark.parametrize("name", ["JPEG 2000", "icon", "PPM", "PDF", "a JPEG behind line ends"])
def test_a_scan_finds_an_exact_copy_of_any_file(scanned: Put, known: HashList, name: str) -> None:
    list_exactly(known, ODD[name])
    item = scanned(ODD[name], "application/octet-stream")
    kinds = {flag.kind for flag in flags_of(item)}
    assert kinds == {FlagKind.HASH_MATCH, FlagKind.COULD_NOT_SCAN}
    assert item.scan_state == ScanState.PARTLY


@pytest.mark.parametrize("container", ["mpegts", "asf"])
def test_a_scan_finds_an_exact_copy_of_any_video(
    scanned: Put, known: HashList, container: str
) -> None:
    data = film("mpeg2video" if container == "mpegts" else "wmv2", container)
    list_exactly(known, data)
    item = scanned(data, "application/octet-stream")
    assert FlagKind.HASH_MATCH in {flag.kind for flag in flags_of(item)}


def test_a_video_that_takes_longer_than_an_answer_is_told_by_its_bytes(
    asking: Asking, known: HashList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching, "LONGEST_WAIT", 0.05)
    monkeypatch.setattr(actions, "end_lookup", lambda *_, **__: None)  # The worker is still at it.
    data = film()
    list_exactly(known, data)
    (told,) = asking.files("/match", data).json()["files"]
    assert [each["kind"] for each in told["findings"]] == ["hash_match"]
    assert told["not_looked"] == [answering.NOT_YET]
    assert (told["problem"], told["code"]) == (answering.NOT_YET, "timed_out")


def test_without_the_index_exact_digests_are_looked_up_all_the_same(
    asking: Asking, known: HashList, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = [pictures.jpeg(5), ODD["PDF"]]
    list_exactly(known, *listed)

    def not_ready() -> None:
        raise IndexNotReady("there is no index yet")

    monkeypatch.setattr("hashing.lookup.current", not_ready)
    picture, document = asking.files("/match", *listed).json()["files"]
    for told in (picture, document):
        assert "hash_match" in {each["kind"] for each in told["findings"]}
        assert told["not_looked"]
    assert "there is no index yet" in picture["problem"]


def test_a_file_whose_decoding_breaks_the_worker_keeps_its_exact_answer(
    asking: Asking, known: HashList, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise RuntimeError("invented")

    monkeypatch.setattr(answering, "of_file", breaks)
    data = pictures.jpeg(5)
    list_exactly(known, data)
    (told,) = asking.files("/match", data).json()["files"]
    assert [each["kind"] for each in told["findings"]] == ["hash_match"]
    assert told["code"] == "failed"
    assert told["not_looked"] == [told["problem"]]
    assert len(told["sha256"]) == 64


def test_a_text_that_a_detector_could_not_look_at_says_so(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = {"texts": [{"id": "a", "text": "harmless"}]}
    assert asking.json("/match", ask).json()["texts"][0]["not_looked"] == []

    def breaks(*_: object) -> None:
        raise RuntimeError("invented")

    monkeypatch.setattr("hashing.detectors.terms.Terms.scan", breaks)
    (told,) = asking.json("/match", ask).json()["texts"]
    assert "failed" in told["not_looked"][0]


def test_the_page_never_says_nothing_where_nobody_looked(
    client: Client, policy_admin: User
) -> None:
    from tests.cast import signed_in

    signed_in(client, policy_admin)
    client.post(reverse("hashing:match"), {"file": SimpleUploadedFile("a.pdf", ODD["PDF"])})
    lookup = FileLookup.objects.get()
    jobs.look_up(str(lookup.pk))
    shown = client.get(reverse("hashing:match_file", args=[lookup.pk])).text
    assert "it is a PDF document" in shown
    assert "No list in force and no detector has anything to say" not in shown
