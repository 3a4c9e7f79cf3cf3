"""The search for rules that no test holds makes the changes that it says."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.mutants.mutations import mutations
from tests.mutants.trying import take_on

SOURCE = """
def claim(case, actor):
    require(actor, "claim")
    held = rows.filter(case=case, user=actor).first()
    if held is not None and not held.is_over:
        return max(
            held.at,
            1,
        )
    log.info("nothing")
    return None
"""


def test_every_change_is_one_change_of_a_whole_module() -> None:
    found = list(mutations(SOURCE))
    for one in found:
        ast.parse(one.source)
        assert one.source != SOURCE
    assert {(one.line, one.kind, one.after) for one in found} == {
        (3, "left out", "pass"),
        (4, "condition", "rows.filter(user=actor)"),
        (4, "condition", "rows.filter(case=case)"),
        (5, "and/or", "((held is not None) or (not held.is_over))"),
        (5, "comparison", "(held is None)"),
        (5, "not", "(held.is_over)"),
        (6, "largest/smallest", "min(held.at, 1)"),
    }


def test_a_function_that_is_loaded_takes_on_the_code_of_a_mutant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dedent("""
        import functools

        def quiet(function):
            @functools.wraps(function)
            def inner(*given):
                return function(*given)
            return inner

        @quiet
        def larger(one, other):
            return max(one, other)

        class Kept:
            @property
            def value(self):
                return [max(one, 3) for one in (1, 5)]
    """)
    (tmp_path / "a_module_to_change.py").write_text(before)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("a_module_to_change")
    try:
        assert (module.larger(1, 2), module.Kept().value) == (2, [3, 5])
        take_on("a_module_to_change.py", before.replace("max(one, other)", "min(one, other)"))
        assert (module.larger(1, 2), module.Kept().value) == (1, [3, 5])
        take_on("a_module_to_change.py", before.replace("max(one, 3)", "min(one, 3)"))
        assert module.Kept().value == [1, 3]
        with pytest.raises(ValueError, match="no function has other code"):
            take_on("a_module_to_change.py", before + "\nLIMIT = 1\n")
    finally:
        del sys.modules["a_module_to_change"]
