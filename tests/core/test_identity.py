"""One installation has one set of keys: a second host makes none, and starts with no others."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from core import crypto, identity, vault
from core.models import InstallationKey
from tests.stack import REPOSITORY, PrivateStack


def ring_with(path: Path, current: str, **keys: bytes) -> None:
    encoded = {name: base64.b64encode(key).decode() for name, key in keys.items()}
    path.write_text(json.dumps({"current": current, "keys": encoded}))


def said() -> list[str]:
    return [difference.says for difference in identity.differences()]


@pytest.mark.django_db
class TestTheRing:
    @pytest.fixture
    def ring(self, settings: Any) -> Path:
        """Return the file of a ring that the installation knows, with one original that it sealed."""
        identity.settle()
        vault.store_bytes(b"a drawn picture")
        return Path(settings.HOLDFAST_KEYRING)

    def test_the_installations_own_ring_differs_in_nothing(self, ring: Path) -> None:
        assert said() == []
        identity.check_before_prepare()
        assert identity.settle() == []

    def test_no_key_itself_is_in_the_database(self, ring: Path) -> None:
        for row in InstallationKey.objects.filter(kind="master"):
            key = crypto.key_ring().key(row.name)
            assert row.check_value not in {key.hex(), base64.b64encode(key).decode()}
            assert identity.check_value(key) == row.check_value

    def test_a_missing_ring_is_not_made_anew(self, ring: Path) -> None:
        ring.unlink()
        with pytest.raises(identity.WrongKeys, match=r"Bring masterkeys\.json"):
            identity.check_before_prepare()
        with pytest.raises(identity.WrongKeys):
            identity.settle()
        with pytest.raises(CommandError, match="never make a new one"):
            call_command("init_keys")
        assert not ring.exists()

    def test_another_ring_is_named_and_kept(self, ring: Path) -> None:
        ring.unlink()
        crypto.init_key_ring()
        other = ring.read_bytes()
        with pytest.raises(identity.WrongKeys, match="lacks the master key"):
            identity.settle()
        assert ring.read_bytes() == other

    def test_another_key_of_the_same_name_is_told_from_the_real_one(self, ring: Path) -> None:
        """The trap of old: both hosts called their key after the day."""
        name = crypto.key_ring().current
        ring_with(ring, name, **{name: secrets.token_bytes(32)})
        with pytest.raises(identity.WrongKeys, match=f"“{name}” here is another one"):
            identity.check_start()

    def test_a_current_key_that_nobody_knows_stops_the_start_and_prepare_makes_it_known(
        self, ring: Path
    ) -> None:
        before = crypto.key_ring()
        ring_with(ring, "brought", brought=bytes(range(32)), **before.keys)
        with pytest.raises(identity.WrongKeys, match="seals with “brought”"):
            identity.check_start()
        identity.check_before_prepare()
        assert identity.settle() == ["The installation knows the master key brought."]
        identity.check_start()

    def test_an_old_key_may_go_once_it_seals_nothing(self, ring: Path) -> None:
        old = crypto.key_ring().current
        call_command("rotate_master_key")
        new = crypto.key_ring()
        ring_with(ring, new.current, **{new.current: new.key(new.current)})
        assert said() == []
        assert InstallationKey.objects.filter(kind="master", name=old).exists()

    def test_a_host_that_still_has_the_old_ring_after_a_rotation_does_not_start(
        self, ring: Path
    ) -> None:
        before = ring.read_bytes()
        call_command("rotate_master_key")
        ring.write_bytes(before)
        with pytest.raises(identity.WrongKeys, match="lacks the master key"):
            identity.check_start()
        with pytest.raises(CommandError, match="lacks the master key"):
            call_command("rotate_master_key")
        assert ring.read_bytes() == before

    def test_originals_older_than_the_rows_speak_for_their_ring(self, ring: Path) -> None:
        InstallationKey.objects.all().delete()
        assert said() == []
        assert identity.settle() != []
        InstallationKey.objects.all().delete()
        ring.unlink()
        crypto.init_key_ring()
        with pytest.raises(identity.WrongKeys, match="does not open the originals"):
            identity.settle()
        assert not InstallationKey.objects.exists()


def test_rings_made_on_one_day_name_their_keys_differently(tmp_path: Path, settings: Any) -> None:
    names = set()
    for host in ("a", "b"):
        settings.HOLDFAST_KEYRING = tmp_path / host / "masterkeys.json"
        names.add(crypto.init_key_ring())
    assert len(names) == 2


class Host:
    """A second data folder on the same stores: what another machine is to the database."""

    def __init__(self, stack: PrivateStack, var: Path) -> None:
        self.var = var
        (var / "keys").mkdir(parents=True, mode=0o700)
        self.env = stack.env(HOLDFAST_VAR=str(var))
        for name in ("SECRET_KEY", "SECRET_KEY_FILE", "HOLDFAST_MASTER_KEYS", "HOLDFAST_TESTING"):
            self.env.pop(name, None)

    def run(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(REPOSITORY / "manage.py"), *arguments],
            env=self.env | changes,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def made(self) -> set[str]:
        return {path.name for path in (self.var / "keys").iterdir()}


@pytest.mark.runtime
class TestTwoHosts:
    def test_a_second_host_makes_nothing_says_what_to_bring_and_works_with_it(
        self, private_stack: PrivateStack, tmp_path: Path
    ) -> None:
        first, second = Host(private_stack, tmp_path / "a"), Host(private_stack, tmp_path / "b")
        prepared = first.run("prepare")
        assert prepared.returncode == 0, prepared.stderr
        assert {"masterkeys.json", "secret_key", "signing_key", "allowed_signers"} <= first.made()

        refused = second.run("prepare", "--no-static")
        assert refused.returncode != 0
        assert "Bring masterkeys.json" in refused.stderr
        assert second.made() == set()
        started = second.run("scheduler")
        assert started.returncode != 0
        assert "Holdfast does not start" in started.stderr

        self.bring(first, second, "masterkeys.json")
        refused = second.run("prepare", "--no-static")
        assert refused.returncode != 0
        assert "Bring" in refused.stderr
        assert "secret_key" in refused.stderr
        assert second.made() == {"masterkeys.json"}
        refused = second.run("prepare", "--no-static", SECRET_KEY=secrets.token_urlsafe(50))
        assert "SECRET_KEY here is not the installation's" in refused.stderr
        self.bring(first, second, "secret_key")
        worked = second.run("prepare", "--no-static")
        assert worked.returncode == 0, worked.stderr
        # The keys of packages are the first host's business; the public list is asked for.
        assert second.made() == {"masterkeys.json", "secret_key"}
        assert "allowed_signers here lacks a key" in worked.stdout

        self.an_upgrade_makes_no_signing_key_where_it_was_taken_away(first)
        changed = first.run("prepare", "--no-static", "--new-secret-key", SECRET_KEY="x" * 60)
        assert changed.returncode == 0, changed.stderr
        assert "SECRET_KEY here is not the installation's" in second.run("scheduler").stderr
        os.remove(second.var / "keys" / "secret_key")  # noqa: PTH107
        started = second.run("rqworker", "scan")
        assert started.returncode != 0
        assert "this host has none. Bring" in started.stderr

    def an_upgrade_makes_no_signing_key_where_it_was_taken_away(self, host: Host) -> None:
        (host.var / "keys" / "signing_key").unlink()
        listed = (host.var / "keys" / "allowed_signers").read_bytes()
        assert host.run("prepare", "--no-static").returncode == 0
        assert "signing_key" not in host.made()
        assert (host.var / "keys" / "allowed_signers").read_bytes() == listed
        (host.var / "keys" / "allowed_signers").unlink()
        assert host.run("prepare", "--no-static").returncode == 0
        assert "allowed_signers" not in host.made()

    @staticmethod
    def bring(source: Host, target: Host, name: str) -> None:
        path = target.var / "keys" / name
        path.write_bytes((source.var / "keys" / name).read_bytes())
        path.chmod(0o600)

    def test_two_first_hosts_at_once_make_one_ring(
        self, private_stack: PrivateStack, tmp_path: Path
    ) -> None:
        hosts = [Host(private_stack, tmp_path / name) for name in "ab"]
        assert hosts[0].run("migrate", "--verbosity", "0").returncode == 0
        running = [
            subprocess.Popen(
                [sys.executable, str(REPOSITORY / "manage.py"), "prepare", "--no-static"],
                env=host.env,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for host in hosts
        ]
        ended = [process.communicate(timeout=180) for process in running]
        codes = sorted(process.returncode for process in running)
        assert codes[0] == 0, ended
        assert codes[1] != 0, ended
        assert sum("masterkeys.json" in host.made() for host in hosts) == 1
