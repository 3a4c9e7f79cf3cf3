"""Storing and reading originals; what happens when somebody touches the files."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import storages
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models.functions import Now

from core import audit, crypto, sweeps, vault
from core.errors import Refused, VaultDamage, VaultDestroyed
from core.models import AuditEntry, Blob, Heartbeat
from core.vault import cipher, upkeep

SEVERAL = os.urandom(3 * cipher.CHUNK + 12345)


def file_of(blob: Blob) -> Path:
    return Path(storages["vault"].path(blob.storage_name))


def chunks_of(blob: Blob) -> list[bytes]:
    stored = file_of(blob).read_bytes()
    body = stored[cipher.HEADER :]
    step = cipher.SEALED_CHUNK
    return [body[i : i + step] for i in range(0, len(body), step)]


def rewrite(blob: Blob, chunks: list[bytes]) -> None:
    file_of(blob).write_bytes(cipher.header(blob.cipher_id) + b"".join(chunks))


@pytest.mark.django_db
class TestStoring:
    @pytest.mark.parametrize(
        "size", [0, 1, cipher.CHUNK - 1, cipher.CHUNK, cipher.CHUNK + 1, 2 * cipher.CHUNK]
    )
    def test_what_goes_in_comes_out(self, size: int) -> None:
        data = os.urandom(size)
        blob = vault.store_bytes(data, media_type="image/png")
        assert vault.read(blob, limit=size) == data
        assert b"".join(vault.iter_chunks(blob)) == data
        assert blob.sha256 == hashlib.sha256(data).hexdigest()
        assert blob.md5 == hashlib.md5(data, usedforsecurity=False).hexdigest()
        assert blob.size == size
        assert file_of(blob).stat().st_size == cipher.stored_size(size)
        assert file_of(blob).stat().st_mode & 0o777 == 0o600
        vault.verify(blob)

    def test_a_new_original_and_its_folders_are_on_disk_before_its_row_is(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After a power cut a row must never name a file that the disk had not taken yet."""
        synced: list[tuple[int, bool]] = []  # Inodes: the file gets its name when it is whole.
        really = os.fsync

        def fsync(descriptor: int) -> None:
            synced.append((os.fstat(descriptor).st_ino, Blob.objects.exists()))
            really(descriptor)

        monkeypatch.setattr(os, "fsync", fsync)
        blob = vault.store_bytes(os.urandom(1000))
        monkeypatch.undo()
        file = file_of(blob)
        assert (file.stat().st_ino, False) in synced
        assert (file.parent.stat().st_ino, False) in synced
        assert (file.parent.parent.stat().st_ino, False) in synced

    def test_the_stored_file_holds_nothing_of_the_original(self) -> None:
        data = b"markerword-alpha " * 50_000
        assert b"markerword" not in file_of(vault.store_bytes(data)).read_bytes()

    def test_pieces_of_any_size_give_the_same_original(self) -> None:
        pieces = [SEVERAL[i : i + 7919] for i in range(0, len(SEVERAL), 7919)]
        assert vault.read(vault.receive(pieces), limit=len(SEVERAL)) == SEVERAL

    def test_the_same_bytes_are_stored_once(self, private_vault: Path) -> None:
        first, second = vault.store_bytes(b"same"), vault.store_bytes(b"same")
        assert first.pk == second.pk
        assert len([p for p in private_vault.rglob("*") if p.is_file()]) == 1

    def test_a_broken_stream_leaves_nothing(self, private_vault: Path) -> None:
        def breaks() -> Iterator[bytes]:
            yield SEVERAL
            raise OSError("connection lost")

        with pytest.raises(OSError, match="connection lost"):
            vault.receive(breaks())
        assert not [p for p in private_vault.rglob("*") if p.is_file()]
        assert not Blob.objects.exists()

    def test_without_a_key_ring_nothing_is_received(self, settings: Any) -> None:
        Path(settings.HOLDFAST_KEYRING).unlink()
        with pytest.raises(crypto.KeyRingError):
            vault.store_bytes(b"x")

    def test_bytes_that_come_again_heal_a_lost_file(self) -> None:
        blob = vault.store_bytes(SEVERAL)
        file_of(blob).unlink()
        with pytest.raises(VaultDamage, match="missing"):
            vault.verify(blob)
        again = vault.store_bytes(SEVERAL)
        assert again.pk == blob.pk
        vault.verify(again)
        assert AuditEntry.objects.filter(event="vault.blob.healed", subject_id=blob.pk).exists()

    def test_reading_more_than_asked_for_is_refused(self) -> None:
        with pytest.raises(ValueError, match="5 bytes"):
            vault.read(vault.store_bytes(b"12345"), limit=4)


