"""The same request twice is done once, also when both arrive together or something breaks between."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, connections

from reports.models import ApiKey, IdempotencyRecord, Item, Report, ScanState, Upload
from tests.pictures import jpeg
from tests.reports.conftest import Platform, problem_of

MakeReport = Callable[..., dict[str, Any]]


def in_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Run ``work`` in ``count`` threads, each with its own database connection."""

    def closing(index: int) -> Any:
        try:
            return work(index)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(closing, range(count)))


@pytest.mark.django_db
def test_the_same_key_and_body_bring_the_same_answer(
    platform: Platform, a_report: MakeReport
) -> None:
    first = platform.post("/reports", a_report(), Idempotency_Key="k-1")
    again = platform.post("/reports", a_report(), Idempotency_Key="k-1")
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert "Idempotent-Replayed" not in first.headers
    assert again["Idempotent-Replayed"] == "true"
    assert Report.objects.count() == 1


@pytest.mark.django_db
def test_the_order_of_members_is_not_another_body(platform: Platform, a_report: MakeReport) -> None:
    document = a_report()
    turned = dict(reversed(list(document.items())))
    platform.post("/reports", document, Idempotency_Key="k-1")
    assert platform.post("/reports", turned, Idempotency_Key="k-1")["Idempotent-Replayed"] == "true"


@pytest.mark.django_db
def test_the_same_key_with_another_body_is_409(platform: Platform, a_report: MakeReport) -> None:
    platform.post("/reports", a_report(), Idempotency_Key="k-1")
    answer = platform.post("/reports", a_report(reason="spam"), Idempotency_Key="k-1")
    assert problem_of(answer, 409)["code"] == "idempotency_key_reused"
    assert Report.objects.count() == 1


@pytest.mark.django_db
def test_keys_of_two_sources_or_endpoints_are_different_keys(
    platform: Platform, other_platform: Platform, a_report: MakeReport
) -> None:
    for each in (platform, other_platform):
        answer = each.post("/reports", a_report(), Idempotency_Key="k-1")
        assert "Idempotent-Replayed" not in answer.headers
    scan = {"subject": {"account": "u"}, "surface": "profile_name", "text": "x"}
    assert platform.post("/scans", scan, Idempotency_Key="k-1").status_code == 201


@pytest.mark.django_db
def test_files_count_as_body(platform: Platform, a_report: MakeReport) -> None:
    def send(content: bytes) -> Any:
        document = a_report(items=[{"surface": "profile_photo", "file": "one"}])
        return platform.form(
            "/reports",
            {"report": json.dumps(document), "one": SimpleUploadedFile("a.jpg", content)},
            Idempotency_Key="k-1",
        )

    assert send(jpeg(1)).status_code == 201
    assert send(jpeg(1))["Idempotent-Replayed"] == "true"
    problem_of(send(jpeg(2)), 409)
    assert (Report.objects.count(), Upload.objects.count()) == (1, 1)


@pytest.mark.django_db
def test_a_refused_request_may_be_repaired_under_the_same_key(
    platform: Platform, a_report: MakeReport
) -> None:
    problem_of(platform.post("/reports", a_report(subject={}), Idempotency_Key="k-1"), 422)
    assert not IdempotencyRecord.objects.exists()
    assert platform.post("/reports", a_report(), Idempotency_Key="k-1").status_code == 201


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["a" * 201, "with space", "\u00e4"])
def test_an_unusable_key_is_422(platform: Platform, a_report: MakeReport, key: str) -> None:
    answer = platform.post("/reports", a_report(), Idempotency_Key=key)
    assert "Idempotency-Key" in problem_of(answer, 422)["errors"]


