"""Bring an installation up to date in one process: keys, tables, rights, static files, samples."""

from __future__ import annotations

import time
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from config import static_files
from core import crypto, identity, schema

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
        parser.add_argument(
            "--new-secret-key", action="store_true", help="SECRET_KEY was changed on purpose"
        )
        parser.add_argument("--sample", action="store_true", help="load the sample data")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            schema.check_prepare()
            identity.check_before_prepare(new_session_secret=options["new_secret_key"])
        except (schema.Misfit, identity.WrongKeys) as misfit:
            raise CommandError(str(misfit)) from None
        with connection.cursor() as cursor:
            # A migration that waits for a lock makes everybody behind it wait: rather fail and be repeated.
            cursor.execute("SELECT set_config('lock_timeout', %s, false)", [LOCK_TIMEOUT])
        self._step("Tables", "migrate", interactive=False, verbosity=0)
        schema.note_prepared()
        self._settle_keys(anew=options["new_secret_key"])
        if role := options["app_role"]:
            self._step("Rights of the application's role", "grant_app_role", role=role)
        self._signing_keys()
        if not options["no_static"]:
            self._static_files()
        if options["sample"]:
            self.stdout.write("Sample data:")
            call_command("load_sample", stdout=self.stdout)

    def _settle_keys(self, *, anew: bool) -> None:
        began = time.monotonic()
        try:
            done = identity.settle(new_session_secret=anew)
        except (identity.WrongKeys, crypto.KeyRingError) as refused:
            raise CommandError(str(refused)) from None
        for sentence in done:
            self.stderr.write(sentence)
        self.stdout.write(f"Keys: {time.monotonic() - began:.1f} s")
        self.stdout.flush()

    def _signing_keys(self) -> None:
        """Make the signing and the escrow key once in the life of an installation, never on a later host or day.

        A key made here again would be one that this host's accounts can read, listed beside the real one.
        """
        if not identity.has_signing_key():
            self._step("Signing and escrow keys", "init_signing")
        identity.note_public_files()
        for difference in identity.public_differences():
            self.stdout.write(f"Note: {difference.says}")

    def _static_files(self) -> None:
        began = time.monotonic()
        removed = static_files.collect()
        self.stdout.write(f"Static files: {time.monotonic() - began:.1f} s")
        if removed:
            self.stdout.write(f"Removed {removed} static files that no release named for a month.")

    def _step(self, title: str, command: str, **options: Any) -> None:
        began = time.monotonic()
        call_command(command, stdout=self.stderr, **options)
        self.stdout.write(f"{title}: {time.monotonic() - began:.1f} s")
        self.stdout.flush()
