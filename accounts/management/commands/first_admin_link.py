"""Print the one-time address where the first administrator creates an account."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import actions
from accounts.signing_in import one_time_address
from core.errors import Refused


class Command(BaseCommand):
    """``manage.py first_admin_link [--base URL]``: works only while there is no account at all."""

    help = "Print the one-time link for the first administrator (24 hours, one use)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--base",
            default=os.environ.get("HOLDFAST_ADDRESS") or "http://127.0.0.1:8000",
            help="address of the installation in the browser (default: HOLDFAST_ADDRESS, else %(default)s)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            token = actions.issue_set_up_link()
        except Refused as refused:
            raise CommandError(refused.message) from None
        self.stdout.write(one_time_address(options["base"], "accounts:set_up", token))
