"""What lets somebody act as somebody else takes two administrators, is named for a month and marks the log."""

from __future__ import annotations

import re
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.core.management import CommandError, call_command
from django.db.models.functions import Now
from django.test import Client

from accounts import actions
from accounts.attempts import _proof
from accounts.models import AccountRequest, Invitation, PasswordLink, User
from accounts.permissions import Role
from core.audit_events import AuditEvent
from core.errors import Refused
from core.models import AuditEntry
from tests.cast import PASSWORD, code_for, make_person, set_up_totp, signed_in

pytestmark = pytest.mark.django_db
WHY = {"reason": "Called the number in the staff list."}
REQUESTS = "/people/requests/"
NEW = {"new_password": "a brand new invented phrase"}
NEW["repeat_password"] = NEW["new_password"]


@pytest.fixture
def ada(admin: User) -> Client:
    return signed_in(Client(), admin)


@pytest.fixture
def alma(db: None) -> Client:
    return signed_in(Client(), make_person("Alma Ahl", Role.ADMINISTRATOR))


def of(person: User, verb: str) -> str:
    return f"/people/{person.pk}/{verb}/"


def waiting() -> AccountRequest:
    return AccountRequest.objects.get(confirmed_at=None, closed_at=None)


def decide(client: Client, verb: str = "confirm") -> Any:
    return client.post(f"{REQUESTS}{waiting().pk}/{verb}/")


def has_factor(person: User) -> bool:
    return Authenticator.objects.filter(user=person).exists()


def test_the_role_form_asks_for_the_reason_from_the_start(ada: Client, reviewer: User) -> None:
    page = ada.get(f"/people/{reviewer.pk}/").content.decode()
    form = page[page.index('class="card__body form role-form"') :].partition("</form>")[0]
    assert 'name="reason"' in form
    answer = ada.post(of(reviewer, "role"), {"role": "administrator", **WHY})
    assert answer.status_code == 302
    assert waiting().kind == AccountRequest.Kind.ADMINISTRATOR


def test_one_administrator_alone_resets_nothing(ada: Client, reviewer: User) -> None:
    assert ada.post(of(reviewer, "second-factor/reset"), WHY).status_code == 302
    assert has_factor(reviewer)
    assert decide(ada).status_code == 409
    assert has_factor(reviewer)
    page = ada.get(f"/people/{reviewer.pk}/").content.decode()
    assert "Waits for another administrator" in page
    assert ada.post(of(reviewer, "second-factor/reset"), WHY).status_code == 409, "waits already"
    assert "Another administrator has to confirm it" in ada.get(REQUESTS).content.decode()


def test_another_administrator_confirms_and_it_is_done(
    ada: Client, alma: Client, admin: User, reviewer: User
) -> None:
    ada.post(of(reviewer, "second-factor/reset"), WHY)
    page = alma.get(REQUESTS).content.decode()
    assert WHY["reason"] in page
    assert "Ada Arnold" in page
    assert decide(alma)["Location"] == REQUESTS
    assert not has_factor(reviewer)
    assert "confirmed by Alma Ahl" in alma.get(REQUESTS).content.decode()
    events = list(AuditEntry.objects.values_list("event", flat=True))
    assert {
        AuditEvent.ACCOUNT_REQUESTED.value,
        AuditEvent.ACCOUNT_REQUEST_CONFIRMED.value,
        AuditEvent.SECOND_FACTOR_RESET.value,
    } <= set(events)
    answer = Client().post("/sign-in/", {"email": reviewer.email, "password": PASSWORD})
    assert answer["Location"] == "/account/second-factor/"


def test_a_reason_is_needed_and_said_at_its_field(ada: Client, reviewer: User) -> None:
    for reason in ("", "why not"):
        answer = ada.post(of(reviewer, "second-factor/reset"), {"reason": reason})
        assert answer.status_code == 422
    assert not AccountRequest.objects.exists()


