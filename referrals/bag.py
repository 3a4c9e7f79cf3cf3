"""BagIt 1.0 tag files (RFC 8493) and a deterministic tar, both as plain values.

The tar holds regular files and their directories, sorted by path, in the POSIX ustar format without extended
headers, with no time, owner or name of the machine in it: the same content gives the same bytes, and a second
build proves the first one.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

SIGNATURE = "signatures/tagmanifest-sha512.txt.sig"
TIMESTAMP = "signatures/tagmanifest-sha512.txt.sig.tsr"
CONTENTS = "data/documentation/contents.txt"
TAG_FILES = (
    "bag-info.txt",
    "bagit.txt",
    "manifest-sha256.txt",
    "manifest-sha512.txt",
    "tagmanifest-sha256.txt",
    "tagmanifest-sha512.txt",
)
DECLARATION = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
# Bytes of a header that are not zero, beside those of the path: the recipe of an officer counts them.
HEADER_BYTES = 58
_LARGE = 1 << 33  # bytes; eleven octal digits end here
FILE_MODE = 0o644
DIRECTORY_MODE = 0o755

# What a name inside a package may look like: nothing that any system reads in two ways.
_COMPONENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the bag: its path, its size, and where its bytes come from."""

    path: str
    size: int
    chunks: Callable[[], Iterable[bytes]]

    @classmethod
    def of_bytes(cls, path: str, content: bytes) -> Entry:
        return cls(path, len(content), lambda: (content,) if content else ())


@dataclass(slots=True)
class Manifest:
    """Digests of the payload, by path."""

    rows: dict[str, tuple[int, str, str]] = field(default_factory=dict)

    def add(self, path: str, size: int, sha256: str, sha512: str) -> None:
        check_path(path)
        self.rows[path] = (size, sha256, sha512)

    def add_bytes(self, path: str, content: bytes) -> None:
        self.add(
            path,
            len(content),
            hashlib.sha256(content).hexdigest(),
            hashlib.sha512(content).hexdigest(),
        )

    @property
    def oxum(self) -> str:
        """Payload-Oxum: bytes, a point, and the number of files."""
        return f"{sum(size for size, _a, _b in self.rows.values())}.{len(self.rows)}"

    def sha256(self) -> bytes:
        return _lines({path: row[1] for path, row in self.rows.items()})

    def sha512(self) -> bytes:
        return _lines({path: row[2] for path, row in self.rows.items()})


def tag_files(info: Sequence[tuple[str, str]], manifest: Manifest) -> dict[str, bytes]:
    """``bagit.txt``, ``bag-info.txt``, both manifests and both tag manifests.

    Payload-Oxum is added to `info`. The tag manifests list every tag file but themselves, as the
    standard asks; ``signatures/`` cannot be listed, since it signs the last of them.
    """
    text = "".join(
        f"{label}: {header_value(value)}\n"
        for label, value in (*info, ("Payload-Oxum", manifest.oxum))
    )
    tags = {
        "bagit.txt": DECLARATION,
        "bag-info.txt": text.encode(),
        "manifest-sha256.txt": manifest.sha256(),
        "manifest-sha512.txt": manifest.sha512(),
    }
    listed = dict(tags)
    for name in ("sha256", "sha512"):
        tags[f"tagmanifest-{name}.txt"] = _lines(
            {path: hashlib.new(name, content).hexdigest() for path, content in listed.items()}
        )
    return tags


def header_value(value: str) -> str:
    """One line of bag-info: a name from a form must not be able to start another header.

    Control characters and every kind of line end become one space.
    """
    return " ".join(
        "".join(
            " " if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") else character
            for character in value
        ).split()
    )


def check_path(path: str) -> None:
    """Raise ValueError unless every component is plain ASCII without tricks."""
    if len(path) > tarfile.LENGTH_NAME or not all(
        _COMPONENT.fullmatch(part) for part in path.split("/")
    ):
        raise ValueError(f"{path!r} is not a name a package may hold.")


def tar_stream(top: str, entries: Iterable[Entry]) -> Iterator[bytes]:
    """The tar of one top folder, in chunks. Memory: one chunk of one file.

    An entry that yields other than `size` bytes raises ValueError: the header has already said it.
    """
    files = {f"{top}/{entry.path}": entry for entry in entries}
    for path in _in_order(files):
        check_path(path)
        entry = files.get(path)
        if entry is None:
            yield _header(path, 0, tarfile.DIRTYPE, DIRECTORY_MODE)
            continue
        yield _header(path, entry.size, tarfile.REGTYPE, FILE_MODE)
        written = 0
        for chunk in entry.chunks():
            written += len(chunk)
            if written > entry.size:
                break
            yield chunk
        if written != entry.size:
            raise ValueError(f"{path} did not yield the {entry.size} bytes it announced.")
        yield bytes(-written % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def contents(top: str, paths: Iterable[str]) -> bytes:
    """What ``tar -tf`` says of the archive of these files: each entry on a line, folders with a slash."""
    files = {f"{top}/{path}" for path in paths}
    lines = (f"{path}\n" if path in files else f"{path}/\n" for path in _in_order(files))
    return "".join(lines).encode("ascii")


def _in_order(files: Iterable[str]) -> list[str]:
    """The files and their folders, sorted."""
    paths = set(files)
    paths |= {
        "/".join(path.split("/")[:depth])
        for path in files
        for depth in range(1, path.count("/") + 1)
    }
    return sorted(paths)


def _header(path: str, size: int, kind: bytes, mode: int) -> bytes:
    info = tarfile.TarInfo(path)
    info.size, info.type, info.mode = size, kind, mode
    info.mtime = info.uid = info.gid = 0
    info.uname = info.gname = ""
    if size < _LARGE:
        return info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")
    # ustar has no number so large. This spelling of it, GNU tar's, is read by every tar, and needs no further header.
    info.size = 0
    header = bytearray(info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict"))
    header[124:136] = _large(size)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def header_bytes_more(sizes: Iterable[int]) -> int:
    """Return by how much the headers of files of these sizes differ from `HEADER_BYTES` each."""
    digits = 11
    return sum(12 - _large(size).count(0) - digits for size in sizes if size >= _LARGE)


def _large(size: int) -> bytes:
    return b"\x80" + size.to_bytes(11, "big")


def _lines(digests: dict[str, str]) -> bytes:
    """``digest␠␠path`` lines, which ``sha256sum -c`` reads as they are."""
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(digests.items())).encode()
