"""The database and the code fit each other, or nothing starts; an expanded newer schema is accepted."""

from __future__ import annotations

import io
import subprocess
import sys

import psycopg
import pytest
from django.apps import apps
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from config.runtime.postgres import OWNER
from core import schema
from core.models import Heartbeat
from tests.stack import REPOSITORY, PrivateStack


def run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.django_db
class TestTheTables:
    def test_a_fresh_database_is_what_the_models_say(self) -> None:
        assert schema.differences(apps) == []
        schema.check_start()
        schema.check_prepare()

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ("ALTER TABLE reports_item DROP COLUMN route_due_at", "column reports_item.route_due_at is missing"),
            ("ALTER TABLE reports_account ALTER profile_text TYPE varchar(9)", "is varchar(9), not text"),
            ("ALTER TABLE reports_item ALTER kind DROP NOT NULL", "reports_item.kind may be empty"),
            ("ALTER TABLE reports_item ADD extra int NOT NULL", "reports_item.extra must be filled"),
            ("ALTER TABLE reports_item DROP CONSTRAINT item_is_text_or_media", "item_is_text_or_media of reports_item is missing"),
            ("DROP INDEX items_to_scan", "items_to_scan of reports_item is missing"),
            ("DROP TABLE reports_idempotencyrecord CASCADE", "table reports_idempotencyrecord is missing"),
        ],
    )  # fmt: skip
    def test_what_code_would_stumble_over_stops_the_start(self, change: str, said: str) -> None:
        run(change)
        with pytest.raises(
            schema.Misfit, match="does not have the tables that this code needs"
        ) as no:
            schema.check_start()
        assert said in str(no.value)

    def test_an_expanded_newer_schema_is_accepted(self) -> None:
        run("ALTER TABLE reports_item ADD later_word text")
        run("ALTER TABLE reports_item ADD later_count int NOT NULL DEFAULT 0")
        run("CREATE TABLE reports_later (id int)")
        run(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('reports', '0999_x', now())"
        )
        schema.check_start()
        schema.check_prepare()
        assert schema.unknown_migrations() == ["reports.0999_x"]

    def test_a_schema_that_a_newer_version_contracted_is_refused(self) -> None:
        detail = {"generation": schema.GENERATION + 2, "works_with": schema.GENERATION + 1}
        Heartbeat.objects.create(name=schema.ROW, kind="schema", detail=detail)
        for check in (schema.check_start, schema.check_prepare):
            with pytest.raises(schema.Misfit, match="made by a newer version"):
                check()
        schema.note_prepared()  # This code's word does not replace the newer one's.
        assert Heartbeat.objects.get(pk=schema.ROW).detail == detail

    def test_a_migration_that_is_missing_is_named(self) -> None:
        run("DELETE FROM django_migrations WHERE app = 'referrals' AND name = '0002_reference'")
        with pytest.raises(schema.Misfit, match=r"lacks migrations .*referrals\.0002_reference"):
            schema.check_start()

    def test_a_database_from_before_an_edited_migration_is_not_migrated(self) -> None:
        run("ALTER TABLE reports_report DROP COLUMN route_due_at")
        with pytest.raises(CommandError, match="made by a version before the first release"):
            call_command("prepare", "--no-static", stdout=io.StringIO())


def test_no_process_starts_on_a_database_that_does_not_fit(private_stack: PrivateStack) -> None:
    stack = private_stack
    stack.manage("prepare", "--no-static")
    with psycopg.connect(stack.postgres.url(OWNER), autocommit=True) as link:
        assert link.execute(
            "SELECT detail->>'works_with' FROM core_heartbeat WHERE name = 'schema'"
        ).fetchone() == ("1",)
        link.execute("ALTER TABLE moderation_case DROP COLUMN severity")
    for command in (
        ["manage.py", "scheduler"],
        ["-c", "import config.wsgi"],
    ):
        done = subprocess.run(
            [sys.executable, *command],
            cwd=REPOSITORY,
            env=stack.env(),
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 1, done
        assert (
            done.stderr.strip()
            .splitlines()[-1]
            .startswith(
                "Holdfast does not start. The database does not have the tables that this code needs "
                "(column moderation_case.severity is missing"
            )
        ), done.stderr
