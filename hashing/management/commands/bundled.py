"""``manage.py bundled``: the native libraries that came inside wheels, and whether each is new enough."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core import bundled
from hashing import film_program, heic


class Command(BaseCommand):
    """Print every native library with its version; with ``--check``, fail where one is too old or not known."""

    help = "Print the native libraries inside the installed wheels; --check fails below the table."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check",
            action="store_true",
            help="fail when a library is older than core/bundled.toml says, or not in it",
        )
        parser.add_argument("--why", action="store_true", help="print why, and where that was read")

    def handle(self, *args: Any, **options: Any) -> None:
        bad = 0
        for library in bundled.found():
            state, sentence = bundled.judge(library)
            is_bad = state in bundled.State.BAD
            bad += is_bad
            self.stdout.write(
                f"{library.wheel:24} {library.name:28} {library.version or '?':14} {state}"
                + (f" ({library.file})" if library.file else "")
            )
            if is_bad or options["why"]:
                self.stdout.write(f"    {sentence}")
        self.stdout.write(heic.described())
        self.stdout.write(film_program.described())
        if bad and options["check"]:
            raise CommandError(
                f"{bad} native libraries are too old or not known. Update their wheels (make lock), or look for "
                "advisories and put what you find into core/bundled.toml."
            )
