"""What an archive may hold, how it may be named, and how large it may be."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from referrals.sshsig import SigningKey
from referrals.verifier import verify_package as verifier
from tests.referrals.sealing import (
    ID,
    KEY,
    PRINCIPAL,
    STRANGER,
    Opened,
    check_tar,
    entry,
    raw_tar,
    run_script,
    signers,
    spec,
    tar_of,
    with_entry,
)


@pytest.mark.parametrize(
    "name",
    [
        f"{ID}/../escaped.txt",
        f"{ID}/data/../../escaped.txt",
        "/etc/escaped.txt",
        "../escaped.txt",
        f"{ID}/data//x.txt",
        f"{ID}/data/./x.txt",
        f"{ID}/data/a\\..\\b.txt",
        f"{ID}/data/C:x.txt",
        f"{ID}/data/.hidden",
        f"{ID}/data/space name.txt",
        f"{ID}/data/-rf",
        f"{ID}/data/line\nbreak",
    ],
)
def test_an_entry_with_a_dangerous_name_is_refused(name: str, tmp_path: Path) -> None:
    answer = check_tar(with_entry(entry(name), b"x"), tmp_path)
    assert set(answer.failures) == {"names"}
    assert not (tmp_path / "escaped.txt").exists()


@pytest.mark.parametrize("name", [f"{ID}/data/naïve.txt", f"{ID}/data/\u202etxt.exe"])
def test_a_name_that_needs_an_extended_header_is_refused(name: str, tmp_path: Path) -> None:
    answer = check_tar(with_entry(entry(name), b"x"), tmp_path)
    assert "extended header" in answer.failures["archive"]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a pipe"),
        (b"S", "an unknown kind"),
        (b"7", "an unknown kind"),
    ],
)
def test_links_devices_and_pipes_are_refused(kind: bytes, said: str, tmp_path: Path) -> None:
    link = entry(f"{ID}/data/media/EX-0009.bin", kind, "/etc/passwd")
    assert said in check_tar(with_entry(link), tmp_path).failures["archive"]


def test_a_link_in_an_unpacked_package_is_refused(tmp_path: Path) -> None:
    Opened.of().write(tmp_path)
    target = tmp_path / ID / "data" / "media" / "EX-0002.bin"
    target.rename(tmp_path / "elsewhere")
    target.symlink_to(tmp_path / "elsewhere")
    assert "link or device" in run_script(tmp_path / ID).failures["archive"]


@pytest.mark.parametrize("name", [f"{ID}/data/README.txt", f"{ID}/data/readme.TXT", f"{ID}/DATA/x"])
def test_duplicate_and_case_colliding_names_are_refused(name: str, tmp_path: Path) -> None:
    answer = check_tar(with_entry(entry(name), b"x"), tmp_path)
    assert answer.code == 2
    assert set(answer.failures) <= {"names", "files"}


def test_a_second_top_folder_is_refused(tmp_path: Path) -> None:
    answer = check_tar(with_entry(entry("ESC-2026-000124-r1/data/x.txt"), b"x"), tmp_path)
    assert "more than one top folder" in answer.failures["names"]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_huge_path_name_is_refused(form: int, tmp_path: Path) -> None:
    data = raw_tar([(entry(f"{ID}/data/" + "a/" * 5000 + "b"), b"x")], form=form)
    assert check_tar(data, tmp_path).code == 2


def test_an_extended_header_of_gigabytes_is_refused_without_reading_it() -> None:
    header = entry("pax", tarfile.XHDTYPE)
    header.size = 7 << 30
    stream = _Counting(header.tobuf(tarfile.USTAR_FORMAT), filler=7 << 30)
    with pytest.raises(verifier.Refused, match="extended header"):
        list(verifier.tar_members(cast("BinaryIO", stream)))
    assert stream.served <= 4096


@pytest.mark.parametrize(
    "wrap",
    [
        gzip.compress,
        lambda data: _zip(data),  # noqa: PLW0108 -- defined below
        lambda data: b"",
        lambda data: b"\0" * 20000,
        lambda data: data[: len(data) // 2],
        lambda data: data + b"hidden after the end",
        lambda data: data + bytes(4 << 20),
    ],
    ids=["gzip", "zip", "empty", "zeros", "cut", "trailing", "padding without end"],
)
def test_anything_but_one_plain_tar_is_refused(
    wrap: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    assert check_tar(wrap(tar_of()), tmp_path).code == 2


def _zip(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("p.tar", data)
    return out.getvalue()


class _Counting(io.RawIOBase):
    """A stream that ends in zeros and counts what was taken from it."""

    def __init__(self, data: bytes, *, filler: int) -> None:
        self._data, self._filler, self.served = io.BytesIO(data), filler, 0

    def read(self, size: int = -1) -> bytes:
        data = self._data.read(size)
        if not data and self._filler:
            data = bytes(min(size, self._filler))
            self._filler -= len(data)
        self.served += len(data)
        return data


def test_an_archive_beyond_its_payload_oxum_is_stopped_at_the_stated_size() -> None:
    genuine = tar_of()
    end = genuine.index(f"{ID}/data/media/EX-0001.bin\0".encode())
    bomb = entry(f"{ID}/data/media/EX-0001.bin")
    bomb.size = 1 << 28
    stream = _Counting(genuine[:end] + bomb.tobuf(tarfile.PAX_FORMAT), filler=1 << 28)
    with pytest.raises(verifier.Refused, match="holds more than bag-info"):
        verifier.Content().read(verifier.tar_members(cast("BinaryIO", stream)))
    assert stream.served < len(genuine) + (1 << 20)


def test_an_archive_of_endless_entries_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier, "MOST_ENTRIES", 50)
    data = raw_tar(
        [(entry(f"{ID}/d{number}", tarfile.DIRTYPE), b"") for number in range(60)], form=2
    )
    with pytest.raises(verifier.Refused, match="more than 50 entries"):
        verifier.Content().read(verifier.tar_members(io.BytesIO(data)))


def test_payload_before_bag_info_is_refused(tmp_path: Path) -> None:
    data = raw_tar([(entry(f"{ID}/data/x.txt"), b"x")], form=tarfile.PAX_FORMAT)
    assert "begin with bag-info" in check_tar(data, tmp_path).failures["size"]


@pytest.mark.parametrize(
    "path",
    [
        "data/metadata/exhibits.json",
        "data/metadata/case.jsonld",
        "data/custody/inclusion.json",
        "data/custody/audit.jsonl",
        "data/custody/audit.chain",
    ],
)
@pytest.mark.parametrize(
    "content",
    [b"", b"[]\n", b"{}\n", b"null\n", b"[" * 100_000 + b"\n", b"\xff\xfe\n", b'{"exhibits": 3}\n'],
    ids=["empty", "list", "object", "null", "deep", "not text", "number"],
)
def test_a_malformed_document_is_refused_and_never_a_crash(
    path: str, content: bytes, tmp_path: Path
) -> None:
    attack = Opened.of()
    attack.files[path] = content
    attack.remanifest().sign()
    target = tmp_path / "p.tar"
    target.write_bytes(attack.tar())
    options = verifier.Options(allowed_signers=signers(), use_ssh_keygen=False)
    assert verifier.verify(str(target), options).verdict == verifier.RED


GENUINE = tar_of(spec(exhibits=(), conversations=()))


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(position=st.integers(0, len(GENUINE) - 1), flip=st.integers(1, 255))
def test_no_single_changed_byte_of_a_package_survives(
    position: int, flip: int, tmp_path: Path
) -> None:
    data = bytearray(GENUINE)
    data[position] ^= flip
    target = tmp_path / "p.tar"
    target.write_bytes(data)
    options = verifier.Options(allowed_signers=signers(), use_ssh_keygen=False)
    assert verifier.verify(str(target), options).verdict == verifier.RED


def test_the_package_that_those_bytes_come_from_is_not_red(tmp_path: Path) -> None:
    target = tmp_path / "p.tar"
    target.write_bytes(GENUINE)
    options = verifier.Options(allowed_signers=signers(), use_ssh_keygen=False)
    assert verifier.verify(str(target), options).verdict == verifier.AMBER


def test_the_verifiers_answer_holds_no_hostile_text(tmp_path: Path) -> None:
    answer = check_tar(with_entry(entry(f"{ID}/data/\x1b[2J\u202ex"), b"x"), tmp_path)
    assert "\x1b" not in json.dumps(answer.report, ensure_ascii=False)
    assert "\u202e" not in json.dumps(answer.report, ensure_ascii=False)


def test_a_key_of_the_same_name_from_a_stranger_does_not_shadow_ours(tmp_path: Path) -> None:
    both = signers(STRANGER) + signers(KEY)
    assert check_tar(tar_of(), tmp_path, signers_text=both).code == 3
    forged = Opened.of().sign(SigningKey.generate(PRINCIPAL)).tar()
    assert check_tar(forged, tmp_path, signers_text=both).code == 2
