"""Show the current second-factor codes of the sample people."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.sample.files import credentials_file, read
from config.sample.people import STEP_SECONDS, code_now


class Command(BaseCommand):
    help = "Print the six-digit codes of the sample people, as their authenticator apps would show."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("who", nargs="?", default="", help="part of a role, name or e-mail")

    def handle(self, *args: Any, **options: Any) -> None:
        people = read(credentials_file())
        if not people:
            raise CommandError("There is no sample data here. Start with `make up` first.")
        wanted = str(options["who"]).lower()
        shown = [
            person
            for person in people
            if wanted in f"{person['role']} {person['name']} {person['email']}".lower()
        ]
        if not shown:
            raise CommandError(f"No sample person matches {wanted!r}.")
        for person in shown:
            code = code_now(person["totp_secret"])
            self.stdout.write(f"{code}  {person['role']:<14} {person['email']}")
        left = STEP_SECONDS - int(time.time()) % STEP_SECONDS
        self.stdout.write(
            f"Good for {left} s. Each code works once; wait for the next if it was used."
        )
