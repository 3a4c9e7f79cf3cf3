"""The house rules hold, and each rule would notice if they did not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.utils.module_loading import import_string

from tests import architecture as rules
from tests.architecture import PYTHON_RULES, ROOMS, TEMPLATE_RULES, Rule

REPOSITORY = Path(__file__).resolve().parent.parent


def sources(*folders: str, suffix: str) -> list[tuple[str, str]]:
    return [
        (path.relative_to(REPOSITORY).as_posix(), path.read_text())
        for folder in folders
        for path in sorted((REPOSITORY / folder).rglob(f"*{suffix}"))
    ]


@pytest.mark.parametrize("rule", PYTHON_RULES, ids=lambda rule: rule.__name__)
def test_python_follows_the_rule(rule: Rule) -> None:
    files = sources(*ROOMS, "benchmarks", suffix=".py")
    assert len(files) > 100, "the search for files broke"
    broken = [sentence for path, source in files for sentence in rule(path, source)]
    assert not broken, f"{rule.__doc__}\n" + "\n".join(broken)


@pytest.mark.parametrize("rule", TEMPLATE_RULES, ids=lambda rule: rule.__name__)
def test_templates_follow_the_rule(rule: Rule) -> None:
    files = sources("templates", suffix=".html")
    assert len(files) > 50, "the search for files broke"
    broken = [sentence for path, source in files for sentence in rule(path, source)]
    assert not broken, f"{rule.__doc__}\n" + "\n".join(broken)


@pytest.mark.parametrize(
    ("rule", "path", "bad", "good"),
    [
        (
            rules.imports_go_one_way,
            "core/audit.py",
            "def late():\n    from accounts.models import User\n",
            "from django.db import models\n",
        ),
        (
            rules.imports_go_one_way,
            "reports/views.py",
            "import moderation.actions",
            "import core.audit, accounts.access",
        ),
        (rules.imports_go_one_way, "hashing/jobs.py", "from config import settings", "import core"),
        (
            rules.only_actions_write,
            "moderation/views/case.py",
            "case.save(update_fields=['status'])",
            "image.save(out, 'PNG')",
        ),
        (
            rules.only_actions_write,
            "moderation/jobs.py",
            "Case.objects.filter(pk=1).update(status='x')",
            "digest.update(chunk); facts.update({'a': 1})",
        ),
        (
            rules.only_actions_write,
            "reports/access.py",
            "Report.objects.get_or_create(pk=1)",
            "Report.objects.get(pk=1)",
        ),
        (
            rules.only_actions_write,
            "reports/forms.py",
            "Report.objects.all().delete()",
            "storage.delete(name)",
        ),
        (
            rules.views_ask_access,
            "hashing/views.py",
            "lists = HashList.objects.all()",
            "lists = access.lists_for(user)",
        ),
        (
            rules.views_ask_access,
            "reports/api.py",
            "Report.objects.get(pk=1)",
            "access.get_report_for(source, 1)",
        ),
        (
            rules.refusals_are_known_by_class,
            "moderation/views/cases.py",
            "context = {'is_lost': refused.code == 'lease_lost'}",
            "isinstance(refused, LeaseLost)\ncontext = {'code': refused.code}\n",
        ),
        (
            rules.requests_walk_no_unbounded_set,
            "moderation/views/listing.py",
            """def list_digests(request):
    rows = case.case_items.exclude(item__blob=None)
    for row in list(rows.select_related('item')):
        add(row)
""",
            """def list_digests(request):
    for row in case.case_items.order_by('pk')[:MOST]: add(row)
    return [row for row in Item.objects.filter(pk__in=keys).order_by('pk')]
""",
        ),
        (
            rules.requests_walk_no_unbounded_set,
            "referrals/actions/drafting.py",
            "def copy(old):\n    rows = old.exhibits.all()\n    return [Exhibit(item=row.item) for row in rows]\n",
            "def copy(old):\n    rows = old.exhibits.all()[:500]\n    return [row.item for row in rows]\n",
        ),
        (
            rules.actions_know_no_request,
            "reports/actions.py",
            "def submit(report, *, request): ...",
            "def submit(report, *, actor): ...",
        ),
        (
            rules.actions_know_no_request,
            "reports/actions/verbs.py",
            "def submit(report, actor): ...",
            "def submit(report, *, actor): ...",
        ),
        (
            rules.actions_ask_the_role,
            "reports/actions/verbs.py",
            "def submit(report, *, actor: Actor | Person):\n    report.save()",
            """def submit(report, *, actor: User):
    'Says why.'
    require(actor, Permission.REPORTS_CREATE)
def scan(item, *, actor: Actor): ...
""",
        ),
        (
            rules.actions_ask_the_role,
            "reports/actions.py",
            """def submit(report, *, actor: User):
    report.save()
    require(actor, Permission.REPORTS_CREATE)
