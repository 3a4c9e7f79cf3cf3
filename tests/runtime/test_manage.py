"""The command line, as people use it in a shell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from config.settings import BASE_DIR


def test_a_command_whose_reader_has_enough_ends_without_a_traceback(tmp_path: Path) -> None:
    """As in ``manage.py sample_code | head -4``."""
    person = {"role": "Reviewer", "name": "N", "email": "n@example.org", "totp_secret": "ABCDEFGH"}
    (tmp_path / "sample_credentials.json").write_text(json.dumps([person] * 4))
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "manage.py", "sample_code"],
            cwd=BASE_DIR,
            env={**os.environ, "HOLDFAST_VAR": str(tmp_path)},
            check=False,
            stdout=writer,
            stderr=subprocess.PIPE,
            timeout=60,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")  # As a shell tells of SIGPIPE.
