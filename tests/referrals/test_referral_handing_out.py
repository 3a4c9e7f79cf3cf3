"""What leaves the house, and agencies with their keys."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyrage
import pytest
from django.core.files.storage import storages
from django.test import Client
from django.urls import reverse

from core.audit import SYSTEM
from core.errors import Invalid, Refused
from core.models import AuditEntry
from hashing.models import Category
from moderation import actions as moderation
from referrals import actions
from referrals.models import PackageDownload, Recipient
from referrals.public_keys import fingerprint_of
from tests.referrals.desk import Desk, page

pytestmark = pytest.mark.django_db

NEW = "/recipients/new/"


def text_of(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


# ── Downloads ─────────────────────────────────────────────────────────────────────────────────
def test_a_download_is_recorded_before_its_first_byte(
    desk: Desk, second: Client, signing: Path
) -> None:
    referral = desk.sealed()
    answer: Any = second.get(page("package", referral))
    entry = AuditEntry.objects.get(event="package.downloaded")
    assert (entry.actor_label, entry.data["what"]) == (desk.second.pseudonym, "package")
    assert entry.chain == f"case:{referral.case_id}"
    assert PackageDownload.objects.get().is_complete is False
    content = b"".join(answer.streaming_content)
    assert PackageDownload.objects.get().is_complete is True
    package = referral.package
    assert hashlib.sha256(content).hexdigest() == package.sha256
    assert answer["Content-Disposition"] == f'attachment; filename="{package.file_name}"'
    assert int(answer["Content-Length"]) == len(content)
    assert answer["Cache-Control"] == "no-store"
    shown = text_of(second.get(page("detail", referral)))
    assert "Broken off" not in shown


def test_a_download_that_breaks_off_is_shown_as_such(
    desk: Desk, second: Client, signing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from referrals import package_views

    monkeypatch.setattr(package_views, "CHUNK", 1000)
    referral = desk.sealed()
    answer: Any = second.get(page("package", referral))
    stream = answer._iterator
    assert len(next(stream)) == 1000
    stream.close()
    assert PackageDownload.objects.get().is_complete is False
    assert "Broken off" in text_of(second.get(page("detail", referral)))


@pytest.mark.parametrize("damage", ["missing", "shorter"])
def test_a_damaged_package_file_is_said_and_not_counted_as_a_download(
    desk: Desk, second: Client, signing: Path, damage: str
) -> None:
    referral = desk.sealed()
    path = Path(storages["packages"].path(referral.package.storage_name))
    if damage == "missing":
        path.unlink()
    else:
        path.chmod(0o600)
        path.write_bytes(path.read_bytes()[:-1])
    answer = second.get(page("package", referral))
    assert answer.status_code == 503
    assert "missing or not as it was sealed" in text_of(answer)
    assert not PackageDownload.objects.exists()
    assert not AuditEntry.objects.filter(event="package.downloaded").exists()


def test_the_checksum_line_is_what_sha256sum_reads(
    desk: Desk, second: Client, signing: Path
) -> None:
    referral = desk.sealed()
    line = second.get(page("checksum", referral)).content.decode()
    assert line == f"{referral.package.sha256}  {referral.package.file_name}\n"
    entry = AuditEntry.objects.get(event="package.downloaded")
    assert entry.data["what"] == "checksum"
    assert not PackageDownload.objects.exists()  # The package itself never left.


def test_nothing_is_handed_out_before_it_is_sealed(desk: Desk, second: Client) -> None:
    referral = desk.approved()
    for name in ("package", "checksum"):
        assert second.get(page(name, referral)).status_code == 404


def test_the_signing_keys_can_be_fetched_to_be_published(
    desk: Desk, second: Client, signing: Path, settings: Any
) -> None:
    answer = second.get(reverse("referrals:allowed_signers"))
    assert answer.content == (signing / "allowed_signers").read_bytes()
    assert b"PRIVATE" not in answer.content
    settings.HOLDFAST_ALLOWED_SIGNERS_FILE = str(signing / "none")
    assert second.get(reverse("referrals:allowed_signers")).status_code == 404


def test_the_registry_lists_every_package_whoever_asks(
    desk: Desk, second: Client, signing: Path
) -> None:
    first, other = desk.sealed(), desk.sealed()
    for category in Category.values:
        moderation.revoke_category(category, of=desk.second, actor=SYSTEM)
    assert second.get(page("detail", first)).status_code == 404
    document = json.loads(second.get(reverse("referrals:registry")).content)
    # One missing would make a genuine package look forged.
    assert {str(first), str(other)} <= set(document["packages"])
    listed = document["packages"][str(first)]
    assert set(listed) == {"issued_at", "tagmanifest_sha512"}
    assert listed["tagmanifest_sha512"] == first.package.tagmanifest_sha512
    assert AuditEntry.objects.get(event="package.registry.downloaded").data["packages"] == 2


# ── Agencies ──────────────────────────────────────────────────────────────────────────────────
def public_key() -> str:
    return str(pyrage.x25519.Identity.generate().to_public())


def test_an_agency_is_added_and_changed_on_the_record(desk: Desk, author: Client) -> None:
    key = public_key()
    said = {"name": "Second Agency", "country": "de", "keys": f"{key}\n\n{key}"}
    assert author.post(NEW, said).status_code == 302
    agency = Recipient.objects.get(name="Second Agency")
    assert (agency.keys.get().text, agency.country) == (key, "DE")
    edit = reverse("referrals:recipient", kwargs={"recipient_id": agency.pk})
    said = {"name": "Second Agency", "country": "at", "is_active": "on"}
    assert author.post(edit, said).status_code == 302
    entry = AuditEntry.objects.get(event="recipient.changed")
    assert (entry.data["before"], entry.data["after"]) == ({"country": "DE"}, {"country": "AT"})
    assert AuditEntry.objects.filter(event="recipient.created").count() == 2
    shown = text_of(author.get(reverse("referrals:recipients")))
    assert key[:12] in shown
    digits = fingerprint_of(key)  # Nobody confirmed it.
    assert f"{digits[:4]} {digits[4:8]}" not in shown
    assert "Not confirmed" in shown


PEM = (
    "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1pbnZlbnRlZA\nQyNTUxOQAAACBpbnZlbnRlZA\n"
    "-----END OPENSSH PRIVATE KEY-----"
)


@pytest.mark.parametrize("name", ["Third Agency", ""])  # Also when another field is wrong.
@pytest.mark.parametrize("kind", ["age", "lower case", "commented", "ssh", "plugin"])
def test_a_secret_key_is_refused_and_neither_kept_nor_shown_again(
    desk: Desk, author: Client, kind: str, name: str
) -> None:
    identity = pyrage.x25519.Identity.generate()
    public, secret = str(identity.to_public()), str(identity)
    pasted, parts = {
        "age": (secret, [secret]),
        "lower case": (secret.lower(), [secret.lower()]),
        "commented": (f"# {secret}", [secret]),
        "ssh": (PEM, ["b3BlbnNzaC1pbnZlbnRlZA", "QyNTUxOQAAACBpbnZlbnRlZA"]),
        "plugin": ("AGE-PLUGIN-INVENTED-1QQQ", ["AGE-PLUGIN-INVENTED-1QQQ"]),
    }[kind]
    answer = author.post(NEW, {"name": name, "keys": f"{public}\n{pasted}"})
    assert answer.status_code == 422
    shown = answer.content.decode()
    assert "Line 2 is a secret key." in shown
    assert public in shown  # What is public stays in the form.
    for part in parts:
        assert part not in shown
        assert not AuditEntry.objects.filter(line__contains=part).exists()
    assert Recipient.objects.count() == 1
    with pytest.raises(Invalid, match="Line 2 is a secret key"):
        actions.create_recipient(name="Past the form", keys=f"{public}\n{pasted}", actor=SYSTEM)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "line",
    [
        "age1nonsense",
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ",
        "ssh-ed25519 broken",
        "hello",
        "ссh-ed25519 ключ",
    ],
)
def test_a_bad_key_names_its_line(desk: Desk, author: Client, line: str) -> None:
    said = {"name": "Fourth Agency", "keys": f"# our unit\n{public_key()}\n{line}"}
    answer = author.post(NEW, said)
    assert answer.status_code == 422
    assert "Line 3 is not an age (age1…) or ssh-ed25519 public key." in text_of(answer)
    assert line in answer.content.decode()  # To be put right, not typed again.
    assert not Recipient.objects.filter(name="Fourth Agency").exists()


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("country", "D1", "two-letter country code"),
        ("country", "éé", "two-letter country code"),
        ("name", "   ", "This field is required."),
    ],
)
def test_other_details_are_checked(
    desk: Desk, author: Client, field: str, value: str, sentence: str
) -> None:
    said = {"name": "Fifth Agency", "keys": public_key(), field: value}
    answer = author.post(NEW, said)
    assert answer.status_code == 422
    assert sentence in text_of(answer)


def test_two_agencies_of_one_name_are_told_apart(desk: Desk) -> None:
    one, two = (
        actions.create_recipient(name="Same Name", keys=public_key(), actor=desk.author)
        for _ in range(2)
    )
    assert {one.slug, two.slug} == {"same-name", "same-name-2"}


def test_an_inactive_agency_gets_no_new_referral(desk: Desk, author: Client) -> None:
    case = desk.case()
    edit = reverse("referrals:recipient", kwargs={"recipient_id": desk.agency.pk})
    said = {"name": desk.agency.name}
    assert author.post(edit, said).status_code == 302
    new = reverse("referrals:new", kwargs={"case_id": case.pk})
    assert "No agency yet" in text_of(author.get(new))
    assert author.post(new, {"recipient": desk.agency.pk}).status_code == 422
    desk.agency.refresh_from_db()
    with pytest.raises(Refused, match="no longer active"):
        actions.open_referral(case, recipient=desk.agency, actor=desk.author)
