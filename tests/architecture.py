"""The house rules as functions of a file's path and source. ``test_architecture.py`` applies them.

Each rule takes ``(path, source)`` with the path relative to the repository and yields one sentence per
violation. Docstrings say why the rule exists; the exceptions stand beside the rule with their reason.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from tests.bounds import BOUNDS

ROOMS = ("core", "accounts", "reports", "hashing", "moderation", "referrals", "config")
"""From the room that knows nothing to the one that sees all; imports go to the left only."""

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
_INCLUDE = re.compile(r'{%\s*include "([^"]+)"([^%]*)%}')

Rule = Callable[[str, str], Iterator[str]]

WRITERS_OUTSIDE_ACTIONS = {
    "core/vault/": "the vault is the one writer of stored originals and their rows",
    "core/jobs.py": "heartbeats of workers; core has no actions of its own",
    "core/identity.py": "notes which keys the installation has, for prepare and the rotation alone",
    "core/leases.py": "renews what a worker of any room holds, and nothing else; core has no actions of its own",
    "benchmarks/claims.py": "fills a throw-away database with 100,000 cases; actions would take an hour",
    "benchmarks/audit.py": "fills a throw-away database with items and the lines that speak of them",
}
INDEXES_FROM_BEFORE_THE_RULE = frozenset(
    {
        "core/migrations/0003_audit_by_address.py",
        "hashing/migrations/0006_text_rules.py",
        "hashing/migrations/0007_index_builds.py",
        "reports/migrations/0003_texts_by_time.py",
        "reports/migrations/0006_risk_scores.py",
    }
)
LOOKS_AT_STORES = {"core/views.py": "the health page asks whether anything runs, not for objects"}
PURE_MODULES = frozenset(
    {
        "accounts/permissions.py",
        "core/media_types.py",
        "core/tables.py",
        "hashing/charts.py",
        "hashing/csv_lists.py",
        "hashing/digests.py",
        "hashing/exchanges/records.py",
        "hashing/folding.py",
        "hashing/folding_tables.py",
        "hashing/index.py",
        "hashing/index/__init__.py",
        "hashing/index/kernels.py",
        "hashing/index/layout.py",
        "hashing/labelled.py",
        "hashing/learning/drift.py",
        "hashing/learning/features.py",
        "hashing/learning/figures.py",
        "hashing/learning/fitting.py",
        "hashing/learning/model.py",
        "hashing/learning/plots.py",
        "hashing/learning/splitting.py",
        "hashing/languages.py",
        "hashing/lookalikes.py",
        "hashing/list_files.py",
        "hashing/matching.py",
        "hashing/patterns.py",
        "hashing/opinions.py",
        "hashing/pdq.py",
        "hashing/pixels.py",
        "hashing/video_files.py",
        "hashing/video_frames.py",
        "hashing/videos.py",
        "hashing/settings_schema.py",
        "hashing/rule_files.py",
        "hashing/rule_lines.py",
        "hashing/rulebook.py",
        "hashing/term_versions.py",
        "hashing/terms.py",
        "moderation/previews.py",
        "moderation/viewing.py",
        "referrals/recipe.py",
        "moderation/routing.py",
        "moderation/workflow.py",
        "referrals/bag.py",
        "referrals/completeness.py",
        "referrals/custody.py",
        "referrals/cybertip.py",
        "referrals/sshsig.py",
        "referrals/workflow.py",
    }
)
VAGUE_NAMES = frozenset(
    {"utils", "util", "helpers", "helper", "services", "service", "managers", "manager", "misc"}
    | {"common", "repositories", "signals"}
)
NAMED_ON_PURPOSE = {"config/runtime/services.py": "PostgreSQL and Valkey are services"}
LONG_ON_PURPOSE = {
    "referrals/verifier/verify_package.py": "shipped to officers as one standard-library script",
}
LONGEST_FILE = 500

_COMMENT = re.compile(r"{%\s*comment.*?%}.*?{%\s*endcomment\s*%}|{#.*?#}", re.DOTALL)
_QUESTIONS = ("_", "check_", "why_", "may_", "is_")
_WRITING = {"create", "get_or_create", "update_or_create", "bulk_create", "bulk_update"}


def imports_go_one_way(path: str, source: str) -> Iterator[str]:
    """A room that knows the rooms above it can be neither understood nor tested alone."""
    room = path.partition("/")[0]
    if room not in ROOMS:
        return
    for node, name in _imported(source):
        other = name.partition(".")[0]
        if other in ROOMS and ROOMS.index(other) > ROOMS.index(room):
            yield f"{path}:{node.lineno} {room} imports {name}"
        if other == "tests":
            yield f"{path}:{node.lineno} the product imports {name}"


def only_actions_write(path: str, source: str) -> Iterator[str]:
    """One writer per room: a second one skips the lock, the check or the audit line.

    Seen are ORM calls by their shape: ``create`` and its kin on anything; ``save()`` and ``delete()``
    without a positional argument (a file or cache call has one); ``update()`` with keywords only
    (dictionaries and digests take a positional argument).
    """
    if _may_write(path):
        return
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        verb = node.func.attr.removeprefix("a") if node.func.attr[:1] == "a" else node.func.attr
        writes = (
            verb in _WRITING
            or (verb in {"save", "delete"} and not node.args)
            or (verb == "update" and not node.args and bool(node.keywords))
        )
        if writes:
            yield f"{path}:{node.lineno} {ast.unparse(node.func)}() outside actions"


def _may_write(path: str) -> bool:
    parts = path.split("/")
    return (
        "actions" in parts
        or parts[-1] == "actions.py"
        or "migrations" in parts
        or "commands" in parts
        or any(path.startswith(listed) for listed in WRITERS_OUTSIDE_ACTIONS)
    )


def views_ask_access(path: str, source: str) -> Iterator[str]:
    """A view that queries by itself forgets, one day, who is asking."""
    parts = path.split("/")
    # "previews.py" ends in "views.py" too, and is none.
    is_view = "views" in parts or f"_{parts[-1]}".endswith(("_views.py", "_api.py"))
    if not is_view or parts[0] not in ROOMS or path in LOOKS_AT_STORES:
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in {"objects", "_default_manager"}:
            yield f"{path}:{node.lineno} {ast.unparse(node)} in a view"


def refusals_are_known_by_class(path: str, source: str) -> Iterator[str]:
    """Codes are words for programs outside; a page that goes another way for one names its class.

    A class that is renamed fails at once, a code that is reworded silently takes the other way.
    """
    parts = path.split("/")
    if "views" not in parts and not f"_{parts[-1]}".endswith("_views.py"):
        return
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Compare):
            continue
        for side in (node.left, *node.comparators):
            if isinstance(side, ast.Attribute) and side.attr == "code":
                yield f"{path}:{node.lineno} goes by the code of a refusal: {ast.unparse(node)}"


_ROWS = frozenset(
    {
        "all",
        "filter",
        "exclude",
        "select_related",
        "order_by",
        "values_list",
        "annotate",
        "distinct",
    }
    | {"prefetch_related", "select_for_update", "iterator"}
)
_WHOLE = frozenset({"list", "set", "tuple", "sorted", "dict", "enumerate", "reversed"})


def requests_walk_no_unbounded_set(path: str, source: str) -> Iterator[str]:
    """A request that walks a table ends, one day, at its time-out, holding every row it has locked.

    A loop in a view or an action goes over a slice (``[:MOST]``), over rows whose keys the caller named
    (``…__in=keys``), or stands in ``tests/bounds.py`` with what bounds it. Seen are loops and comprehensions over a
    queryset by its shape, directly, through ``list(…)`` and its kin, or through a name of the same function.
    """
    parts = path.split("/")
    is_view = "views" in parts or f"_{parts[-1]}".endswith(("_views.py", "_api.py"))
    if parts[0] not in ROOMS or not (is_view or "actions" in parts or parts[-1] == "actions.py"):
        return
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef) or f"{path} {function.name}" in BOUNDS:
            continue
        named: set[str] = set()
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and _is_unbounded(node.value, named):
                named |= {each.id for each in node.targets if isinstance(each, ast.Name)}
        for node in ast.walk(function):
            loops = [node] if isinstance(node, ast.For | ast.comprehension) else []
            for loop in loops:
                if _is_unbounded(loop.iter, named):
                    yield f"{path}:{loop.iter.lineno} {function.name}() walks {ast.unparse(loop.iter)[:80]}"


def _is_unbounded(node: ast.expr, named: set[str]) -> bool:
    if isinstance(node, ast.Name):
        return node.id in named
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Name):
        return node.func.id in _WHOLE and bool(node.args) and _is_unbounded(node.args[0], named)
    if not isinstance(node.func, ast.Attribute) or node.func.attr not in _ROWS:
        return False
    chain: ast.expr = node
    while isinstance(chain, ast.Call) and isinstance(chain.func, ast.Attribute):
        names_keys = any((word.arg or "").endswith("__in") for word in chain.keywords)
        if chain.func.attr == "filter" and names_keys:
            return False
        chain = chain.func.value
    # Of a slice the order and the like are those of what was sliced.
    return not isinstance(chain, ast.Subscript)


def actions_know_no_request(path: str, source: str) -> Iterator[str]:
    """Jobs and the API use the same verbs, and have no request; ``actor`` says who acts, by name.

    Questions (``check_…``, ``why_…``) are not verbs.
    """
    parts = path.split("/")
    if "actions" not in parts and parts[-1] != "actions.py":
        return
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef) or node.name.startswith(_QUESTIONS):
            continue
        positional = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
        if "request" in (*positional, *(a.arg for a in node.args.kwonlyargs)):
            yield f"{path}:{node.lineno} {node.name}() takes a request"
        if "actor" in positional:
            yield f"{path}:{node.lineno} {node.name}() takes actor by position"


ASKS_NO_ROLE = {
    "accounts/actions/people.py create_person": "who accepts an invitation has no role yet; asked if somebody acts",
    "accounts/actions/people.py lock_for_change": "a step of the verbs above it",
    "accounts/actions/sign_ins.py confirm": "proves presence; any session may",
    "accounts/actions/sign_ins.py end_sign_in": "leaving is never refused",
    "accounts/actions/sign_ins.py end_other_sign_ins": "leaving is never refused; also a step of other verbs",
    "reports/actions/outcomes.py record_outcome": "a step of letting a decision take effect",
    "reports/actions/outcomes.py return_to_review": "a step of letting a decision take effect",
    "reports/actions/scan_states.py record_scan_state": "a step of scanning and of releasing a list",
    "reports/actions/chains.py record_intake": "the last step of other verbs",
    "reports/actions/submissions.py submit_report": "one of submit_reports, which asks",
    "reports/actions/submissions.py submit_scan": "one of submit_scans, which asks",
    "hashing/actions/hash_lists.py put_entry": "a step of adding by hand",
    "referrals/actions/keys.py put_key": "a step of entering a key and of adding an agency",
    "moderation/actions/reveals.py record_served": "what was looked at is recorded whatever became of the role",
    "moderation/actions/reveals.py finish_reveal": "how long it was shown is recorded whatever became of the role",
}
"""Verbs with a person as actor that do not begin by asking for a permission, and why."""


def actions_ask_the_role(path: str, source: str) -> Iterator[str]:
    """A view is one door of several: who comes by another one has to be asked as well.

    Every public verb whose ``actor`` may be a person begins with ``require(actor, Permission.…)``. A verb
    that only machines call says so in its annotation (``actor: Actor``); other exceptions have a reason.
    """
    parts = path.split("/")
    if parts[0] not in ROOMS or ("actions" not in parts and parts[-1] != "actions.py"):
        return
    for node in ast.parse(source).body:
        if not isinstance(node, ast.FunctionDef) or node.name.startswith(_QUESTIONS):
            continue
        actor = next((arg for arg in node.args.kwonlyargs if arg.arg == "actor"), None)
        if actor is None or f"{path} {node.name}" in ASKS_NO_ROLE:
            continue
        if actor.annotation is not None and ast.unparse(actor.annotation) == "Actor":
            continue
        first = node.body[1 if ast.get_docstring(node) is not None else 0 :][:1]
        if not first or not ast.unparse(first[0]).startswith("require(actor, Permission."):
            yield f"{path}:{node.lineno} {node.name}() does not ask what its actor may do"


def heads_go_with_gets(path: str, source: str) -> Iterator[str]:
    """Whatever answers GET answers HEAD as well (RFC 9110 section 9.3.2): ``require_safe``, or HEAD in the list."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and any(
            each.name == "require_GET" for each in node.names
        ):
            yield f"{path}:{node.lineno} require_GET refuses HEAD"
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("require_http_methods"):
            offered = ast.unparse(node.args[0])
            if "'GET'" in offered and "'HEAD'" not in offered:
                yield f"{path}:{node.lineno} GET without HEAD"


