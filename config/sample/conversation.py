"""A conversation for the sample installation: benign words with a marker, a drawn picture, a tone in place of a voice."""

from __future__ import annotations

import io
import math
import wave
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from config.sample.content import REASONS, Media, SampleReport, utc
from config.sample.pictures import draw, encode

ACCUSED, REPORTER, BYSTANDER, GROUP, CHAT = "u-1011", "u-1012", "u-1009", "g-2005", "chat-2005"
_RATE = 8000


def _tone(seconds: int = 3) -> Media:
    """Return a soft tone as WAV, louder and quieter once a second."""
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(_RATE)
        samples = (
            128 + 40 * math.sin(2 * math.pi * 330 * n / _RATE) * math.sin(math.pi * n / _RATE) ** 2
            for n in range(seconds * _RATE)
        )
        sound.writeframes(bytes(int(each) for each in samples))
    return Media("voice.wav", "audio/wav", out.getvalue())


def reports(now: datetime) -> Iterator[SampleReport]:
    """Yield a report with what was said around it, and one that brings more of the same chat."""
    began = now - timedelta(hours=5)

    def message(position: int, sender: str, text: str = "", **more: Any) -> dict[str, Any]:
        said = {
            "surface": "reported_message",
            "external_id": f"chat-m-{position}",
            "conversation": CHAT,
            "position": position,
            "group": GROUP,
            "sender": sender,
            "content_at": utc(began + timedelta(minutes=position)),
            "role": "context",
        }
        return said | ({"text": text} if text else {}) | more

    items = [
        message(40, BYSTANDER, "Rehearsal is on Tuesday, as always."),
        message(41, REPORTER, "I shall bring the scores."),
        message(42, ACCUSED, "Sample text with markerword-alpha, to the whole choir.", reply_to="chat-m-41"),
        message(43, ACCUSED, "Sample caption with markerword-beta.", role="reported",
                edited_at=utc(began + timedelta(minutes=46))),
        message(44, REPORTER, "Please stop.", reply_to="chat-m-43"),
        message(45, ACCUSED, not_sent="deleted", is_deleted=True,
                deleted_at=utc(began + timedelta(minutes=47))),
        message(48, ACCUSED, role="reported"),
        message(49, BYSTANDER, "What was that?", reply_to="chat-m-48"),
    ]  # fmt: skip
    yield SampleReport(
        "app-reports",
        {
            "external_id": "conversation-1",
            "subject": {"account": ACCUSED, "group": GROUP},
            "reporter": {"account": REPORTER},
            "reason": REASONS["contact"],
            "description": "Sample report about a conversation.",
            "occurred_at": utc(began + timedelta(minutes=43)),
            "items": items,
        },
        {3: Media("choir.jpg", "image/jpeg", encode(draw(230))), 6: _tone()},
        now - began,
    )
    later = began + timedelta(hours=1)
    yield SampleReport(
        "app-reports",
        {
            "external_id": "conversation-2",
            "subject": {"account": ACCUSED, "group": GROUP},
            "reporter": {"account": BYSTANDER},
            "reason": REASONS["contact"],
            "items": [
                message(47, BYSTANDER, "Sample message that came with a later report."),
                message(49, BYSTANDER, "What was that?", reply_to="chat-m-48"),
            ],
        },
        age=now - later,
    )
