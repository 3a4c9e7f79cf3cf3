"""Releases of lists and changes of weights: a request writes a row, batches do the rest, whatever is killed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from core.errors import Invalid
from hashing import actions, jobs
from hashing.actions import list_states, long_work
from hashing.models import HashEntry, HashList, LongWork, RiskPolicy, RiskScore, Verdict
from reports.models import Account, Item, ScanState, SubjectChange
from tests import pictures
from tests.cast import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def held(known: HashList, scanned: Any) -> list[Item]:
    """Return seven items that came in while a list was held, and hold it."""
    items = [scanned(pictures.jpeg(seed)) for seed in range(20, 27)]
    earliest = timezone.now() - timedelta(minutes=30)
    HashList.objects.filter(pk=known.pk).update(
        quarantined_at=earliest, quarantine_reason="Too much."
    )
    # Two of one moment: a batch may end between them.
    Item.objects.filter(pk__in=[item.pk for item in items[2:4]]).update(
        scanned_at=items[2].scanned_at
    )
    return items


def in_line() -> int:
    return Item.objects.filter(scan_state=ScanState.WAITING).count()


# ── Releasing a list ──────────────────────────────────────────────────────────────────────────
def test_releasing_a_list_costs_the_same_whatever_came_in(
    held: list[Item], known: HashList, lead: User
) -> None:
    with CaptureQueriesContext(
        connection,
    ) as asked:
        actions.release_list(known, actor=lead)
    assert not [each for each in asked.captured_queries if "reports_item" in each["sql"]]
    assert in_line() == 0
    assert LongWork.objects.get().ended_at is None


def test_batches_put_everything_in_line_once_and_the_page_says_how_far(
    held: list[Item], known: HashList, lead: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_work, "ITEMS", 3)
    actions.release_list(known, actor=lead)
    work = LongWork.objects.get()
    assert actions.do_batch(work) == 3
    page = signed_in(Client(), lead).get(reverse("hashing:list", args=[known.pk])).content.decode()
    assert "3 put in line so far" in page
    # A worker that is killed in a batch leaves the row as it was: the next one begins there.
    with transaction.atomic():
        assert actions.do_batch(work) == 3
        transaction.set_rollback(True)
    assert in_line() == 3
    jobs.do_long_work(work.pk)
    work.refresh_from_db()
    assert (work.done, in_line()) == (7, 7)
    assert work.ended_at is not None
    jobs.do_long_work(work.pk)
    assert jobs.sweep_long_work() == 0
    page = signed_in(Client(), lead).get(reverse("hashing:list", args=[known.pk])).content.decode()
    assert "put in line so far" not in page


def test_what_comes_in_new_is_not_kept_waiting_by_what_is_scanned_again(
    held: list[Item], known: HashList, lead: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_work, "ITEMS", 2)
    monkeypatch.setattr(long_work, "ITEMS_IN_LINE", 4)
    actions.release_list(known, actor=lead)
    work = LongWork.objects.get()
    jobs.do_long_work(work.pk)
    assert in_line() == 4
    assert LongWork.objects.get().ended_at is None
    for item in Item.objects.filter(scan_state=ScanState.WAITING):
        jobs.scan_item(str(item.pk))
    jobs.do_long_work(work.pk)
    assert in_line() == 3  # Nothing that was scanned again comes a second time.
    work.refresh_from_db()
    assert work.done == 7
    assert work.ended_at is not None


# ── Changing weights ──────────────────────────────────────────────────────────────────────────
def change(actor: User, **changes: Any) -> RiskPolicy:
    from hashing import risk

    current = actions.current_risk_policy()
    said: dict[str, Any] = {
        "based_on": current.version,
        "weights": {kind: risk.weights_of(current.weights, kind) for kind in ("group", "account")},
        "note": "",
    } | {
        name: getattr(current, name)
        for name in (
            "group_open_at",
            "account_open_at",
            "drop",
            "raise_by",
            "quiet_days",
            "group_limit",
            "opens_cases",
        )
    }
    return actions.change_risk_policy(**(said | changes), actor=actor)


def test_changed_weights_mark_every_score_in_batches(
    policy_admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_work, "SCORES", 2)
    accounts = Account.objects.bulk_create([Account(external_id=f"a-{n}") for n in range(5)])
    RiskScore.objects.bulk_create([RiskScore(account=each) for each in accounts])
    SubjectChange.objects.all().delete()
    first = change(policy_admin, note="first")
    assert not SubjectChange.objects.exists()
    assert actions.do_batch(first.long_works.get()) == 2
    second = change(policy_admin, note="second")  # What the first still had to do is done with it.
    jobs.do_long_work(first.long_works.get().pk)
    assert SubjectChange.objects.count() == 2
    assert (
        "is rated again under"
        in signed_in(Client(), policy_admin).get(reverse("hashing:risk_policy")).content.decode()
    )
    jobs.do_long_work(second.long_works.get().pk)
    assert SubjectChange.objects.count() == 7
    assert LongWork.objects.filter(ended_at=None).count() == 0


# ── Bounds that the action knows, and the table ───────────────────────────────────────────────
@pytest.mark.parametrize(
    ("field", "value"),
    [("raise_by", 0), ("raise_by", 101), ("quiet_days", 366), ("group_limit", 1), ("group_limit", 1_000_001)],
)  # fmt: skip
def test_weights_out_of_bounds_are_refused_by_the_action_and_by_the_table(
    policy_admin: User, field: str, value: int
) -> None:
    with pytest.raises(Invalid) as no:
        change(policy_admin, **{field: value})
    assert list(no.value.errors) == [field]
    with pytest.raises(IntegrityError), transaction.atomic():
        RiskPolicy.objects.update(**{field: value})


@pytest.mark.parametrize("hours", [-1, 0, 24 * 91])
def test_a_list_pauses_for_a_while_and_not_for_ever(
    known: HashList, policy_admin: User, hours: int
) -> None:
    with pytest.raises(Invalid, match="90 days at most"):
        actions.disable_list(
            known, until=timezone.now() + timedelta(hours=hours), reason="Odd.", actor=policy_admin
        )


# ── Sweeps that follow change ─────────────────────────────────────────────────────────────────
def test_entries_are_looked_at_only_when_something_was_decided_about_them(
    known: HashList, scanned: Any
) -> None:
    import uuid

    item = scanned(pictures.jpeg(5))
    actions.record_verdicts(
        [item], decision=uuid.uuid4(), is_violation=False, category="csam_known"
    )
    actions.retire_refuted_entries()
    assert Verdict.objects.get().is_weighed
    with CaptureQueriesContext(connection) as asked:
        assert actions.retire_refuted_entries() == 0
    assert not [each for each in asked.captured_queries if "hashing_hashentry" in each["sql"]]


def test_the_flood_guard_counts_by_an_index(db: None) -> None:
    scanned_within = Item.objects.filter(scanned_at__gte=Now() - list_states.FLOOD_WINDOW)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = scanned_within.exclude(kind="text").order_by().values("pk").explain()
    assert "items_scanned_media" in plan


def test_subjects_and_notes_are_searched_by_an_index(known: HashList) -> None:
    from hashing import access as hashing_access
    from reports.models import Group

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    assert "accounts_by_name" in Account.objects.filter(username__istartswith="abc").explain()
    assert "groups_by_name" in Group.objects.filter(name__istartswith="abc").explain()
    found = HashEntry.objects.filter(note__icontains="drawn").exclude(note="")
    assert "entries_by_note" in found.explain()
    by_digest = hashing_access.entries_of(known, search="abcdef").order_by()
    assert "digest_once_per_list" in by_digest.explain()
