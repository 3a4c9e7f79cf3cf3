"""Holding a case: alone, for ten minutes at a time, by the database's clock."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db.models.functions import Now
from django.urls import reverse

from core.audit import SYSTEM
from core.errors import Refused
from core.models import AuditEntry
from moderation import access, actions
from moderation.jobs import sweep_claims
from moderation.models import Case, Claim, ClaimEnd, Queue
from tests.casework import Casework, decide_form, url
from tests.pictures import jpeg

pytestmark = pytest.mark.django_db


def run_out(case: Case) -> None:
    """Let the lease on a case run out, as ten minutes would."""
    Claim.objects.filter(case=case, ended_at=None).update(expires_at=Now() - timedelta(seconds=1))


def claim_next(client: Any, queue: Queue, **headers: str) -> Any:
    return client.post(reverse("moderation:claim_next", args=[queue.slug]), headers=headers)


def test_start_pulls_the_case_that_is_due_first(
    casework: Casework, robin: Any, at_work: Any
) -> None:
    late = casework.case(reason="csam")
    soon = casework.case(reason="csam", trust="trusted")
    assert soon.due_at < late.due_at
    answer = claim_next(at_work, soon.queue)
    assert answer.status_code == 303
    assert answer["Location"] == url("case", soon)
    assert claim_next(at_work, soon.queue)["Location"] == url("case", late)


def test_start_pulls_what_is_due_first_in_whatever_queue(
    casework: Casework, at_work: Any, lena: Any
) -> None:
    taken = casework.case(reason="csam", trust="trusted")
    actions.claim(taken, actor=lena)
    late, soon = casework.case(reason="csam"), casework.case(reason="grooming", pictures=[])
    # The queue that stands first in the list has a case, and one that is due sooner is with a colleague.
    assert late.queue.position < soon.queue.position
    Case.objects.filter(pk=late.pk).update(due_at=soon.due_at + timedelta(minutes=5))
    home = at_work.get(reverse("moderation:home")).content.decode()
    head = home[home.index("page-head") : home.index("page-body")]
    assert "Start my next case" in head
    assert "data-autofocus" in head
    assert str(soon.queue) in head
    start = reverse("moderation:start")
    assert at_work.post(start)["Location"] == url("case", soon)
    assert at_work.post(start)["Location"] == url("case", late)
    assert at_work.post(start)["Location"] == reverse("moderation:home")
    answer = at_work.post(start, headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (404, "nothing_waiting")


def test_an_empty_queue_offers_what_is_due_elsewhere(casework: Casework, at_work: Any) -> None:
    case = casework.case(reason="grooming", pictures=[])
    page = at_work.get(reverse("moderation:queue", args=["hash-matched"])).content.decode()
    head = page[page.index("page-head") : page.index("page-body")]
    assert reverse("moderation:start") in head
    assert str(case.queue) in head
    assert "Start next case" not in head


def test_an_empty_queue_says_so(robin: Any, at_work: Any) -> None:
    queue = Queue.objects.get(slug="hash-matched")
    answer = claim_next(at_work, queue)
    assert answer.status_code == 303
    page = at_work.get(answer["Location"]).content.decode()
    assert "Nothing is waiting for you" in page
    assert "Nothing waiting here" in page
    answer = claim_next(at_work, queue, accept="application/json")
    assert answer.status_code == 404
    assert answer.json()["code"] == "nothing_waiting"


def test_a_held_case_is_refused_with_the_name_of_its_holder(
    held: Case, robin: Any, lena: Any, session_of: Any
) -> None:
    answer = session_of(lena, accept="application/json").post(url("claim", held))
    assert answer.status_code == 409
    assert robin.pseudonym in answer.json()["detail"]
    page = session_of(lena).post(url("claim", held))
    assert page.status_code == 409
    assert robin.pseudonym in page.content.decode()


def test_claiming_twice_keeps_the_one_lease(held: Case, robin: Any) -> None:
    assert actions.claim(held, actor=robin) == actions.claim(held, actor=robin)
    assert held.claims.count() == 1


def test_nobody_holds_more_than_three(casework: Casework, robin: Any, at_work: Any) -> None:
    cases = [casework.case() for _ in range(4)]
    for _ in range(3):
        assert claim_next(at_work, cases[0].queue).status_code == 303
    answer = claim_next(at_work, cases[0].queue, accept="application/json")
    assert answer.status_code == 409
    assert answer.json()["code"] == "too_many_leases"


def test_a_heartbeat_keeps_the_lease_alive(held: Case, at_work: Any) -> None:
    Claim.objects.update(expires_at=Now() + timedelta(seconds=5))
    answer = at_work.post(url("heartbeat", held))
    assert answer.status_code == 200
    assert Claim.objects.filter(expires_at__gt=Now() + timedelta(minutes=9)).exists()


def test_a_heartbeat_never_revives_a_lease_that_ran_out(held: Case, at_work: Any) -> None:
    run_out(held)
    answer = at_work.post(url("heartbeat", held))
    assert answer.status_code == 409
    assert "ran out" in answer.content.decode()
    assert "data-heartbeat-url" not in answer.content.decode()
    assert access.live_claim_on(held) is None


def test_a_lease_is_extended_ten_times_and_more_but_not_for_ever(
    held: Case, robin: Any, at_work: Any
) -> None:
    for _ in range(12):
        assert at_work.post(url("extend", held)).status_code == 303
    lease = access.live_claim_on(held)
    assert lease is not None
    assert lease.extensions == 12
    answer = at_work.post(url("extend", held), headers={"accept": "application/json"})
    assert answer.status_code == 409
    assert answer.json()["code"] == "too_many_extensions"
    assert not Claim.objects.filter(expires_at__gt=Now() + timedelta(minutes=31)).exists()


def test_extending_from_the_page_answers_with_the_panel(held: Case, at_work: Any) -> None:
    answer = at_work.post(url("extend", held), headers={"hx-request": "true"})
    assert answer.status_code == 200
    assert 'id="lease"' in answer.content.decode()


def test_a_released_case_goes_to_others_and_not_back_to_me(
    held: Case, robin: Any, lena: Any, at_work: Any
) -> None:
    answer = at_work.post(url("release", held), {"reason": "Not my language."})
    assert answer.status_code == 303
    assert claim_next(at_work, held.queue)["Location"].startswith("/queues/")
    given = actions.claim_next(held.queue, actor=lena)
    assert given is not None
    assert given.case == held


def test_releasing_asks_for_a_reason(held: Case, at_work: Any) -> None:
    answer = at_work.post(url("release", held), {"reason": " "})
    assert answer.status_code == 422
    assert access.live_claim_on(held) is not None


def test_a_skip_ends_after_a_while(held: Case, robin: Any) -> None:
    lease = access.live_claim_on(held)
    assert lease is not None
    skip = actions.release_claim(lease, reason="Later.", actor=robin)
    assert actions.claim_next(held.queue, actor=robin) is None
    type(skip).objects.update(until=Now())
    assert actions.claim_next(held.queue, actor=robin) is not None


def test_a_lead_takes_over_and_the_former_holder_reads_why(
    held: Case, robin: Any, lena: Any, at_work: Any, session_of: Any
) -> None:
    answer = session_of(lena).post(url("take_over", held), {"reason": "Urgent, and you are away."})
    assert answer.status_code == 303
    lost = at_work.post(url("heartbeat", held))
    assert lost.status_code == 409
    assert lena.pseudonym in lost.content.decode()
    assert "Urgent, and you are away." in lost.content.decode()
    home = at_work.get(reverse("moderation:home")).content.decode()
    assert f"{lena.pseudonym} took {held} over" in home
    page = at_work.get(url("case", held)).content.decode()
    assert "Urgent, and you are away." in page
    assert 'id="decide-form"' not in page


def test_a_reviewer_cannot_take_over(
    held: Case, outsider: Any, granted: Any, session_of: Any
) -> None:
    granted(outsider)
    answer = session_of(outsider).post(url("take_over", held), {"reason": "I want it."})
    assert answer.status_code == 403


def test_the_sweep_ends_what_ran_out(held: Case, robin: Any) -> None:
    run_out(held)
    assert sweep_claims() == 1
    lease = Claim.objects.get()
    assert lease.end == ClaimEnd.EXPIRED
    assert AuditEntry.objects.filter(event="claim.expired", chain=f"case:{held.pk}").exists()
    assert sweep_claims() == 0


def test_an_expired_lease_is_no_obstacle_to_the_next_person(held: Case, lena: Any) -> None:
    run_out(held)
    taken = actions.claim(held, actor=lena)
    assert taken.user == lena
    assert Claim.objects.filter(ended_at=None).count() == 1


def test_a_lease_that_ran_out_decides_nothing(held: Case, at_work: Any) -> None:
    run_out(held)
    form = decide_form(held)
    answer = at_work.post(url("decide", held), form)
    assert answer.status_code == 409
    page = answer.content.decode()
    assert "ran out" in page
    assert form["reason"] in page
    assert not held.decisions.exists()


def test_withdrawing_a_queue_ends_the_lease_in_it(held: Case, robin: Any, lena: Any) -> None:
    actions.revoke_queue(held.queue, of=robin, actor=SYSTEM)
    assert Claim.objects.get().end == ClaimEnd.WITHDRAWN
    with pytest.raises(Refused):
        actions.check_lease(held, actor=robin)


def move(client: Any, case: Case, to: Queue) -> Any:
    case.refresh_from_db()
    form = {"queue": to.pk, "reason": "It belongs there.", "case_version": case.version}
    return client.post(url("move", case), form, headers={"accept": "application/json"})


def test_a_lead_who_moves_a_case_out_of_sight_holds_it_no_longer(
    casework: Casework, lena: Any, session_of: Any
) -> None:
    case = casework.case()
    other = Queue.objects.filter(is_practice=False).exclude(pk=case.queue_id).latest("pk")
    actions.claim(case, actor=lena)
    actions.revoke_queue(other, of=lena, actor=SYSTEM)
    assert move(session_of(lena), case, other).status_code == 303
    assert access.live_claim_on(case) is None
    assert Claim.objects.get().end == ClaimEnd.RELEASED
    assert AuditEntry.objects.filter(event="claim.released").count() == 1


def test_a_lead_who_moves_a_case_within_sight_goes_on_holding_it(
    casework: Casework, lena: Any, session_of: Any
) -> None:
    case = casework.case()
    actions.claim(case, actor=lena)
    other = Queue.objects.filter(is_practice=False).exclude(pk=case.queue_id).latest("pk")
    assert move(session_of(lena), case, other).status_code == 303
    assert access.live_claim_on(case) is not None


def test_nobody_moves_a_case_that_is_not_theirs_to_work(
    casework: Casework, robin: Any, lena: Any
) -> None:
    case = casework.case()
    other = Queue.objects.filter(is_practice=False).exclude(pk=case.queue_id).latest("pk")
    said: dict[str, Any] = {
        "to": other,
        "reason": "It belongs there.",
        "case_version": case.version,
    }
    with pytest.raises(PermissionDenied):
        actions.move_case(case, actor=robin, **said)  # The role of a reviewer moves nothing.
    actions.revoke_category(case.category, of=lena, actor=SYSTEM)
    with pytest.raises(Refused) as refused:
        actions.move_case(case, actor=lena, **said)
    assert refused.value.code == "not_permitted"
    case.refresh_from_db()
    assert case.queue != other


def test_the_queue_list_shows_who_holds_what_and_no_picture(
    held: Case, robin: Any, lena: Any, session_of: Any
) -> None:
    page = (
        session_of(lena).get(reverse("moderation:queue", args=[held.queue.slug])).content.decode()
    )
    assert robin.pseudonym in page
    assert str(held) in page
    assert "<img" not in page


def test_filters_narrow_the_queue(held: Case, casework: Casework, at_work: Any) -> None:
    waiting = casework.case(pictures=[jpeg(9, (96, 64))])
    queue = reverse("moderation:queue", args=[held.queue.slug])
    mine = at_work.get(queue, {"state": "mine"}).content.decode()
    assert str(held) in mine
    assert str(waiting) not in mine
    others = at_work.get(queue, {"state": "waiting"}).content.decode()
    assert str(held) not in others
    assert str(waiting) in others
    nothing = at_work.get(queue, {"severity": "5"}).content.decode()
    assert "No case matches" in nothing


def test_nobody_keeps_another_persons_lease_alive(held: Case, robin: Any, lena: Any) -> None:
    claim = access.live_claim_on(held)
    assert claim is not None
    assert claim.user == robin
    with pytest.raises(Refused):
        actions.heartbeat(claim, actor=lena)
    before = claim.expires_at
    claim.refresh_from_db()
    assert claim.expires_at == before
    assert actions.heartbeat(claim, actor=robin).expires_at >= before
