"""Verify a package with the officers' script and our own list of issued packages."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from referrals.models import Package
from referrals.package import IssuedPackage, registry
from referrals.verifier import verify_package as verifier


class Command(BaseCommand):
    help = (
        "Verify a package (.tar.age with --identity, a tar, or an unpacked folder) against our list "
        "of issued packages. Exit code: 0 green, 3 amber, 2 red."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("package")
        parser.add_argument(
            "--allowed-signers",
            default=settings.HOLDFAST_ALLOWED_SIGNERS_FILE,
            help="Public signing keys; the ones of this installation unless given.",
        )
        parser.add_argument("--identity", default="", help="age key for a .tar.age file")
        parser.add_argument("--expect-recipient", default="", help="the agency it was made for")
        parser.add_argument("--tsa-ca", default="", help="certificates of the time authority")
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            signers = Path(options["allowed_signers"]).read_text(encoding="utf-8")
        except OSError as error:
            raise CommandError(
                f"The signing keys cannot be read: {error.strerror}. Give --allowed-signers.",
                returncode=verifier.EXIT_CODES[verifier.RED],
            ) from None
        report = verifier.verify(
            options["package"],
            verifier.Options(
                allowed_signers=signers,
                registry=json.loads(_our_registry()),
                expect_recipient=options["expect_recipient"],
                identity=options["identity"],
                tsa_ca=options["tsa_ca"],
            ),
        )
        if options["json"]:
            self.stdout.write(json.dumps(report.as_dict(), indent=2))
        else:
            self.stdout.write(verifier.as_text(report), ending="")
        if report.verdict != verifier.GREEN:
            sys.exit(verifier.EXIT_CODES[report.verdict])


def _our_registry() -> bytes:
    """Every package this installation has sealed."""
    issued = [
        IssuedPackage(
            package_id=package.file_name.removesuffix(".tar.age"),
            tagmanifest_sha512=package.tagmanifest_sha512,
            issued_at=package.built_at,
        )
        for package in Package.objects.only("file_name", "tagmanifest_sha512", "built_at")
    ]
    return registry(issued, organisation=settings.HOLDFAST_ORGANISATION, issued_at=timezone.now())
