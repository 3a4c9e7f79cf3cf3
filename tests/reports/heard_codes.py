"""Which ``code`` values a sender of the API can hear, read from the source.

Begins at every view of every ``api`` module and at what stands before all of them, and follows names: functions
called, classes raised, names that a package hands on. What is called through an object is not followed, so a
function that an action only receives (a callback) must be named somewhere; what is never called is not counted.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache, lru_cache
from http import HTTPStatus
from pathlib import Path

from tests.architecture import ROOMS

ROOT = Path(__file__).resolve().parents[2]
BEFORE_ALL = (
    ("reports.door", "SourceKey"),
    ("reports.door", "machine_door"),
    ("core.errors", "problem_for"),
    ("core.errors", "install_problem_handlers"),
    ("core.views", "bad_request"),
    ("core.views", "not_found"),
    ("core.views", "server_error"),
)
WHOLE = ("config.web.refusals", "core.uploads")
"""Modules that answer by themselves, before any view is asked."""

BY_STATUS = {"unauthorized": "reports.access.KeyRefused"}
"""Codes that follow from a status which the source does not spell out where it is raised."""

Name = tuple[str, str]


@lru_cache(maxsize=1)
def modules() -> dict[str, ast.Module]:
    """Return the product's modules by dotted name."""
    found = {}
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if "migrations" not in parts:
                name = ".".join(parts).removesuffix(".__init__")
                found[name] = ast.parse(path.read_text())
    return found


@cache
def names_of(module: str) -> dict[str, Name | ast.AST]:
    """Return what a module's names mean: a definition of its own, or ``(module, name)`` of another.

    An empty second name is a whole module. Imports inside functions count too.
    """
    tree = modules()[module]
    names: dict[str, Name | ast.AST] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                target = (inner, "") if inner in modules() else (node.module, alias.name)
                names[alias.asname or alias.name] = target
        elif isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name] = (alias.name, "")
    for definition in tree.body:
        if isinstance(definition, ast.FunctionDef | ast.ClassDef):
            names[definition.name] = definition
        elif isinstance(definition, ast.Assign):
            for assigned in definition.targets:
                if isinstance(assigned, ast.Name):
                    names[assigned.id] = definition
    return names


def _find(module: str, name: str) -> tuple[str, ast.AST] | None:
    """Return the definition of a name and the module that holds it."""
    for _ in range(8):
        if module not in modules():
            return None
        meant = names_of(module).get(name)
        if isinstance(meant, ast.AST):
            return module, meant
        if meant is None or not meant[1]:
            return None
        module, name = meant
    return None


def _used(module: str, node: ast.AST) -> Iterator[Name]:
    names = names_of(module)
    for each in ast.walk(node):
        if isinstance(each, ast.Name):
            meant = names.get(each.id)
            if isinstance(meant, ast.AST):
                yield module, each.id
            elif meant and meant[1]:
                yield meant
        elif isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name):
            meant = names.get(each.value.id)
            if meant and not isinstance(meant, ast.AST) and not meant[1]:
                yield meant[0], each.attr


def _is(module: str, name: str, bases: set[str]) -> bool:
    """Return whether a class is one of ``bases`` or comes from one."""
    if name in bases:
        return True
    found = _find(module, name)
    if found is None or not isinstance(found[1], ast.ClassDef):
        return False
    return any(isinstance(b, ast.Name) and _is(found[0], b.id, bases) for b in found[1].bases)


def _codes(module: str, node: ast.AST) -> Iterator[str]:
    """Yield the codes that a definition says by itself."""
    for each in ast.walk(node):
        if isinstance(each, ast.ClassDef):
            for base in each.bases:
                named = isinstance(base, ast.Name) and base.id
                if named and _is(module, named, {"Refused"}):
                    yield from _said(each, "__init__", "Refused")
                if named and _is(module, named, {"HttpError"}):
                    yield from _said(each, "__init__", "HttpError")
        if not isinstance(each, ast.Call) or not isinstance(each.func, ast.Name):
            continue
        if each.func.id in {"problem", "Refusal"} or _is(module, each.func.id, {"Refused"}):
            yield from _code_of(each, "Refused" if each.func.id != "problem" else "")
            if each.func.id == "Refusal":
                yield from _texts(each.args[1:2])
        elif each.func.id == "HttpError":
            yield from _status_of(each)
        elif (at := _place_of_code(module, each.func.id)) is not None:
            yield from _texts([*each.args[at : at + 1], *_named(each)])
        elif each.func.id == "Throttled":
            yield HTTPStatus.TOO_MANY_REQUESTS.name.lower()


def _place_of_code(module: str, name: str) -> int | None:
    """Return which argument of a function of intake is the code of a refusal, as of a line of a batch."""
    found = _find(module, name)
    if found is None or not isinstance(found[1], ast.FunctionDef):
        return None
    names = [each.arg for each in found[1].args.args]
    return names.index("code") if found[0].startswith("reports.") and "code" in names else None


def _named(call: ast.Call) -> list[ast.expr]:
    return [word.value for word in call.keywords if word.arg == "code"]


def _said(node: ast.ClassDef, method: str, kind: str) -> Iterator[str]:
    for each in ast.walk(node):
        if not isinstance(each, ast.Call) or not isinstance(each.func, ast.Attribute):
            continue
        if each.func.attr == method:
            yield from _code_of(each, kind) if kind == "Refused" else _status_of(each)


def _code_of(call: ast.Call, kind: str) -> Iterator[str]:
    given = _named(call)
    if not given and kind == "Refused" and isinstance(call.func, ast.Name):
        given = call.args[1:2]
        if not given and call.func.id == "Refused":
            yield "refused"
    yield from _texts(given)


def _texts(nodes: list[ast.expr]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.IfExp):
            yield from _texts([node.body, node.orelse])


def _status_of(call: ast.Call) -> Iterator[str]:
    for node in call.args[:1]:
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            yield HTTPStatus(node.value).name.lower()


def views() -> list[Name]:
    """Return every view of a machine API by module and name."""
    return [
        (module, node.name)
        for module, tree in modules().items()
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        for mark in node.decorator_list
        if isinstance(mark, ast.Call) and ast.unparse(mark.func).startswith("router.")
    ]


def heard() -> dict[str, str]:
    """Return the codes that a sender can hear, each with a place that says it."""
    codes = dict(BY_STATUS)
    seen: set[Name] = set()
    pending: list[Name] = [*views(), *BEFORE_ALL]
    for module in WHOLE:
        for code in _codes(module, modules()[module]):
            codes.setdefault(code, module)
    while pending:
        module, name = pending.pop()
        found = _find(module, name)
        if found is None or (found[0], name) in seen:
            continue
        module, node = found
        seen.add((module, name))
        for code in _codes(module, node):
            codes.setdefault(code, f"{module}.{name}")
        pending += _used(module, node)
    return codes
