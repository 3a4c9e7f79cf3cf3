"""Reviews go back to the exchange that asked for them: the newest one, once, and nothing else."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from accounts.models import User
from core.errors import Refused
from hashing import actions, jobs
from hashing.actions import exchange_reviews
from hashing.models import Exchange, ExchangeReview, Flag, HashEntry, ReviewState
from reports.models import Item
from tests.cast import signed_in
from tests.hashing.exchange_servers import (
    Answer,
    StandIn,
    as_json,
    ncmec_entries,
    ncmec_entry,
    serving,
)
from tests.pictures import jpeg

pytestmark = pytest.mark.django_db
Scanned = Callable[..., Item]
REASONS = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<feedbackReasons xmlns="https://hashsharing.ncmec.org/hashsharing/v2"><availableFeedbackReasons>'
    "{}</availableFeedbackReasons></feedbackReasons>"
)


@pytest.fixture(autouse=True)
def _loopback_is_allowed(settings: Any) -> None:
    settings.HOLDFAST_EXCHANGE_ALLOW_PRIVATE = True


def reasons(*names: str) -> Answer:
    rows = "".join(f'<reason guid="guid-{n}" name="{name}"/>' for n, name in enumerate(names))
    return 200, "application/xml", REASONS.format(rows).encode()


class Hotline:
    """NCMEC's side: one entry with an MD5, feedback taken, reasons told."""

    def __init__(self, md5: str, *names: str) -> None:
        self.md5, self.names = md5, names
        self.status = 200

    def __call__(self, path: str, *_: Any) -> Answer:
        if path.endswith("/reasons"):
            return reasons(*self.names)
        if path.endswith("/feedback"):
            return self.status, "application/xml", b"<ok/>"
        return ncmec_entries(ncmec_entry("image-7", {"md5": self.md5}))


def exchange_with(server: StandIn, person: User, *, is_on: bool = True, **more: str) -> Exchange:
    values = {"username": "u", "password": "p", "environment": "NGO", "base_url": server.url}
    exchange = actions.create_exchange(
        kind="ncmec",
        name="Invented hotline",
        category="csam_known",
        values=values | more,
        actor=person,
    )
    Exchange.objects.filter(pk=exchange.pk).update(due_at=Now())
    jobs.fetch_exchange(str(exchange.pk))
    if is_on:
        actions.switch_reviews(exchange, is_on=True, actor=person)
    exchange.refresh_from_db()
    assert exchange.last_error == ""
    return exchange


def decided(item: Item, *, is_violation: bool) -> None:
    actions.record_verdicts(
        [item], decision=uuid.uuid4(), is_violation=is_violation, category="csam_known"
    )


def send_all() -> None:
    ExchangeReview.objects.update(due_at=Now())
    for key in list(actions.waiting_reviews().values_list("pk", flat=True)):
        jobs.send_review(key)


def md5_of(data: bytes) -> str:
    import hashlib

    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def feedback(server: StandIn) -> list[tuple[str, bytes]]:
    return [(path, body) for method, path, body in server.sent if method == "PUT"]


def test_a_confirmed_entry_is_told_once_and_a_correction_follows(
    scanned: Scanned, policy_admin: User
) -> None:
    picture = jpeg(1)
    with serving(Hotline(md5_of(picture), "Not what it says")) as server:
        exchange_with(server, policy_admin)
        item = scanned(picture)
        decided(item, is_violation=True)
        decided(item, is_violation=True)
        send_all()
        send_all()
        ((path, body),) = feedback(server)
        assert path == "/v2/entries/42/image-7/MD5/feedback"
        assert b"<affirmative" in body
        decided(item, is_violation=False)
        send_all()
        (_, (_, correction)) = feedback(server)
    assert b"<negative>" in correction
    assert b"guid-0" in correction
    assert ExchangeReview.objects.get().state == ReviewState.SENT


def test_nothing_is_told_unless_it_was_turned_on(scanned: Scanned, policy_admin: User) -> None:
    picture = jpeg(1)
    with serving(Hotline(md5_of(picture))) as server:
        exchange_with(server, policy_admin, is_on=False)
        decided(scanned(picture), is_violation=True)
        assert jobs.exchanges.sweep_reviews() == 0
        assert feedback(server) == []
    assert not ExchangeReview.objects.exists()


def test_a_far_match_says_nothing_of_the_entry(scanned: Scanned, policy_admin: User) -> None:
    picture = jpeg(1)
    with serving(Hotline(md5_of(picture))) as server:
        exchange_with(server, policy_admin)
        item = scanned(picture)
        flag = Flag.objects.get(item=item)
        for distance, told in ((exchange_reviews.NEAR + 1, False), (exchange_reviews.NEAR, True)):
            Flag.objects.filter(pk=flag.pk).update(
                evidence=flag.evidence | {"algorithm": "pdq", "distance": distance}
            )
            decided(item, is_violation=True)
            assert ExchangeReview.objects.exists() == told