def test_a_password_link_alone_opens_nothing_and_takes_one(ada: Client, reviewer: User) -> None:
    assert ada.post(of(reviewer, "password-link")).status_code == 200
    assert PasswordLink.objects.filter(user=reviewer).count() == 1


def test_after_a_reset_a_password_link_takes_two(ada: Client, alma: Client, reviewer: User) -> None:
    """Else the one who asked for the reset would have the whole account."""
    ada.post(of(reviewer, "second-factor/reset"), WHY)
    decide(alma)
    answer = ada.post(of(reviewer, "password-link"), WHY)
    assert answer.status_code == 302
    assert not PasswordLink.objects.exists()
    assert decide(ada).status_code == 409
    page = decide(alma).content.decode()
    assert "new-password/" in page, "whoever confirms hands it over"
    assert PasswordLink.objects.filter(user=reviewer).count() == 1


def test_the_person_concerned_does_not_confirm(ada: Client, db: None) -> None:
    other = make_person("Alma Ahl", Role.ADMINISTRATOR)
    ada.post(of(other, "second-factor/reset"), WHY)
    assert decide(signed_in(Client(), other)).status_code == 409
    assert has_factor(other)


def test_a_request_can_be_cancelled_and_asked_again(
    ada: Client, alma: Client, reviewer: User
) -> None:
    ada.post(of(reviewer, "second-factor/reset"), WHY)
    request = waiting()
    assert decide(alma, "cancel").status_code == 302
    assert alma.post(f"{REQUESTS}{request.pk}/confirm/").status_code == 409
    assert has_factor(reviewer)
    assert "cancelled by Alma Ahl" in ada.get(REQUESTS).content.decode()
    assert ada.post(of(reviewer, "second-factor/reset"), WHY).status_code == 302


def test_a_request_runs_out_after_three_days(ada: Client, alma: Client, reviewer: User) -> None:
    ada.post(of(reviewer, "second-factor/reset"), WHY)
    request = waiting()
    assert (request.expires_at - request.requested_at).total_seconds() == pytest.approx(72 * 3600)
    AccountRequest.objects.update(expires_at=Now() - timedelta(seconds=1))
    assert alma.post(f"{REQUESTS}{request.pk}/confirm/").status_code == 409
    assert "it ran out" in ada.get(REQUESTS).content.decode()
    assert ada.post(of(reviewer, "second-factor/reset"), WHY).status_code == 302


def test_nothing_waits_is_said(ada: Client) -> None:
    page = ada.get(REQUESTS).content.decode()
    assert "Nothing waits" in page
    assert "You are the only administrator" in page


# ── A second administrator of one's own making ────────────────────────────────────────────────
def test_nobody_makes_an_administrator_alone(ada: Client, alma: Client, reviewer: User) -> None:
    """Else one administrator would be two."""
    refused = ada.post(of(reviewer, "role"), {"role": "administrator"})
    assert refused.status_code == 422
    assert 'value="administrator" selected' in refused.content.decode()  # The choice is kept.
    assert ada.post(of(reviewer, "role"), {"role": "administrator", **WHY}).status_code == 302
    reviewer.refresh_from_db()
    assert reviewer.role == Role.REVIEWER
    with pytest.raises(Refused):
        actions.change_role(
            reviewer, role=Role.ADMINISTRATOR, actor=User.objects.get(name="Ada Arnold")
        )
    assert decide(alma).status_code == 302
    reviewer.refresh_from_db()
    assert reviewer.role == Role.ADMINISTRATOR


