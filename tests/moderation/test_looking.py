"""Previews, masked texts and originals: what reaches a browser, and what the record says about it."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from PIL import Image

from core import vault
from core.models import AuditEntry
from hashing.jobs import scan_item
from hashing.models import VideoWatch
from moderation import actions as moderation
from moderation.jobs import make_preview
from moderation.models import Case, Claim, Preview, Reveal
from tests.casework import Casework, term_finding, url
from tests.clips import clip
from tests.pictures import animated_gif, encode, jpeg

pytestmark = pytest.mark.django_db

ORIGINAL = jpeg(7, (96, 64))


def item_of(case: Case) -> Any:
    return case.case_items.get().item


def ask(client: Any, case: Case, purpose: str = "assess") -> Any:
    return client.post(
        url("reveal", case, item_id=item_of(case).pk),
        {"purpose": purpose},
        headers={"accept": "application/json"},
    )


def fetch(client: Any, address: str) -> tuple[Any, bytes]:
    answer = client.get(address)
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return answer, content


def wait_since_served(seconds: float) -> None:
    """Let time pass by the database's clock: a reveal that was opened cannot be dated back."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [seconds])


def looked_for_a_second(client: Any, case: Case) -> str:
    """Look at the item of a case for a second and return the words for it."""
    issued = ask(client, case).json()
    fetch(client, issued["url"])
    wait_since_served(1.05)
    said = client.post(issued["close_url"], {"milliseconds": "1040", "painted": "[1040]"}).json()
    return str(said["words"])


def events(case: Case, prefix: str) -> list[AuditEntry]:
    found = AuditEntry.objects.filter(chain=f"case:{case.pk}", event__startswith=prefix)
    return list(found.order_by("seq"))


def test_the_page_of_a_case_holds_no_byte_of_the_original(
    held: Case, with_preview: Any, at_work: Any
) -> None:
    page = at_work.get(url("case", held))
    assert ORIGINAL[20:60] not in page.content
    assert "/originals/" not in page.content.decode()
    assert page["Cache-Control"] == "no-store"
    assert events(held, "case.viewed")


def test_the_preview_is_another_picture_and_small(
    held: Case, with_preview: Any, at_work: Any
) -> None:
    answer, content = fetch(at_work, url("preview", held, item_id=with_preview.pk))
    assert answer.status_code == 200
    assert content != ORIGINAL
    assert len(content) < 60_000
    assert "no-store" in answer["Cache-Control"]
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer["Content-Security-Policy"]
    assert not Reveal.objects.exists()


def test_one_look_at_the_page_is_one_line_however_often_the_browser_fetches(
    held: Case, with_preview: Any, at_work: Any
) -> None:
    address = url("preview", held, item_id=with_preview.pk)
    for view in ("first-view", "first-view", "second-view"):
        at_work.get(f"{address}?view={view}")
    assert len(events(held, "media.preview.served")) == 2


def test_there_is_no_preview_before_it_is_made(held: Case, at_work: Any) -> None:
    assert at_work.get(url("preview", held, item_id=item_of(held).pk)).status_code == 404
    assert "evidence__preview" not in at_work.get(url("case", held)).content.decode()


def test_an_original_is_shown_once_after_a_stated_purpose(held: Case, at_work: Any) -> None:
    issued = ask(at_work, held).json()
    answer, content = fetch(at_work, issued["url"])
    assert content == ORIGINAL
    assert answer["Content-Type"] == "image/jpeg"
    assert "no-store" in answer["Cache-Control"]
    assert answer["Content-Disposition"] == 'inline; filename="original.jpg"'
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer["Content-Security-Policy"]
    again, nothing = fetch(at_work, issued["url"])
    assert again.status_code == 410
    assert ORIGINAL not in nothing
    reveal = Reveal.objects.get()
    assert reveal.is_complete
    assert reveal.bytes_served == len(ORIGINAL)


