"""Fill an empty installation with invented people, drawn pictures and marker words."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from config.sample import load


class Command(BaseCommand):
    help = (
        "Load the sample data: people of every role, sources, lists, about 40 reports, some decisions "
        "and a sealed package. Safe to repeat: what is there already is left alone."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--no-work", action="store_true", help="leave scanning and routing to the workers"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        began = time.monotonic()
        for title in load.steps(with_work=not options["no_work"]):
            self.stdout.write(f"  {title} ({time.monotonic() - began:.1f} s)")
            self.stdout.flush()