INSIDE_OF_LIBRARIES = {
    "accounts/totp.py": "allauth offers codes and their rows to its own pages only",
    "core/postgres_link.py": "psycopg names the end of its own wait by a private class only",
}


def libraries_are_entered_by_the_front_door(path: str, source: str) -> Iterator[str]:
    """What a library calls internal may move in any release; who needs it does so in one module, with a test."""
    if path in INSIDE_OF_LIBRARIES:
        return
    for node, name in _imported(source):
        parts = name.split(".")
        inside = any(part == "internal" or part.startswith("_") for part in parts[1:])
        if inside and parts[0] not in (*ROOMS, "tests", "__future__"):
            yield f"{path}:{node.lineno} imports {name}"


def names_say_what_is_inside(path: str, source: str) -> Iterator[str]:
    """Everything fits into ``utils``, so nothing is ever found there."""
    if path in NAMED_ON_PURPOSE:
        return
    for part in path.removesuffix(".py").split("/"):
        if part in VAGUE_NAMES:
            yield f"{path} is named {part}"


def files_stay_short(path: str, source: str) -> Iterator[str]:
    """Beyond 500 lines nobody reads a file whole; it is split by noun."""
    lines = source.count("\n")
    if lines > LONGEST_FILE and path not in LONG_ON_PURPOSE and "/migrations/" not in path:
        yield f"{path} has {lines} lines"


