"""Whole documents of intake, as senders would write them. The reference shows them; tests check and send each."""

from __future__ import annotations

from typing import Any

REPORT: dict[str, Any] = {
    "external_id": "rep-7001",
    "subject": {"account": "user-1001"},
    "reporter": {"account": "user-2002"},
    "reason": "grooming",
    "description": "Wrote to me out of nowhere.",
    "occurred_at": "2026-11-22T10:40:00Z",
    "items": [
        {
            "surface": "reported_message",
            "external_id": "msg-1",
            "text": "markerword-alpha",
            "sender": "user-1001",
            "content_at": "2026-11-22T10:39:12Z",
        }
    ],
}
SCAN: dict[str, Any] = {
    "subject": {"group": "group-77"},
    "surface": "group_name",
    "text": "Holiday pictures",
}
ACCOUNT: dict[str, Any] = {
    "username": "alex",
    "joined_at": "2024-03-01T08:00:00Z",
    "identifiers": [
        {"kind": "email", "value": "alex@mail.example", "verified": True},
        {"kind": "device", "value": "d-1", "detail": {"model": "Phone 5"}},
    ],
    "ip_events": [
        {"kind": "login", "ip": "203.0.113.7", "port": 50123, "at": "2026-11-22T10:31:00Z"}
    ],
}
GROUP: dict[str, Any] = {"name": "Holiday pictures", "member_count": 12}
MEMBERS: dict[str, Any] = {
    "members": [{"account": "user-1001", "role": "owner", "joined_at": "2025-01-05T09:00:00Z"}]
}
BATCH: tuple[dict[str, Any], ...] = (
    {"type": "account", "external_id": "user-1001", "username": "alex"},
    {"type": "membership", "group": "group-77", "account": "user-1001", "role": "admin"},
    {"type": "report", "subject": {"group": "group-77"}, "reason": "spam"},
)
