"""Headers, request context, refusals and error pages."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpResponse
from django.middleware.security import SecurityMiddleware
from django.test import Client, RequestFactory

from core.errors import describe, in_words, is_database_down
from core.middleware import CONTENT_SECURITY_POLICY, ip_of, request_id_of

pytestmark = pytest.mark.django_db


class TestHeaders:
    def test_every_page_has_the_strict_policy(self, site: None) -> None:
        answer = Client().get("/open")
        policy = answer["Content-Security-Policy"]
        assert policy == CONTENT_SECURITY_POLICY
        assert "unsafe" not in policy
        assert "*" not in policy
        assert policy.startswith("default-src 'none'")
        assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "camera=()" in answer["Permissions-Policy"]
        assert answer["Cache-Control"] == "no-store"
        assert len(answer["X-Request-ID"]) == 32

    def test_error_pages_have_them_too(self, site: None) -> None:
        answer = Client().get("/nothing-here")
        assert answer.status_code == 404
        assert answer["Content-Security-Policy"] == CONTENT_SECURITY_POLICY


class TestContext:
    def request(self, **meta: str) -> Any:
        return RequestFactory().get("/", **meta)  # type: ignore[arg-type]

    def test_a_claimed_address_is_not_believed(self, settings: Any) -> None:
        settings.HOLDFAST_TRUST_FORWARDED_FOR = False
        request = self.request(
            REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR="6.6.6.6", HTTP_X_REQUEST_ID="a" * 20
        )
        assert ip_of(request) == "192.0.2.1"
        assert request_id_of(request) != "a" * 20

    @pytest.mark.parametrize(
        ("forwarded", "ip"),
        [
            ("203.0.113.5", "203.0.113.5"),
            ("6.6.6.6, 203.0.113.5", "203.0.113.5"),
            ("2001:db8::1", "2001:db8::1"),
            ("nonsense", ""),
            ("", "192.0.2.1"),
        ],
    )
    def test_behind_a_proxy_the_last_hop_counts(
        self, settings: Any, forwarded: str, ip: str
    ) -> None:
        settings.HOLDFAST_TRUST_FORWARDED_FOR = True
        request = self.request(REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR=forwarded)
        assert ip_of(request) == ip

    def test_a_unix_socket_has_no_address(self) -> None:
        assert ip_of(self.request(REMOTE_ADDR="")) == ""

    def test_a_request_id_with_strange_signs_is_replaced(self, settings: Any) -> None:
        settings.HOLDFAST_TRUST_FORWARDED_FOR = True
        assert request_id_of(self.request(HTTP_X_REQUEST_ID="x\r\ny" * 4)).isalnum()


class TestRefusals:
    def test_a_refusal_is_409_with_its_sentence(self, site: None) -> None:
        answer = Client().get("/raise/refused")
        assert answer.status_code == 409
        assert "Somebody else holds this case." in answer.content.decode()

    def test_the_person_signed_in_sees_it_within_the_page(self, signed_in: Client) -> None:
        answer = signed_in.get("/raise/refused")
        assert answer.status_code == 409
        assert 'id="refused"' in answer.content.decode()

    def test_htmx_gets_a_fragment(self, site: None) -> None:
        answer = Client().get(
            "/raise/refused", headers={"HX-Request": "true", "HX-Target": "lease"}
        )
        assert answer.status_code == 409
        assert "<html" not in answer.content.decode()
        assert 'id="lease"' in answer.content.decode()

    @pytest.mark.parametrize("kind", ["refused", "invalid", "damage", "database"])
    def test_programs_get_problem_documents(self, site: None, kind: str) -> None:
        status = {"refused": 409, "invalid": 422, "damage": 500, "database": 503}[kind]
        by_view = Client().get(f"/raise/{kind}", headers={"Accept": "application/json"})
        by_api = Client().get(f"/api/v1/raise/{kind}", headers={"Authorization": "Bearer good"})
        for answer in (by_view, by_api):
            assert answer.status_code == status
            assert answer["Content-Type"] == "application/problem+json"
            said = answer.json()
            assert said["status"] == status
            assert said["title"]
            assert "secret-host" not in answer.content.decode()
            assert ("Retry-After" in answer) == (status == 503)

    @pytest.mark.parametrize(
        ("referer", "back"),
        [
            ("http://testserver/queues/?page=2", "/queues/?page=2"),
            ("http://testserver//evil.example/", "/"),
            ("http://evil.example/queues/", "/"),
            ("", "/"),
        ],
    )
    def test_the_way_back_stays_on_this_site(self, site: None, referer: str, back: str) -> None:
        answer = Client().get("/raise/refused", headers={"Referer": referer, "Host": "testserver"})
        assert f'href="{back}"' in answer.content.decode()
        assert "evil" not in answer.content.decode()

    def test_damage_is_a_clear_page(self, site: None) -> None:
        answer = Client().get("/raise/damage")
        assert answer.status_code == 500
        assert "cannot be read" in answer.content.decode()
        assert "verify_vault" in answer.content.decode()

    def test_a_database_that_is_away_is_503(self, site: None) -> None:
        answer = Client().get("/raise/database")
        assert answer.status_code == 503
        assert answer["Retry-After"]
        assert "secret-host" not in answer.content.decode()

    def test_a_database_that_is_away_before_the_view_is_503(
        self, site: None, signed_in: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from django.contrib.sessions.backends.db import SessionStore
        from django.db import OperationalError

        def away(self: Any, *_: Any, **__: Any) -> None:
            raise OperationalError("connection failed: secret-host")

        monkeypatch.setattr(SessionStore, "load", away)
        answer = signed_in.get("/take")
        assert answer.status_code == 503
        assert answer["Retry-After"]
        assert "secret-host" not in answer.content.decode()

    def test_a_stranger_error_shows_nothing_of_itself(self, site: None) -> None:
        for path in ("/raise/stranger", "/api/v1/raise/stranger"):
            answer = Client(raise_request_exception=False).get(
                path, headers={"Authorization": "Bearer good"}
            )
            assert answer.status_code == 500
            assert "content of evidence" not in answer.content.decode()

    def test_an_old_form_is_asked_to_reload(self, site: None) -> None:
        strict = Client(enforce_csrf_checks=True)
        page = strict.post("/open", {"note": "words of mine"})
        script = strict.post("/open", {"note": "x"}, headers={"accept": "application/json"})
        assert (page.status_code, script.status_code) == (403, 403)
        shown = " ".join(page.content.decode().split())
        assert "This form could not be taken" in shown
        for sentence in (
            "This form was opened too long ago, or in another session. Nothing was changed.",
            "Go back: the form is still there with what you entered.",
            "copy your words, reload that page and enter them anew.",
        ):
            assert sentence in shown
            assert sentence in script.json()["detail"]
        assert script.json()["code"] == "csrf"
        assert "words of mine" not in shown


class TestApiErrors:
    def post(self, body: str) -> Any:
        return Client().post(
            "/api/v1/number",
            body,
            content_type="application/json",
            headers={"Authorization": "Bearer good"},
        )

    def test_malformed_json_is_400(self, site: None) -> None:
        answer = self.post('{"number": ')
        assert answer.status_code == 400
        assert answer["Content-Type"] == "application/problem+json"

    def test_a_wrong_value_is_422_and_names_its_field(self, site: None) -> None:
        answer = self.post('{"number": "many"}')
        assert answer.status_code == 422
        assert any("number" in field for field in answer.json()["errors"])

    def test_an_unknown_address_is_404_as_a_problem(self, site: None) -> None:
        answer = Client().get("/api/v1/nothing")
        assert answer.status_code == 404
        assert answer["Content-Type"] == "application/problem+json"


class TestHealth:
    def test_it_needs_no_sign_in_and_tells_little(self, site: None) -> None:
        answer = Client().get("/healthz")
        assert answer.status_code == 200
        assert answer.json() == {
            "status": "degraded",
            "database": "ok",
            "valkey": "ok",
            "scheduler": "late",
            "disk": "ok",
        }

    def test_where_all_else_is_led_to_https_it_still_answers_over_plain_http(
        self, settings: Any
    ) -> None:
        settings.SECURE_SSL_REDIRECT = True
        guard = SecurityMiddleware(lambda request: HttpResponse("here"))
        assert guard(RequestFactory().get("/healthz")).status_code == 200
        for path in ("/", "/healthz/", "/sign-in/healthz"):
            answer: Any = guard(RequestFactory().get(path))
            assert answer["Location"].startswith("https://")

    def test_a_living_scheduler_makes_it_ok(self, site: None) -> None:
        from core.jobs import beat

        beat("scheduler", "scheduler")
        assert Client().get("/healthz").json()["status"] == "ok"

    def test_without_valkey_it_still_takes_reports(self, site: None, settings: Any) -> None:
        settings.REDIS_URL = "redis://127.0.0.1:1/0"
        answer = Client().get("/healthz")
        assert answer.status_code == 200
        assert answer.json()["valkey"] == "down"

    def test_without_the_database_it_is_503(
        self, site: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from django.db import OperationalError

        from core import views

        class Away:
            def cursor(self) -> None:
                raise OperationalError("secret-host")

        monkeypatch.setattr(views, "connection", Away())
        answer = Client().get("/healthz")
        assert answer.status_code == 503
        assert answer.json()["status"] == "down"
        assert b"secret" not in answer.content


@pytest.mark.parametrize(
    ("size", "words"),
    [(5, "5 bytes"), (1024, "1 KB"), (1536, "1.5 KB"), (104857600, "100 MB"), (1 << 30, "1 GB")],
)
def test_sizes_are_said_as_people_say_them(size: int, words: str) -> None:
    assert in_words(size) == words


def test_an_error_is_described_without_its_message() -> None:
    with pytest.raises(ValueError) as caught:
        int("Key (sha256)=(abc) already exists")
    said = describe(caught.value)
    assert said.startswith("ValueError at core/test_answers.py:")
    assert "sha256" not in said


@pytest.mark.django_db
def test_two_transactions_in_each_others_way_are_asked_to_try_again(site: None) -> None:
    import psycopg
    from django.db import OperationalError

    from tests.core.urls import RAISED

    failed = OperationalError("deadlock detected: secret")
    failed.__cause__ = psycopg.errors.DeadlockDetected()
    RAISED["deadlock"] = failed
    page = Client().get("/raise/deadlock")
    machine = Client().get("/api/v1/raise/deadlock", headers={"Authorization": "Bearer good"})
    assert page.status_code == machine.status_code == 503
    assert "try again" in page.content.decode()
    assert machine.json()["code"] == "busy"
    assert machine["Retry-After"]
    assert "secret" not in page.content.decode() + machine.content.decode()


def test_a_deadlock_is_not_an_absent_database() -> None:
    import psycopg
    from django.db import OperationalError

    def wrapped(cause: Exception) -> OperationalError:
        failed = OperationalError("x")
        failed.__cause__ = cause
        return failed

    assert not is_database_down(wrapped(psycopg.errors.DeadlockDetected()))
    assert is_database_down(wrapped(psycopg.errors.AdminShutdown()))
    assert is_database_down(OperationalError("no connection"))
    assert not is_database_down(ValueError())
    assert not is_database_down(None)
