"""Asking about files without a case: the API's hash and match, the page, and that nothing stays."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from accounts.models import User
from core import vault
from core.audit import SYSTEM
from core.models import AuditEntry, Blob
from hashing import actions, digests, images, jobs
from hashing import api as matching
from hashing.models import FileLookup, Flag, HashList
from moderation.models import Case
from reports.actions import create_source, issue_key
from reports.models import Item, Scope, SourceKind
from tests import pictures
from tests.background import answer_lookups_at_once
from tests.cast import find, signed_in
from tests.hashing.test_scanning import list_picture

pytestmark = pytest.mark.django_db


class Asking:
    """A platform's script with a key that may match, beside a worker that looks at once."""

    def __init__(self, key: str) -> None:
        self.client = Client()
        self.headers = {"Authorization": f"Bearer {key}"}

    def files(self, path: str, *files: bytes) -> Any:
        parts = [SimpleUploadedFile(f"{number}.bin", data) for number, data in enumerate(files)]
        return self.client.post(f"/api/v1{path}", {"file": parts}, headers=self.headers)

    def json(self, path: str, document: Any) -> Any:
        return self.client.post(
            f"/api/v1{path}", document, content_type="application/json", headers=self.headers
        )


@pytest.fixture
def asking(db: None, monkeypatch: pytest.MonkeyPatch) -> Asking:
    source = create_source(slug="matching", name="Matching", kind=SourceKind.PLATFORM, actor=SYSTEM)
    _, key = issue_key(source, name="match", scopes=[Scope.MATCH], actor=SYSTEM)
    answer_lookups_at_once(monkeypatch)
    return Asking(key)


def nothing_is_left() -> bool:
    live = Blob.objects.filter(destroyed_at=None).exists()
    return not (live or Item.objects.exists() or Flag.objects.exists() or Case.objects.exists())


def test_a_digest_that_only_a_list_asks_for_is_compared_too(
    asking: Asking, known: HashList
) -> None:
    whash = images.digest(pictures.jpeg(5), algorithms=["whash"]).digests[0].whash
    actions.add_entry(known, algorithm="whash", value=whash, actor=SYSTEM)
    (file,) = asking.files("/match", pictures.jpeg(5)).json()["files"]
    (found,) = file["findings"]
    assert found["evidence"]["algorithm"] == "whash"


def test_files_are_hashed_and_nothing_of_them_stays(asking: Asking) -> None:
    data = pictures.jpeg(5)
    answer = asking.files("/hash", data, pictures.animated_gif(3))
    assert answer.status_code == 200, answer.content
    still, moving = answer.json()["files"]
    own = images.digest(data).digests[0]
    assert still["frames"] == [
        {"frame": 0, "quality": own.quality, "low_quality": False, **own.values()}
    ]
    assert still["sha1"] == digests.of_file(io.BytesIO(data)).sha1
    assert (still["format"], still["width"], still["height"]) == ("JPEG", 640, 480)
    assert "findings" not in still
    assert [frame["frame"] for frame in moving["frames"]] == [0, 1, 2]
    assert nothing_is_left()
    assert AuditEntry.objects.filter(event="hashing.files.looked_up").count() == 1


def test_a_file_that_cannot_be_decoded_has_its_exact_digests_and_a_reason(asking: Asking) -> None:
    answer = asking.files("/hash", pictures.truncated_jpeg())
    (file,) = answer.json()["files"]
    assert (file["code"], file["frames"]) == ("damaged", [])
    assert "damaged or cut off" in file["problem"]
    assert len(file["md5"]) == 32


def test_a_listed_picture_matches_without_becoming_a_case(asking: Asking, known: HashList) -> None:
    listed = pictures.jpeg(5)
    list_picture(known, listed)
    answer = asking.files("/match", listed, pictures.jpeg(77))
    assert answer.status_code == 200, answer.content
    found, other = answer.json()["files"]
    kinds = {finding["evidence"]["algorithm"] for finding in found["findings"]}
    assert {"pdq", "phash"} <= kinds
    assert all(finding["evidence"]["list"] == known.slug for finding in found["findings"])
    assert other["findings"] == []
    assert nothing_is_left()