def indexes_are_built_beside_the_work(path: str, source: str) -> Iterator[str]:
    """An index on a table that is there already locks it while it is built: use ``AddIndexConcurrently``.

    In a migration of its own with ``atomic = False``. A table that the same migration makes is empty.
    """
    if "/migrations/" not in path or path in INDEXES_FROM_BEFORE_THE_RULE:
        return
    tree = ast.parse(source)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    new = {_said(each, "name").lower() for each in calls if _called(each) == "CreateModel"}
    for each in calls:
        if _called(each) == "AddIndex" and _said(each, "model_name").lower() not in new:
            yield f"{path}:{each.lineno} locks {_said(each, 'model_name')} while its index is built"


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _said(call: ast.Call, name: str) -> str:
    values = [word.value for word in call.keywords if word.arg == name]
    return str(values[0].value) if values and isinstance(values[0], ast.Constant) else ""


def pure_modules_stay_pure(path: str, source: str) -> Iterator[str]:
    """Rules that are values in, values out can be read, tested and trusted without a database."""
    if path not in PURE_MODULES:
        return
    tree = ast.parse(source)
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node, name in _imported(source, tree):
        if id(node) in typing_only:
            continue
        if name.partition(".")[0] == "django" or name.endswith((".models", ".actions", ".access")):
            yield f"{path}:{node.lineno} imports {name}"
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and ast.unparse(call.func) in {
            "time.time",
            "datetime.now",
            "datetime.datetime.now",
            "date.today",
        }:
            yield f"{path}:{node.lineno} reads the clock"