def test_the_invitation_of_an_administrator_opens_once_another_confirmed_it(
    ada: Client, alma: Client, admin: User
) -> None:
    form = {"name": "Max", "email": "max@holdfast.example", "role": "administrator"}
    assert ada.post("/people/invite/", form).status_code == 422
    page = ada.post("/people/invite/", {**form, **WHY}).content.decode()
    assert "It does not work yet" in page
    found = re.search(r"/invitation/#?([\w-]{20,})", page)
    assert found
    assert actions.find_invitation(found[1]) is None
    early = Client().post("/invitation/", {"token": found[1]})
    assert "This invitation waits" in early.content.decode()
    assert "does not work" in Client().post("/invitation/", {"token": "x"}).content.decode()
    with pytest.raises(Refused):
        actions.accept_invitation(found[1], name="Max", password=PASSWORD)
    assert decide(ada).status_code == 409
    assert decide(alma).status_code == 302
    assert actions.find_invitation(found[1]) == Invitation.objects.get()
    with pytest.raises(Refused):
        actions.invite(email="m@x.example", name="M", role=Role.ADMINISTRATOR, actor=admin)


# ── Named and marked ──────────────────────────────────────────────────────────────────────────
def test_it_is_named_to_the_person_to_administrators_and_leads(
    ada: Client, alma: Client, reviewer: User, lead: User, outsider: User
) -> None:
    ada.post(of(reviewer, "second-factor/reset"), WHY)
    decide(alma)
    told = "confirmed by Alma Ahl"
    set_up_totp(reviewer)
    own = signed_in(Client(), reviewer)
    assert "your account was reset" in own.get("/").content.decode()
    assert told in own.get("/account/").content.decode()
    assert told in ada.get("/people/").content.decode()
    assert "Robin Reed" in signed_in(Client(), lead).get("/").content.decode()
    link = f'href="/people/{reviewer.pk}/"'
    assert link in alma.get("/").content.decode()
    assert link not in signed_in(Client(), lead).get("/").content.decode()
    assert told not in signed_in(Client(), outsider).get("/").content.decode()
    AccountRequest.objects.update(confirmed_at=Now() - timedelta(days=31))
    assert told not in own.get("/account/").content.decode()


def test_the_next_sign_in_says_so(ada: Client, alma: Client, reviewer: User) -> None:
    ada.post(of(reviewer, "second-factor/reset"), WHY)
    decide(alma)
    set_up_totp(reviewer)
    browser = Client()
    browser.post("/sign-in/", {"email": reviewer.email, "password": PASSWORD})
    browser.post("/sign-in/code/", {"code": code_for(reviewer)})
    page = browser.get("/cases/").content.decode()
    assert "let you in anew" in page


def test_what_follows_is_marked_in_the_log_for_a_month(
    ada: Client, alma: Client, reviewer: User, auditor: User
) -> None:
    ada.post(of(reviewer, "second-factor/reset"), WHY)
    decide(alma)
    reviewer.refresh_from_db()
    set_up_totp(reviewer)
    own = signed_in(Client(), reviewer)
    own.post("/account/name/", {"name": "Robin Anew"})
    entry = AuditEntry.objects.get(event=AuditEvent.PERSON_RENAMED.value)
    assert reviewer.recovered_at is not None
    assert entry.data["after_reset"] == reviewer.recovered_at.isoformat()
    reader = signed_in(Client(), auditor)
    assert "After a reset" in reader.get("/audit/").content.decode()
    said = f"let somebody in anew as {entry.actor_label} at {entry.data['after_reset'][:10]} "
    assert said in reader.get(f"/audit/{entry.pk}/").content.decode()
    assert "after_reset" not in AuditEntry.objects.filter(actor_label="A-1").latest("pk").data
    User.objects.filter(pk=reviewer.pk).update(recovered_at=Now() - timedelta(days=31))
    own.post("/account/name/", {"name": "Robin Later"})
    assert "after_reset" not in AuditEntry.objects.filter(event=entry.event).latest("pk").data


# ── On the machine itself ─────────────────────────────────────────────────────────────────────
def run(*command: str) -> str:
    out = StringIO()
    call_command(*command, stdout=out)
    return out.getvalue()


