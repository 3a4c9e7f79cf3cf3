"""Where the sample installation keeps what a person needs to try it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from django.conf import settings


def credentials_file() -> Path:
    """Return the file with the sample people's sign-ins."""
    return Path(settings.VAR_DIR) / "sample_credentials.json"


def api_file() -> Path:
    """Return the file with the sample sources' API keys."""
    return Path(settings.VAR_DIR) / "sample_api.json"


def write_private(path: Path, value: Any) -> None:
    """Write JSON that only this account can read, whole or not at all."""
    part = path.with_suffix(".part")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as stream:
        json.dump(value, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)


def read(path: Path) -> Any:
    """Return the content of one of the files, or None when there is none."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