def test_the_record_says_who_looked_at_what_why_and_how_much(
    held: Case, robin: Any, at_work: Any
) -> None:
    issued = ask(at_work, held, "check_match").json()
    answer, _ = fetch(at_work, issued["url"])
    at_work.post(issued["close_url"], {"milliseconds": "1"})
    names = [entry.event for entry in events(held, "media.reveal")]
    assert names == [f"media.reveal.{verb}" for verb in ("issued", "used", "served", "closed")]
    served = events(held, "media.reveal.served")[0]
    assert (served.request_id, served.ip) == (answer["X-Request-ID"], "127.0.0.1")
    first, _used, second, third = events(held, "media.reveal")
    assert first.actor_label == robin.pseudonym
    assert first.data["purpose"] == "check_match"
    assert second.data["bytes"] == len(ORIGINAL)
    assert second.data["is_complete"] is True
    assert third.data["shown_ms"] <= 1
    token = issued["url"].rstrip("/").rpartition("/")[2]
    assert not AuditEntry.objects.filter(line__contains=token).exists()
    assert not Reveal.objects.filter(token_hash=token).exists()


def test_the_time_shown_cannot_exceed_the_time_that_passed(held: Case, at_work: Any) -> None:
    issued = ask(at_work, held).json()
    fetch(at_work, issued["url"])
    at_work.post(issued["close_url"], {"milliseconds": "9000000"})
    reveal = Reveal.objects.get()
    assert reveal.shown_ms is not None
    assert reveal.shown_ms < 60_000
    at_work.post(issued["close_url"], {"milliseconds": "0"})
    shown = reveal.shown_ms
    reveal.refresh_from_db()
    assert reveal.shown_ms == shown


def test_bytes_that_were_sent_prove_no_viewing(held: Case, at_work: Any) -> None:
    issued = ask(at_work, held).json()
    fetch(at_work, issued["url"])
    said = at_work.post(issued["close_url"], {"milliseconds": "60000"}).json()
    assert said == {"viewed": "never", "words": "Opened, not viewed"}
    assert Reveal.objects.get().is_complete
    page = at_work.get(url("case", held)).content.decode()
    assert "Opened, not viewed" in page


def test_nobody_claims_more_than_the_time_that_passed(held: Case, at_work: Any) -> None:
    issued = ask(at_work, held).json()
    fetch(at_work, issued["url"])
    wait_since_served(0.6)
    at_work.post(issued["close_url"], {"milliseconds": "60000", "painted": "[60000]"})
    reveal = Reveal.objects.get()
    assert reveal.painted_ms == reveal.shown_ms
    assert reveal.used_at is not None
    assert reveal.closed_at is not None
    passed = (reveal.closed_at - reveal.used_at).total_seconds() * 1000
    assert reveal.painted_ms is not None
    assert reveal.painted_ms <= passed


def test_what_was_painted_for_a_second_was_viewed_and_by_whom(
    held: Case, robin: Any, at_work: Any, lena: Any, session_of: Any
) -> None:
    issued = ask(at_work, held).json()
    fetch(at_work, issued["url"])
    wait_since_served(1.05)
    said = at_work.post(
        issued["close_url"], {"milliseconds": "1050", "painted": "[510, 400, 520]"}
    ).json()
    assert said == {"viewed": "full", "words": "Viewed by you, 1.0 s"}
    (closed,) = events(held, "media.reveal.closed")
    assert closed.data["painted_ms"] == 1030
    page = session_of(lena).get(url("case", held)).content.decode()
    assert f"Viewed by {robin.pseudonym}, 1.0 s; not by you" in page


@pytest.mark.parametrize(
    "measured",
    [
        {"painted": "[-1]"},
        {"painted": '["a"]'},
        {"painted": "[true]"},
        {"painted": '{"a": 1}'},
        {"painted": "no JSON"},
        {"painted": str([1] * 501)},
        {"played": "[[1]]"},
        {"played": "[[0, 1e99]]"},
    ],
)
def test_what_no_page_measures_is_refused(
    held: Case, at_work: Any, measured: dict[str, str]
) -> None:
    issued = ask(at_work, held).json()
    fetch(at_work, issued["url"])
    answer = at_work.post(issued["close_url"], {"milliseconds": "1000"} | measured)
    assert answer.status_code == 422
    assert Reveal.objects.get().closed_at is None


