"""A case with thousands of items: no request about it asks more of the database than one about ten."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User
from core.audit import SYSTEM
from core.models import AuditEntry, Blob
from hashing import actions as hashing
from hashing.models import Category, Digest, HashEntry, HashList, Verdict
from moderation import actions as moderation
from moderation.models import Case, CaseItem
from referrals import actions
from referrals.models import Referral
from referrals.views import LINES
from reports.models import Account, Item
from tests.casework import decide_form, grant_all, url
from tests.cast import signed_in
from tests.pictures import jpeg
from tests.referrals.desk import Desk, form, page

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("measured_empty")]

MANY = 3_000


def grow(case: Case, count: int) -> None:
    """Give a case so many more media, each of an account of its own, as a flood of reports would."""
    first = case.case_items.select_related("item__blob").earliest("pk").item
    start = case.case_items.count()

    def copies(row: Any, kind: type[Any], **changed: Callable[[int], Any]) -> list[Any]:
        same = {
            field.attname: getattr(row, field.attname)
            for field in kind._meta.concrete_fields
            if not field.primary_key and field.attname not in changed
        }
        made = [
            kind(**same, **{name: of(number) for name, of in changed.items()})
            for number in range(count)
        ]
        return kind.objects.bulk_create(made, batch_size=1000)

    accounts = copies(case.account, Account, external_id=lambda n: f"{case.number}-{start + n}")
    blobs = copies(
        first.blob,
        Blob,
        sha256=lambda n: f"{uuid4().hex}{n:032x}",
        storage_name=lambda n: f"{case.pk}/{start + n}",
    )
    items = copies(
        first,
        Item,
        blob_id=lambda n: blobs[n].pk,
        account_id=lambda n: accounts[n].pk,
        external_id=lambda n: f"{case.number}-{start + n}",
    )
    CaseItem.objects.bulk_create(
        CaseItem(case=case, item=item, position=start + n) for n, item in enumerate(items)
    )
    Digest.objects.bulk_create(
        Digest(blob=blob, algorithm="md5", value=blob.pk.hex) for blob in blobs
    )
    said = Verdict.objects.filter(item=first).order_by("-decided_at").first()
    if said is None:
        return  # Nobody decided yet.
    Verdict.objects.bulk_create(
        Verdict(item=item, decision=said.decision, is_violation=True, category=Category.CSAM_KNOWN)
        for item in items
    )


def queries(ask: Callable[[], Any], *, status: int = 302) -> int:
    with CaptureQueriesContext(
        connection,
    ) as asked:
        assert ask().status_code == status
    return len(asked)


def test_drafting_asks_as_much_for_ten_items_as_for_thousands(desk: Desk, author: Client) -> None:
    small, large = desk.case("small"), desk.case("large")
    grow(small, 9)
    grow(large, MANY)

    counts = {}
    for case in (small, large):
        new = reverse("referrals:new", args=[case.pk])
        counts[case, "open"] = queries(partial(author.post, new, {"recipient": desk.agency.pk}))
        referral = Referral.objects.get(case=case)
        assert (
            referral.exhibits.count() == referral.named_accounts.count() == case.case_items.count()
        )
        assert list(referral.exhibits.values_list("item", "position")) == [
            (row.item_id, number) for number, row in enumerate(case.case_items.all(), 1)
        ]
        counts[case, "read"] = queries(partial(author.get, page("detail", referral)), status=200)
        grow(case, 9 if case == small else MANY)
        counts[case, "refresh"] = queries(partial(author.post, page("refresh", referral)))
        assert referral.exhibits.count() == case.case_items.count()

    for step in ("open", "read", "refresh"):
        assert counts[large, step] <= counts[small, step] + 2, counts


def test_a_draft_of_many_exhibits_is_written_a_page_at_a_time(desk: Desk, author: Client) -> None:
    case = desk.case()
    grow(case, 2 * LINES)
    draft = desk.draft(case)
    text = author.get(page("detail", draft) + "?exhibits=2").content.decode()
    shown = list(draft.exhibits.order_by("position")[LINES : 2 * LINES])
    assert f"{LINES + 1}–{2 * LINES} of {2 * LINES + 1} exhibits" in text
    assert all(f'name="exhibit-{row.pk}-note"' in text for row in shown)
    assert f"exhibit-{draft.exhibits.earliest('position').pk}-note" not in text
    said = {
        name: value
        for name, value in form(draft).items()
        if not name.startswith("exhibit-") or any(f"-{row.pk}-" in name for row in shown)
    }
    said[f"exhibit-{shown[0].pk}-note"] = "An invented note"

    # Turning the page saves what was typed on this one, and nothing of the others.
    answer = author.post(
        page("detail", draft) + "?exhibits=2&accounts=1",
        {
            name: value
            for name, value in said.items()
            if not name.startswith("account-")
            or any(
                f"account-{row.pk}-" in name
                for row in draft.named_accounts.order_by("position", "pk")[:LINES]
            )
        }
        | {"next": "exhibits:3"},
    )
    assert (answer.status_code, answer["Location"]) == (
        302,
        page("detail", draft) + "?exhibits=3&accounts=1#exhibits-title",
    )
    notes = draft.exhibits.exclude(note="").values_list("pk", "note")
    assert list(notes) == [(shown[0].pk, "An invented note")]
    assert not draft.exhibits.filter(is_included=False).exists()
    approval = actions.request_approval(
        Referral.objects.get(pk=draft.pk), version=draft.version + 1, actor=desk.author
    )
    second = signed_in(Client(), desk.second)
    shown_text = second.get(page("approve", approval) + "?exhibits=3").content.decode()
    assert f"EX-{2 * LINES + 1:04d}" in shown_text
    assert "EX-0001" not in shown_text


def test_a_correction_takes_every_line_along_at_once(desk: Desk, signing: Path) -> None:
    draft = desk.draft(desk.case(pictures=[jpeg(1), jpeg(2), jpeg(3)]))
    left_out = draft.exhibits.get(position=3)
    change = actions.ExhibitChange(False, "supplemental", "An invented note", "Invented")
    draft = desk.write(draft, exhibits={left_out.pk: change})
    asked = actions.request_approval(draft, version=draft.version, actor=desk.author)
    first = desk.build(actions.approve(asked, version=asked.version, actor=desk.second))

    second = actions.open_revision(first, reason="An invented correction.", actor=desk.author)

    lines = ("item", "position", "is_included", "relevance", "note", "left_out_reason")
    assert list(second.exhibits.values_list(*lines)) == list(first.exhibits.values_list(*lines))
    accounts = ("account", "role", "is_included", "position")
    assert list(second.named_accounts.values_list(*accounts)) == list(
        first.named_accounts.values_list(*accounts)
    )


def test_listing_the_media_of_a_case_asks_as_much_for_ten_items_as_for_thousands(
    desk: Desk, lead: User
) -> None:
    known = hashing.create_hash_list(
        name="Invented own list", category=Category.CSAM_KNOWN, actor=SYSTEM
    )
    person = signed_in(Client(), grant_all(lead))
    small, large = desk.case("small"), desk.case("large")
    grow(small, 9)
    grow(large, MANY)
    version = HashList.objects.get(pk=known.pk).version

    counts = []
    for case in (small, large):
        there = reverse("moderation:list_digests", args=[case.pk])
        counts.append(queries(partial(person.post, there, {"list": str(known.pk)}), status=303))

    assert counts[1] <= counts[0] + 2, counts
    assert HashEntry.objects.filter(hash_list=known).count() >= MANY
    assert HashList.objects.get(pk=known.pk).version == version + 2
    lines = AuditEntry.objects.filter(event="hashing.entries.added")
    assert sum(line.data["entries"] for line in lines) == HashEntry.objects.count()


def test_deciding_to_remove_all_media_asks_as_much_for_ten_items_as_for_hundreds(
    desk: Desk, reviewer: User
) -> None:
    counts = []
    for many in (9, 600):
        case = desk.casework.case(f"subject-{many}")
        grow(case, many)
        moderation.claim(case, actor=desk.reviewer)
        case.refresh_from_db()
        said = decide_form(case, enforcements=["remove_media"])
        browser = signed_in(Client(), desk.reviewer)
        counts.append(queries(partial(browser.post, url("decide", case), said), status=303))
        assert case.decisions.get().enforcements.count() == many + 1

    assert counts[1] <= counts[0] + 2, counts
