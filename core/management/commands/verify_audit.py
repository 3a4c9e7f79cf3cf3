"""Check the audit log's chains."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.audit_check import Verdict, check
from core.models import Heartbeat


class Command(BaseCommand):
    """Read all chains and name the first bad entry of each, then compare reports, items, reveals, decisions,
    referrals and packages with the lines that speak of them. Exits with 1 when anything differs.

    ``--save-heads FILE`` writes where every chain ends. Kept on another machine and given back with
    ``--against FILE``, it also finds a chain that somebody rewrote together with its head.
    """

    help = "Check that no audit entry was changed, removed or cut off."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--chain", help="check one chain only, for example case:<id>")
        parser.add_argument("--json", action="store_true", help="print one JSON document")
        parser.add_argument("--save-heads", metavar="FILE", help="write the chains' ends")
        parser.add_argument("--against", metavar="FILE", help="compare with ends saved before")

    def handle(self, *args: Any, **options: Any) -> None:
        from core.jobs import beat

        anchor = self._anchor(options["against"]) if options["against"] else None
        verdict = check(
            chain=options["chain"],
            anchor=anchor,
            keep_heads=bool(options["save_heads"]),
            rows=not options["chain"],
            progress=None if options["json"] else self._progress,
        )
        if options["save_heads"] and verdict.is_intact:
            Path(options["save_heads"]).write_text(
                json.dumps(verdict.heads, indent=1, sort_keys=True) + "\n"
            )
        if options["chain"] is None:
            beat("verify_audit", Heartbeat.Kind.CHECK, **verdict.as_json())
        self._say(verdict, as_json=options["json"])
        if not verdict.is_intact:
            sys.exit(1)

    def _say(self, verdict: Verdict, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(verdict.as_json(), indent=1))
            return
        for found in verdict.breaks:
            place = f"chain {found.chain}, entry {found.seq}: " if found.chain else ""
            self.stdout.write(f"{place}{found.what}")
        state = "intact" if verdict.is_intact else f"{len(verdict.breaks)} places do not agree"
        self.stdout.write(f"{verdict.entries} entries in {verdict.chains} chains: {state}.")
        if verdict.behind:
            self.stdout.write(
                f"{verdict.behind} entries were written while the database's clock lay behind the entry "
                f"before them, by {verdict.most_behind_ms / 1000:.3f} s at most: their order is right, "
                "their time may be late."
            )
        if verdict.as_given:
            self.stdout.write(
                f"{verdict.as_given} entries are generated history: their times were given, not measured."
            )

    def _anchor(self, name: str) -> dict[str, tuple[int, str]]:
        try:
            saved = json.loads(Path(name).read_text())
            return {chain: (int(seq), str(digest)) for chain, (seq, digest) in saved.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            raise CommandError(f"{name} is not a file written by --save-heads") from None

    def _progress(self, done: int, total: int) -> None:
        if self.stderr.isatty():
            self.stderr.write(f"  {done} of {total}", ending="\r" if done < total else "\n")
