"""Let somebody in anew from the machine itself, such as the only administrator who lost the device."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from accounts import actions
from accounts.models import AccountRequest, User
from accounts.signing_in import one_time_address
from core.audit import Actor
from core.errors import Invalid, Refused

REASON = "Asked and confirmed on the machine itself."

MACHINE = Actor("system", "manage.py recover_person", "Holdfast")


class Command(BaseCommand):
    """``manage.py recover_person EMAIL [--second-factor] [--password]``: named to all like any other recovery."""

    help = (
        "Reset a person's second factor, or print a link for a new password. The audit log says so."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", help="the address the person signs in with")
        parser.add_argument("--second-factor", action="store_true", help="reset the second factor")
        parser.add_argument(
            "--password", action="store_true", help="print a link for a new password"
        )
        parser.add_argument(
            "--base",
            default=os.environ.get("HOLDFAST_ADDRESS") or "http://127.0.0.1:8000",
            help="address of the installation in the browser (default: HOLDFAST_ADDRESS, else %(default)s)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        person = User.objects.filter(email=options["email"].strip().lower()).first()
        if person is None:
            raise CommandError("There is no account with this e-mail address.")
        kinds = [
            kind
            for kind, wanted in (
                (AccountRequest.Kind.SECOND_FACTOR, options["second_factor"]),
                (AccountRequest.Kind.PASSWORD_LINK, options["password"]),
            )
            if wanted
        ]
        if not kinds:
            raise CommandError("Say what to do: --second-factor, --password, or both.")
        with transaction.atomic():
            for kind in kinds:
                try:
                    request = actions.ask_for(kind, person, reason=REASON, actor=MACHINE)
                    done, token = actions.confirm_request(request, actor=MACHINE)
                except (Refused, Invalid) as refused:
                    raise CommandError(str(refused)) from None
                self.stdout.write(f"Done: {done.get_kind_display()}. The audit log says so.")
                if token:
                    self.stdout.write(
                        one_time_address(options["base"], "accounts:new_password", token)
                    )
