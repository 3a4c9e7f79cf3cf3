"""Uploads: encrypted as they arrive, limited, and only from people who may send them."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.handlers.wsgi import WSGIRequest
from django.http import UnreadablePostError
from django.test import Client, RequestFactory

from core import vault
from core.errors import UploadRefused, UploadTooLarge
from core.models import Blob
from core.uploads import VaultUpload, VaultUploadHandler
from core.vault import cipher

BOUNDARY = "BoUnDaRy"


def part(name: str, data: bytes, *, filename: str | None = "drawn.png") -> bytes:
    shown = f'; filename="{filename}"' if filename is not None else ""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{shown}\r\n'
    kind = "Content-Type: image/png\r\n" if filename is not None else ""
    return (head + kind + "\r\n").encode() + data + b"\r\n"


def body_of(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def send(browser: Client, path: str, body: bytes, **extra: Any) -> Any:
    return browser.generic(
        "POST", path, body, content_type=f"multipart/form-data; boundary={BOUNDARY}", **extra
    )


def files_in(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


@pytest.mark.django_db
class TestForms:
    def test_a_file_arrives_in_the_vault(self, signed_in: Client) -> None:
        data = os.urandom(2 * cipher.CHUNK + 99)
        answer = send(
            signed_in,
            "/take",
            body_of(part("note", b"by hand", filename=None), part("files", data)),
        )
        assert answer.status_code == 200
        (found,) = answer.json()["files"]
        assert answer.json()["note"] == "by hand"
        assert found["class"] == "VaultUpload"
        assert found["name"] == "drawn.png"
        assert found["type"] == "image/png"
        blob = Blob.objects.get(pk=found["blob"])
        assert vault.read(blob, limit=len(data)) == data

    def test_several_files_keep_their_order(self, signed_in: Client) -> None:
        parts = [part("files", bytes([n]) * 10, filename=f"{n}.png") for n in range(3)]
        found = send(signed_in, "/take", body_of(*parts)).json()["files"]
        assert [f["name"] for f in found] == ["0.png", "1.png", "2.png"]
        assert Blob.objects.count() == 3

    def test_an_empty_file_is_a_file_of_no_bytes(self, signed_in: Client) -> None:
        (found,) = send(signed_in, "/take", body_of(part("files", b""))).json()["files"]
        assert found["size"] == 0
        assert Blob.objects.get(pk=found["blob"]).size == 0

    def test_exactly_the_limit_is_taken(self, signed_in: Client, settings: Any) -> None:
        settings.HOLDFAST_MAX_UPLOAD_BYTES = 300_000
        answer = send(signed_in, "/take", body_of(part("files", b"x" * 300_000)))
        assert answer.json()["files"][0]["size"] == 300_000

    def test_one_byte_over_the_limit_is_413_in_words_and_nothing_is_kept(
        self, signed_in: Client, settings: Any, private_vault: Path
    ) -> None:
        settings.HOLDFAST_MAX_UPLOAD_BYTES = 2 * 1024 * 1024
        good, large = part("files", b"good"), part("files", b"x" * (2 * 1024 * 1024 + 1))
        for parts in ((large,), (good, large), (large, good)):
            answer = send(signed_in, "/take", body_of(*parts))
            assert answer.status_code == 413
            assert "2 MB" in answer.content.decode()
            assert not Blob.objects.exists()
            assert not files_in(private_vault)

    def test_a_sender_who_never_ends_is_cut_off(
        self, site: None, person: Any, settings: Any, private_vault: Path
    ) -> None:
        settings.HOLDFAST_MAX_UPLOAD_BYTES = 1024 * 1024
        stream = Slowly(b"endless", 40)
        request = request_with(io.BufferedReader(stream), stream.length)
        request.user = person
        with pytest.raises(UploadTooLarge):
            request.FILES  # noqa: B018
        left = sum(len(piece) for piece in stream.pieces)
        assert left > 35 * 1024 * 1024
        assert not files_in(private_vault)

    def test_a_connection_that_breaks_leaves_nothing(
        self, site: None, person: Any, private_vault: Path
    ) -> None:
        class Breaks(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                piece = super().read(size)
                if not piece:
                    raise OSError("connection reset")
                return piece

        started = part("files", os.urandom(3 * 1024 * 1024))[:-500_000]
        request = request_with(Breaks(started), len(started) + 500_000)
        request.user = person
        with pytest.raises(UnreadablePostError):
            request.FILES  # noqa: B018 — looking is what reads the body
        assert not files_in(private_vault)
        assert not Blob.objects.exists()

    def test_a_body_that_ends_inside_a_file_keeps_nothing(
        self, signed_in: Client, private_vault: Path
    ) -> None:
        whole = part("files", os.urandom(100_000))
        answer = send(signed_in, "/take", part("files", b"first") + whole[:50_000])
        assert answer.status_code == 400
        assert not Blob.objects.exists()
        assert not files_in(private_vault)


def request_with(stream: io.BufferedIOBase, length: int) -> WSGIRequest:
    return WSGIRequest(
        RequestFactory()._base_environ()  # type: ignore[attr-defined]
        | {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/take",
            "CONTENT_TYPE": f"multipart/form-data; boundary={BOUNDARY}",
            "CONTENT_LENGTH": str(length),
            "wsgi.input": stream,
        }
    )


@pytest.mark.django_db
class TestStrangers:
    def test_nobody_fills_the_vault_without_signing_in(
        self, site: None, private_vault: Path
    ) -> None:
        """The CSRF check reads the form before the login check; the handler has to refuse by itself."""
        body = body_of(part("files", b"x" * 100_000))
        led_to_sign_in = send(Client(), "/take", body)
        assert led_to_sign_in.status_code == 302
        public_form = send(Client(), "/open", body)
        checked = Client(enforce_csrf_checks=True)
        checked.cookies[configured.CSRF_COOKIE_NAME] = (
            "a" * 32
        )  # Now the CSRF check looks into the form.
        for answer in (public_form, send(checked, "/take", body), send(checked, "/open", body)):
            assert answer.status_code == 403
            assert "not taken" in answer.content.decode()
        assert not Blob.objects.exists()
        assert not files_in(private_vault)

    def test_the_body_of_a_stranger_is_not_even_read(self, site: None) -> None:
        length = 8 * 1024 * 1024
        stream = io.BytesIO(body_of(part("files", b"x" * length)))
        request = request_with(stream, len(stream.getvalue()))
        with pytest.raises(UploadRefused):
            request.FILES  # noqa: B018
        assert stream.tell() < 1024 * 1024

    def test_a_public_form_without_files_still_works(self, site: None) -> None:
        answer = send(Client(), "/open", body_of(part("note", b"hello", filename=None)))
        assert answer.content == b"hello"

    def test_an_api_request_needs_its_key_first(self, site: None, private_vault: Path) -> None:
        body = body_of(part("file", b"picture"))
        refused = send(Client(), "/api/v1/media", body, HTTP_AUTHORIZATION="Bearer bad")
        assert refused.status_code == 401
        assert refused["Content-Type"] == "application/problem+json"
        assert refused["WWW-Authenticate"] == "Bearer"
        assert not Blob.objects.exists()
        taken = send(Client(), "/api/v1/media", body, HTTP_AUTHORIZATION="Bearer good")
        assert taken.status_code == 200
        assert Blob.objects.get().pk.hex == taken.json()["blob"].replace("-", "")

    def test_the_api_says_413_as_a_problem(self, site: None, settings: Any) -> None:
        settings.HOLDFAST_MAX_UPLOAD_BYTES = 1024 * 1024
        body = body_of(part("file", b"x" * (1024 * 1024 + 1)))
        answer = send(Client(), "/api/v1/media", body, HTTP_AUTHORIZATION="Bearer good")
        assert answer.status_code == 413
        said = answer.json()
        assert said["code"] == "too_large"
        assert said["limit"] == 1024 * 1024
        assert "1 MB" in said["detail"]

    def test_a_setting_may_narrow_who_sends_files(self, signed_in: Client, settings: Any) -> None:
        settings.HOLDFAST_MAY_UPLOAD = "tests.core.test_uploads.nobody"
        answer = send(signed_in, "/take", body_of(part("files", b"x")))
        assert answer.status_code == 403
        assert not Blob.objects.exists()


def nobody(request: Any) -> bool:
    return False


@pytest.mark.django_db
class TestTheUploadedFile:
    def upload(self, data: bytes) -> VaultUpload:
        handler = VaultUploadHandler(RequestFactory().post("/"))
        handler.request.auth = "source"
        handler.new_file("files", "drawn.png", "Image/PNG", None)
        handler.receive_data_chunk(data, 0)
        upload = handler.file_complete(len(data))
        assert upload is not None
        with pytest.raises(ValueError, match="to its end"):
            upload.blob  # noqa: B018
        handler.upload_complete()
        return upload

    def test_it_reads_like_a_file_without_being_one(self) -> None:
        upload = self.upload(b"0123456789")
        assert upload
        assert upload.read(4) == b"0123"
        upload.seek(0)
        assert upload.read() == b"0123456789"
        assert b"".join(upload.chunks()) == b"0123456789"
        assert upload.multiple_chunks()
        assert not hasattr(upload, "temporary_file_path")
        with upload.open() as again:
            assert again.read(2) == b"01"
        assert upload.closed
        assert upload.media_type == "image/png"

    def test_it_satisfies_a_form_field(self) -> None:
        from django import forms

        field = forms.FileField()
        assert field.clean(self.upload(b"x")).blob.size == 1
        with pytest.raises(forms.ValidationError):
            field.clean(self.upload(b""))


class Watcher:
    """Looks into folders again and again, also through the names of open but unlinked files."""

    def __init__(self, folders: list[Path], marker: bytes) -> None:
        self.folders, self.marker = folders, marker
        self.looked = 0
        self.seen: list[str] = []
        self.bytes_on_disk = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _paths(self) -> Iterator[Path]:
        for folder in self.folders:
            yield from (path for path in folder.rglob("*") if path.is_file())
        for descriptor in Path("/proc/self/fd").iterdir():
            try:
                target = str(descriptor.readlink())
            except OSError:
                continue
            if any(target.startswith(str(folder)) for folder in self.folders):
                yield descriptor

    def _run(self) -> None:
        while not self._stop.is_set():
            for path in self._paths():
                try:
                    with path.open("rb") as file:
                        size = os.fstat(file.fileno()).st_size
                        self.bytes_on_disk = max(self.bytes_on_disk, size)
                        for begin in range(0, size, 4 * 1024 * 1024):
                            file.seek(begin)
                            if self.marker in file.read(64 * 1024):
                                self.seen.append(str(path))
                except OSError:
                    continue
            self.looked += 1
            time.sleep(0.01)


class Slowly(io.RawIOBase):
    """A request body of many megabytes that is made while it is read."""

    def __init__(self, marker: bytes, megabytes: int) -> None:
        block = (marker * (64 * 1024 // len(marker) + 1))[: 64 * 1024]
        head, tail = part("files", b"")[:-2], f"\r\n--{BOUNDARY}--\r\n".encode()
        self.pieces = [head, *[block] * (megabytes * 16), tail]
        self.length = sum(len(piece) for piece in self.pieces)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self.pieces:
            return 0
        piece = self.pieces.pop(0)
        now, later = piece[: len(buffer)], piece[len(buffer) :]
        if later:
            self.pieces.insert(0, later)
        buffer[: len(now)] = now
        return len(now)


@pytest.mark.django_db
def test_sixty_megabytes_never_touch_the_disk_in_clear(
    site: None, person: Any, private_vault: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource
    import tempfile

    marker = b"markerword-alpha-markerword-beta"
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    stream = Slowly(marker, 60)
    request = request_with(io.BufferedReader(stream), stream.length)
    request.user = person
    private_vault.mkdir(exist_ok=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Watcher([temporary, private_vault], marker) as watcher:
        (upload,) = request.FILES.getlist("files")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert upload.size == 60 * 1024 * 1024
    assert watcher.looked > 10
    assert watcher.bytes_on_disk > 50 * 1024 * 1024, "the watcher must have seen the ciphertext"
    assert watcher.seen == []
    assert grown < 30 * 1024, f"memory grew by {grown} KB"
    vault.verify(upload.blob)  # type: ignore[attr-defined]
    assert not list(temporary.iterdir())
    assert len(files_in(private_vault)) == 1


def test_the_watcher_would_see_plaintext(tmp_path: Path) -> None:
    """The proof above is only as good as its eyes."""
    with Watcher([tmp_path], b"marker") as watcher:
        (tmp_path / "spill").write_bytes(b"..marker..")
        while not watcher.seen and watcher.looked < 500:
            time.sleep(0.01)
    assert watcher.seen


def test_django_own_uploads_are_not_vault_uploads() -> None:
    assert not isinstance(SimpleUploadedFile("a", b"b"), VaultUpload)