""",
            "def check_lease(case, *, actor: User): ...",
        ),
        (
            rules.libraries_are_entered_by_the_front_door,
            "accounts/views/second_factor.py",
            "from allauth.mfa.totp.internal.auth import hotp_value",
            "from allauth.mfa.models import Authenticator\nfrom accounts._inner import x\n",
        ),
        (rules.pure_modules_stay_pure, "moderation/routing.py", "import django", "import re"),
        (
            rules.pure_modules_stay_pure,
            "moderation/workflow.py",
            "from moderation.models import Case",
            "import typing\nif TYPE_CHECKING:\n    from moderation.models import Case\n",
        ),
        (
            rules.pure_modules_stay_pure,
            "hashing/matching.py",
            "from datetime import datetime\ndatetime.now()",
            "from datetime import datetime\ndef late(now: datetime): ...",
        ),
        (
            rules.migrations_import_no_room,
            "core/migrations/0002_x.py",
            "from core.models import Blob",
            "from django.db import migrations",
        ),
        (
            rules.heads_go_with_gets,
            "accounts/views/session.py",
            '@require_http_methods(["GET", "POST"])\ndef page(request): ...\n',
            '@require_http_methods(["GET", "HEAD", "POST"])\ndef page(request): ...\n',
        ),
        (
            rules.heads_go_with_gets,
            "accounts/views/session.py",
            "from django.views.decorators.http import require_GET\n",
            "from django.views.decorators.http import require_safe\n",
        ),
        (rules.files_stay_short, "core/jobs.py", "x = 1\n" * 501, "x = 1\n" * 500),
        (
            rules.templates_hold_no_script_or_style,
            "templates/a.html",
            "<script>alert(1)</script>",
            '<script src="app.js" defer></script>',
        ),
        (
            rules.templates_hold_no_script_or_style,
            "templates/a.html",
            '<p class="x"\n style="color:red">',
            '<p class="style">on=1</p>',
        ),
        (
            rules.templates_hold_no_script_or_style,
            "templates/a.html",
            '<button onclick="x()">',
            "{% comment %}<button onclick>{% endcomment %}<button data-on='x'>",
        ),
        (
            rules.templates_hold_no_script_or_style,
            "templates/a.html",
            '<p hx-on:click="x">',
            '<p hx-get="/">',
        ),
        (
            rules.fragments_have_one_root_with_an_id,
            "templates/a/_b.html",
            '<p>text</p><div id="b" hx-get="/"></div>',
            '{% load x %}\n<div class="c" id="b" hx-get="/"></div>',
        ),
        (
            rules.forms_carry_their_token,
            "templates/a.html",
            '{% include "moderation/_appeals.html" with rows=rows only %}',
            '{% include "moderation/_appeals.html" with csrf_token=csrf_token only %}',
        ),
    ],
)
def test_the_rule_catches_what_it_forbids_and_nothing_else(
    rule: Rule, path: str, bad: str, good: str
) -> None:
    assert list(rule(path, bad))
    assert list(rule(path, good)) == []


def test_vague_names_are_caught() -> None:
    assert list(rules.names_say_what_is_inside("reports/utils.py", ""))
    assert list(rules.names_say_what_is_inside("reports/helpers/dates.py", ""))
    assert list(rules.names_say_what_is_inside("config/runtime/services.py", "")) == []
    assert list(rules.names_say_what_is_inside("reports/actions.py", "")) == []


@pytest.mark.parametrize("path", ["reports/actions/x.py", "core/vault/receiving.py"])
def test_listed_writers_may_write(path: str) -> None:
    assert list(rules.only_actions_write(path, "row.save()")) == []


def test_exceptions_are_still_needed() -> None:
    for listed in (
        rules.PURE_MODULES
        - {"hashing/index.py", "referrals/cybertip.py"},  # Come later (DESIGN §2).
        rules.NAMED_ON_PURPOSE,
        rules.LONG_ON_PURPOSE,
        rules.LOOKS_AT_STORES,
        rules.WRITERS_OUTSIDE_ACTIONS,
        rules.INSIDE_OF_LIBRARIES,
    ):
        gone = [path for path in listed if not (REPOSITORY / path).exists()]
        assert not gone, f"listed in tests/architecture.py but not there: {gone}"


def test_verbs_that_ask_no_role_are_still_there_and_still_do_not_ask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listed = set(rules.ASKS_NO_ROLE)
    monkeypatch.setattr(rules, "ASKS_NO_ROLE", {})
    found = {
        f"{path} {sentence.split('()')[0].split()[-1]}"
        for path, source in sources(*ROOMS, suffix=".py")
        for sentence in rules.actions_ask_the_role(path, source)
    }
    assert listed == found


def test_bounded_loops_are_still_there(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = set(rules.BOUNDS)
    monkeypatch.setattr(rules, "BOUNDS", {})
    found = {
        f"{path} {sentence.split('()')[0].split()[-1]}"
        for path, source in sources(*ROOMS, suffix=".py")
        for sentence in rules.requests_walk_no_unbounded_set(path, source)
    }
    assert listed == found


@pytest.mark.parametrize("name", sorted(settings.HOLDFAST_JOBS))
def test_every_job_can_be_imported_and_has_a_queue_and_a_timeout(name: str) -> None:
    job: dict[str, Any] = settings.HOLDFAST_JOBS[name]
    assert callable(import_string(job["path"]))
    assert job["queue"] in settings.RQ_QUEUES
    assert job["timeout"] > 0


@pytest.mark.parametrize("path", [*settings.HOLDFAST_SWEEPS, settings.HOLDFAST_SUBJECTS_SEEN])
def test_every_sweep_and_hook_can_be_imported(path: str) -> None:
    assert callable(import_string(path))


def test_actions_are_their_own_transactions_and_sign_in_is_the_default() -> None:
    assert not settings.DATABASES["default"].get("ATOMIC_REQUESTS")
    assert "django.contrib.auth.middleware.LoginRequiredMiddleware" in settings.MIDDLEWARE
    assert "django.contrib.admin" not in settings.INSTALLED_APPS
    assert settings.FILE_UPLOAD_HANDLERS == ["core.uploads.VaultUploadHandler"]