@pytest.mark.django_db
class TestReading:
    def test_the_reader_seeks_and_decrypts_only_what_it_needs(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        blob = vault.store_bytes(SEVERAL)
        opened: list[int] = []
        real = cipher.open_chunk

        def watched(*args: Any, **kwargs: Any) -> bytes:
            opened.append(args[2])
            return real(*args, **kwargs)

        monkeypatch.setattr(cipher, "open_chunk", watched)
        with vault.open(blob) as file:
            file.seek(2 * cipher.CHUNK + 10)
            assert file.read(100) == SEVERAL[2 * cipher.CHUNK + 10 :][:100]
        assert opened == [2]

    def test_the_reader_behaves_like_a_file(self) -> None:
        blob = vault.store_bytes(SEVERAL)
        with vault.open(blob) as file:
            assert file.seekable()
            assert file.readable()
            assert not file.writable()
            assert file.seek(-5, io.SEEK_END) == len(SEVERAL) - 5
            assert file.read() == SEVERAL[-5:]
            assert file.read(1) == b""
            file.seek(cipher.CHUNK - 3)
            assert file.read(6) == SEVERAL[cipher.CHUNK - 3 :][:6]
            assert file.tell() == cipher.CHUNK + 3
            file.seek(0)
            assert file.read() == SEVERAL
            with pytest.raises(ValueError, match="negative"):
                file.seek(-1)
        assert file.closed


@pytest.mark.django_db
class TestDamage:
    @pytest.fixture
    def blob(self) -> Blob:
        return vault.store_bytes(SEVERAL)

    def assert_damaged(self, blob: Blob) -> None:
        with pytest.raises(VaultDamage):
            vault.verify(blob)
        with pytest.raises(VaultDamage), vault.open(blob) as file:
            file.read()

    def test_one_flipped_byte_is_noticed(self, blob: Blob) -> None:
        stored = bytearray(file_of(blob).read_bytes())
        stored[len(stored) // 2] ^= 1
        file_of(blob).write_bytes(stored)
        self.assert_damaged(blob)

    def test_reordered_chunks_are_noticed(self, blob: Blob) -> None:
        parts = chunks_of(blob)
        rewrite(blob, [parts[1], parts[0], *parts[2:]])
        self.assert_damaged(blob)

    def test_a_dropped_last_chunk_is_noticed(self, blob: Blob) -> None:
        rewrite(blob, chunks_of(blob)[:-1])
        self.assert_damaged(blob)

    def test_a_cut_last_byte_is_noticed(self, blob: Blob) -> None:
        file_of(blob).write_bytes(file_of(blob).read_bytes()[:-1])
        self.assert_damaged(blob)

    def test_truncation_with_a_shortened_row_is_noticed(self, blob: Blob) -> None:
        rewrite(blob, chunks_of(blob)[:1])
        Blob.objects.filter(pk=blob.pk).update(size=cipher.CHUNK)
        blob.refresh_from_db()
        self.assert_damaged(blob)

    def test_a_repeated_chunk_at_the_end_is_noticed(self, blob: Blob) -> None:
        parts = chunks_of(blob)
        rewrite(blob, [*parts, parts[-1]])
        self.assert_damaged(blob)

    def test_a_file_swapped_with_another_is_noticed(self, blob: Blob) -> None:
        other = vault.store_bytes(os.urandom(len(SEVERAL)))
        mine, theirs = file_of(blob).read_bytes(), file_of(other).read_bytes()
        file_of(blob).write_bytes(theirs)
        file_of(other).write_bytes(mine)
        self.assert_damaged(blob)
        self.assert_damaged(other)

    def test_a_row_pointed_at_another_original_is_noticed(self, blob: Blob) -> None:
        """Somebody with write access to the database moves file, id and wrapped key together."""
        other = vault.store_bytes(os.urandom(len(SEVERAL)))
        blob.storage_name, blob.cipher_id = other.storage_name, other.cipher_id
        blob.wrapped_key, blob.key_name = other.wrapped_key, other.key_name
        with pytest.raises(VaultDamage):
            vault.verify(blob)

    def test_an_empty_original_is_authenticated_too(self) -> None:
        empty = vault.store_bytes(b"")
        stored = bytearray(file_of(empty).read_bytes())
        stored[-1] ^= 1
        file_of(empty).write_bytes(stored)
        self.assert_damaged(empty)

    def test_a_missing_file_is_damage(self, blob: Blob) -> None:
        file_of(blob).unlink()
        self.assert_damaged(blob)

    def test_a_lost_master_key_is_damage_that_names_the_key(
        self, blob: Blob, settings: Any
    ) -> None:
        Path(settings.HOLDFAST_KEYRING).unlink()
        crypto.init_key_ring()
        Path(settings.HOLDFAST_KEYRING).write_text(
            Path(settings.HOLDFAST_KEYRING).read_text().replace(blob.key_name, "another")
        )
        with pytest.raises(VaultDamage, match=blob.key_name):
            vault.verify(blob)


@pytest.mark.django_db
class TestDestroying:
    def test_the_key_goes_first_then_the_file_and_the_row_stays(
        self, django_capture_on_commit_callbacks: Any
    ) -> None:
        blob = vault.store_bytes(b"to be destroyed")
        path = file_of(blob)
        with django_capture_on_commit_callbacks(execute=False) as later:
            gone = vault.destroy(blob, reason="retention ended", actor=audit.SYSTEM)
        assert gone.wrapped_key is None
        assert gone.destroyed_reason == "retention ended"
        assert path.exists()
        with pytest.raises(VaultDestroyed):
            vault.open(gone)
        for callback in later:
            callback()
        assert not path.exists()
        gone.refresh_from_db()
        assert gone.file_removed_at is not None
        entry = AuditEntry.objects.get(event="vault.blob.destroyed", subject_id=blob.pk)
        assert entry.data["reason"] == "retention ended"

    def test_destroying_twice_is_one_event(self) -> None:
        blob = vault.store_bytes(b"twice")
        vault.destroy(blob, reason="once", actor=audit.SYSTEM)
        again = vault.destroy(blob, reason="again", actor=audit.SYSTEM)
        assert again.destroyed_reason == "once"
        assert AuditEntry.objects.filter(event="vault.blob.destroyed").count() == 1

    def test_a_file_left_by_a_crash_is_swept(self) -> None:
        blob = vault.store_bytes(b"left behind")
        vault.destroy(blob, reason="x", actor=audit.SYSTEM)  # The callback never runs here.
        assert file_of(blob).exists()
        assert vault.sweep_removed() == 0
        Blob.objects.filter(pk=blob.pk).update(destroyed_at=Now() - timedelta(minutes=5))
        assert vault.sweep_removed() == 1
        assert not file_of(blob).exists()

    def test_destroyed_bytes_may_come_again_as_a_new_original(self) -> None:
        blob = vault.store_bytes(b"again")
        vault.destroy(blob, reason="x", actor=audit.SYSTEM)
        new = vault.store_bytes(b"again")
        assert new.pk != blob.pk
        vault.verify(new)

    def test_the_database_refuses_a_destroyed_row_with_a_key(self) -> None:
        from django.db import IntegrityError

        blob = vault.store_bytes(b"x")
        with pytest.raises(IntegrityError), transaction.atomic():
            Blob.objects.filter(pk=blob.pk).update(destroyed_at=Now())


@pytest.mark.django_db
class TestSweepingStaged:
    def test_a_staged_original_lives_a_day(self) -> None:
        blob = vault.store_bytes(b"staged")
        assert vault.sweep_staged() == 0
        Blob.objects.filter(pk=blob.pk).update(staged_at=Now() - timedelta(hours=25))
        assert vault.sweep_staged() == 1
        blob.refresh_from_db()
        assert blob.is_destroyed

    def test_bytes_that_come_again_are_fresh_again(self) -> None:
        blob = vault.store_bytes(b"staged")
        Blob.objects.filter(pk=blob.pk).update(staged_at=Now() - timedelta(hours=25))
        vault.store_bytes(b"staged")
        assert vault.sweep_staged() == 0

    def test_holding_keeps_the_sweep_away_and_refuses_what_is_gone(self) -> None:
        blob = vault.store_bytes(b"held")
        Blob.objects.filter(pk=blob.pk).update(staged_at=Now() - timedelta(hours=25))
        vault.hold(blob)
        assert vault.sweep_staged() == 0
        vault.destroy(blob, reason="x", actor=audit.SYSTEM)
        with pytest.raises(Refused):
            vault.hold(blob)

    def test_every_foreign_key_counts_even_without_a_reverse_name(self) -> None:
        """A row of another room may refer to a blob with related_name="+"."""
        from django.db import models

        sql = str(upkeep.unreferenced().query)
        for relation in Blob._meta.get_fields(include_hidden=True):
            if relation.auto_created and not relation.concrete:
                table = relation.related_model._meta.db_table
                if relation.on_delete is not models.CASCADE:
                    assert f'"{table}"' in sql
                    assert f'"{relation.field.column}"' in sql


@pytest.mark.django_db
class TestAnObjectStore:
    """A storage without paths, as S3 is one: everything goes through Django's storage API."""

    @pytest.fixture(autouse=True)
    def memory(self, settings: Any) -> None:
        settings.STORAGES = settings.STORAGES | {
            "vault": {"BACKEND": "django.core.files.storage.InMemoryStorage"}
        }

    def test_originals_are_stored_read_checked_and_destroyed(
        self, django_capture_on_commit_callbacks: Any
    ) -> None:
        blob = vault.store_bytes(SEVERAL)
        assert vault.store_bytes(SEVERAL).pk == blob.pk
        vault.verify(blob)
        with vault.open(blob) as file:
            file.seek(cipher.CHUNK + 1)
            assert file.read(10) == SEVERAL[cipher.CHUNK + 1 :][:10]
        assert list(vault.inspect()) == []
        with django_capture_on_commit_callbacks(execute=True):
            vault.destroy(blob, reason="x", actor=audit.SYSTEM)
        assert not storages["vault"].exists(blob.storage_name)
        assert list(vault.inspect()) == []

    def test_a_lost_object_is_found(self) -> None:
        blob = vault.store_bytes(b"lost")
        storages["vault"].delete(blob.storage_name)
        assert [found.kind for found in vault.inspect()] == ["missing"]
        with pytest.raises(VaultDamage, match="missing"):
            vault.read(blob, limit=10)


@pytest.mark.django_db
class TestRotation:
    def test_every_row_is_rewrapped_and_still_opens(self, capsys: object) -> None:
        blobs = [vault.store_bytes(bytes([n])) for n in range(5)]
        files = [file_of(blob).read_bytes() for blob in blobs]
        old = blobs[0].key_name
        call_command("rotate_master_key", batch=2)
        for blob, before in zip(blobs, files, strict=True):
            blob.refresh_from_db()
            assert blob.key_name != old
            assert file_of(blob).read_bytes() == before
            vault.verify(blob)
        assert AuditEntry.objects.filter(event="vault.keys.rewrapped").count() == 1

    def test_a_crash_half_way_loses_nothing_and_resumes(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        blobs = [vault.store_bytes(bytes([n])) for n in range(6)]

        def crash(done: int, total: int) -> None:
            if done >= 2:
                raise KeyboardInterrupt

        name = crypto.add_master_key()
        with pytest.raises(KeyboardInterrupt):
            vault.rewrap(batch=2, progress=crash)
        assert Blob.objects.filter(key_name=name).count() == 2
        for blob in blobs:
            blob.refresh_from_db()
            vault.verify(blob)
        call_command("rotate_master_key", "--resume")
        assert Blob.objects.filter(key_name=name).count() == 6
        assert crypto.key_ring().current == name
        for blob in blobs:
            blob.refresh_from_db()
            vault.verify(blob)

    def test_a_new_original_uses_the_new_key(self) -> None:
        name = crypto.add_master_key()
        assert vault.store_bytes(b"new").key_name == name


@pytest.mark.django_db
class TestVerifyVault:
    def findings(self) -> dict[str, str]:
        return {found.kind: found.blob or found.file for found in vault.inspect()}

    def test_a_sound_vault_has_no_findings(self, capsys: pytest.CaptureFixture[str]) -> None:
        vault.store_bytes(b"sound")
        vault.destroy(vault.store_bytes(b"gone"), reason="x", actor=audit.SYSTEM)
        assert self.findings() == {}
        call_command("verify_vault")
        assert "all are as they were received" in capsys.readouterr().out

    def test_each_kind_of_disagreement_is_found(
        self, private_vault: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        vault.store_bytes(b"sound")
        missing, damaged = vault.store_bytes(b"missing"), vault.store_bytes(b"damaged")
        file_of(missing).unlink()
        stored = bytearray(file_of(damaged).read_bytes())
        stored[-1] ^= 1
        file_of(damaged).write_bytes(stored)
        stray = private_vault / "zz" / "stray"
        stray.parent.mkdir()
        stray.write_bytes(b"?")
        os.utime(stray, (0, 0))
        young = private_vault / "zz" / "young"
        young.write_bytes(b"?")
        assert self.findings() == {
            "missing": str(missing.pk),
            "damaged": str(damaged.pk),
            "stray": "zz/stray",
        }
        with pytest.raises(SystemExit) as left:
            call_command("verify_vault", "--json", "--delete-strays")
        assert left.value.code == 1
        assert '"wrong": 2' in capsys.readouterr().out
        assert not stray.exists()
        assert young.exists()


@pytest.mark.django_db(transaction=True)
def test_the_same_bytes_from_eight_senders_at_once_are_one_original(private_vault: Path) -> None:
    barrier = threading.Barrier(8)

    def send(_: int) -> object:
        try:
            barrier.wait()
            return vault.store_bytes(SEVERAL).pk
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(send, range(8)))
    assert len(keys) == 1
    assert Blob.objects.count() == 1
    vault.verify(Blob.objects.get())
    assert len([p for p in private_vault.rglob("*") if p.is_file()]) == 1


@pytest.mark.django_db(transaction=True)
def test_a_sweep_waits_for_a_sender_who_joins_the_same_bytes() -> None:
    """The sweep must not destroy what somebody is just being told is stored."""
    blob = vault.store_bytes(b"raced")
    Blob.objects.filter(pk=blob.pk).update(staged_at=Now() - timedelta(hours=25))
    swept: list[int] = []
    locked, finish = threading.Event(), threading.Event()

    def sender() -> None:
        try:
            with transaction.atomic():
                vault.store_bytes(b"raced")
                locked.set()
                assert finish.wait(10)
        finally:
            connection.close()

    def sweeper() -> None:
        try:
            swept.append(vault.sweep_staged())
        finally:
            connection.close()

    one = threading.Thread(target=sender)
    one.start()
    assert locked.wait(10)
    two = threading.Thread(target=sweeper)
    two.start()
    two.join(10)
    finish.set()
    one.join(10)
    assert swept == [0]
    assert vault.sweep_staged() == 0
    blob.refresh_from_db()
    assert not blob.is_destroyed


@pytest.mark.django_db
def test_the_scheduler_looks_for_unreferenced_originals_now_and_then_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[int] = []
    monkeypatch.setattr(vault, "sweep_staged", lambda: looks.append(1) or 0)  # type: ignore[func-returns-value]
    Heartbeat.objects.filter(pk="schedule staged").delete()
    for _ in range(3):
        sweeps.sweep_staged_blobs()
    assert len(looks) == 1
    Heartbeat.objects.filter(pk="schedule staged").delete()  # As when its time is over.
    sweeps.sweep_staged_blobs()
    assert len(looks) == 2
