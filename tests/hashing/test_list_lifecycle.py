"""Lists that people can trust: imports that are whole or nothing, undo, pauses, the flood guard, second persons."""

from __future__ import annotations

import hashlib
import io
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from accounts.models import User
from accounts.permissions import Role
from core import vault
from core.audit import SYSTEM
from core.errors import Refused
from hashing import actions, jobs, list_access
from hashing.actions import list_states
from hashing.csv_lists import Problem, Row
from hashing.list_files import read_rows
from hashing.models import Digest, Flag, HashEntry, HashImport, HashList, StagedRow, Verdict
from moderation import routing
from reports.models import Item, ScanState
from tests import pictures
from tests.casework import Casework, grant_all
from tests.cast import make_person, signed_in
from tests.hashing.conftest import flags_of
from tests.hashing.test_scanning import list_picture

pytestmark = pytest.mark.django_db
Scanned = Callable[..., Item]

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def digest(number: int) -> str:
    return f"{number:064x}"


def asked(hash_list: HashList, text: str, **more: Any) -> HashImport:
    blob = vault.store_bytes(text.encode(), name="list.csv")
    return actions.ask_import(hash_list, blob, file_name="list.csv", actor=SYSTEM, **more)


def imported(hash_list: HashList, text: str, **more: Any) -> HashImport:
    file_import = asked(hash_list, text, **more)
    jobs.read_import(str(file_import.pk))
    file_import.refresh_from_db()
    return file_import


# ── Reading ───────────────────────────────────────────────────────────────────────────────────
def rows(text: str | bytes) -> list[Row | Problem]:
    data = text.encode() if isinstance(text, str) else text
    return list(read_rows(io.BytesIO(data), now=NOW))


