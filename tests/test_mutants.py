"""The search for rules that no test holds makes the changes that it says."""

from __future__ import annotations

import ast

from tests.mutants.mutations import mutations

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
