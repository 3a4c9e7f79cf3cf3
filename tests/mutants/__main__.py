"""``python -m tests.mutants [--minutes 480] [--only PART] [--seed N] [--json FILE]``: the search itself.

It takes the tests that run each line from a measured run of the suite (kept under ``.mutants/`` for this commit) and
changes functions in the memory of its own processes only (``tests.mutants.trying``): the checkout stays as it is. Exit status 0 whatever it finds: its list is for people.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from coverage import CoverageData

from tests.mutants.mutations import Mutation, mutations
from tests.mutants.trying import PIPES

HERE = Path(__file__).resolve().parent.parent.parent
KEPT = HERE / ".mutants"
JOBS = 2
MOST_TESTS = 60
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
    """Run the suite once and note which test runs which line. Raises SystemExit when it does not run to its end.

    A test that fails is asked again before it is believed that it noticed a mutant.
    """
    print("Measuring which tests run which lines (once for each commit) …", flush=True)
    KEPT.mkdir(exist_ok=True)
    part = target.with_suffix(".part")
    command = [sys.executable, "-m", "pytest", "-q", "-n", str(JOBS), "--dist", "loadfile"]
    command += ["--cov=.", "--cov-context=test", "--cov-report=", "-p", "no:cacheprovider"]
    command += [f"--ignore={folder}" for folder in LEFT_OUT]
    done = subprocess.run(
        command, cwd=HERE, env=os.environ | {"COVERAGE_FILE": str(part)}, check=False
    )
    if done.returncode not in {0, 1}:
        raise SystemExit("The tests must run to their end before it can be asked what they hold.")
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

    def work() -> None:
        place = Place()
        try:
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
        finally:
            place.close()

    threads = [threading.Thread(target=work) for _ in range(JOBS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


class Place:
    """A pytest of its own, with stores of its own, that tries one mutant after the other (``tests.mutants.trying``)."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        orders, self._orders = os.pipe()
        answers_from, answers = os.pipe()
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "--no-cov"]
        command += ["-p", "no:cacheprovider", "-p", "tests.mutants.trying"]
        command += [f"--ignore={folder}" for folder in LEFT_OUT]
        self._process = subprocess.Popen(
            command,
            cwd=HERE,
            env=os.environ | {PIPES: f"{orders},{answers}"},
            pass_fds=(orders, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(orders)
        os.close(answers)
        self._answers = os.fdopen(answers_from)
        if self._answers.readline() != "ready\n":
            raise RuntimeError("pytest could not run; make test shows why")

    def result(self, one: Mutant) -> str:
        """Return ``killed``, ``survived``, ``no test``, or ``cannot`` with a reason."""
        if not one.tests:
            return "no test"
        order = {"path": one.path, "source": one.mutation.source, "tests": one.tests}
        os.write(self._orders, json.dumps(order).encode() + b"\n")
        return self._answers.readline().strip() or "cannot: pytest ended"

    def close(self) -> None:
        """End pytest and its stores."""
        os.close(self._orders)
        self._process.wait()
        self._answers.close()


def _git(*words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=HERE, check=True, capture_output=True, text=True
    ).stdout


if __name__ == "__main__":
    main()
