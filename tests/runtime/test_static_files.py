"""An upgrade takes no static file away from pages and processes of the release before."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from config import static_files


@pytest.fixture
def site(tmp_path: Path, settings: Any) -> Path:
    """Return the source folder of a site with one sheet, collected into ``root`` beside it."""
    source = tmp_path / "source"
    source.mkdir()
    settings.STATIC_ROOT = tmp_path / "root"
    settings.STATICFILES_DIRS = [source]
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}
    }
    (source / "base.css").write_text("a { color: red; }\n" * 50)
    (source / "gone.js").write_text("let gone;\n")
    static_files.collect()
    return source


def named(root: Path, name: str) -> Path:
    """Return the file that pages of the newest release ask for."""
    paths = json.loads((root / "staticfiles.json").read_text())["paths"]
    return root / str(paths[name])


def release(source: Path, content: str) -> None:
    sheet = source / "base.css"
    sheet.write_text(content)
    # An archive brings the times at which it was packed: before the last upgrade here.
    os.utime(sheet, (1_600_000_000, 1_600_000_000))


def test_files_of_the_release_before_stay_beside_the_new_ones(site: Path, settings: Any) -> None:
    root = settings.STATIC_ROOT
    before, gone = named(root, "base.css"), named(root, "gone.js")
    release(site, "a { color: blue; }\n" * 50)
    (site / "gone.js").unlink()
    assert static_files.collect() == 0
    after = named(root, "base.css")
    assert after != before
    assert "blue" in after.read_text()
    assert "blue" in (root / "base.css").read_text()
    assert "red" in before.read_text()
    assert before.with_name(f"{before.name}.gz").exists()
    assert gone.exists()
    assert not root.with_name("root.new").exists()


def test_what_no_release_names_for_a_month_goes(site: Path, settings: Any) -> None:
    root = settings.STATIC_ROOT
    before = named(root, "base.css")
    release(site, "a { color: blue; }\n" * 50)
    static_files.collect()
    noted = root / "superseded.json"
    since = json.loads(noted.read_text())
    assert before.name in since
    long_ago = (datetime.now(UTC) - static_files.KEPT_FOR - timedelta(hours=1)).isoformat()
    noted.write_text(json.dumps(dict.fromkeys(since, long_ago)))
    assert static_files.collect() == len(since)
    assert not before.exists()
    assert named(root, "base.css").exists()


def test_a_file_that_comes_back_counts_anew(site: Path, settings: Any) -> None:
    root = settings.STATIC_ROOT
    before, first = named(root, "base.css"), (site / "base.css").read_text()
    release(site, "a { color: blue; }\n")
    static_files.collect()
    release(site, first)
    static_files.collect()
    assert named(root, "base.css") == before
    assert before.name not in json.loads((root / "superseded.json").read_text())


def test_a_collection_that_was_killed_is_done_again(site: Path, settings: Any) -> None:
    half = settings.STATIC_ROOT.with_name("root.new")
    half.mkdir()
    (half / "stray.css").write_text("half")
    static_files.collect()
    assert not half.exists()
    assert not (settings.STATIC_ROOT / "stray.css").exists()