def test_two_looks_at_once_are_not_longer_than_the_time_that_passed(
    held: Case, at_work: Any
) -> None:
    both = [ask(at_work, held).json() for _ in range(2)]
    for issued in both:
        fetch(at_work, issued["url"])
    wait_since_served(1.05)
    for issued in both:
        said = at_work.post(
            issued["close_url"], {"milliseconds": "60000", "painted": "[60000]"}
        ).json()
    rows = list(Reveal.objects.order_by("used_at"))
    begun = min(row.used_at for row in rows if row.used_at)
    passed = (max(row.closed_at for row in rows if row.closed_at) - begun).total_seconds()
    assert sum(row.painted_ms or 0 for row in rows) / 1000 > passed + 0.5
    counted = float(said["words"].removeprefix("Viewed by you, ").removesuffix(" s"))
    assert 1.0 <= counted <= passed + 0.05


def test_a_stretch_that_finds_no_room_in_the_time_that_passed_counts_nothing(
    held: Case, at_work: Any
) -> None:
    issued = ask(at_work, held).json()
    fetch(at_work, issued["url"])
    wait_since_served(0.1)
    at_work.post(issued["close_url"], {"milliseconds": "400", "painted": "[500, 500, 500]"})
    assert Reveal.objects.get().painted_ms == 0


def test_a_film_is_as_long_as_the_scan_measured_it(
    casework: Casework, robin: Any, at_work: Any
) -> None:
    report = casework.report(pictures=[clip(3, 2)], media_type="video/mp4")
    item = report.items.get()
    scan_item(str(item.pk))
    moderation.route_report(report)
    case = Case.objects.get(case_reports__report=report)
    moderation.claim(case, actor=robin)
    issued = ask(at_work, case).json()
    fetch(at_work, issued["url"])
    wait_since_served(0.7)
    said = at_work.post(
        issued["close_url"],
        {"milliseconds": "700", "painted": "[700]", "played": "[[0, 100]]", "film": "100"},
    ).json()
    assert said["words"] == "Viewed in part by you, 5 %"
    # What no scan has watched is not known to be whole.
    VideoWatch.objects.all().delete()
    page = at_work.get(url("case", case)).content.decode()
    assert "Opened, not viewed" in page


@pytest.mark.parametrize("counted", [True, False])
def test_an_animation_is_not_viewed_whole_after_a_second(
    casework: Casework, robin: Any, at_work: Any, counted: bool
) -> None:
    """Whoever sends it calls it a JPEG; its frames are counted for the preview, or not yet."""
    case = casework.case(pictures=[animated_gif()], media_type="image/jpeg")
    moderation.claim(case, actor=robin)
    if counted:
        make_preview(str(item_of(case).blob_id))
        assert Preview.objects.get(blob=item_of(case).blob).frames == 6
    assert looked_for_a_second(at_work, case) == (
        "Viewed in part by you, 1.0 s of an animation (how much of it was seen is not measured)"
    )


@pytest.mark.parametrize(("form", "counted"), [("PNG", True), ("MPO", True), ("MPO", False)])
def test_a_still_of_a_form_that_may_hold_several_pictures_is_viewed(
    casework: Casework, robin: Any, at_work: Any, form: str, counted: bool
) -> None:
    picture = Image.open(io.BytesIO(ORIGINAL))
    more = {"save_all": True, "append_images": [picture.rotate(90)]} if form == "MPO" else {}
    case = casework.case(pictures=[encode(picture, form, **more)])
    moderation.claim(case, actor=robin)
    if counted:
        make_preview(str(item_of(case).blob_id))
    assert looked_for_a_second(at_work, case) == "Viewed by you, 1.0 s"


def test_an_address_that_was_never_opened_shows_nothing(held: Case, at_work: Any) -> None:
    issued = ask(at_work, held).json()
    at_work.post(issued["close_url"], {"milliseconds": "500"})
    assert Reveal.objects.get().shown_ms == 0


@pytest.mark.parametrize("purpose", ["", "curiosity"])
def test_without_a_known_purpose_nothing_is_revealed(
    held: Case, at_work: Any, purpose: str
) -> None:
    assert ask(at_work, held, purpose).status_code == 422
    assert not Reveal.objects.exists()


def test_without_a_lease_nothing_is_revealed(held: Case, lena: Any, session_of: Any) -> None:
    answer = ask(session_of(lena), held)
    assert answer.status_code == 409
    assert "holds this case" in answer.json()["detail"]
    assert not Reveal.objects.exists()
    assert AuditEntry.objects.filter(event="media.reveal.refused").exists()


def test_a_session_without_second_factor_is_sent_to_set_it_up(
    held: Case, robin: Any, session_of: Any
) -> None:
    answer = ask(session_of(robin, second_factor=False), held)
    assert answer.status_code in {302, 403}
    assert not Reveal.objects.exists()


