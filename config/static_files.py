"""Static files of this release beside those of earlier ones.

A page that was served before an upgrade asks for the files of its own release, and so do the processes that have not
been started anew. So files are collected in a folder of their own and moved in one by one; nothing that is served is
ever missing or half written, and what no release names any more is removed weeks later.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.management.commands.collectstatic import Command as Collect
from django.core.files.storage import storages
from django.core.management import call_command

KEPT_FOR = timedelta(days=30)
MANIFEST = "staticfiles.json"
_SUPERSEDED = "superseded.json"


def collect() -> int:
    """Bring ``STATIC_ROOT`` up to date without a moment in which a file is missing; return how many old ones went.

    Safe to stop and to repeat. For one process a host at a time. Raises OSError.
    """
    root = Path(settings.STATIC_ROOT)
    fresh = root.with_name(f"{root.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    command = Collect()
    declared = settings.STORAGES["staticfiles"]
    command.storage = storages.create_storage(
        {**declared, "OPTIONS": {**declared.get("OPTIONS", {}), "location": str(fresh)}}
    )
    call_command(command, interactive=False, verbosity=0)
    names = sorted(_files(fresh))
    # The manifest last: a process that starts now finds every file that it names.
    for name in sorted(names, key=lambda each: each == MANIFEST):
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (fresh / name).replace(target)
    shutil.rmtree(fresh, ignore_errors=True)
    return _remove_old(root, set(names))


def _remove_old(root: Path, current: set[str]) -> int:
    """Note since when each other file is of the past, and remove what has been for longer than ``KEPT_FOR``."""
    now = datetime.now(UTC)
    noted = root / _SUPERSEDED
    try:
        since: dict[str, str] = json.loads(noted.read_text())
    except (OSError, ValueError):
        since = {}
    past = {
        name: since.get(name, now.isoformat())
        for name in _files(root)
        if name not in current and name != _SUPERSEDED
    }
    removed = [name for name, at in past.items() if now - datetime.fromisoformat(at) > KEPT_FOR]
    for name in removed:
        (root / name).unlink(missing_ok=True)
        del past[name]
    partial = noted.with_suffix(".part")
    partial.write_text(json.dumps(past, indent=1))
    partial.replace(noted)
    return len(removed)


def _files(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.relative_to(folder).as_posix()