def test_digests_match_exactly_and_nearly_in_the_order_asked(
    asking: Asking, known: HashList
) -> None:
    values = list_picture(known, pictures.jpeg(5))
    near = f"{int(values['pdq'], 16) ^ 0b1011:064x}"
    far = f"{int(values['pdq'], 16) ^ (2**64 - 1):064x}"
    document = {
        "digests": [
            {"id": "near", "algorithm": "pdq", "value": near.upper()},
            {"id": "far", "algorithm": "pdq", "value": far},
            {"id": "exact", "algorithm": "sha1", "value": values["sha1"]},
        ]
    }
    answer = asking.json("/match", document)
    assert answer.status_code == 200, answer.content
    first, second, third = answer.json()["digests"]
    assert [first["id"], second["id"], third["id"]] == ["near", "far", "exact"]
    (finding,) = first["findings"]
    assert (finding["evidence"]["distance"], finding["evidence"]["threshold"]) == (3, 31)
    assert finding["evidence"]["matched_value"] == values["pdq"]
    assert second["findings"] == []
    assert third["findings"][0]["score"] == 1
    assert AuditEntry.objects.filter(event="hashing.values.looked_up").count() == 1


def test_texts_match_with_their_spans(asking: Asking) -> None:
    actions.create_term_list(
        name="Marker words", category="grooming", terms="markerword-alpha", actor=SYSTEM
    )
    document = {"texts": [{"id": "a", "text": "so markerword-alpha it is"}, {"text": "harmless"}]}
    answer = asking.json("/match", document)
    assert answer.status_code == 200, answer.content
    first, second = answer.json()["texts"]
    assert first["id"] == "a"
    assert first["findings"][0]["evidence"]["spans"] == [[3, 19]]
    assert second["findings"] == []


@pytest.mark.parametrize(
    ("path", "document", "field"),
    [
        ("/match", {}, "digests"),
        ("/match", {"digests": [{"algorithm": "pdq", "value": "xyz"}]}, "digests.0.value"),
        ("/match", {"digests": [{"algorithm": "md5", "value": "ab"}]}, "digests.0.value"),
        ("/match", {"texts": [{"text": "a", "surface": "nowhere"}]}, "texts.0.surface"),
    ],
)
def test_what_cannot_be_asked_is_named_at_its_field(
    asking: Asking, path: str, document: dict[str, Any], field: str
) -> None:
    answer = asking.json(path, document)
    assert answer.status_code == 422
    assert field in answer.json()["errors"]


def test_no_file_many_files_and_empty_files_are_refused(asking: Asking) -> None:
    assert asking.client.post("/api/v1/hash", {}, headers=asking.headers).status_code == 422
    assert asking.json("/hash", {}).status_code == 415
    assert "empty" in asking.files("/hash", b"").json()["errors"]["file"][0]
    many = asking.files("/hash", *[pictures.jpeg(1, (20, 20))] * 21)
    assert "at most 20" in many.json()["errors"]["file"][0]


def test_a_key_without_the_scope_is_refused(asking: Asking) -> None:
    source = create_source(slug="other", name="Other", kind=SourceKind.PLATFORM, actor=SYSTEM)
    _, key = issue_key(source, name="r", scopes=[Scope.REPORTS_WRITE], actor=SYSTEM)
    assert Asking(key).files("/hash", pictures.jpeg()).status_code == 403


