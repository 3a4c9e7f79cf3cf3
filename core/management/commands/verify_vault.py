"""Compare the vault's rows with its files."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections import Counter
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from core import audit, vault
from core.audit_events import AuditEvent
from core.models import Blob, Heartbeat


class Command(BaseCommand):
    """Read every original and compare it with its digest; find rows without files and files without rows.

    Exits with 1 when anything is wrong. Reads the whole vault in constant memory: run it when the disk
    is idle. ``--quick`` looks at names only.
    """

    help = "Check every stored original against its row, both ways."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object per line")
        parser.add_argument("--quick", action="store_true", help="do not read the originals")
        parser.add_argument(
            "--delete-strays", action="store_true", help="delete files that have no row"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        from core.jobs import beat
        from core.vault.receiving import vault_storage

        counts: Counter[str] = Counter()
        for finding in vault.inspect(
            progress=None if options["json"] else self._progress, digests=not options["quick"]
        ):
            removed = finding.kind == "stray" and options["delete_strays"]
            if removed:
                vault_storage().delete(finding.file)
            counts["deleted" if removed else finding.kind] += 1
            if options["json"]:
                self.stdout.write(json.dumps(asdict(finding) | {"deleted": removed}))
            else:
                state = "deleted" if removed else finding.kind
                where = finding.blob or finding.file
                self.stdout.write(f"{state}: {where}: {finding.reason}")
        wrong = sum(number for kind, number in counts.items() if kind != "deleted")
        originals = Blob.objects.filter(destroyed_at__isnull=True).count()
        audit.record(
            AuditEvent.VAULT_VERIFIED,
            actor=audit.SYSTEM,
            originals=originals,
            findings=dict(counts),
            digests=not options["quick"],
        )
        beat("verify_vault", Heartbeat.Kind.CHECK, originals=originals, findings=wrong)
        summary = {"originals": originals, "wrong": wrong, "findings": dict(counts)}
        if options["json"]:
            self.stdout.write(json.dumps(summary))
        elif wrong:
            self.stdout.write(f"{originals} originals, {wrong} findings: the vault is damaged.")
        else:
            self.stdout.write(f"{originals} originals: all are as they were received.")
        if wrong:
            sys.exit(1)

    def _progress(self, done: int, total: int) -> None:
        if self.stderr.isatty() and (done % 50 == 0 or done == total):
            self.stderr.write(f"  {done} of {total}", ending="\r" if done < total else "\n")
