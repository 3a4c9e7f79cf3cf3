"""Uploads go into the vault as they arrive; Django's own handlers would write plaintext to disk.

Who may send files is asked before the first byte of one is taken. Django parses a form when somebody looks at
``request.POST``, and the first to look is the CSRF check, which runs before the login check. So this handler
asks for itself: a signed-in person, or an API request whose key was accepted (``request.auth``). For anybody
else the parsing stops at the first file and the request is refused. ``HOLDFAST_MAY_UPLOAD`` names a function
``(request) -> bool`` that may narrow this further, for example to views that expect files.

Either every file of a request is kept or none: files wait encrypted until the whole body was read.
"""

from __future__ import annotations

from typing import IO, Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.http import HttpRequest
from django.http.multipartparser import MultiPartParserError
from django.utils.module_loading import import_string

from core import vault
from core.errors import DiskFull, UploadRefused, UploadTooLarge
from core.models import Blob


class VaultUpload(UploadedFile):
    """An uploaded file that is in the vault already: use ``.blob``; there is no temporary file.

    ``open()`` gives the plaintext for reading. ``media_type`` is what the sender declared.
    """

    def __init__(self, receiving: vault.Receiving, name: str, content_type: str) -> None:
        self._receiving: vault.Receiving | None = receiving
        self._blob: Blob | None = None
        super().__init__(file=None, name=name, content_type=content_type, size=receiving.size)

    @property
    def media_type(self) -> str:
        """The media type that the sender declared, lower case, or an empty text."""
        return (self.content_type or "").lower()

    @property
    def blob(self) -> Blob:
        """The stored original."""
        if self._blob is None:
            raise ValueError("the request was not read to its end")
        return self._blob

    def keep(self) -> None:
        """Store what was received."""
        if self._receiving is not None:
            self._blob = self._receiving.keep(media_type=self.media_type)
            self._receiving = None

    def discard(self) -> None:
        """Forget what was received, unless it is stored already."""
        if self._receiving is not None:
            self._receiving.discard()
            self._receiving = None

    @property
    def closed(self) -> bool:
        return self.file is None or self.file.closed

    def _reader(self) -> IO[Any]:
        if self.file is None or self.file.closed:
            self.file = vault.open(self.blob)
        return self.file

    def open(self, mode: str | None = None, *args: Any, **kwargs: Any) -> VaultUpload:
        """Open the plaintext for reading from its start."""
        self._reader().seek(0)
        return self

    def read(self, size: int = -1) -> bytes:
        """Read plaintext; opens the file if needed."""
        return bytes(self._reader().read(size))

    def seek(self, *where: int) -> int:
        """Move within the plaintext; opens the file if needed."""
        return self._reader().seek(*where)

    def chunks(self, chunk_size: int | None = None) -> Any:
        """Yield the plaintext in pieces of up to 256 KiB."""
        return vault.iter_chunks(self.blob)

    def multiple_chunks(self, chunk_size: int | None = None) -> bool:
        """Tell Django to read in pieces."""
        return True

    def close(self) -> None:
        """Close the reader, if there is one. The original stays in the vault."""
        self.discard()
        if self.file is not None:
            self.file.close()
            self.file = None


def may_upload(request: HttpRequest | None) -> bool:
    """Return whether whoever sends this request may send files at all."""
    if request is None:
        return False
    known = bool(getattr(request, "auth", None)) or (
        hasattr(request, "user") and request.user.is_authenticated
    )
    narrower = getattr(settings, "HOLDFAST_MAY_UPLOAD", None)
    return known and (narrower is None or bool(import_string(narrower)(request)))


class VaultUploadHandler(FileUploadHandler):
    """The only upload handler: encrypts what arrives, refuses what is too large or from nobody."""

    chunk_size = 256 * 1024

    def __init__(self, request: HttpRequest | None = None) -> None:
        super().__init__(request)
        self._limit = settings.HOLDFAST_MAX_UPLOAD_BYTES
        self._receiving: vault.Receiving | None = None
        self._uploads: list[VaultUpload] = []
        self._too_large = False
        self._full: DiskFull | None = None
        self._thrown_away = 0
        self._interrupted = False

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """Start a file, if the sender may send one."""
        super().new_file(*args, **kwargs)
        if not may_upload(self.request):
            self._forget()
            raise UploadRefused("Sign in to send files.")
        if self._too_large or self._full:
            return
        try:
            self._receiving = vault.Receiving()
        except DiskFull as full:
            self._full = full
            self._forget()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Encrypt the next bytes; past the limit, or without room, all is forgotten and the rest thrown away."""
        if self._receiving is not None and self._receiving.size + len(raw_data) > self._limit:
            self._too_large = True
            self._forget()
        if self._receiving is not None:
            try:
                self._receiving.write(raw_data)
            except DiskFull as full:
                self._full = full
                self._forget()
            else:
                return
        # Reading on lets the sender hear the answer instead of a broken connection, but a sender who never
        # ends must not keep a worker for ever.
        self._thrown_away += len(raw_data)
        if self._thrown_away > self._limit:
            raise StopUpload(connection_reset=True)

    def file_complete(self, file_size: int) -> VaultUpload | None:
        """Return the finished upload; it is stored when the whole request was read."""
        if self._receiving is None:
            return None
        upload = VaultUpload(self._receiving, self.file_name or "file", self.content_type or "")
        self._receiving = None
        self._uploads.append(upload)
        return upload

    def upload_interrupted(self) -> None:
        """Forget everything: the connection broke inside a file."""
        self._interrupted = True
        self._forget()

    def upload_complete(self) -> None:
        """Keep every file of the request, or none."""
        if self._too_large:
            self._forget()
            raise UploadTooLarge(self._limit)
        if self._full:
            raise self._full
        if self._interrupted:
            raise MultiPartParserError("The request ended inside a file.")
        try:
            for upload in self._uploads:
                upload.keep()
        except BaseException:
            # Those that are stored already are in the vault without a row that refers to them: the same
            # bytes sent again join them, and after a day they are destroyed.
            self._forget()
            raise

    def _forget(self) -> None:
        if self._receiving is not None:
            self._receiving.discard()
            self._receiving = None
        for upload in self._uploads:
            upload.discard()
        self._uploads.clear()
