"""Lists, exchanges, matching and risk at a browser, as the people who keep them do it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from accounts.models import User
from core.audit import SYSTEM
from core.models import Blob
from hashing import actions, jobs
from hashing.models import Category, Exchange, FileLookup, HashEntry, HashImport, LinkImport
from reports.models import Item
from tests.browser.conftest import Window
from tests.casework import Casework, hash_finding
from tests.hashing.exchange_servers import as_json, serving
from tests.pictures import jpeg

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
]


def test_a_large_list_is_imported_while_the_page_looks_on_and_taken_back(
    window: Window, policy_admin: User
) -> None:
    hash_list = actions.create_hash_list(
        name="Drawn pictures", category=Category.CSAM_KNOWN, actor=SYSTEM
    )
    rows = "".join(f'{{"algorithm": "pdq", "value": "{n:064x}"}}\n' for n in range(1, 301)).encode()
    page = window(policy_admin)
    page.goto(f"/hash-lists/{hash_list.pk}/import/")
    page.locator("input[type=file]").set_input_files(
        {"name": "list.ndjson", "mimeType": "application/x-ndjson", "buffer": rows}
    )
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("A worker takes it in a moment.")).to_be_visible()
    jobs.read_import(str(HashImport.objects.get().pk))
    expect(page.locator("#import dd").nth(1)).to_have_text("300")
    page.get_by_role("button", name="Undo the import").click()
    expect(page.get_by_text("300 entries were retired")).to_be_visible()
    assert not HashEntry.objects.filter(retired_at=None).exists()
    page.get_by_role("button", name="Redo the import").click()
    expect(page.get_by_text("300 entries are in force again")).to_be_visible()


def test_a_file_is_tried_and_nothing_of_it_is_kept(
    window: Window, policy_admin: User, db: None
) -> None:
    page = window(policy_admin)
    page.goto("/match/")
    drawn: Any = {"name": "drawn.jpg", "mimeType": "image/jpeg", "buffer": jpeg(3)}
    page.locator("input[type=file]").set_input_files(drawn)
    page.get_by_role("button", name="Try the file").click()
    page.wait_for_url("**/match/*-*/")
    jobs.look_up(str(FileLookup.objects.get().pk))
    expect(page.get_by_text("drawn.jpg").first).to_be_visible()
    expect(page.get_by_text("PDQ").first).to_be_visible()
    assert not Item.objects.exists()
    assert not Blob.objects.filter(destroyed_at=None).exists()


def test_an_exchange_is_set_up_tested_and_fetched(
    window: Window, policy_admin: User, settings: Any
) -> None:
    settings.HOLDFAST_EXCHANGE_ALLOW_PRIVATE = True
    entries = [{"id": "1", "algorithm": "pdq", "value": f"{7:064x}"}, {"id": "2", "value": "x"}]
    with serving(lambda *_: as_json({"entries": entries})) as server:
        page = window(policy_admin)
        page.goto("/exchanges/")
        page.get_by_role("link", name="HTTPS, JSON").click()
        page.get_by_label("Name").fill("An invented partner")
        page.get_by_label("Address").fill(f"{server.url}/list")
        page.get_by_role("button", name="Save").click()
        page.get_by_role("button", name="Test the connection").click()
        expect(page.get_by_text("Connected. The first page holds 2 records.")).to_be_visible()
        page.get_by_role("button", name="Fetch now").click()
        jobs.fetch_exchange(str(Exchange.objects.get().pk))
        page.reload()
        expect(page.get_by_text("1, 0")).to_be_visible()
        expect(page.get_by_text("1 digests that are not well formed")).to_be_visible()


def test_weights_are_tried_before_they_are_saved(
    window: Window, policy_admin: User, casework: Casework
) -> None:
    for number in range(3):
        casework.scanned(casework.scan_submission(account=f"invented-{number}"), hash_finding())
    while actions.rate_changed():
        pass
    page = window(policy_admin)
    page.goto("/")
    page.get_by_role("link", name="Weights of risk").click()
    page.get_by_label("Accounts: a case from").fill("40")
    page.get_by_role("button", name="Try without saving").click()
    expect(
        page.get_by_text("3 more would be above the threshold (3 instead of 0).")
    ).to_be_visible()
    expect(page.get_by_text("3 would rise above it")).to_be_visible()
    expect(page.get_by_text("invented-0")).to_have_count(0)
    expect(page.get_by_label("Accounts: a case from")).to_have_value("40")
    page.get_by_role("button", name="Save as a new version").click()
    expect(page.get_by_text("Version 2 counts. What is rated")).to_be_visible()


def test_links_are_imported_and_lead_to_their_group(
    window: Window, policy_admin: User, tmp_path: Path
) -> None:
    file = tmp_path / "links.txt"
    file.write_text("https://chat.example/join/one\nnowhere\n")
    page = window(policy_admin)
    page.goto("/risk/links/new/")
    page.get_by_label("Where they were found").fill("example directory")
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("A worker takes it in a moment")).to_be_visible()
    jobs.read_links(str(LinkImport.objects.get().pk))
    expect(page.get_by_text("Nothing was imported")).to_be_visible()
    expect(page.get_by_text("Row 2")).to_be_visible()