def migrations_import_no_room(path: str, source: str) -> Iterator[str]:
    """A migration must run for ever; the code it would import will not stay as it was."""
    if "/migrations/" not in path:
        return
    for node, name in _imported(source):
        if name.partition(".")[0] in ROOMS:
            yield f"{path}:{node.lineno} imports {name}"


def templates_hold_no_script_or_style(path: str, source: str) -> Iterator[str]:
    """The content policy forbids inline code, and htmx must not evaluate any either."""
    text = re.sub(
        r"{%\s*comment.*?%}.*?{%\s*endcomment\s*%}|{#.*?#}", _keep_lines, source, flags=re.DOTALL
    )
    for pattern, what in (
        (r"<script(?![^>]*\ssrc=)[^>]*>", "inline script"),
        (r"<style\b", "inline style sheet"),
        (r"<[^>]*\sstyle\s*=", "style attribute"),
        (r"<[^>]*\son[a-z]+\s*=", "event attribute"),
        (r"\shx-on[:-]|\sdata-hx-on", "hx-on"),
        (r"hx-(?:vals|headers)\s*=\s*[\"']\s*js", "evaluated htmx value"),
        (r"javascript:", "javascript: address"),
    ):
        for found in re.finditer(pattern, text, flags=re.IGNORECASE):
            yield f"{path}:{text.count(chr(10), 0, found.start()) + 1} {what}"


