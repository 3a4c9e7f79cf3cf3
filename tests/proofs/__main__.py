"""``python -m tests.proofs [--quick] [--only NAME]``: try every promise and print a line for each."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path

from config.demo.browser import DemoFailed
from tests.proofs import FOUND, Proof
from tests.proofs.installation import Installation, started

HERE = Path(__file__).parent
NOT_PROOFS = {"__init__", "__main__", "installation"}


def main() -> int:
    """Run the proofs. Returns 0 when every promise held, 1 otherwise, 2 when nothing was tried."""
    parser = argparse.ArgumentParser(prog="make proofs", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only those that take seconds")
    parser.add_argument("--only", default="", help="only those whose name holds this")
    asked = parser.parse_args()
    for file in sorted(HERE.glob("*.py")):
        if file.stem not in NOT_PROOFS:
            importlib.import_module(f"tests.proofs.{file.stem}")
    chosen = [one for one in FOUND if asked.only in one.name and (one.quick or not asked.quick)]
    chosen.sort(key=lambda one: one.last)  # A stable sort: the order of the modules stays.
    if not chosen:
        print("No proof has that name.")
        return 2

    broken = 0
    began = time.monotonic()
    print("Starting an installation with sample data …", flush=True)
    with started() as place:
        print(f"Ready after {time.monotonic() - began:.0f} s.\n", flush=True)
        for one in chosen:
            broken += not _try(one, place)
    held = len(chosen) - broken
    print(f"\nproofs: {held} passed, {broken} failed in {time.monotonic() - began:.0f} s")
    return 1 if broken else 0


def _try(one: Proof, place: Installation) -> bool:
    print(f"· {one.promise}", flush=True)
    print(f"    make proofs ONLY={one.name}", flush=True)
    began = time.monotonic()
    try:
        result, held = one.tried(place), True
    except (AssertionError, DemoFailed) as broke:
        result, held = f"BROKEN: {broke}", False
    except Exception as broke:  # noqa: BLE001 — one that cannot be tried is not held
        result, held = f"NOT TRIED: {type(broke).__name__}: {broke}", False
    word = "held" if held else "FAILED"
    print(f"    {word}: {result} ({time.monotonic() - began:.1f} s)", flush=True)
    return held


if __name__ == "__main__":
    sys.exit(main())