def test_a_reason_is_chosen_by_its_name_or_asked_for(scanned: Scanned, policy_admin: User) -> None:
    picture = jpeg(1)
    hotline = Hotline(md5_of(picture), "Drawn reason", "Other reason")
    with serving(hotline) as server:
        exchange = exchange_with(server, policy_admin)
        decided(scanned(picture), is_violation=False)
        send_all()
        assert feedback(server) == []
        review = ExchangeReview.objects.get()
        assert (review.state, review.attempts) == (ReviewState.WAITING, 1)
        assert review.last_error == (
            "It wants one of its reasons in the settings: Drawn reason; Other reason."
        )
        values = {"username": "u", "environment": "NGO", "negative_reason": "other Reason"}
        actions.change_exchange(exchange, values=values, every_minutes=60, actor=policy_admin)
        send_all()
        ((_, body),) = feedback(server)
    assert b"guid-1" in body


def test_errors_are_shown_tried_again_and_given_up_in_sight(
    scanned: Scanned, policy_admin: User, client: Client
) -> None:
    picture = jpeg(1)
    hotline = Hotline(md5_of(picture))
    hotline.status = 403
    with serving(hotline) as server:
        exchange = exchange_with(server, policy_admin)
        decided(scanned(picture), is_violation=True)
        for _ in range(exchange_reviews.MOST_ATTEMPTS):
            send_all()
        review = ExchangeReview.objects.get()
        assert review.state == ReviewState.FAILED
        signed_in(client, policy_admin)
        page = client.get(reverse("hashing:exchange", args=[exchange.pk])).text
        assert "It refused the credentials (403)." in page
        hotline.status = 200
        client.post(reverse("hashing:exchange_switch", args=[exchange.pk, "reviews-again"]))
        send_all()
        assert ExchangeReview.objects.get().state == ReviewState.SENT


def test_a_decision_made_while_one_is_sent_is_not_lost(
    scanned: Scanned, policy_admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = jpeg(1)
    with serving(Hotline(md5_of(picture), "Drawn reason")) as server:
        exchange_with(server, policy_admin)
        item = scanned(picture)
        decided(item, is_violation=True)
        real = jobs.exchanges.exchanges.send

        def send(*args: Any, **more: Any) -> None:
            real(*args, **more)
            if more["is_violation"]:
                decided(item, is_violation=False)

        monkeypatch.setattr(jobs.exchanges.exchanges, "send", send)
        jobs.send_review(ExchangeReview.objects.get().pk)
        assert ExchangeReview.objects.get().state == ReviewState.WAITING
        send_all()
        assert [b"<negative>" in body for _, body in feedback(server)] == [False, True]


def test_a_paused_exchange_is_told_nothing(scanned: Scanned, policy_admin: User) -> None:
    picture = jpeg(1)
    with serving(Hotline(md5_of(picture))) as server:
        exchange = exchange_with(server, policy_admin)
        actions.pause_exchange(exchange, actor=policy_admin)
        decided(scanned(picture), is_violation=True)
        send_all()
        assert feedback(server) == []
        actions.resume_exchange(exchange, actor=policy_admin)
        send_all()
        assert len(feedback(server)) == 1


def test_stopncii_is_told_with_a_key_of_its_own(policy_admin: User, scanned: Scanned) -> None:
    picture = jpeg(1)
    record = {
        "lastModtimestamp": 5,
        "signalType": "ImagePDQ",
        "hashValue": "",
        "hashStatus": "Active",
        "caseNumbers": {"1": "Active"},
        "CSPFeedbacks": [],
    }
    from hashing import images

    record["hashValue"] = images.digest(picture, algorithms=["pdq"]).digests[0].pdq
    page = {"count": 1, "nextPageToken": "", "nextSetTimestamp": 9, "hasMoreRecords": False}
    with serving(lambda *_: as_json({**page, "hashRecords": [record]})) as server:
        values = {"subscription_key": "s", "fetch_key": "f", "base_url": server.url}
        exchange = actions.create_exchange(
            kind="stopncii",
            name="Invented",
            category="spam_other",
            values=values,
            actor=policy_admin,
        )
        with pytest.raises(Refused, match="SubmitFeedback"):
            actions.switch_reviews(exchange, is_on=True, actor=policy_admin)
        actions.change_exchange(
            exchange, values=values | {"feedback_key": "b"}, every_minutes=60, actor=policy_admin
        )
        Exchange.objects.update(due_at=Now())
        jobs.fetch_exchange(str(exchange.pk))
        actions.switch_reviews(exchange, is_on=True, actor=policy_admin)
        decided(scanned(picture), is_violation=True)
        send_all()
        assert ExchangeReview.objects.get().last_error == ""
        ((method, path, body),) = server.sent
        key = server.asked[-1][2]["x-functions-key"]
    assert (method, path, key) == ("POST", "/SubmitFeedback", "b")
    (said,) = json.loads(body)["hashFeedbacks"]
    assert (said["hashValue"], said["feedbackValue"]) == (record["hashValue"], "Blocked")


def test_an_exchange_without_a_way_says_so(policy_admin: User, client: Client) -> None:
    exchange = actions.create_exchange(
        kind="file",
        name="Invented",
        category="csam_known",
        values={"path": "x"},
        actor=policy_admin,
    )
    with pytest.raises(Refused, match="takes no feedback"):
        actions.switch_reviews(exchange, is_on=True, actor=policy_admin)
    signed_in(client, policy_admin)
    assert "takes no feedback" in client.get(reverse("hashing:exchange", args=[exchange.pk])).text
    assert not HashEntry.objects.exists()
