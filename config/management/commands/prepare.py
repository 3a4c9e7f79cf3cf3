"""Bring an installation up to date in one process: keys, tables, rights, static files, samples."""

from __future__ import annotations

import time
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from core import schema

LOCK_TIMEOUT = "30s"


class Command(BaseCommand):
    """Do, in order, what a start needs and what has not been done. Safe to repeat.

    One process, because every further one spends seconds on importing Django again. Connects as the
    owner of the tables (``DATABASE_OWNER_URL``).
    """

    help = "Make keys, migrate, grant the application's role its rights, collect static files."
    requires_system_checks: list[str] = []  # Checks that ask the database need its tables first.

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--app-role", default="", help="the role that web and workers use")
        parser.add_argument("--no-static", action="store_true", help="leave static files alone")
        parser.add_argument("--sample", action="store_true", help="load the sample data")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            schema.check_prepare()
        except schema.Misfit as misfit:
            raise CommandError(str(misfit)) from None
        self._step("Master keys", "init_keys")
        with connection.cursor() as cursor:
            # A migration that waits for a lock makes everybody behind it wait: rather fail and be repeated.
            cursor.execute("SELECT set_config('lock_timeout', %s, false)", [LOCK_TIMEOUT])
        self._step("Tables", "migrate", interactive=False, verbosity=0)
        schema.note_prepared()
        if role := options["app_role"]:
            self._step("Rights of the application's role", "grant_app_role", role=role)
        self._step("Signing and escrow keys", "init_signing")
        if not options["no_static"]:
            self._step("Static files", "collectstatic", interactive=False, verbosity=0, clear=True)
        if options["sample"]:
            self.stdout.write("Sample data:")
            call_command("load_sample", stdout=self.stdout)

    def _step(self, title: str, command: str, **options: Any) -> None:
        began = time.monotonic()
        call_command(command, stdout=self.stderr, **options)
        self.stdout.write(f"{title}: {time.monotonic() - began:.1f} s")
        self.stdout.flush()
