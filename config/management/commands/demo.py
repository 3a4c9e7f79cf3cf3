"""Drive the main job from a report to a sealed package, without a browser."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.demo.browser import DemoFailed
from config.demo.stack import installation
from config.demo.stages import STAGES, Run
from holdfast_client import NotReached, Problem
from toy_platform import Receiver, ToyPlatform  # After config.demo, which says where it lies.


class Command(BaseCommand):
    """Run every stage and say how long each took. Exits with 1 at the first one that fails.

    Talks to the sample installation that runs here, or starts one in a temporary folder and stops it
    at the end. ``--out`` then holds the sealed package, its checksum, the agency's key, the list of
    signers and VERIFY.txt with the stock commands that open and verify it.
    """

    help = (
        "Drive the main job over HTTP: reports in, reviewed, decided, enforced, referred, sealed."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--headless", action="store_true", help="without a browser (the only way)"
        )
        parser.add_argument("--out", required=True, type=Path, help="an empty or new folder")

    def handle(self, *args: Any, **options: Any) -> None:
        out: Path = options["out"].resolve()
        if not options["headless"]:
            raise CommandError("Say --headless: to click through it yourself, use `make up`.")
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise CommandError(f"{out} is not an empty folder; nothing was touched.")
        out.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        try:
            with tempfile.TemporaryDirectory(prefix="holdfast-demo-log-") as logs:
                self._say("Holdfast demo: from a report to a sealed package")
                platform = ToyPlatform()
                with installation(Path(logs) / "up.log") as place, Receiver(platform) as receiver:
                    how = "started for this demo" if place.is_own else "already running"
                    self._took("Installation", began, f"{place.address} ({how})")
                    self._run(Run(place, platform, receiver.url, out))
        except DemoFailed as failed:
            raise CommandError(str(failed)) from None
        self._say(f"Done in {time.monotonic() - began:.1f} s. {out} holds:")
        for path in sorted(out.iterdir()):
            self._say(f"  {path.name}")
        self._say("Verify it with stock tools, inside that folder:  sh VERIFY.txt")

    def _run(self, run: Run) -> None:
        try:
            for title, stage in STAGES:
                began = time.monotonic()
                try:
                    said = stage(run)
                except DemoFailed as failed:
                    raise DemoFailed(f"Stage “{title}” failed: {failed}") from None
                except (Problem, NotReached) as refused:
                    raise DemoFailed(f"Stage “{title}” failed: {refused}") from None
                except httpx.TransportError as failed:
                    raise DemoFailed(
                        f"Stage “{title}” failed: {run.place.address} could not be reached "
                        f"({type(failed).__name__})."
                    ) from None
                self._took(title, began, said)
        finally:
            run.close()

    def _took(self, title: str, began: float, said: str) -> None:
        self._say(f"  {title:<32} {time.monotonic() - began:6.1f} s   {said}")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
