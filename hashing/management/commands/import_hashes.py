"""Import a CSV file into a hash list from the command line."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.audit import SYSTEM
from core.errors import Invalid
from hashing import access, actions


class Command(BaseCommand):
    """``import_hashes LIST FILE``: what the import page does, without its limit of rows."""

    help = "Import a CSV file (algorithm, value, note) into a hash list. All or nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the list's short name and the file."""
        parser.add_argument("list", help="short name of the hash list")
        parser.add_argument("file", type=Path, help="CSV file: algorithm, value, note")
        parser.add_argument(
            "--skip-bad-rows", action="store_true", help="keep the good rows if some are bad"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Import, or say what is wrong and change nothing."""
        hash_list = access.find_hash_list(options["list"])
        if hash_list is None:
            known = ", ".join(access.hash_list_names()) or "there is none yet"
            raise CommandError(f"There is no hash list “{options['list']}” (lists: {known}).")
        try:
            with options["file"].open("rb") as stream:
                result = actions.import_csv(
                    hash_list,
                    stream,
                    file_name=options["file"].name,
                    skip_bad_rows=options["skip_bad_rows"],
                    actor=SYSTEM,
                )
        except OSError as missing:
            raise CommandError(f"Cannot read {options['file']}: {missing.strerror}.") from None
        except Invalid as invalid:
            raise CommandError(str(invalid)) from None
        for problem in result.problems:
            self.stderr.write(f"line {problem.number}: {problem.reason}")
        if not result.is_done:
            raise CommandError(
                f"{result.refused} of {result.rows} rows are bad; nothing was imported. "
                "Correct them, or use --skip-bad-rows."
            )
        self.stdout.write(
            f"{hash_list.slug}: {result.rows} rows, {result.added} added, {result.known} known "
            f"({result.retired} retired), {result.duplicates} twice in the file, "
            f"{result.refused} left out."
        )
        if result.ignored:
            self.stdout.write(f"Columns that were not read: {', '.join(result.ignored)}.")