def test_the_only_administrator_confirms_on_the_machine(ada: Client, reviewer: User) -> None:
    assert "Nothing waits" in run("confirm_request")
    ada.post(of(reviewer, "second-factor/reset"), WHY)
    assert str(waiting().pk) in run("confirm_request")
    assert "Confirmed" in run("confirm_request", str(waiting().pk))
    assert not has_factor(reviewer)
    entry = AuditEntry.objects.get(event=AuditEvent.ACCOUNT_REQUEST_CONFIRMED.value)
    assert (entry.actor_kind, entry.actor_id) == ("system", "manage.py confirm_request")
    ada.post(of(reviewer, "password-link"), WHY)
    assert "/new-password/" in run("confirm_request", str(waiting().pk))
    with pytest.raises(CommandError, match="No such request"):
        run("confirm_request", "00000000-0000-0000-0000-000000000000")


def test_the_only_administrator_who_lost_everything_is_let_in_from_the_machine(
    admin: User,
) -> None:
    out = run("recover_person", admin.email, "--second-factor", "--password")
    assert "/new-password/" in out
    assert not has_factor(admin)
    admin.refresh_from_db()
    assert admin.after_reset
    for wrong in (["nobody@holdfast.example", "--password"], [admin.email]):
        with pytest.raises(CommandError):
            run("recover_person", *wrong)


def set_by_link(ada: Client, person: User, password: str) -> None:
    page = ada.post(of(person, "password-link")).content.decode()
    token = re.search(r"new-password/#([\w-]+)", page)
    assert token is not None
    actions.set_password_by_link(token[1], password=password)


def test_a_password_that_one_administrator_set_does_not_outlive_a_reset(
    ada: Client, alma: Client, reviewer: User
) -> None:
    """She sets it by the link that she may make alone, then asks for the reset that the other one confirms."""
    set_by_link(ada, reviewer, NEW["new_password"])
    ada.post(of(reviewer, "second-factor/reset"), WHY)
    decide(alma)
    form = {"email": reviewer.email, "password": NEW["new_password"]}
    assert Client().post("/sign-in/", form).status_code == 422
    line = AuditEntry.objects.get(event=AuditEvent.SECOND_FACTOR_RESET.value)
    assert line.data["password_ended"] is True
    ada.post(of(reviewer, "password-link"), WHY)
    assert "new-password/" in decide(alma).content.decode(), "two give the next one"


def test_a_password_by_a_link_that_was_used_with_the_second_factor_stays(
    ada: Client, alma: Client, reviewer: User
) -> None:
    set_by_link(ada, reviewer, NEW["new_password"])
    person = Client()
    person.post("/sign-in/", {"email": reviewer.email, "password": NEW["new_password"]})
    person.post("/sign-in/code/", {"code": code_for(reviewer)})
    ada.post(of(reviewer, "second-factor/reset"), WHY)
    decide(alma)
    form = {"email": reviewer.email, "password": NEW["new_password"]}
    assert Client().post("/sign-in/", form)["Location"] == "/account/second-factor/"


@pytest.mark.parametrize("verb", ["reset", "deactivation"])
def test_an_open_password_link_ends(ada: Client, alma: Client, reviewer: User, verb: str) -> None:
    page = ada.post(of(reviewer, "password-link")).content.decode()
    token = re.search(r"new-password/#([\w-]+)", page)
    assert token is not None
    if verb == "reset":
        ada.post(of(reviewer, "second-factor/reset"), WHY)
        decide(alma)
    else:
        ada.post(of(reviewer, "deactivate"))
        ada.post(of(reviewer, "reactivate"))
    with pytest.raises(Refused, match="does not work any more"):
        actions.set_password_by_link(token[1], password=NEW["new_password"])


def test_a_recovery_ends_sessions_and_forgets_browsers(ada: Client, alma: Client) -> None:
    person = make_person("Rita Ruhl", Role.REVIEWER)
    browser = signed_in(Client(), person)
    Authenticator.objects.filter(user=person).delete()
    person.refresh_from_db()
    known = _proof(person, "a browser")
    ada.post(of(person, "password-link"), WHY)
    decide(alma)
    assert browser.get("/account/")["Location"].startswith("/sign-in/")
    person.refresh_from_db()
    assert _proof(person, "a browser") != known
