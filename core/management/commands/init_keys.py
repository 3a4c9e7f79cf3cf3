"""Create the master key ring."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from core import crypto, identity


class Command(BaseCommand):
    """Create the key ring file if there is none. Never overwrites one. Back the file up."""

    help = "Create the master key ring (once). Keep a copy of the file in a safe place."
    requires_system_checks: list[str] = []  # The checks ask for the ring that this makes.

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            for difference in identity.differences():
                raise CommandError(difference.says)
        except DatabaseError:
            # A first step before there is a database; ``prepare`` and each start compare once there is one.
            self.stderr.write("The database cannot be asked whether this installation has keys.")
        try:
            name = crypto.init_key_ring()
        except crypto.KeyRingError as failed:
            raise CommandError(str(failed)) from None
        if name is None:
            self.stdout.write("The master key ring exists already.")
            return
        self.stdout.write(f"Created master key {name} in {settings.HOLDFAST_KEYRING}")
        self.stdout.write(
            "Back this file up apart from the database: without it no original can be read."
        )
