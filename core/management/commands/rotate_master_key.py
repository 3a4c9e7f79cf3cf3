"""Replace the master key that seals the vault's data keys."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.module_loading import import_string

from core import audit, crypto, identity, vault
from core.audit_events import AuditEvent
from core.errors import VaultDamage


class Command(BaseCommand):
    """Add a master key, make it current and seal every data key anew. No media is read or moved.

    Safe to stop at any moment: run it again with ``--resume``. The old keys stay in the ring; backups
    made before need them. ``HOLDFAST_RESEAL`` names functions ``() -> int`` that do the same for small
    secrets other rooms sealed.
    """

    help = "Add a new master key and rewrap all data keys under it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--resume", action="store_true", help="finish an earlier run; add no further key"
        )
        parser.add_argument("--batch", type=int, default=500, help="rows per transaction")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["resume"]:
                name = crypto.key_ring().current
            else:
                for difference in identity.differences():
                    raise CommandError(difference.says)
                name = crypto.add_master_key()
                identity.note_master(name, crypto.key_ring().key(name))
                audit.record(AuditEvent.VAULT_KEY_ADDED, actor=audit.SYSTEM, key=name)
                self.stdout.write(f"Added master key {name}; it seals everything from now on.")
            done = vault.rewrap(batch=options["batch"], progress=self._progress)
            resealed = sum(
                import_string(path)() for path in getattr(settings, "HOLDFAST_RESEAL", [])
            )
        except (crypto.KeyRingError, crypto.Unsealable) as failed:
            raise CommandError(str(failed)) from None
        except VaultDamage as damage:
            raise CommandError(f"{damage}. Run verify_vault; then repeat with --resume.") from None
        audit.record(
            AuditEvent.VAULT_KEYS_REWRAPPED,
            actor=audit.SYSTEM,
            key=name,
            originals=done,
            secrets=resealed,
        )
        self.stdout.write(f"{done} data keys and {resealed} other secrets are sealed by {name}.")
        self.stdout.write("Keep the old keys in the ring as long as older backups exist.")

    def _progress(self, done: int, total: int) -> None:
        if total:
            self.stderr.write(f"  {done} of {total}", ending="\r" if done < total else "\n")
