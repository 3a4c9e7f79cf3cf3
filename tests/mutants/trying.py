"""pytest as a place where mutants are tried: everything imported once, and a child of it for each mutant.

A ``-p`` plugin. Instead of the tests that were collected it runs, for each order on a pipe, a child (fork) in which the
functions of one module have the mutant's code, and in it the tests of the order until one fails. Starting Python,
importing and making the database cost some ten seconds and are the same for all; a child costs what its tests take.

An order is a line of JSON: ``path``, ``source`` (the mutant) and ``tests`` (node ids). An answer is a line: ``killed``,
``survived``, or ``cannot`` with a reason.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import inspect
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import IO, Any

import pytest
from django.db import connections

SECONDS = 120
PIPES = "MUTANTS_PIPES"


def codes(code: CodeType) -> Iterator[tuple[str, CodeType]]:
    """Yield the code of each function and class body in a compiled module with its qualified name, outermost first."""
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield inner.co_qualname, inner
            yield from codes(inner)


def changed(before: str, after: str, file: str) -> Iterator[tuple[str, int, CodeType]]:
    """Yield what differs between two sources with the same functions: name, how many of this name came before, new code."""
    old, new = (
        # What lies inside another function is a constant of that one, and the body of a class has run.
        [
            (name, code)
            for name, code in codes(compile(source, file, "exec", dont_inherit=True))
            if "<locals>" not in name and code.co_flags & inspect.CO_OPTIMIZED
        ]
        for source in (before, after)
    )
    if [name for name, _ in old] != [name for name, _ in new]:
        raise ValueError("the mutant has other functions")
    seen: dict[str, int] = {}
    for (name, one), (_, other) in zip(old, new, strict=True):
        number = seen.get(name, 0)
        seen[name] = number + 1
        if one != other:
            yield name, number, other


def take_on(path: str, source: str) -> None:
    """Give the functions of a loaded module the code of a mutant. Raises ValueError when that is not possible."""
    file = Path(path)
    module = importlib.import_module(".".join(file.with_suffix("").parts).removesuffix(".__init__"))
    wanted = {
        (name, number): code for name, number, code in changed(file.read_text(), source, path)
    }
    living: dict[tuple[str, int], list[FunctionType]] = {}
    gc.unfreeze()  # What is frozen is not listed.
    # By type(): isinstance() asks lazy objects for their class, which makes them.
    own = [
        one
        for one in gc.get_objects()
        if type(one) is FunctionType and one.__code__.co_filename == module.__file__
    ]
    lines: dict[str, list[int]] = {}
    for one in own:
        lines.setdefault(one.__code__.co_qualname, []).append(one.__code__.co_firstlineno)
    for one in own:
        name, line = one.__code__.co_qualname, one.__code__.co_firstlineno
        living.setdefault((name, sorted(set(lines[name])).index(line)), []).append(one)
    if not wanted:
        raise ValueError("no function has other code")
    for key, code in wanted.items():
        if key not in living:
            raise ValueError(f"no function {key[0]} is loaded")
        for one in living[key]:
            one.__code__ = code


def is_slow(item: pytest.Item) -> bool:
    """Return whether a test empties the whole database at its end."""
    marker = item.get_closest_marker("django_db")
    names: list[str] = getattr(item, "fixturenames", [])
    return bool(marker and marker.kwargs.get("transaction")) or "transactional_db" in names


class Trying:
    """Takes orders until there are no more."""

    def __init__(self, orders: IO[str], answers: IO[str]) -> None:
        self.orders, self.answers = orders, answers
        self.failed: list[str] = []
        self.passes: dict[str, bool] = {}
        self.items: dict[str, pytest.Item] = {}
        self.neutral: pytest.Item | None = None
        self.emptying: pytest.Item | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Make the database with a first test, then take orders. Returns True: nothing else is to be run."""
        usable = [item for item in session.items if not item.get_closest_marker("browser")]
        self.items = {item.nodeid: item for item in usable}
        # Of another folder: what only one folder's tests share is put away at the end of each.
        self.neutral = next(item for item in usable if item.nodeid.startswith("tests/reports/"))
        database = [
            item
            for item in usable
            if item.nodeid.startswith("tests/core/") and item.get_closest_marker("django_db")
        ]
        self.emptying = next(item for item in database if is_slow(item))
        self._protocol(next(item for item in database if not is_slow(item)), self.neutral)
        connections.close_all()
        gc.collect()
        gc.freeze()
        self._say("ready")
        for line in self.orders:
            self._say(self._answer(json.loads(line)))
        return True

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember which tests failed."""
        if report.failed:
            self.failed.append(report.nodeid)

    def _say(self, words: str) -> None:
        print(words, file=self.answers, flush=True)

    def _answer(self, order: dict[str, Any]) -> str:
        tests = [self.items[name] for name in order["tests"] if name in self.items]
        tests.sort(key=is_slow)
        if not tests:
            return "no test"
        words = self._in_child(tests, order)
        while words.startswith("failed "):
            name = words.removeprefix("failed ")
            if name not in self.passes:
                self.passes[name] = self._in_child([self.items[name]], None) == "passed"
            if self.passes[name]:
                return "killed"
            # It fails by itself here, which tells nothing: the others are asked.
            tests = [item for item in tests if item.nodeid != name]
            words = self._in_child(tests, order) if tests else "no test"
        return {"passed": "survived", "late": "killed"}.get(words, words)

    def _in_child(self, tests: list[pytest.Item], order: dict[str, Any] | None) -> str:
        """Return ``passed``, ``failed`` with a name, ``late``, or ``cannot`` with a reason."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            os.setsid()
            words = "cannot: the child broke"
            try:
                words = self._run(tests, order)
            except ValueError as error:
                words = f"cannot: {error}"
            finally:
                os.write(writing, words.encode())
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb", buffering=0) as pipe:
            words = self._wait(child, pipe)
        if words in {"late", ""}:
            self._empty()
            return "late"  # One that took the whole process with it was noticed, too.
        return words

    def _wait(self, child: int, pipe: Any) -> str:
        """Return what a child said in time, and leave nothing of it running."""
        end = time.monotonic() + SECONDS
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > end:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return "late"
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        os.set_blocking(pipe.fileno(), False)
        return (pipe.read(10_000) or b"").decode()

    def _empty(self) -> None:
        """Let a test that empties the database do so: who was ended in one left rows behind."""
        assert self.emptying
        self._in_child([self.emptying], None)

    def _run(self, tests: list[pytest.Item], order: dict[str, Any] | None) -> str:
        """Run tests in a child, with a mutant's code if there is one."""
        if order is not None:
            take_on(order["path"], order["source"])
        self.failed.clear()
        for item, following in zip(tests, [*tests[1:], self.neutral], strict=True):
            assert following
            self._protocol(item, following)
            if self.failed:
                return f"failed {self.failed[0]}"
        return "passed"

    @staticmethod
    def _protocol(item: pytest.Item, following: pytest.Item) -> None:
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)


def pytest_configure(config: pytest.Config) -> None:
    """Take the pipes that the searching process made."""
    orders, answers = (int(number) for number in os.environ[PIPES].split(","))
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 2000))
    config.pluginmanager.register(Trying(os.fdopen(orders), os.fdopen(answers, "w")), "trying")
