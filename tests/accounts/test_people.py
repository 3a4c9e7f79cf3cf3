"""Administration of people: roles, deactivation, unlocking, the last administrator."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client

from accounts import actions
from accounts.attempts import TooOften
from accounts.models import User
from accounts.permissions import Role
from core.audit_events import AuditEvent
from core.errors import Invalid, Refused
from core.models import AuditEntry
from tests.cast import PASSWORD, find, guess, make_person, signed_in

pytestmark = pytest.mark.django_db


def person_url(person: User, verb: str = "") -> str:
    return f"/people/{person.pk}/{verb}"


@pytest.fixture
def second_admin() -> User:
    return make_person("Alma Ahl", Role.ADMINISTRATOR)


def test_the_list_finds_people_by_words_role_and_state(
    client: Client, admin: User, reviewer: User, legal: User
) -> None:
    signed_in(client, admin)
    everybody = client.get("/people/").content.decode()
    assert all(p.name in everybody for p in (admin, reviewer, legal))
    found = find(client, "/people/", {"search": "robin reed"}).content.decode()
    assert reviewer.name in found
    assert legal.name not in found
    found = client.get("/people/", {"role": "legal"}).content.decode()
    assert legal.name in found
    assert reviewer.name not in found
    actions.deactivate(legal, actor=admin)
    found = client.get("/people/", {"state": "inactive"}).content.decode()
    assert legal.name in found
    assert reviewer.name not in found
    nobody = find(client, "/people/", {"search": "nobody like this"}).content.decode()
    assert "Nobody matches this filter" in nobody


def test_an_unknown_filter_finds_nobody_rather_than_everybody(
    client: Client, admin: User, reviewer: User
) -> None:
    signed_in(client, admin)
    assert reviewer.name not in client.get("/people/", {"role": "king"}).content.decode()


def test_htmx_gets_the_table_alone(client: Client, admin: User) -> None:
    signed_in(client, admin)
    page = client.get("/people/", headers={"HX-Request": "true"}).content.decode()
    assert page.lstrip().startswith('<div class="card" id="people">')


def test_repeated_failures_are_shown_and_counted_anew(
    client: Client, admin: User, reviewer: User
) -> None:
    for _ in range(5):
        guess(reviewer, "wrong")
    with pytest.raises(TooOften):
        guess(reviewer)
    signed_in(client, admin)
    assert reviewer.name in client.get("/people/", {"state": "failing"}).content.decode()
    page = client.get(person_url(reviewer)).content.decode()
    assert "Repeated wrong passwords or codes" in page
    assert client.post(person_url(reviewer, "unlock/")).status_code == 302
    assert guess(reviewer) == reviewer
    assert AuditEntry.objects.filter(event=AuditEvent.PERSON_UNLOCKED.value).count() == 1
    assert "Repeated wrong" not in client.get(person_url(reviewer)).content.decode()


def test_a_role_is_changed_and_recorded_with_old_and_new(
    client: Client, admin: User, reviewer: User
) -> None:
    signed_in(client, admin)
    assert client.post(person_url(reviewer, "role/"), {"role": "lead"}).status_code == 302
    reviewer.refresh_from_db()
    assert reviewer.role == Role.LEAD
    assert reviewer.pseudonym.startswith("R-"), "a pseudonym stays for good"
    entry = AuditEntry.objects.get(event=AuditEvent.PERSON_ROLE_CHANGED.value)
    assert entry.data == {"old": "reviewer", "new": "lead"}
    assert client.post(person_url(reviewer, "role/"), {"role": "lead"}).status_code == 409
    assert client.post(person_url(reviewer, "role/"), {"role": "king"}).status_code == 422


def test_administrators_do_not_change_themselves(
    client: Client, admin: User, second_admin: User
) -> None:
    signed_in(client, admin)
    assert client.post(person_url(admin, "role/"), {"role": "lead"}).status_code == 409
    for verb in ("deactivate/", "unlock/", "second-factor/reset/", "reactivate/"):
        form = {"reason": "I lost my own device."}
        assert client.post(person_url(admin, verb), form).status_code == 409
    admin.refresh_from_db()
    assert admin.role == Role.ADMINISTRATOR
    assert admin.is_active
    assert "This is you" in client.get(person_url(admin)).content.decode()


def test_the_last_active_administrator_stays(admin: User, second_admin: User) -> None:
    actions.deactivate(second_admin, actor=admin)
    with pytest.raises(Refused, match="last active administrator"):
        actions.deactivate(admin, actor=second_admin)
    with pytest.raises(Refused, match="last active administrator"):
        actions.change_role(admin, role=Role.AUDITOR, actor=second_admin)


def test_a_deactivated_person_cannot_sign_in_until_reactivated(
    client: Client, admin: User, reviewer: User
) -> None:
    signed_in(client, admin)
    assert client.post(person_url(reviewer, "deactivate/")).status_code == 302
    assert client.post(person_url(reviewer, "deactivate/")).status_code == 409
    assert guess(reviewer) is None
    assert client.post(person_url(reviewer, "reactivate/")).status_code == 302
    assert guess(reviewer) == reviewer


def test_the_history_shows_account_events_and_nothing_about_cases(
    client: Client, admin: User, reviewer: User
) -> None:
    from core import audit

    audit.record(AuditEvent.AUDIT_VIEWED, actor=reviewer, subject=reviewer)
    signed_in(Client(), reviewer)
    signed_in(client, admin)
    page = client.get(person_url(reviewer)).content.decode()
    assert "signed in</span>" in page
    assert "audit" not in page.split("Account events")[1].split("</section>")[0]


def test_an_unknown_person_is_404(client: Client, admin: User) -> None:
    signed_in(client, admin)
    assert client.get("/people/00000000-0000-0000-0000-000000000000/").status_code == 404


def test_two_accounts_cannot_share_an_address(reviewer: User) -> None:
    with pytest.raises(Invalid):
        make_person("Rob", Role.REVIEWER, email=reviewer.email.upper())


def test_pseudonyms_tell_the_first_role_and_count_up() -> None:
    letters = {role: make_person(role.label, role, totp=False).pseudonym for role in Role}
    assert letters == {
        Role.REVIEWER: "R-1",
        Role.LEAD: "L-1",
        Role.POLICY_ADMIN: "P-1",
        Role.LEGAL: "C-1",
        Role.AUDITOR: "U-1",
        Role.ADMINISTRATOR: "A-1",
    }
    assert make_person("Rita", Role.REVIEWER, totp=False).pseudonym == "R-2"


def in_threads(*work: Callable[[], object]) -> list[BaseException]:
    """Run every callable at once on a connection of its own and return what they raised."""
    barrier = threading.Barrier(len(work))
    failures: list[BaseException] = []

    def run(one: Callable[[], object]) -> None:
        try:
            barrier.wait(timeout=20)
            one()
        except BaseException as failure:  # noqa: BLE001 — handed to the test
            failures.append(failure)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return failures


@pytest.mark.django_db(transaction=True)
def test_eight_accounts_made_at_once_get_eight_pseudonyms() -> None:
    failures = in_threads(
        *(lambda n=n: make_person(f"P {n}", Role.REVIEWER, totp=False) for n in range(8))
    )
    assert failures == []
    assert set(User.objects.values_list("pseudonym", flat=True)) == {f"R-{n}" for n in range(1, 9)}


@pytest.mark.django_db(transaction=True)
def test_two_administrators_who_deactivate_each_other_leave_one() -> None:
    one = make_person("One", Role.ADMINISTRATOR, totp=False)
    two = make_person("Two", Role.ADMINISTRATOR, totp=False)
    failures = in_threads(
        lambda: actions.deactivate(two, actor=one), lambda: actions.deactivate(one, actor=two)
    )
    assert [type(f) for f in failures] == [Refused]
    assert User.objects.filter(is_active=True).count() == 1


@pytest.mark.django_db(transaction=True)
def test_only_one_first_administrator_comes_out_of_a_race() -> None:
    token = actions.issue_set_up_link()
    failures = in_threads(
        *(
            lambda n=n: actions.create_first_administrator(
                token, email=f"a{n}@holdfast.example", name="A", password=PASSWORD
            )
            for n in range(4)
        )
    )
    assert [type(f) for f in failures] == [Refused] * 3
    assert User.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_parallel_guesses_are_counted_one_by_one() -> None:
    person = make_person("Guessed", Role.REVIEWER, totp=False)
    failures = in_threads(*(lambda: guess(person, "wrong") for _ in range(8)))
    assert [type(failure) for failure in failures] == [TooOften] * 3
    person.refresh_from_db()
    assert person.failed_sign_ins == 5