def test_an_address_of_somebody_else_is_worth_nothing(
    held: Case, lena: Any, robin: Any, at_work: Any, session_of: Any
) -> None:
    issued = ask(at_work, held).json()
    assert fetch(session_of(lena), issued["url"])[0].status_code == 410
    other_session = session_of(robin)
    assert fetch(other_session, issued["url"])[0].status_code == 410
    assert fetch(at_work, issued["url"])[1] == ORIGINAL


def test_an_address_lives_half_a_minute(held: Case, at_work: Any) -> None:
    issued = ask(at_work, held).json()
    Reveal.objects.update(expires_at=Now())
    assert fetch(at_work, issued["url"])[0].status_code == 410


def test_losing_the_lease_spends_the_address(held: Case, at_work: Any) -> None:
    issued = ask(at_work, held).json()
    Claim.objects.update(expires_at=Now() - timedelta(seconds=1))
    assert fetch(at_work, issued["url"])[0].status_code == 410


def test_a_file_that_browsers_do_not_show_safely_is_refused_with_the_reason(
    casework: Casework, robin: Any, at_work: Any
) -> None:
    from moderation import actions

    page = b"<html><script>alert(1)</script></html>" * 4
    case = casework.case(pictures=[page], media_type="image/png")
    actions.claim(case, actor=robin)
    answer = ask(at_work, case)
    assert answer.status_code == 409
    assert answer.json()["code"] == "unsafe_kind"


def test_a_destroyed_original_is_said_on_its_card_and_refused(
    held: Case, at_work: Any, robin: Any
) -> None:
    vault.destroy(item_of(held).blob, reason="Retention is over.", actor=robin)
    page = at_work.get(url("case", held)).content.decode()
    assert "The original was destroyed" in page
    assert ask(at_work, held).json()["code"] == "destroyed"
    assert 'id="decide-form"' in page  # A missing file is no decision; one may decide on metadata.


def test_half_a_stream_is_recorded_as_half(casework: Casework, robin: Any, at_work: Any) -> None:
    from moderation import actions

    large = jpeg(3, (1400, 1400)) + b"\0" * 3_000_000
    case = casework.case(pictures=[large])
    actions.claim(case, actor=robin)
    issued = ask(at_work, case).json()
    answer = at_work.get(issued["url"])
    # The generator itself: the test client's own closing would close the test's connection too.
    stream = answer._iterator
    next(stream)
    next(stream)
    stream.close()  # The browser went away.
    reveal = Reveal.objects.get()
    assert 0 < reveal.bytes_served < len(large)
    assert not reveal.is_complete


def test_a_text_is_masked_until_it_is_asked_for(
    casework: Casework, robin: Any, at_work: Any
) -> None:
    text = "words before markerword-alpha words after"
    start = text.index("markerword-alpha")
    report = casework.report(reason="grooming", texts=[text])
    case = casework.routed(report, term_finding((start, start + len("markerword-alpha"))))
    page = at_work.get(url("case", case)).content.decode()
    assert "words before" not in page
    shown = at_work.get(url("text", case, item_id=item_of(case).pk)).content.decode()
    assert "words before <mark>markerword-alpha</mark> words after" in shown
    assert len(events(case, "media.text.shown")) == 1
    without_script = at_work.get(f"{url('case', case)}?text={item_of(case).pk}").content.decode()
    assert "<mark>markerword-alpha</mark>" in without_script


def test_a_text_is_shown_as_text_whatever_it_contains(
    casework: Casework, robin: Any, at_work: Any
) -> None:
    case = casework.routed(casework.report(reason="spam", texts=["<script>alert(1)</script>"]))
    shown = at_work.get(url("text", case, item_id=item_of(case).pk)).content.decode()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_an_item_of_another_case_is_not_found_here(
    held: Case, casework: Casework, at_work: Any
) -> None:
    other = casework.case("somebody-else", pictures=[jpeg(8, (96, 64))])
    stray = item_of(other)
    for name in ("preview", "text"):
        assert at_work.get(url(name, held, item_id=stray.pk)).status_code == 404
    answer = at_work.post(url("reveal", held, item_id=stray.pk), {"purpose": "assess"})
    assert answer.status_code == 404
