"""Confirm what takes two administrators from the machine itself."""

from __future__ import annotations

import os
import uuid
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models.functions import Now

from accounts import actions
from accounts.models import AccountRequest
from accounts.signing_in import one_time_address
from core.audit import Actor
from core.errors import Refused

MACHINE = Actor("system", "manage.py confirm_request", "Holdfast")


class Command(BaseCommand):
    """``manage.py confirm_request [ID]``: lists what waits, or confirms one of it and writes it to the audit log."""

    help = "List what waits for a second administrator, or confirm one request by its id."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", nargs="?", type=uuid.UUID)
        parser.add_argument(
            "--base",
            default=os.environ.get("HOLDFAST_ADDRESS") or "http://127.0.0.1:8000",
            help="address of the installation in the browser (default: HOLDFAST_ADDRESS, else %(default)s)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        waiting = AccountRequest.objects.filter(
            confirmed_at=None, closed_at=None, expires_at__gt=Now()
        ).select_related("person", "invitation", "requested_by")
        if options["id"] is None:
            for each in waiting.order_by("requested_at"):
                whom = each.person or (each.invitation.email if each.invitation else "")
                self.stdout.write(
                    f"{each.pk}  {each.get_kind_display()}: {whom}, asked by {each.requested_by}"
                )
            if not waiting:
                self.stdout.write("Nothing waits.")
            return
        request = waiting.filter(pk=options["id"]).first()
        if request is None:
            raise CommandError("No such request waits.")
        try:
            done, token = actions.confirm_request(request, actor=MACHINE)
        except Refused as refused:
            raise CommandError(refused.message) from None
        self.stdout.write(f"Confirmed: {done.get_kind_display()}. The audit log says so.")
        if token:
            self.stdout.write(one_time_address(options["base"], "accounts:new_password", token))