@pytest.mark.django_db(transaction=True)
def test_ten_at_once_with_one_key_make_one_report(
    issued: tuple[ApiKey, str], a_report: MakeReport
) -> None:
    answers = in_threads(
        10, lambda _: Platform(issued[1]).post("/reports", a_report(), Idempotency_Key="k-1")
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert (Report.objects.count(), Item.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_ten_at_once_with_one_external_id_make_one_report(
    issued: tuple[ApiKey, str], a_report: MakeReport
) -> None:
    answers = in_threads(
        10, lambda _: Platform(issued[1]).post("/reports", a_report(external_id="rep-1"))
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9
    assert Report.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_ten_at_once_about_the_same_new_accounts_do_not_block_each_other(
    issued: tuple[ApiKey, str], a_report: MakeReport
) -> None:
    def send(index: int) -> Any:
        names = [f"u-{number}" for number in range(6)]
        turned = names[index % 6 :] + names[: index % 6]
        items = [{"surface": "reported_message", "text": "x", "sender": name} for name in turned]
        return Platform(issued[1]).post("/reports", a_report(items=items))

    answers = in_threads(10, send)
    assert {answer.status_code for answer in answers} == {201}
    assert len(set(Report.objects.values_list("number", flat=True))) == 10


@pytest.mark.django_db(transaction=True)
def test_a_second_request_that_waits_too_long_is_told_to_ask_again(
    issued: tuple[ApiKey, str], a_report: MakeReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import transaction

    from reports.actions import idempotency

    monkeypatch.setattr(idempotency, "WAIT_SECONDS", 1)
    with transaction.atomic():
        IdempotencyRecord.objects.create(
            source=issued[0].source, endpoint="POST /reports", key="k-1", body_hash="x"
        )
        [answer] = in_threads(
            1, lambda _: Platform(issued[1]).post("/reports", a_report(), Idempotency_Key="k-1")
        )
    document = problem_of(answer, 409)
    assert document["code"] == "idempotency_in_progress"
    assert int(answer["Retry-After"]) >= 1


@pytest.mark.django_db(transaction=True)
def test_a_batch_runs_alone_under_its_key(issued: tuple[ApiKey, str]) -> None:
    from reports import batches

    line = {"type": "account", "external_id": "u-1"}
    with batches._alone(issued[0].source, "k-1"):
        [answer] = in_threads(1, lambda _: Platform(issued[1]).batch([line], Idempotency_Key="k-1"))
        assert problem_of(answer, 409)["code"] == "idempotency_in_progress"
    assert Platform(issued[1]).batch([line], Idempotency_Key="k-1").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_dies_in_the_middle_is_503_and_the_repeat_succeeds_once(
    platform: Platform, a_report: MakeReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reports.actions import chains

    usual = chains.audit.record

    def dies(*args: Any, **kwargs: Any) -> Any:
        # The server ends this very session after the report is inserted, before the commit.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            pid = cursor.fetchone()[0]
        other = connection.copy()
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
        other.close()
        return usual(*args, **kwargs)

    monkeypatch.setattr(chains.audit, "record", dies)
    answer = platform.post("/reports", a_report(), Idempotency_Key="k-1")
    problem_of(answer, 503)
    assert int(answer["Retry-After"]) >= 1
    monkeypatch.setattr(chains.audit, "record", usual)
    connection.close()
    assert not Report.objects.exists()
    answer = platform.post("/reports", a_report(), Idempotency_Key="k-1")
    assert answer.status_code == 201
    assert "Idempotent-Replayed" not in answer.headers
    assert Report.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_report_taken_while_valkey_is_away_is_found_by_the_sweep(
    platform: Platform, a_report: MakeReport, settings: Any
) -> None:
    from core.jobs import queue
    from hashing.jobs import sweep_items

    usual = settings.REDIS_URL
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    answer = platform.post("/reports", a_report(), Idempotency_Key="k-1")
    assert answer.status_code == 201
    assert "RateLimit" not in answer.headers  # Nobody could count, nobody was refused.
    settings.REDIS_URL = usual
    assert queue("scan").count == 0
    assert Item.objects.get().scan_state == ScanState.WAITING
    assert sweep_items() == 1
    assert queue("scan").count == 1
