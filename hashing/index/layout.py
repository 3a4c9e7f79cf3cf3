"""The file that holds an index: named arrays under one seal, read by mapping it into memory.

::

    header    16 bytes: magic, format version
    sections  arrays in the machine's byte order, each from a multiple of 4,096 bytes on
    table     JSON: what the writer says of the file, and each section's place, type and shape
    trailer   128 bytes: magic, place and length of the table, length of the file,
              SHA-256 of everything before the trailer, SHA-256 over header, table and trailer

Opening reads header, table and trailer and checks their seal and every length: a file that is torn, cut
short, foreign or of another version is refused before one value is used. ``verify`` reads the whole file
against its checksum; that is done once, when a file arrives on a machine. Nothing in it is executable.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import struct
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

__all__ = ["Damaged", "Mapped", "Writer", "verify"]

MAGIC = b"HOLDFIDX"
END_MAGIC = b"XDIFDLOH"
FORMAT = 1
_HEADER = struct.Struct("<8sII")
_FIELDS = struct.Struct("<8sQQQ")
_DIGEST = 32
_TRAILER = 128
_ALIGN = 4096
_MOST_TABLE = 1 << 24
_ORDER = 0x01020304 if np.little_endian else 0x04030201
_PIECE = 1 << 22
_KINDS = frozenset({"uint8", "uint16", "uint32", "uint64", "int64"})


class Damaged(Exception):
    """The file is not an index that can be read. ``reason`` is a plain sentence without its full stop."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Writer:
    """Writes sections as they come. The file is whole only after ``close``."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self._at = 0
        self._sections: list[dict[str, Any]] = []
        self._header = _HEADER.pack(MAGIC, FORMAT, _ORDER)
        self._put(self._header)

    def _put(self, data: bytes | memoryview) -> None:
        self._stream.write(data)
        self._hash.update(data)
        self._at += len(data)

    def add(self, name: str, array: npt.NDArray[Any]) -> None:
        """Append one array."""
        if array.dtype.name not in _KINDS:
            raise ValueError(f"a section cannot hold {array.dtype}")
        self._put(bytes(-self._at % _ALIGN))
        self._sections.append(
            {
                "name": name,
                "type": array.dtype.name,
                "shape": list(array.shape),
                "offset": self._at,
            }
        )
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        for begin in range(0, len(flat), _PIECE):
            self._put(flat[begin : begin + _PIECE].data)

    def close(self, meta: dict[str, Any]) -> None:
        """Write table and trailer. ``meta`` is JSON."""
        table = json.dumps({"meta": meta, "sections": self._sections}, sort_keys=True).encode()
        offset = self._at
        self._put(table)
        fields = _FIELDS.pack(END_MAGIC, offset, len(table), self._at + _TRAILER)
        fields += self._hash.digest()
        fields = fields.ljust(_TRAILER - _DIGEST, b"\0")
        self._stream.write(fields + _seal(self._header, table, fields))


def _seal(header: bytes, table: bytes, fields: bytes) -> bytes:
    return hashlib.sha256(header + table + fields).digest()


class Mapped:
    """An index file in memory: ``meta`` and arrays that cannot be written to.

    The mapping outlives the file's name: a file that is removed or replaced stays readable here.
    """

    def __init__(self, path: Path) -> None:
        """Map a file. Raises Damaged, OSError."""
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            if size < _HEADER.size + _TRAILER:
                raise Damaged("the file is too short to be an index")
            self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            self.meta, self._sections = _checked(self._map, size)
        except Damaged:
            self._map.close()
            raise
        self.size = size

    def __enter__(self) -> Mapped:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __contains__(self, name: str) -> bool:
        return name in self._sections

    def array(self, name: str) -> npt.NDArray[Any]:
        """Return a section. Raises Damaged when there is none of that name."""
        try:
            kind, shape, offset = self._sections[name]
        except KeyError:
            raise Damaged(f"the file has no section {name!r}") from None
        count = int(np.prod(shape, dtype=np.int64))
        return np.frombuffer(self._map, dtype=kind, count=count, offset=offset).reshape(shape)

    def close(self) -> None:
        """Unmap the file. Raises BufferError while arrays of it are in use."""
        self._map.close()


def _checked(
    whole: mmap.mmap, size: int
) -> tuple[dict[str, Any], dict[str, tuple[str, tuple[int, ...], int]]]:
    header = whole[: _HEADER.size]
    magic, version, order = _HEADER.unpack(header)
    if magic != MAGIC:
        raise Damaged("this is not an index file")
    if version != FORMAT or order != _ORDER:
        raise Damaged("the file was written by another version or for another kind of machine")
    trailer = whole[size - _TRAILER :]
    end, offset, length, told = _FIELDS.unpack_from(trailer)
    if end != END_MAGIC or told != size or offset + length + _TRAILER != size:
        raise Damaged("the file is not whole")
    if length > _MOST_TABLE:
        raise Damaged("the file's table is too long")
    table = whole[offset : offset + length]
    if _seal(header, table, trailer[:-_DIGEST]) != trailer[-_DIGEST:]:
        raise Damaged("the file's seal does not fit")
    try:
        document = json.loads(table)
        sections = {
            str(each["name"]): (
                str(each["type"]),
                tuple(map(int, each["shape"])),
                int(each["offset"]),
            )
            for each in document["sections"]
        }
        meta = dict(document["meta"])
    except (ValueError, KeyError, TypeError):
        raise Damaged("the file's table cannot be read") from None
    for kind, shape, begin in sections.values():
        if (
            kind not in _KINDS
            or begin % _ALIGN
            or begin < _HEADER.size
            or min(shape, default=0) < 0
        ):
            raise Damaged("the file's table is wrong")
        if begin + int(np.prod(shape, dtype=np.int64)) * np.dtype(kind).itemsize > offset:
            raise Damaged("a section lies outside the file")
    return meta, sections


def verify(path: Path) -> None:
    """Read a whole file against its checksum. Raises Damaged, OSError. About a second a gigabyte."""
    with Mapped(path) as mapped:
        size = mapped.size
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        left = size - _TRAILER
        while left and (piece := stream.read(min(_PIECE, left))):
            digest.update(piece)
            left -= len(piece)
        trailer = stream.read(_TRAILER)
    if left or trailer[_FIELDS.size : _FIELDS.size + _DIGEST] != digest.digest():
        raise Damaged("the file's content does not fit its checksum")
