"""Small changes to Python source, each of which some test should notice. Text in, texts out."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

CONDITIONS = frozenset({"filter", "exclude", "get", "Q", "aget"})
"""Calls whose keywords are conditions: leaving one out lets more rows through."""

SWAPPED: dict[type[ast.cmpop], str] = {
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
TURNED = {"max": "min", "min": "max", "Greatest": "Least", "Least": "Greatest"}
QUIET = frozenset({"log", "logger", "warnings"})
"""What is only told to a log file: no rule."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """One change: its line in the original, what kind it is, the words before and after, the whole new source."""

    line: int
    kind: str
    before: str
    after: str
    source: str


def mutations(source: str) -> Iterator[Mutation]:
    """Yield every mutation of a module's functions, in the order of the source."""
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line.encode()))
    raw = source.encode()

    def at(line: int, column: int) -> int:
        return starts[line - 1] + column

    def change(node: ast.expr | ast.stmt, kind: str, after: str) -> Mutation:
        begin = at(node.lineno, node.col_offset)
        end = at(node.end_lineno or node.lineno, node.end_col_offset or 0)
        before = raw[begin:end].decode()
        # The lines that follow keep their numbers: tests are chosen by line.
        after += "\n" * (before.count("\n") - after.count("\n")) if kind == "left out" else ""
        text = (raw[:begin] + after.encode() + raw[end:]).decode()
        return Mutation(node.lineno, kind, before, after.strip(), text)

    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in _own(function):
                for kind, target, after in _changes(node):
                    yield change(target, kind, after)


def _own(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.AST]:
    """Yield the nodes of a function's body; those of a function within it come with that one."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop(0)
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting[:0] = list(ast.iter_child_nodes(node))


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.expr | ast.stmt, str]]:
    match node:
        case ast.Compare(ops=[op], left=left, comparators=[right]):
            swapped = f"{ast.unparse(left)} {SWAPPED[type(op)]} {ast.unparse(right)}"
            yield "comparison", node, f"({swapped})"
        case ast.BoolOp(op=op, values=values):
            word = " or " if isinstance(op, ast.And) else " and "
            yield "and/or", node, f"({word.join(f'({ast.unparse(value)})' for value in values)})"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield "not", node, f"({ast.unparse(operand)})"
        case ast.Call(func=ast.Name(id=name)) if name in TURNED:
            turned = ast.Call(ast.Name(TURNED[name]), node.args, node.keywords)
            yield "largest/smallest", node, ast.unparse(turned)
        case ast.Expr(value=ast.Call(func=func)) if not _is_quiet(func):
            yield "left out", node, "pass"
    if isinstance(node, ast.Call) and _name(node.func) in CONDITIONS:
        for keyword in node.keywords:
            rest = [one for one in node.keywords if one is not keyword]
            yield "condition", node, ast.unparse(ast.Call(node.func, node.args, rest))


def _name(func: ast.expr) -> str:
    if isinstance(func, ast.Attribute):
        return func.attr
    return func.id if isinstance(func, ast.Name) else ""


def _is_quiet(func: ast.expr) -> bool:
    owner = func.value if isinstance(func, ast.Attribute) else func
    return isinstance(owner, ast.Name) and owner.id in QUIET
