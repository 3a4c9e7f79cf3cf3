"""``make bench`` runs every benchmark by itself: each must start, and each takes the two options that README promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def test_each_script_of_make_bench_starts_and_knows_its_options() -> None:
    listed = subprocess.run(
        ["sh", "-c", "grep -l __main__ benchmarks/*.py"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert "grep -l __main__ benchmarks/*.py" in Path(REPOSITORY, "Makefile").read_text()
    assert len(listed) > 10
    asked = {
        script: subprocess.Popen(
            [sys.executable, script, "--help"],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for script in listed
    }
    said = {script: process.communicate()[0] for script, process in asked.items()}
    wrong = {
        script: text
        for script, text in said.items()
        if asked[script].returncode or "--quick" not in text or "--json" not in text
    }
    assert wrong == {}