PDQ = digest(7)
FORMS = {
    "csv": f"algorithm,value,note\nPDQ,{PDQ.upper()},a\nmd5,{'a' * 32},b\n",
    "csv without heading": f"pdq;{PDQ};a\nmd5;{'a' * 32};b\n",
    "lines of a file exchange": f"# drawn\npdq {PDQ} a\nmd5 0x{'A' * 32} b\n",
    "ndjson": "\n".join(
        json.dumps(each)
        for each in (
            {"signal_type": "pdq", "signal_str": PDQ, "note": "a"},
            {"type": "md5", "hash": "a" * 32, "note": "b"},
        )
    ),
    "json list": json.dumps(
        [["pdq", PDQ, "a"], {"algorithm": "md5", "value": "a" * 32, "note": "b"}]
    ),
    "json object": json.dumps(
        {
            "count": 2,
            "data": [
                {"type": "HASH_PDQ", "indicator": PDQ, "description": "a"},
                {"type": "HASH_MD5", "indicator": "a" * 32, "description": "b"},
            ],
        }
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_list_is_read(form: str) -> None:
    found = rows(FORMS[form])
    assert all(isinstance(each, Row) for each in found), found
    assert [(each.algorithm, each.value, each.note) for each in found] == [
        ("pdq", PDQ, "a"),
        ("md5", "a" * 32, "b"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        (b"\xff\xfe\x00", "UTF-8"),
        ('{"other": {"a": 1}}\n' * 1, "object"),
        ("[1, 2", "breaks after entry"),
        ("x" * 70_000, "longer than"),
    ],
)
def test_a_file_that_is_no_list_is_refused_with_a_sentence(text: str | bytes, words: str) -> None:
    try:
        found = rows(text)
    except ValueError as wrong:
        assert words in str(wrong)  # noqa: PT017 — either way something is said
    else:
        assert found
        assert all(isinstance(each, Problem) for each in found)


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_rows_problems_or_a_sentence(data: bytes) -> None:
    said = ""
    found: list[Row | Problem] = []
    try:
        found = rows(data)
    except ValueError as wrong:
        said = str(wrong)
    for each in found:
        if isinstance(each, Problem):
            assert each.reason.endswith(".")
        else:
            assert set(each.value) <= set("0123456789abcdef")
    assert not said or said.endswith(".")


@given(
    st.lists(st.tuples(st.sampled_from(["pdq", "sha256"]), st.integers(1, 2**256 - 2)), max_size=40)
)
@settings(max_examples=40, deadline=None)
def test_json_lists_are_read_whole_however_they_are_cut(entries: list[tuple[str, int]]) -> None:
    text = json.dumps(
        [{"algorithm": kind, "value": digest(value)} for kind, value in entries], indent=1
    )

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(7)

    found = list(read_rows(Slow(text.encode()), now=NOW))
    assert [(each.algorithm, each.value) for each in found] == [
        (kind, digest(value)) for kind, value in entries
    ]


# ── Imports ───────────────────────────────────────────────────────────────────────────────────
def test_an_import_is_put_in_force_as_a_whole_and_undone_as_a_whole(
    known: HashList, scanned: Scanned
) -> None:
    actions.add_entry(known, algorithm="pdq", value=digest(2), actor=SYSTEM)
    lines = [f"pdq,{digest(number)}" for number in (1, 2, 3, 3)]
    file_import = imported(known, "\n".join(lines))
    assert (file_import.state, file_import.rows, file_import.added) == ("done", 4, 2)
    assert (file_import.known, file_import.duplicates, file_import.blob) == (1, 1, None)
    assert not StagedRow.objects.exists()
    assert actions.undo_import(file_import, actor=SYSTEM) == 2
    assert HashEntry.objects.filter(retired_at=None).count() == 1
    with pytest.raises(Refused):
        actions.undo_import(file_import, actor=SYSTEM)
    assert actions.redo_import(file_import, actor=SYSTEM) == 2
    assert HashEntry.objects.filter(retired_at=None).count() == 3


def test_what_an_import_adds_is_found_and_after_its_undo_is_not(
    known: HashList, scanned: Scanned
) -> None:
    other = actions.create_hash_list(name="Source", category="csam_known", actor=SYSTEM)
    values = list_picture(other, pictures.jpeg(5))
    actions.change_hash_list(other, is_active=False, actor=SYSTEM)
    file_import = imported(known, f"pdq,{values['pdq']}\n")
    assert len(flags_of(scanned(pictures.jpeg(5)))) == 1
    actions.undo_import(file_import, actor=SYSTEM)
    assert flags_of(scanned(pictures.jpeg(5))) == []


def test_one_bad_row_and_nothing_is_kept_unless_the_good_ones_are_wanted(known: HashList) -> None:
    text = f"pdq,{digest(1)}\npdq,xyz\nmd5,{'a' * 31}\n"
    refused = imported(known, text)
    assert (refused.state, refused.added, refused.refused) == ("refused", 0, 2)
    assert [problem["row"] for problem in refused.problems] == [2, 3]
    assert not HashEntry.objects.exists()
    kept = imported(known, text, skip_bad_rows=True)
    assert (kept.state, kept.added, kept.refused) == ("done", 1, 2)
    assert list_access.problems_as_csv(kept).count("\n") == 3


def test_a_worker_killed_while_reading_begins_anew_and_nothing_counts_twice(
    known: HashList,
) -> None:
    file_import = asked(known, "\n".join(f"pdq,{digest(number)}" for number in range(1, 51)))
    taken = actions.begin_import(file_import)
    assert taken is not None
    assert actions.stage_rows(taken, [Row(1, "pdq", digest(1), "")], [], read_bytes=70)
    assert actions.begin_import(file_import) is None  # Its lease is not over.
    assert not HashEntry.objects.exists()
    HashImport.objects.update(due_at=Now() - timedelta(seconds=1))
    assert jobs.sweep_imports() == 1
    jobs.read_import(str(file_import.pk))
    file_import.refresh_from_db()
    assert (file_import.state, file_import.rows, file_import.added) == ("done", 50, 50)
    # The worker that was thought dead comes back: it changes nothing.
    assert not actions.stage_rows(taken, [Row(1, "pdq", digest(99), "")], [], read_bytes=70)
    assert actions.finish_import(taken) is None
    assert HashEntry.objects.count() == 50


def test_an_import_that_kills_every_worker_is_given_up(known: HashList) -> None:
    file_import = asked(known, f"pdq,{digest(1)}\n")
    for _ in range(4):
        assert actions.begin_import(file_import) is not None
        HashImport.objects.update(due_at=Now() - timedelta(seconds=1))
    assert actions.begin_import(file_import) is None
    file_import.refresh_from_db()
    assert file_import.state == "failed"
    assert "never came to an end" in file_import.problem


def test_an_import_can_be_cancelled_while_it_waits(known: HashList) -> None:
    file_import = asked(known, f"pdq,{digest(1)}\n")
    actions.cancel_import(file_import, actor=SYSTEM)
    jobs.read_import(str(file_import.pk))
    assert not HashEntry.objects.exists()
    with pytest.raises(Refused):
        actions.cancel_import(file_import, actor=SYSTEM)


def test_many_rows_are_read_in_batches(known: HashList, monkeypatch: pytest.MonkeyPatch) -> None:
    from hashing.jobs import list_imports

    monkeypatch.setattr(list_imports, "BATCH", 700)
    file_import = imported(known, "\n".join(f"pdq,{digest(number)}" for number in range(1, 5001)))
    assert (file_import.state, file_import.added, file_import.read_bytes) == (
        "done",
        5000,
        file_import.size,
    )


# ── Pages ─────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def editor(client: Client, policy_admin: User) -> Client:
    return signed_in(client, policy_admin)


def test_a_large_file_is_read_by_a_worker_with_progress(editor: Client, known: HashList) -> None:
    upload = SimpleUploadedFile("list.ndjson", FORMS["ndjson"].encode())
    answer = editor.post(reverse("hashing:list_import", args=[known.pk]), {"file": upload})
    file_import = HashImport.objects.get()
    page = reverse("hashing:import", args=[file_import.pk])
    assert answer.headers["Location"] == page
    assert 'hx-trigger="every 1s"' in editor.get(page).text
    jobs.read_import(str(file_import.pk))
    shown = editor.get(page).text
    assert "every 1s" not in shown
    assert "Undo the import" in shown
    undo = reverse("hashing:import_switch", args=[file_import.pk, "undo"])
    assert editor.post(undo).status_code == 302
    assert editor.post(undo).status_code == 409
    assert "Redo the import" in editor.get(page).text
    assert "list.ndjson" in editor.get(reverse("hashing:list", args=[known.pk])).text


def test_a_list_is_exported_with_its_retired_entries(editor: Client, known: HashList) -> None:
    entry = actions.add_entry(
        known, algorithm="pdq", value=digest(1), note="=formula()", actor=SYSTEM
    )
    actions.retire_entry(entry, reason="a mistake", actor=SYSTEM)
    answer = editor.get(reverse("hashing:list_export", args=[known.pk, "csv"]))
    text = answer.getvalue().decode()
    assert "'=formula()" in text
    assert "a mistake" in text
    answer = editor.get(reverse("hashing:list_export", args=[known.pk, "ndjson"]))
    assert json.loads(answer.getvalue())["value"] == digest(1)
    assert editor.get(reverse("hashing:list_export", args=[known.pk, "exe"])).status_code == 404


def test_the_settings_of_a_list_change_what_it_matches(editor: Client, known: HashList) -> None:
    said = {
        "name": known.name,
        "category": known.category,
        "pdq_threshold": 20,
        "phash_threshold": 4,
        "dhash_threshold": 3,
        "video_run_seconds": 9,
        "flood_percent": 50,
        "is_active": "on",
    }
    page = reverse("hashing:list_edit", args=[known.pk])
    assert editor.post(page, said).status_code == 302
    known.refresh_from_db()
    assert (known.dhash_threshold, known.whash_threshold) == (3, 4)
    assert (known.video_run_seconds, known.flood_percent) == (9, 50)
    assert editor.post(page, said | {"flood_percent": 0}).status_code == 422


# ── States ────────────────────────────────────────────────────────────────────────────────────
def test_a_list_that_pauses_matches_nothing_and_counts_again_by_itself(
    editor: Client, known: HashList, scanned: Scanned
) -> None:
    list_picture(known, pictures.jpeg(5))
    page = reverse("hashing:list_pause", args=[known.pk])
    assert editor.post(page, {"hours": 2, "reason": ""}).status_code == 422
    assert editor.post(page, {"hours": 2, "reason": "a doubt"}).status_code == 302
    assert "a doubt" in editor.get(reverse("hashing:list", args=[known.pk])).text
    assert flags_of(scanned(pictures.jpeg(5))) == []
    HashList.objects.update(disabled_until=timezone.now() - timedelta(seconds=1))
    assert flags_of(scanned(pictures.jpeg(5)))
    assert editor.post(reverse("hashing:list_resume", args=[known.pk])).status_code == 302
    assert editor.post(reverse("hashing:list_resume", args=[known.pk])).status_code == 409


def test_known_harmless_material_silences_a_match(known: HashList, scanned: Scanned) -> None:
    list_picture(known, pictures.jpeg(5))
    harmless = actions.create_hash_list(name="Harmless", category="spam_other", actor=SYSTEM)
    list_picture(harmless, pictures.jpeg(5))
    actions.change_hash_list(harmless, is_negative=True, actor=SYSTEM)
    flags = flags_of(scanned(pictures.jpeg(5)))
    assert {flag.kind for flag in flags} == {"note"}
    assert all("Silenced by “Harmless”" in flag.summary for flag in flags)


def test_a_list_that_floods_is_held_and_released_by_a_lead(
    known: HashList, scanned: Scanned, lead: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_states, "FLOOD_LEAST", 3)
    list_picture(known, pictures.jpeg(5))

    for _ in range(2):
        scanned(pictures.jpeg(5))
    assert actions.guard_against_floods() == 0  # Too few to say anything.
    scanned(pictures.jpeg(5))
    assert actions.guard_against_floods() == 1
    assert actions.guard_against_floods() == 0
    known.refresh_from_db()
    assert "3 of 3 pictures" in known.quarantine_reason
    missed = scanned(pictures.jpeg(5))
    assert flags_of(missed) == []
    client = signed_in(Client(), lead)
    assert "Held: it matches nothing" in client.get(reverse("hashing:list", args=[known.pk])).text
    assert client.post(reverse("hashing:list_release", args=[known.pk])).status_code == 302
    jobs.do_long_work(known.long_works.get().pk)
    missed.refresh_from_db()
    assert missed.scan_state == ScanState.WAITING
    jobs.scan_item(str(missed.pk))
    assert flags_of(missed)
    assert actions.guard_against_floods() == 0  # A lead has looked within the hour.
    with pytest.raises(Refused):
        actions.release_list(known, actor=lead)


def test_a_list_with_a_small_share_is_not_held(
    known: HashList, scanned: Scanned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_states, "FLOOD_LEAST", 1)
    list_picture(known, pictures.jpeg(5))
    scanned(pictures.jpeg(5))
    for seed in range(80, 86):
        scanned(pictures.jpeg(seed))
    assert actions.guard_against_floods() == 0  # 1 of 7 is less than 20 %.


def test_a_list_acts_automatically_only_when_two_people_want_it(
    known: HashList, lead: User, policy_admin: User, scanned: Scanned
) -> None:
    list_picture(known, pictures.jpeg(5))
    with pytest.raises(Refused):
        actions.approve_automatic(known, actor=lead)
    actions.ask_automatic(known, actor=policy_admin)
    with pytest.raises(Refused, match="another person"):
        actions.approve_automatic(known, actor=policy_admin)
    client = signed_in(Client(), lead)
    verb = reverse("hashing:list_automatic", args=[known.pk, "approve"])
    page = client.get(reverse("hashing:list", args=[known.pk])).text
    known.refresh_from_db()
    assert f'name="asked_version" value="{known.asked_version}"' in page
    seen = {"asked_version": known.asked_version}
    assert client.post(verb, {}).status_code == 409, "no request that anybody looked at"
    assert client.post(verb, seen).status_code == 302
    assert client.post(verb, seen).status_code == 409
    exact = next(f for f in flags_of(scanned(pictures.jpeg(5))) if f.score == 1)
    assert exact.evidence["acts_automatically"] is True
    actions.stop_automatic(known, actor=lead)
    assert not HashList.objects.get(pk=known.pk).acts_automatically


def test_a_list_that_becomes_automatic_makes_no_new_finding_of_an_old_one(
    known: HashList, lead: User, policy_admin: User, scanned: Scanned
) -> None:
    list_picture(known, pictures.jpeg(5))
    item = scanned(pictures.jpeg(5))
    before = {flag.pk for flag in flags_of(item)}
    actions.ask_automatic(known, actor=policy_admin)
    actions.approve_automatic(known, actor=lead)
    Item.objects.filter(pk=item.pk).update(scan_state="waiting", scan_due_at=Now(), scan_attempts=0)
    jobs.scan_item(str(item.pk))
    assert {flag.pk for flag in flags_of(item)} == before
    assert not any("acts_automatically" in flag.evidence for flag in flags_of(item))
    assert any(
        "acts_automatically" in flag.evidence for flag in flags_of(scanned(pictures.jpeg(5)))
    )


def acting(scanned: Scanned, seed: int) -> bool:
    """Return whether a copy of a listed picture acts automatically."""
    return any(
        "acts_automatically" in flag.evidence for flag in flags_of(scanned(pictures.jpeg(seed)))
    )


def put(known: HashList, seed: int, person: User) -> HashEntry:
    """Put a picture on the list as a policy administrator does: by its digest alone."""
    value = hashlib.sha256(pictures.jpeg(seed)).hexdigest()
    return actions.add_entry(known, algorithm="sha256", value=value, actor=person)


def test_what_one_person_adds_later_does_not_act_before_two_want_it(
    known: HashList, lead: User, policy_admin: User, scanned: Scanned
) -> None:
    first = put(known, 5, policy_admin)
    actions.ask_automatic(known, actor=policy_admin)
    actions.approve_automatic(known, actor=lead)
    put(known, 6, policy_admin)
    known.refresh_from_db()
    assert (acting(scanned, 5), acting(scanned, 6)) == (True, False)
    page = signed_in(Client(), lead).get(reverse("hashing:list", args=[known.pk])).text
    assert "Added since, and not acting yet" in page
    assert f"1 by {policy_admin.pseudonym}" in page
    actions.retire_entry(first, reason="tried", actor=policy_admin)
    actions.restore_entry(first, actor=policy_admin)
    assert acting(scanned, 5) is False, "one person took it off and put it back"
    actions.ask_automatic(known, actor=lead)
    with pytest.raises(Refused, match="last changed what would act"):
        actions.approve_automatic(known, actor=policy_admin)
    actions.withdraw_automatic(known, actor=lead)
    actions.ask_automatic(known, actor=policy_admin)
    actions.approve_automatic(known, actor=lead)
    assert (acting(scanned, 5), acting(scanned, 6)) == (True, True)
    with pytest.raises(Refused, match="acts already"):
        actions.ask_automatic(known, actor=policy_admin)


CHANGES: dict[str, Callable[[HashList, User], Any]] = {
    "an entry": lambda known, person: put(known, 6, person),
    "a small file": lambda known, person: actions.import_csv(
        known, io.BytesIO(f"md5,{'b' * 32},\n".encode()), actor=person
    ),
    "a file": lambda known, person: jobs.read_import(
        str(
            actions.ask_import(
                known, vault.store_bytes(f"md5,{'c' * 32},\n".encode(), name="x.csv"), actor=person
            ).pk
        )
    ),
    "the category": lambda known, person: actions.change_hash_list(
        known, category="spam_other", actor=person
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_between_asking_and_approving_drops_the_request(
    known: HashList, lead: User, policy_admin: User, name: str
) -> None:
    put(known, 5, policy_admin)
    actions.ask_automatic(known, actor=lead)
    seen = HashList.objects.get(pk=known.pk).asked_version
    CHANGES[name](known, policy_admin)
    for person in (policy_admin, make_person("Lea Low", Role.LEAD)):
        with pytest.raises(Refused, match=f"dropped: {policy_admin.pseudonym} .* Ask again"):
            actions.approve_automatic(known, actor=person)
    client = signed_in(Client(), lead)
    assert "The request was dropped" in client.get(reverse("hashing:list", args=[known.pk])).text
    actions.ask_automatic(known, actor=lead)
    with pytest.raises(Refused, match="another request"):
        actions.approve_automatic(
            known, actor=make_person("Lou Lane", Role.LEAD), asked_version=seen
        )
    with pytest.raises(Refused, match="last changed what would act"):
        actions.approve_automatic(known, actor=policy_admin)


def test_another_category_ends_what_two_people_approved(
    known: HashList, lead: User, policy_admin: User
) -> None:
    actions.ask_automatic(known, actor=policy_admin)
    actions.approve_automatic(known, actor=lead)
    actions.change_hash_list(known, name="Another name", actor=policy_admin)
    known.refresh_from_db()
    assert known.acts_automatically
    actions.change_hash_list(known, category="spam_other", actor=policy_admin)
    known.refresh_from_db()
    assert not known.acts_automatically
    assert "The approval was dropped" in known.request_ended


def test_a_match_of_an_automatic_list_has_the_highest_severity() -> None:
    rule = routing.Rule(1, "all", {}, "spam_other", 1, 1, 100, "All")
    flag = routing.FlagFact("hash_match", "spam_other", 1.0, "A copy", acts_automatically=True)
    facts = routing.Facts("account", "platform", "standard", flags=(flag,))
    placement = routing.route(facts, [rule])
    assert placement.severity == 5
    assert "acts automatically" in placement.reasons[-1].text


# ── What reviews say ──────────────────────────────────────────────────────────────────────────
def test_precision_comes_from_decisions(known: HashList, scanned: Scanned, editor: Client) -> None:
    list_picture(known, pictures.jpeg(5))
    items = [scanned(pictures.jpeg(5)) for _ in range(2)]
    for number, item in enumerate(items):
        actions.record_verdicts(
            [item], decision=item.pk, is_violation=bool(number), category="csam_known"
        )
    precision = list_access.precision_of(Flag.objects.filter(hash_list=known))
    assert (precision.confirmed, precision.dismissed, precision.percent) == (1, 1, 50)
    assert precision.interval == (9, 91)
    assert "50 %" in editor.get(reverse("hashing:list", args=[known.pk])).text
    entry = Flag.objects.filter(hash_list=known).first().hash_entry
    page = editor.get(reverse("hashing:entry", args=[entry.pk])).text
    assert "1 confirmed, 1 dismissed" in page


def test_an_entry_that_reviews_refute_is_retired(known: HashList, scanned: Scanned) -> None:
    values = list_picture(known, pictures.jpeg(5))
    item = scanned(pictures.jpeg(5))
    for number in range(5):
        assert actions.retire_refuted_entries() == 0
        actions.record_verdicts(
            [item], decision=uuid.UUID(int=number), is_violation=False, category="csam_known"
        )
    assert Verdict.objects.count() == 5
    assert actions.retire_refuted_entries() >= 1
    entry = HashEntry.objects.get(hash_list=known, algorithm="pdq", value=values["pdq"])
    assert entry.retired_reason.startswith("Found harmless 5 times")


def test_an_entry_that_was_ever_confirmed_is_never_retired_by_itself(
    known: HashList, scanned: Scanned
) -> None:
    list_picture(known, pictures.jpeg(5))
    item = scanned(pictures.jpeg(5))
    for number in range(11):
        actions.record_verdicts(
            [item], decision=uuid.UUID(int=number), is_violation=not number, category="csam_known"
        )
    assert Verdict.objects.filter(is_violation=False).count() == 10
    assert actions.retire_refuted_entries() == 0
    assert not HashEntry.objects.exclude(retired_at=None).exists()


def test_another_threshold_is_compared_with_what_came_in(
    known: HashList, scanned: Scanned, editor: Client
) -> None:
    values = list_picture(known, pictures.jpeg(5))
    for algorithm in ("md5", "sha1", "sha256", "phash", "dhash"):
        for entry in HashEntry.objects.filter(algorithm=algorithm):
            actions.retire_entry(entry, reason="only PDQ counts here", actor=SYSTEM)
    near = HashEntry.objects.get(algorithm="pdq")
    actions.retire_entry(near, reason="moved", actor=SYSTEM)
    moved = f"{int(values['pdq'], 16) ^ (2**40 - 1):064x}"  # 40 bits away.
    actions.add_entry(known, algorithm="pdq", value=moved, actor=SYSTEM)
    scanned(pictures.jpeg(5))
    preview = list_access.preview_threshold(known, "pdq", 41)
    assert (preview.now, preview.then, preview.difference) == (0, 1, 1)
    page = reverse("hashing:list_preview", args=[known.pk])
    shown = editor.get(page, {"algorithm": "pdq", "threshold": "41"}).text
    assert "It would have flagged 1 more item." in shown
    assert editor.get(page, {"algorithm": "pdq", "threshold": "x"}).status_code == 422


def test_the_media_of_a_confirmed_case_goes_on_an_own_list_by_one_click(
    casework: Casework, lead: User, reviewer: User, known: HashList
) -> None:
    for person in (lead, reviewer):
        grant_all(person)
    case = casework.case(pictures=[pictures.jpeg(44)])
    item = case.case_items.get().item
    Item.objects.filter(pk=item.pk).update(scan_state="waiting", scan_due_at=Now(), scan_attempts=0)
    jobs.scan_item(str(item.pk))
    client = signed_in(Client(), lead)
    add = reverse("moderation:list_digests", args=[case.pk])
    with pytest.raises(Refused, match="confirmed"):
        actions.list_media(known, Item.objects.filter(pk=item.pk), actor=lead)
    case.refresh_from_db()
    casework.published(case, by=reviewer)
    assert (
        "Put its media on this list" in client.get(reverse("moderation:case", args=[case.pk])).text
    )
    assert client.post(add, {"list": str(known.pk)}).status_code in {302, 303}
    assert HashEntry.objects.filter(hash_list=known).count() == 6
    assert client.post(add, {"list": str(known.pk)}).status_code in {302, 303}
    assert HashEntry.objects.filter(hash_list=known).count() == 6
    assert signed_in(Client(), reviewer).post(add, {"list": str(known.pk)}).status_code == 403


def test_digests_that_say_nothing_of_the_picture_are_not_listed(
    casework: Casework, lead: User, reviewer: User, known: HashList
) -> None:
    """PDQ calls a picture without gradients one of low quality: any other blank one is near to it."""
    for person in (lead, reviewer):
        grant_all(person)
    case = casework.case(pictures=[pictures.encode(Image.new("RGB", (640, 480), "white"))])
    item = case.case_items.get().item
    Item.objects.filter(pk=item.pk).update(scan_state="waiting", scan_due_at=Now(), scan_attempts=0)
    jobs.scan_item(str(item.pk))
    case.refresh_from_db()
    casework.published(case, by=reviewer)
    quality = Digest.objects.get(blob=item.blob_id, algorithm="pdq").quality
    assert quality is not None
    assert quality < 50
    assert actions.list_media(known, Item.objects.filter(pk=item.pk), actor=lead) == 5
    added = set(known.entries.values_list("algorithm", flat=True))
    assert "sha256" in added
    assert "pdq" not in added


def test_two_approvers_at_once_are_one(known: HashList, policy_admin: User) -> None:
    actions.ask_automatic(known, actor=policy_admin)
    first, second = make_person("One", Role.LEAD), make_person("Two", Role.LEAD)
    actions.approve_automatic(known, actor=first)
    with pytest.raises(Refused), transaction.atomic():
        actions.approve_automatic(known, actor=second)
    assert HashList.objects.get(pk=known.pk).automatic_approved_by == first
