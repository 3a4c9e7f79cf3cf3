"""Say in one line each what is right and what is wrong with this installation."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from core import doctor


class Command(BaseCommand):
    """Look at tables, keys, disks, stores, clocks, work and the sandbox. Changes nothing.

    Ends with 0 when nothing is wrong, 1 with a fault; warnings alone are 0.
    """

    help = "Say what is right and what is wrong with this installation."
    requires_system_checks: list[str] = []  # They are among the findings.

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object a line")

    def handle(self, *args: Any, **options: Any) -> None:
        faults = 0
        for finding in doctor.examine():
            faults += finding.state == doctor.FAULT
            if options["json"]:
                self.stdout.write(json.dumps(asdict(finding), ensure_ascii=False))
            else:
                self.stdout.write(f"{finding.state:8} {finding.topic:11} {finding.says}")
        if faults:
            raise SystemExit(1)
