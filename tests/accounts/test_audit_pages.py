"""The auditor's pages: who sees them, filters, pages, exports, checking."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.audit_log import ENTRIES_ON_A_PAGE, entries_for
from accounts.models import User
from core import audit, jobs
from core.audit import SYSTEM
from core.audit_events import AuditEvent
from core.models import AuditAnchor, AuditEntry, Blob, Heartbeat
from referrals.actions.anchors import make_anchor
from referrals.models import Recipient, Referral
from tests.casework import Casework
from tests.cast import find, signed_in

pytestmark = pytest.mark.django_db
CASE = Blob(pk=UUID(int=5))


def write(number: int, **options: Any) -> list[AuditEntry]:
    options = {"actor": audit.Actor("service", "src-1", "Example feed")} | options
    return [audit.record(AuditEvent.VAULT_VERIFIED, number=n, **options) for n in range(number)]


@pytest.fixture
def desk(client: Client, auditor: User) -> Client:
    return signed_in(client, auditor)


def shown(desk: Client, **query: Any) -> list[int]:
    answer = find(desk, reverse("accounts:audit"), query)
    assert answer.status_code == 200
    return [entry.pk for entry in answer.context["slice"].entries]


class TestWho:
    @pytest.mark.parametrize("name", ["reviewer", "lead", "legal", "policy_admin"])
    def test_only_the_auditor_reads_the_log(
        self, name: str, client: Client, request: pytest.FixtureRequest
    ) -> None:
        signed_in(client, request.getfixturevalue(name))
        (entry,) = write(1)
        for path in (
            reverse("accounts:audit"),
            reverse("accounts:audit_entry", args=[entry.pk]),
            reverse("accounts:audit_export"),
            reverse("accounts:audit_check_state"),
        ):
            assert client.get(path).status_code == 403
        assert client.post(reverse("accounts:audit_check")).status_code == 403
        assert AuditEntry.objects.filter(event=AuditEvent.PERMISSION_REFUSED).count() == 5

    def test_export_needs_the_second_factor(self, client: Client, auditor: User) -> None:
        signed_in(client, auditor, second_factor=False)
        assert client.get(reverse("accounts:audit_export")).status_code == 302

    def test_looking_is_recorded_with_the_filter(self, desk: Client) -> None:
        find(desk, reverse("accounts:audit"), {"ip": "203.0.113.9"})
        entry = AuditEntry.objects.filter(event=AuditEvent.AUDIT_VIEWED).latest("id")
        assert entry.data == {"filters": {"ip": "203.0.113.9"}}


class TestWords:
    def test_a_line_says_what_happened_and_in_which_case(
        self, desk: Client, casework: Casework
    ) -> None:
        case = casework.case()
        report = case.case_reports.get().report
        item = case.case_items.all()[0].item
        page = desk.get(reverse("accounts:audit")).content.decode()

        def row(event: str, subject: Any) -> str:
            entry = AuditEntry.objects.get(event=event, subject_id=str(subject.pk))
            return page.partition(reverse("accounts:audit_entry", args=[entry.pk]))[2].partition(
                "</tr>"
            )[0]

        for event, subject, words, what in (
            (AuditEvent.CASE_OPENED, case, "Opened a case", "Case"),
            (AuditEvent.REPORT_SUBMITTED, report, "Submitted a report", "Report"),
            (
                AuditEvent.SCAN_STATE_RECORDED,
                item,
                "Recorded how far an item was scanned",
                "Item",
            ),
        ):
            line = row(event, subject)
            assert f"<div>{words}</div>" in line
            assert f'<div class="mono small muted">{event.value}</div>' in line
            assert f'class="anywhere">{what} ' in line
            assert f'<div class="nowrap">{case}</div>' in line, event

    def test_an_entry_is_said_in_words_too(self, desk: Client, casework: Casework) -> None:
        case = casework.case()
        entry = audit.record(
            AuditEvent.OVERTURN_MADE, actor=SYSTEM, case=case, subject=case, is_reopened=True
        )
        page = desk.get(reverse("accounts:audit_entry", args=[entry.pk])).content.decode()
        assert "Overturned a decision" in page.partition("<h1")[2].partition("</h1>")[0]
        facts = re.sub(r"<[^>]+>|\s+", " ", page)
        assert " ".join(f"Event case.overturn.made Case {case}".split()) in " ".join(facts.split())
        assert "Is reopened yes" in " ".join(facts.split())
        assert "is_reopened" in page  # The hashed line stays as it is.


class TestFilters:
    def test_each_filter_narrows(self, desk: Client) -> None:
        case = write(1, case=CASE, subject=CASE)[0]
        other = write(1, chain="sources")[0]
        person = audit.record(AuditEvent.AUDIT_VERIFIED, actor=audit.Actor("person", "77", "R-77"))
        found = {entry.pk for entry in (case, other, person)}
        for query, expected in (
            ({"case": str(CASE.pk)}, {case.pk}),
            ({"chain": "sources"}, {other.pk}),
            ({"subject": str(CASE.pk)}, {case.pk}),
            ({"actor": "r-77"}, {person.pk}),
            ({"actor": "src-1"}, {case.pk, other.pk}),
            ({"event": "audit.verified"}, {person.pk}),
            ({"area": "vault"}, {case.pk, other.pk}),
            ({"ip": "198.51.100.7"}, set()),
            ({"start": "2020-01-01", "end": "2020-01-02"}, set()),
            ({"start": "2020-01-01", "end": "2999-01-01"}, found),
        ):
            assert set(shown(desk, **query)) & found == expected, query

    def test_a_filter_that_makes_no_sense_shows_nothing_and_says_why(self, desk: Client) -> None:
        write(1)
        for query in (
            {"ip": "nonsense"},
            {"start": "2026-02-01", "end": "2026-01-01"},
            {"event": "made.up"},
        ):
            answer = find(desk, reverse("accounts:audit"), query)
            assert answer.status_code == 422
            assert answer.context["slice"].entries == []

    @pytest.mark.parametrize("wrong", ["30.11.2026", "yesterday", "2026-13-01"])
    def test_a_day_that_is_none_is_said_to_be_none(self, desk: Client, wrong: str) -> None:
        write(1)
        answer = find(desk, reverse("accounts:audit"), {"start": wrong})
        page = answer.content.decode()
        assert answer.status_code == 422
        assert "Not understood. Give the day as 2026-11-30." in page
        assert "The filter was not understood" in page
        assert "No entry matches" not in page

    def test_what_was_done_after_a_reset_is_found_by_its_mark(self, desk: Client) -> None:
        write(1)
        marked = audit.record(
            AuditEvent.AUDIT_VERIFIED, actor=SYSTEM, after_reset="2026-11-27T19:36:13+00:00"
        )
        assert shown(desk, after_reset="on") == [marked.pk]

    def test_the_numbers_people_know_lead_to_the_case(
        self, desk: Client, casework: Casework, legal: User
    ) -> None:
        case = casework.case()
        referral = Referral.objects.create(
            number=7,
            year=2026,
            case=case,
            recipient=Recipient.objects.create(name="Invented Agency"),
            drafted_by=legal,
        )
        report = case.case_reports.get().report
        for typed in (
            str(case),
            f"C\u2013{case.number}",
            str(case).lower(),
            str(report),
            str(referral),
            "ESC-2026-000007",
        ):
            answer = find(desk, reverse("accounts:audit"), {"case": typed})
            chains = {entry.chain for entry in answer.context["slice"].entries}
            assert chains == {f"case:{case.pk}"}, typed
        for unknown, kind in (
            ("C-999999", "case"),
            ("r\u2013999999", "report"),
            ("ESC-1999-000001", "referral"),
            ("17", "case, report or referral"),
            ("no case", "case, report or referral"),
        ):
            answer = find(desk, reverse("accounts:audit"), {"case": unknown})
            assert answer.status_code == 422
            assert f"No {kind} has this number" in answer.content.decode()
            assert "referrals like ESC-2026-000007" in answer.content.decode()

    def test_nothing_found_offers_to_clear_the_filter(self, desk: Client) -> None:
        answer = find(desk, reverse("accounts:audit"), {"chain": "nothing"})
        assert "No entry matches this filter" in answer.content.decode()


class TestPages:
    def test_walking_to_older_and_back_shows_each_entry_once(self, desk: Client) -> None:
        keys = [entry.pk for entry in write(2 * ENTRIES_ON_A_PAGE + 10, chain="walk")][::-1]
        query: dict[str, Any] = {"chain": "walk"}
        seen: list[int] = []
        pages = []
        while True:
            answer = find(desk, reverse("accounts:audit"), query)
            page = answer.context["slice"]
            pages.append([entry.pk for entry in page.entries])
            seen += pages[-1]
            if page.older is None:
                break
            query["before"] = page.older
        assert seen == keys
        assert [len(page) for page in pages] == [50, 50, 10]
        back = find(
            desk, reverse("accounts:audit"), {"chain": "walk", "after": page.newer}
        ).context["slice"]
        assert [entry.pk for entry in back.entries] == pages[1]

    @pytest.mark.parametrize("cursor", ["x", "-1", "9" * 40, "1.5", "²"])
    def test_a_strange_cursor_is_the_first_page(self, desk: Client, cursor: str) -> None:
        (entry,) = write(1, chain="one")
        assert shown(desk, chain="one", before=cursor) == [entry.pk]

    def test_htmx_gets_the_table_only(self, desk: Client) -> None:
        answer = desk.get(reverse("accounts:audit"), headers={"HX-Request": "true"})
        assert answer.content.decode().lstrip().startswith('<div class="card" id="audit-entries"')


class TestEntry:
    def test_it_shows_the_line_and_its_neighbours(self, desk: Client) -> None:
        first, second, third = write(3, chain="three")
        answer = desk.get(reverse("accounts:audit_entry", args=[second.pk]))
        page = answer.content.decode()
        assert second.hash in page
        assert "Hash holds" in page
        assert reverse("accounts:audit_entry", args=[first.pk]) in page
        assert reverse("accounts:audit_entry", args=[third.pk]) in page

    def test_a_changed_entry_is_shown_as_changed(self, desk: Client) -> None:
        entry = write(2)[1]
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE core_auditentry DISABLE TRIGGER USER")
            cursor.execute("UPDATE core_auditentry SET actor_label = 'x' WHERE id = %s", [entry.pk])
            cursor.execute("ALTER TABLE core_auditentry ENABLE TRIGGER USER")
        answer = desk.get(reverse("accounts:audit_entry", args=[entry.pk]))
        assert "not what was written" in answer.content.decode()

    def test_an_unknown_entry_is_404(self, desk: Client) -> None:
        assert desk.get(reverse("accounts:audit_entry", args=[10**12])).status_code == 404


class TestExport:
    def test_ndjson_can_be_checked_line_by_line(self, desk: Client) -> None:
        write(4, chain="export")
        answer = find(
            desk,
            reverse("accounts:audit"),
            {"chain": "export"},
            at=reverse("accounts:audit_export"),
        )
        before = audit.GENESIS
        lines = answer.getvalue().decode().splitlines()
        assert len(lines) == 4
        for text in lines:
            said = json.loads(text)
            assert said["prev_hash"] == before
            before = audit.link(before, said["line"])
            assert said["hash"] == before
        assert AuditEntry.objects.filter(event=AuditEvent.AUDIT_EXPORTED).count() == 1

    def test_csv_cannot_carry_a_formula(self, desk: Client) -> None:
        write(1, chain="export", actor=audit.Actor("service", "x", "=HYPERLINK(1)"))
        answer = find(
            desk,
            reverse("accounts:audit"),
            {"chain": "export", "format": "csv"},
            at=reverse("accounts:audit_export"),
        )
        assert answer["Content-Type"].startswith("text/csv")
        assert "attachment" in answer["Content-Disposition"]
        (row,) = csv.DictReader(io.StringIO(answer.getvalue().decode()))
        assert row["actor_label"] == "'=HYPERLINK(1)"
        assert row["seq"] == "1"

    def test_a_wrong_filter_exports_nothing(self, desk: Client) -> None:
        answer = find(
            desk, reverse("accounts:audit"), {"ip": "nonsense"}, at=reverse("accounts:audit_export")
        )
        assert answer.status_code == 302
        assert not AuditEntry.objects.filter(event=AuditEvent.AUDIT_EXPORTED).exists()


class TestChecking:
    def test_the_button_asks_once_and_the_banner_tells(
        self, desk: Client, django_capture_on_commit_callbacks: Any
    ) -> None:
        assert "not been checked yet" in desk.get(reverse("accounts:audit")).content.decode()
        for _ in range(2):
            with django_capture_on_commit_callbacks(execute=True):
                answer = desk.post(reverse("accounts:audit_check"), headers={"HX-Request": "true"})
            assert "waiting for a worker" in answer.content.decode()
        assert AuditEntry.objects.filter(event=AuditEvent.AUDIT_CHECK_REQUESTED).count() == 1
        assert jobs.queue("long").get_job_ids() == ["verify_audit"]
        jobs.run_now("verify_audit")
        page = desk.get(reverse("accounts:audit_check_state")).content.decode()
        assert "Intact" in page
        assert "Last verified" in page
        assert "by the check asked for on this page" in page
        assert "agree with their lines" in page
        assert "There is no anchor yet" in page

    def test_an_anchor_that_nobody_checked_is_never_said_to_hold(self, desk: Client) -> None:
        write(1)
        jobs.run_now("verify_audit")
        page = desk.get(reverse("accounts:audit_check_state")).content.decode()
        assert "Last verified" in page
        assert "asked for on this page" not in page  # Nobody did.
        make_anchor(
            AuditAnchor.Reason.ASKED, signer="packages@holdfast.example", sign=lambda _: "x"
        )
        page = desk.get(reverse("accounts:audit_check_state")).content.decode()
        assert "not in the store yet" in page
        assert "has not been checked" in page
        assert "Anchors hold" not in page
        jobs.run_now("verify_audit")
        page = desk.get(reverse("accounts:audit_check_state")).content.decode()
        assert "Anchors do not hold" in page
        assert "signature" in page

    def test_a_broken_chain_is_named_on_the_page(self, desk: Client) -> None:
        entry = write(3)[1]
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE core_auditentry DISABLE TRIGGER USER")
            cursor.execute("DELETE FROM core_auditentry WHERE id = %s", [entry.pk])
            cursor.execute("ALTER TABLE core_auditentry ENABLE TRIGGER USER")
        jobs.run_now("verify_audit")
        page = desk.get(reverse("accounts:audit_check_state")).content.decode()
        assert f"entry {entry.seq}" in page
        assert "was removed" in page

    def test_a_lost_wake_up_is_found_by_the_sweep(
        self, desk: Client, django_capture_on_commit_callbacks: Any
    ) -> None:
        from core.sweeps import sweep_audit_check

        assert sweep_audit_check() == 0
        desk.post(reverse("accounts:audit_check"))
        with django_capture_on_commit_callbacks(execute=True):
            assert sweep_audit_check() == 1
        assert jobs.queue("long").get_job_ids() == ["verify_audit"]
        jobs.run_now("verify_audit")
        assert sweep_audit_check() == 0
        assert Heartbeat.objects.get(pk="verify_audit").detail["state"] == "done"


class TestSpeed:
    def plan(self, user: User, **wanted: Any) -> str:
        """Return how PostgreSQL finds the newest entries if it may not read the whole table."""
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            # Reading the log by its id, newest first, is the same scan in another order.
            cursor.execute("SET LOCAL enable_indexscan = off")
        return entries_for(user, **wanted).explain()

    def test_what_came_from_an_address_is_found_by_an_index(self, auditor: User) -> None:
        assert "core_audit_ip" in self.plan(auditor, ip="192.0.2.7")

    def test_an_area_between_two_days_is_found_by_indexes(self, auditor: User) -> None:
        day = date(2026, 11, 1)
        plan = self.plan(auditor, area="api_key", start=day, end=day)
        assert "Index Cond" in plan
        assert "core_audit_event" in plan or "core_audit_at" in plan
        assert "~~" not in plan, "no entry is compared with a pattern"

    def test_an_area_is_all_of_its_events_and_no_other(self, auditor: User) -> None:
        for event in (AuditEvent.API_KEY_ISSUED, AuditEvent.API_KEY_REFUSED, AuditEvent.SIGNED_IN):
            audit.record(event, actor=None)
        found = entries_for(auditor, area="api_key").values_list("event", flat=True)
        assert list(found) == ["api_key.refused", "api_key.issued"]
        assert not entries_for(auditor, area="api").exists()