def fragments_have_one_root_with_an_id(path: str, source: str) -> Iterator[str]:
    """htmx replaces a fragment by its id; two roots would leave the second one behind."""
    name = path.rpartition("/")[2]
    if not name.startswith("_") or "hx-" not in source:
        return
    body = re.sub(r"{%.*?%}|{#.*?#}", "", source, flags=re.DOTALL).lstrip()
    if not re.match(r"<[a-z]+\b[^>]*\sid=", body):
        yield f"{path} does not begin with an element that has an id"


def forms_carry_their_token(path: str, source: str) -> Iterator[str]:
    """``only`` hides the token from what is included: its forms would look whole, and none could be sent."""
    for found in _INCLUDE.finditer(source):
        name, given = found.groups()
        if given.split()[-1:] == ["only"] and "csrf_token=" not in given and _needs_token(name):
            line = source.count("\n", 0, found.start()) + 1
            yield f"{path}:{line} includes {name} without csrf_token=csrf_token"


@cache
def _needs_token(name: str) -> bool:
    source = (TEMPLATES / name).read_text()
    inner = (
        name
        for name, given in _INCLUDE.findall(source)
        if given.split()[-1:] != ["only"] or "csrf_token=" in given
    )
    return "csrf_token" in re.sub(r"csrf_token=", "", source) or any(map(_needs_token, inner))


def _keep_lines(found: re.Match[str]) -> str:
    return "\n" * found[0].count("\n")


def _imported(source: str, tree: ast.Module | None = None) -> Iterator[tuple[ast.stmt, str]]:
    for node in ast.walk(tree or ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)
            yield node, node.module


PYTHON_RULES: tuple[Rule, ...] = (
    imports_go_one_way,
    only_actions_write,
    views_ask_access,
    refusals_are_known_by_class,
    requests_walk_no_unbounded_set,
    actions_know_no_request,
    actions_ask_the_role,
    heads_go_with_gets,
    libraries_are_entered_by_the_front_door,
    names_say_what_is_inside,
    files_stay_short,
    indexes_are_built_beside_the_work,
    pure_modules_stay_pure,
    migrations_import_no_room,
)
TEMPLATE_RULES: tuple[Rule, ...] = (
    templates_hold_no_script_or_style,
    fragments_have_one_root_with_an_id,
    forms_carry_their_token,
    files_stay_short,
)
