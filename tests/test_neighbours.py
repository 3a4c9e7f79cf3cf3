"""What is done to one row is done to no other. Each test has a neighbour beside what it changes.

The search of ``make mutants`` found these: a condition could be left out of a statement, and no test had a second row
that would have shown it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from accounts.models import User
from core import vault
from core.audit import SYSTEM
from core.errors import Refused
from hashing import actions as hashing
from hashing.actions import exchanges, term_lists
from hashing.classifier_access import classifiers_for
from hashing.detectors import optional
from hashing.models import (
    Category,
    Classifier,
    ClassifierVersion,
    DetectorSetting,
    Exchange,
    ExchangeRun,
    HashList,
    VersionState,
)
from hashing.term_access import rules_of
from moderation import actions
from moderation.access import claims_of
from moderation.actions import attempts, decisions, endpoint_breakers
from moderation.jobs import make_preview
from moderation.models import (
    Claim,
    Delivery,
    DeliveryState,
    EndpointBreaker,
    Enforcement,
    EnforcementState,
    Preview,
    PreviewState,
)
from moderation.webhooks import Answer
from reports.models import Item, ScanState
from tests.casework import Casework, grant_all
from tests.pictures import jpeg

pytestmark = pytest.mark.django_db
TAKEN = Answer(status=200, error="", duration_ms=1)


@pytest.fixture(autouse=True)
def loopback(settings: Any) -> None:
    settings.HOLDFAST_WEBHOOK_ALLOW_PRIVATE = True
    settings.HOLDFAST_EXCHANGE_ALLOW_PRIVATE = True


def test_an_order_that_was_taken_settles_itself_only(
    casework: Casework, reviewer: User, admin: User
) -> None:
    actions.create_endpoint(name="Platform", url="http://127.0.0.1:9/", verbs=[], actor=admin)
    grant_all(reviewer)
    for name in ("one", "other"):
        casework.published(casework.case(name), by=reviewer)
    one, other = Delivery.objects.order_by("pk")
    attempts.finish_attempt(one, answer=TAKEN)
    states = dict(Enforcement.objects.values_list("pk", "state"))
    assert states == {
        one.enforcement_id: EnforcementState.ACKNOWLEDGED,
        other.enforcement_id: EnforcementState.PENDING,
    }


def test_an_order_for_a_paused_endpoint_is_refused_beside_one_that_listens(
    casework: Casework, reviewer: User, lead: User, admin: User
) -> None:
    endpoint, _ = actions.create_endpoint(
        name="Platform", url="http://127.0.0.1:9/", verbs=["ban_account"], actor=admin
    )
    casework.published(casework.case(), by=grant_all(reviewer))
    delivery = Delivery.objects.get()
    actions.change_endpoint(
        endpoint,
        name=endpoint.name,
        url=endpoint.url,
        verbs=endpoint.verbs,
        is_active=False,
        actor=admin,
    )
    actions.create_endpoint(
        name="Second", url="http://127.0.0.1:9/x", verbs=["remove_media"], actor=admin
    )
    with pytest.raises(Refused, match="paused"):
        actions.replay_delivery(delivery, actor=grant_all(lead))


def test_a_receiver_that_asks_for_days_is_held_back_for_the_longest_wait_only(admin: User) -> None:
    endpoint, _ = actions.create_endpoint(
        name="Platform", url="http://127.0.0.1:9/", verbs=[], actor=admin
    )
    asks = Answer(status=503, error="", duration_ms=1, retry_after=999_999)
    for _ in range(endpoint_breakers.FAILURES_TO_OPEN):
        endpoint_breakers.note_answer(endpoint, answer=asks)
    within = timedelta(minutes=1) + endpoint_breakers.LONGEST_WAIT
    assert EndpointBreaker.objects.filter(open_until__lt=Now() + within).exists()


def test_a_case_of_words_has_no_media_though_another_has(casework: Casework) -> None:
    assert decisions.has_media(casework.case("pictured"))
    assert not decisions.has_media(casework.case("in-words", pictures=[], texts=["a text"]))


def test_a_preview_is_made_of_its_own_picture_only(casework: Casework) -> None:
    casework.case("one", pictures=[jpeg(1, (96, 64))])
    casework.case("other", pictures=[jpeg(2, (96, 64))])
    one, other = Item.objects.filter(kind="image").order_by("received_at", "pk")
    make_preview(str(one.blob_id))
    states: dict[Any, str] = dict(Preview.objects.values_list("blob", "state"))
    assert states[one.blob_id] == PreviewState.READY
    assert states.get(other.blob_id, PreviewState.WAITING) == PreviewState.WAITING


def test_the_soonest_of_what_joined_sets_the_due_time(casework: Casework) -> None:
    """Three reports are placed at once in a case that is open: the last is not the most urgent."""
    case = casework.case("joined")
    actions.route_reports([casework.report("joined", due_minutes=due) for due in (600, 5, 600)])
    case.refresh_from_db()
    assert case.case_reports.count() == 4
    assert type(case).objects.filter(pk=case.pk, due_at__lt=Now() + timedelta(minutes=6)).exists()


def test_a_scan_that_ended_is_not_begun_again_beside_one_that_waits(casework: Casework) -> None:
    ended, waiting = casework.scan_submission("an ended one"), casework.scan_submission("a new one")
    casework.scanned(ended)
    Item.objects.update(scan_due_at=Now())
    assert hashing.begin_scan(ended) is None
    ended.refresh_from_db()
    assert (ended.scan_state, ended.scan_attempts) == (ScanState.SCANNED, 0)
    later = casework.scan_submission("one for later")
    Item.objects.filter(pk=later.pk).update(scan_due_at=Now() + timedelta(hours=1))
    assert hashing.begin_scan(later) is None
    assert hashing.begin_scan(waiting) is not None


def test_the_end_of_a_fetch_is_written_on_its_exchange_only(policy_admin: User) -> None:
    def create(name: str) -> Exchange:
        return hashing.create_exchange(
            kind="https_json",
            name=name,
            category=Category.CSAM_KNOWN,
            values={"url": "https://partner.example/", "token": "t"},
            actor=policy_admin,
        )

    one, other = create("One"), create("Other")
    Exchange.objects.filter(pk=one.pk).update(due_at=Now())
    begun = exchanges.begin_fetch(one)
    assert begun
    exchanges.end_fetch(*begun, problem="An invented problem", actor=SYSTEM)
    assert dict(Exchange.objects.values_list("pk", "last_error")) == {
        one.pk: "An invented problem",
        other.pk: "",
    }
    assert ExchangeRun.objects.get().problem == "An invented problem"


def test_keys_and_secrets_of_several_are_each_sealed_anew(policy_admin: User, admin: User) -> None:
    lists = [
        hashing.create_term_list(
            name=name, category=Category.GROOMING, actor=policy_admin, terms=[f"marker{name}"]
        )
        for name in ("alpha", "beta")
    ]
    assert term_lists.reseal_secrets() == 2
    for found in lists:
        found.refresh_from_db()
        assert [str(rule) for rule in rules_of(found)] == [f"marker{found.name}"]
    made = [
        hashing.create_external_detector(
            label=name,
            url="https://classifier.example/",
            actor=admin,
            description=optional.EXTERNAL,
        )
        for name in ("One", "Other")
    ]
    assert hashing.reseal_detector_secrets() == 2
    for setting, secret in made:
        found_again = DetectorSetting.objects.get(pk=setting.pk)
        assert hashing.detector_secret(found_again) == secret


def test_the_list_of_classifiers_names_the_version_in_force_and_not_an_earlier_one(
    policy_admin: User,
) -> None:
    classifier = Classifier.objects.create(
        name="Invented", slug="invented", category=Category.GROOMING
    )
    for number, state in (
        (1, VersionState.RETIRED),
        (2, VersionState.ACTIVE),
        (3, VersionState.SHADOW),
    ):
        ClassifierVersion.objects.create(
            classifier=classifier,
            number=number,
            state=state,
            blob=vault.store_bytes(b"an invented model"),
            threshold=0.5,
        )
    shown: Any = classifiers_for(policy_admin).get()
    assert shown.active_number == 2


def test_a_lease_on_a_case_that_is_no_longer_theirs_to_see_is_not_listed(
    casework: Casework, reviewer: User
) -> None:
    grant_all(reviewer)
    kept, hidden = casework.case("kept"), casework.case("hidden", reason="spam", pictures=[])
    assert kept.category != hidden.category
    for case in (kept, hidden):
        actions.claim(case, actor=reviewer)
    actions.revoke_category(hidden.category, of=reviewer, actor=SYSTEM)
    assert [claim.case_id for claim in claims_of(reviewer)] == [kept.pk]


def test_an_order_that_failed_waits_and_the_others_do_not(
    casework: Casework, reviewer: User, admin: User
) -> None:
    actions.create_endpoint(name="Platform", url="http://127.0.0.1:9/", verbs=[], actor=admin)
    grant_all(reviewer)
    for name in ("one", "other"):
        casework.published(casework.case(name), by=reviewer)
    one, other = Delivery.objects.order_by("pk")
    attempts.finish_attempt(one, answer=Answer(status=500, error="", duration_ms=1))
    due = dict(Delivery.objects.values_list("pk", "next_attempt_at"))
    assert due[one.pk] > one.next_attempt_at
    assert due[other.pk] == other.next_attempt_at
    attempts.finish_attempt(one, answer=Answer(status=410, error="", duration_ms=1))
    assert dict(Delivery.objects.values_list("pk", "state")) == {
        one.pk: DeliveryState.FAILED,
        other.pk: DeliveryState.PENDING,
    }


def test_a_decision_that_is_taken_back_ends_the_lease_of_its_case_only(
    casework: Casework, reviewer: User
) -> None:
    grant_all(reviewer)
    taken, kept = casework.case("one"), casework.case("other")
    for case in (taken, kept):
        actions.claim(case, actor=reviewer)
    decisions._end_lease_of(reviewer, taken, reason="The permission ended.")
    assert list(Claim.objects.filter(ended_at=None).values_list("case", flat=True)) == [kept.pk]


def test_sending_reviews_is_switched_off_for_one_exchange_only(policy_admin: User) -> None:
    for name in ("one", "other"):
        known = HashList.objects.create(slug=name, name=name, category=Category.CSAM_KNOWN)
        Exchange.objects.create(name=name, kind="file", hash_list=known, sends_reviews=True)
    one = Exchange.objects.get(name="one")
    hashing.switch_reviews(one, is_on=False, actor=policy_admin)
    assert dict(Exchange.objects.values_list("name", "sends_reviews")) == {
        "one": False,
        "other": True,
    }
