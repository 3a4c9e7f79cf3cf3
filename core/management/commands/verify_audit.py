"""Check the audit log's chains."""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.anchor_check import AnchorVerdict, check_anchors
from core.audit_check import Verdict, check
from core.models import Heartbeat

TOLD_EVERY = 30
"""Seconds between two lines of progress where nobody watches a terminal."""


class Command(BaseCommand):
    """Read all chains and name the first bad entry of each, then compare the rows that the log knows
    (``HOLDFAST_AUDITED_ROWS``) with the lines that speak of them. Exits with 1 when anything differs.

    ``--anchors`` also checks the signed anchors, in the database and in the store, and names a chain whose end was
    cut off since. ``--save-heads FILE`` writes where every chain ends. Kept on another machine and given back with
    ``--against FILE``, it also finds a chain that somebody rewrote together with its head.
    """

    _told = 0.0

    help = "Check that no audit entry was changed, removed or cut off."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--chain", help="check one chain only, for example case:<id>")
        parser.add_argument("--json", action="store_true", help="print one JSON document")
        parser.add_argument("--save-heads", metavar="FILE", help="write the chains' ends")
        parser.add_argument(
            "--anchors",
            action="store_true",
            help="check the signed anchors in the database and in the store, too",
        )
        parser.add_argument("--against", metavar="FILE", help="compare with ends saved before")

    def handle(self, *args: Any, **options: Any) -> None:
        from core.jobs import beat

        self._told = time.monotonic()
        anchor = self._anchor(options["against"]) if options["against"] else None
        verdict = check(
            chain=options["chain"],
            anchor=anchor,
            keep_heads=bool(options["save_heads"]),
            rows=not options["chain"],
            progress=None if options["json"] else self._progress,
        )
        anchors = (
            check_anchors(progress=None if options["json"] else self._progress)
            if options["anchors"]
            else None
        )
        if options["save_heads"] and verdict.is_intact:
            Path(options["save_heads"]).write_text(
                json.dumps(verdict.heads, indent=1, sort_keys=True) + "\n"
            )
        if options["chain"] is None:
            beat(
                "verify_audit",
                Heartbeat.Kind.CHECK,
                by="manage.py verify_audit",
                anchors=anchors.as_json() if anchors is not None else None,
                **verdict.as_json(),
            )
        self._say(verdict, anchors, as_json=options["json"])
        if not (verdict.is_intact and (anchors is None or anchors.is_intact)):
            sys.exit(1)

    def _say(self, verdict: Verdict, anchors: AnchorVerdict | None, *, as_json: bool) -> None:
        if as_json:
            said = verdict.as_json()
            if anchors is not None:
                said["anchors"] = anchors.as_json()
            self.stdout.write(json.dumps(said, indent=1))
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

        if anchors is not None:
            self._say_anchors(anchors)

    def _say_anchors(self, anchors: AnchorVerdict) -> None:
        for problem in anchors.problems:
            self.stdout.write(problem)
        if not anchors.anchors:
            self.stdout.write("There is no anchor yet: nothing shows whether ends were cut off.")
            return
        state = "all hold" if anchors.is_intact else f"{len(anchors.problems)} problems"
        self.stdout.write(
            f"{anchors.anchors} anchors over {anchors.heads} ends of chains, {anchors.stamped} of them "
            f"with a time stamp: {state}. The newest is number {anchors.newest}."
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
        elif time.monotonic() - self._told >= TOLD_EVERY:
            self._told = time.monotonic()
            self.stderr.write(f"  {done} of {total}")
