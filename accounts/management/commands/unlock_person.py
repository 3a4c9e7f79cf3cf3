"""Let somebody sign in again at once, from the machine itself."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import actions
from accounts.models import User
from core.audit import Actor

MACHINE = Actor("system", "manage.py unlock_person", "Holdfast")


class Command(BaseCommand):
    """``manage.py unlock_person EMAIL``: counts wrong passwords and codes of an account anew."""

    help = "Count an account's wrong passwords and codes anew, so that its person can try again at once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", help="the address the person signs in with")

    def handle(self, *args: Any, **options: Any) -> None:
        person = User.objects.filter(email=options["email"].strip().lower()).first()
        if person is None:
            raise CommandError("There is no account with this e-mail address.")
        actions.unlock(person, actor=MACHINE)
        self.stdout.write(f"{person.pseudonym} can sign in again. The audit log says so.")
