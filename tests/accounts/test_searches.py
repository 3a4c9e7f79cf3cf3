"""What is typed into a search stands in no address: it is posted, kept for its owner, and runs out."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from accounts import actions
from accounts.models import StoredSearch, User
from accounts.permissions import Role
from tests.cast import find, make_person, signed_in

pytestmark = pytest.mark.django_db
PEOPLE = "/people/"


@pytest.fixture
def ada(admin: User) -> Client:
    return signed_in(Client(), admin)


def test_a_search_is_answered_by_the_id_of_what_was_kept(ada: Client, reviewer: User) -> None:
    answer = ada.post(PEOPLE, {"search": "robin reed", "role": "reviewer"})
    assert answer.status_code == 303
    assert re.fullmatch(r"/people/\?stored=[0-9a-f-]{36}", answer["Location"])
    for _ in range(2):  # Reloading and going back work.
        page = ada.get(answer["Location"]).content.decode()
        assert reviewer.name in page
        assert 'value="robin reed"' in page


def test_pages_of_a_search_keep_its_id_and_nothing_else(
    ada: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accounts.views import people

    monkeypatch.setattr(people, "PEOPLE_ON_A_PAGE", 1)
    for n in range(3):
        make_person(f"Paged {n}", Role.REVIEWER, totp=False)
    page = find(ada, PEOPLE, {"search": "Paged"}).content.decode()
    found = re.search(r'rel="next" href="([^"]+)"', page)
    assert found
    link = found[1].replace("&amp;", "&")
    assert re.fullmatch(r"\?stored=[0-9a-f-]{36}&page=2", link)
    assert "Page 2 of 3" in ada.get(PEOPLE + link).content.decode()


def test_nobody_else_opens_it_and_no_other_page_does(ada: Client, lead: User, admin: User) -> None:
    link = ada.post(PEOPLE, {"search": "somebody"})["Location"]
    other = signed_in(Client(), make_person("Alma Ahl", Role.ADMINISTRATOR))
    assert other.get(link).status_code == 404
    query = link.partition("?")[2]
    assert signed_in(Client(), lead).get(f"/cases/?{query}").status_code == 404
    assert StoredSearch.objects.get().owner == admin


@pytest.mark.parametrize("id", ["00000000-0000-0000-0000-000000000000", "nonsense", ""])
def test_a_search_that_is_not_there_says_what_to_do(ada: Client, id: str) -> None:
    answer = ada.get(f"{PEOPLE}?stored={id}")
    assert answer.status_code == 404
    assert "not kept any more" in answer.content.decode()


def test_a_search_runs_out_and_is_removed(ada: Client) -> None:
    link = ada.post(PEOPLE, {"search": "somebody"})["Location"]
    assert actions.forget_old_searches() == 0
    StoredSearch.objects.update(expires_at=Now() - timedelta(seconds=1))
    assert ada.get(link).status_code == 404
    assert actions.forget_old_searches() == 1


def test_an_empty_search_keeps_nothing(ada: Client) -> None:
    assert ada.post(PEOPLE, {"search": "  "})["Location"] == PEOPLE
    assert not StoredSearch.objects.exists()


def test_whoever_may_not_see_the_page_keeps_nothing(reviewer: User) -> None:
    assert signed_in(Client(), reviewer).post(PEOPLE, {"search": "x"}).status_code == 403
    assert not StoredSearch.objects.exists()


def test_an_address_with_a_text_in_it_is_not_read(ada: Client, lead: User, reviewer: User) -> None:
    page = ada.get(PEOPLE, {"search": "nobody like this"}).content.decode()
    assert reviewer.name in page
    assert "nobody like this" not in page.partition("</main>")[0]
    assert signed_in(Client(), lead).get("/cases/", {"q": "C-1"}).status_code == 200


PLAIN = {
    "hashing/classifier_version.html": "a wanted precision",
    "hashing/list_preview.html": "a threshold",
    "hashing/rule_versions.html": "numbers of versions",
    "ui/filters.html": "posts where the page says so; else choices from lists",
}
"""Forms that stay in the address, and what they hold."""


def test_every_other_form_is_posted() -> None:
    root = Path(settings.BASE_DIR) / "templates"
    found = {
        str(path.relative_to(root))
        for path in root.rglob("*.html")
        if re.search(r'method="[^"]*\bget\b', path.read_text())
    }
    assert found == set(PLAIN)
    shown = [
        path.name
        for path in root.rglob("*.html")
        if "ui/filters.html" in (text := path.read_text())
        and "is_private=True" not in text
        and path.name != "filters.html"
    ]
    assert sorted(shown) == ["deliveries.html", "queue.html"], "these hold choices alone"


def test_the_page_that_suggests_subjects_is_posted_to(reviewer: User) -> None:
    client = signed_in(Client(), reviewer)
    assert client.get(reverse("reports:subjects"), {"subject_id": "u-1001"}).status_code == 405
