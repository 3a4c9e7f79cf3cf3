"""``python -m tests.mutants [--minutes 480] [--only PART] [--seed N] [--json FILE]``: the search itself.

It takes the tests that run each line from a measured run of the suite (kept under ``.mutants/`` for this commit), works
on copies of the checkout, and leaves the checkout alone. Exit status 0 whatever it finds: its list is for people.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from coverage import CoverageData

from config.runtime.postgres import OWNER
from config.runtime.services import Services, private_services
from tests.mutants.mutations import Mutation, mutations

HERE = Path(__file__).resolve().parent.parent.parent
KEPT = HERE / ".mutants"
JOBS = 2
MOST_TESTS = 60
SECONDS = 180
# They start whole installations or browsers: slow, and what they show is shown elsewhere too.
LEFT_OUT = ("tests/browser", "tests/design", "tests/faults", "tests/runtime", "tests/proofs")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A mutation of one file and the tests that pass by its line."""

    path: str
    mutation: Mutation
    tests: tuple[str, ...]

    def told(self) -> str:
        """Return the change in one line."""
        before, after = (" ".join(t.split()) for t in (self.mutation.before, self.mutation.after))
        return (
            f"{self.path}:{self.mutation.line} {self.mutation.kind}: {before[:110]} → {after[:110]}"
        )


def modules() -> list[str]:
    """Return the files that are searched: verbs and access rules."""
    files = _git("ls-files", "*.py").split()
    return [
        file
        for file in files
        if not file.startswith(("tests/", "benchmarks/"))
        and "/migrations/" not in file
        and ("/actions/" in file or file.endswith(("access.py", "/actions.py")))
    ]


def main() -> None:
    """Search until every mutant was tried or the time is over; print what survived."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--minutes", type=float, default=480, help="stop after this time")
    parser.add_argument("--only", default="", help="only files whose path holds this")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another order")
    parser.add_argument("--json", type=Path, help="write the survivors to this file as well")
    asked = parser.parse_args()
    end = time.monotonic() + asked.minutes * 60
    wanted = [path for path in modules() if asked.only in path]
    covered = _tests_by_line(wanted)
    mutants = [
        Mutant(path, one, _nearest(path, covered.get((path, one.line), ())))
        for path in wanted
        for one in mutations((HERE / path).read_text())
    ]
    random.Random(asked.seed).shuffle(mutants)
    print(f"{len(mutants)} mutants in {len(wanted)} files", flush=True)
    results = _try_all(mutants, end)
    counts = Counter(results.values())
    survived = sorted((one for one, result in results.items() if result != "killed"), key=_place)
    for one in survived:
        print(f"{results[one]}: {one.told()}")
    print(
        f"{len(results)} of {len(mutants)} tried: {counts['killed']} killed, {counts['survived']} survived, "
        f"{counts['no test']} on lines that no test runs"
    )
    if asked.json:
        rows = [{"result": results[one], "mutant": one.told()} for one in survived]
        asked.json.write_text(json.dumps(rows, indent=1))


def _place(one: Mutant) -> tuple[str, int]:
    return one.path, one.mutation.line


# ── Which tests run a line ────────────────────────────────────────────────────────────────────
def _tests_by_line(wanted: list[str]) -> dict[tuple[str, int], tuple[str, ...]]:
    measured = KEPT / f"{_git('rev-parse', 'HEAD').strip()}.coverage"
    if not measured.exists():
        _measure(measured)
    data = CoverageData(basename=str(measured))
    data.read()
    files = {str(Path(file)).replace("\\", "/"): file for file in data.measured_files()}
    found: dict[tuple[str, int], tuple[str, ...]] = {}
    for path in wanted:
        file = next((full for name, full in files.items() if name.endswith(f"/{path}")), None)
        if file is None:
            continue
        for line, contexts in data.contexts_by_lineno(file).items():
            names = {context.partition("|")[0] for context in contexts if "::" in context}
            found[path, line] = tuple(sorted(names))
    return found


def _measure(target: Path) -> None:
    """Run the suite once and note which test runs which line. Raises SystemExit when a test fails."""
    print("Measuring which tests run which lines (once for each commit) …", flush=True)
    KEPT.mkdir(exist_ok=True)
    part = target.with_suffix(".part")
    command = [sys.executable, "-m", "pytest", "-q", "-n", str(JOBS), "--dist", "loadfile"]
    command += ["--cov=.", "--cov-context=test", "--cov-report=", "-p", "no:cacheprovider"]
    command += [f"--ignore={folder}" for folder in LEFT_OUT]
    done = subprocess.run(
        command, cwd=HERE, env=os.environ | {"COVERAGE_FILE": str(part)}, check=False
    )
    if done.returncode:
        raise SystemExit("The tests must pass before it can be asked what they hold.")
    part.rename(target)


def _nearest(path: str, tests: tuple[str, ...]) -> tuple[str, ...]:
    """Return at most ``MOST_TESTS``, those of the same room first."""
    room = path.partition("/")[0]
    order = sorted(tests, key=lambda test: (f"tests/{room}/" not in test, test))
    return tuple(order[:MOST_TESTS])


# ── Trying ────────────────────────────────────────────────────────────────────────────────────
def _try_all(mutants: list[Mutant], end: float) -> dict[Mutant, str]:
    results: dict[Mutant, str] = {}
    waiting = iter(mutants)
    lock = threading.Lock()
    with tempfile.TemporaryDirectory(prefix="holdfast-mutants-") as name:
        root = Path(name)
        root.chmod(0o711)
        with private_services(root, durable=False) as services:

            def work(number: int) -> None:
                place = Place(root / f"copy{number}", services, number)
                while time.monotonic() < end:
                    with lock:
                        one = next(waiting, None)
                    if one is None:
                        return
                    result = place.result(one)
                    with lock:
                        results[one] = result
                        if result != "killed":
                            print(f"[{len(results)}] {result}: {one.told()}", flush=True)

            threads = [threading.Thread(target=work, args=(number,)) for number in range(JOBS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    return results


class Place:
    """A copy of the checkout with a database of its own, in which one mutant at a time lives."""

    def __init__(self, copy: Path, services: Services, number: int) -> None:
        self.copy = copy
        for file in _git("ls-files").splitlines():
            target = copy / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(HERE / file, target)
        assert services.postgres
        url = services.postgres.url(OWNER, f"mutants_{number}")
        self.env = os.environ | {"DATABASE_URL": url}
        self.is_fresh = True

    def result(self, one: Mutant) -> str:
        """Return ``killed``, ``survived`` or ``no test``."""
        if not one.tests:
            return "no test"
        file = self.copy / one.path
        whole = file.read_text()
        file.write_text(one.mutation.source)
        try:
            return "killed" if self._fails(one.tests) else "survived"
        finally:
            file.write_text(whole)

    def _fails(self, tests: tuple[str, ...]) -> bool:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "--no-cov"]
        command += ["-p", "no:cacheprovider", "--reuse-db", *(["--create-db"] * self.is_fresh)]
        # A run that was cut off leaves rows behind: the next one starts from an empty database.
        self.is_fresh = True
        try:
            done = subprocess.run(
                [*command, *tests],
                cwd=self.copy,
                env=self.env,
                check=False,
                capture_output=True,
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired:
            return True
        if done.returncode not in {0, 1, 2}:
            raise RuntimeError(f"pytest could not run: {done.stdout.decode()[-1500:]}")
        self.is_fresh = False
        return done.returncode != 0


def _git(*words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=HERE, check=True, capture_output=True, text=True
    ).stdout


if __name__ == "__main__":
    main()