def test_without_a_worker_the_answer_is_503_and_the_file_goes_later(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(matching, "LONGEST_WAIT", 0.05)
    answer = asking.files("/hash", pictures.jpeg(5))
    assert answer.status_code == 503
    assert answer["Content-Type"] == "application/problem+json"
    lookup = FileLookup.objects.get()
    FileLookup.objects.update(expires_at=Now() - timedelta(seconds=1))
    jobs.sweep_lookups()
    assert not FileLookup.objects.filter(pk=lookup.pk).exists()
    assert nothing_is_left()


def test_a_file_that_is_evidence_survives_being_asked_about(
    asking: Asking, put: Callable[..., Item]
) -> None:
    item = put(pictures.jpeg(5))
    assert asking.files("/hash", pictures.jpeg(5)).status_code == 200
    with vault.open(Item.objects.get(pk=item.pk).blob) as stream:  # type: ignore[arg-type]
        assert stream.read() == pictures.jpeg(5)


def test_the_page_shows_digests_and_findings(
    client: Client, policy_admin: User, known: HashList
) -> None:
    signed_in(client, policy_admin)
    list_picture(known, pictures.jpeg(5))
    assert client.get(reverse("hashing:match")).status_code == 200
    answer = client.post(
        reverse("hashing:match"), {"file": SimpleUploadedFile("drawn.jpg", pictures.jpeg(5))}
    )
    lookup = FileLookup.objects.get()
    page = reverse("hashing:match_file", args=[lookup.pk])
    assert answer.headers["Location"] == page
    assert 'hx-trigger="every 700ms"' in client.get(page).text
    jobs.look_up(str(lookup.pk))
    shown = client.get(page, headers={"HX-Target": "lookup", "HX-Request": "true"}).text
    assert "hx-trigger" not in shown
    assert known.name in shown
    assert images.digest(pictures.jpeg(5)).digests[0].pdq in shown
    assert Flag.objects.count() == 0


def test_somebody_elses_file_is_not_found(client: Client, policy_admin: User, lead: User) -> None:
    signed_in(client, policy_admin)
    client.post(
        reverse("hashing:match"), {"file": SimpleUploadedFile("drawn.jpg", pictures.jpeg(5))}
    )
    lookup = FileLookup.objects.get()
    other = signed_in(Client(), lead)
    assert other.get(reverse("hashing:match_file", args=[lookup.pk])).status_code == 404


def test_a_lookup_whose_worker_dies_is_taken_again_and_ends(policy_admin: User) -> None:
    blob = vault.store_bytes(pictures.jpeg(5), media_type="image/jpeg")
    row = FileLookup.objects.create(
        blob=blob,
        blob_staged_at=blob.staged_at,
        kind="image",
        asked_by=policy_admin,
        expires_at=Now() + timedelta(minutes=10),
    )
    for _ in range(3):
        assert actions.begin_lookup(row) is not None
        assert actions.begin_lookup(row) is None  # Somebody has it.
        FileLookup.objects.update(due_at=Now() - timedelta(seconds=1))
    assert actions.begin_lookup(row) is None
    row.refresh_from_db()
    assert (row.state, row.blob) == ("failed", None)
    assert "never came to an end" in row.problem
    assert nothing_is_left()


def test_looking_around_a_digest_shows_what_would_match_and_what_would_not(
    client: Client, policy_admin: User, known: HashList
) -> None:
    signed_in(client, policy_admin)
    value = f"{0x1234:064x}"
    actions.add_entry(known, algorithm="pdq", value=value, actor=SYSTEM)
    actions.add_entry(known, algorithm="pdq", value=f"{0x1234 ^ (2**50 - 1):064x}", actor=SYSTEM)
    page = reverse("hashing:match_explore")
    assert client.get(page).status_code == 200
    near = find(client, page, {"algorithm": "pdq", "value": value}).text
    assert near.count("Would match") == 2  # The heading and the one row.
    wide = find(client, page, {"algorithm": "pdq", "value": value, "radius": "60"}).text
    assert "No, reach 31" in wide
    assert find(client, page, {"algorithm": "pdq", "value": "xyz"}).status_code == 422
    assert "Nothing is near it" in find(client, page, {"algorithm": "md5", "value": "a" * 32}).text
