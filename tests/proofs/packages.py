"""Packages: whoever forges one gets a status that is not zero, from the stock tools and from the officers' script."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from tests.machine import age
from tests.proofs import proof
from tests.proofs.installation import Installation
from tests.referrals.forging import FORGERIES, asked, followed, prepared, steps

PATH = "/usr/local/bin:/usr/bin:/bin"


@proof(
    "Nearly ninety forged packages all fail the officer's recipe and our script",
    quick=True,
)
def forged_packages(place: Installation) -> str:
    assert place.healthy()
    path = f"{Path(age()).parent}:{PATH}"
    with tempfile.TemporaryDirectory(prefix="holdfast-forged-") as name:
        genuine = Path(name) / "genuine"
        genuine.mkdir()
        prepared(genuine)
        for number, (what, forge) in enumerate(FORGERIES.items()):
            folder = Path(shutil.copytree(genuine, Path(name) / f"{number}"))
            forge(folder)
            done = followed(folder, steps(), path=path)
            assert done.returncode == 1, f"{what}: the recipe ended with {done.returncode}"
            assert "NOT VERIFIED" in done.stderr, f"{what}: {done.stderr}"
            said = asked(folder, sys.executable)
            assert said.returncode == 2, f"{what}: the script ended with {said.returncode}"
        done = followed(genuine, steps(), path=path)
        assert done.returncode == 0, f"the genuine one failed: {done.stderr}"
    return f"{len(FORGERIES)} forged packages refused by both, the genuine one verified"
