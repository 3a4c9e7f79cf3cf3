"""The documents of ``data/metadata``: what programs at the agency read about the case.

Every function turns the description into a document that goes in as JSON, JSON Lines or CSV. What nobody told is
left out rather than shown empty; what is known and not handed over is said in ``left_out`` of ``case.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from referrals.custody import utc_text

if TYPE_CHECKING:
    from referrals.package.description import (
        Account,
        Appearance,
        Earlier,
        Exhibit,
        Group,
        Membership,
        Original,
        PackageSpec,
        Report,
    )
    from referrals.package.messages import Place

_HISTORY = "What a field said before, until we were told otherwise. The value beside it is the present one."


def case(spec: PackageSpec) -> dict[str, Any]:
    """``case.json``: what happened, as the sender sees it, and what is not in the package."""
    facts = spec.case
    return known(
        {
            "package": spec.package_id,
            "case": facts.id,
            "category": facts.category,
            "severity": facts.severity,
            "subject": facts.subject,
            "subject_when_opened": dict(facts.subject_when_opened),
            "incident": known(
                {
                    "type": facts.incident_type,
                    "type_said_by": facts.incident_type_said_by,
                    "type_said_at": time_text(facts.incident_type_said_at),
                    "at": time_text(facts.incident_at),
                    "at_said_by": facts.incident_at_said_by,
                    "at_said_at": time_text(facts.incident_at_said_at),
                }
            ),
            "summary": facts.narrative,
            "urgency_and_authority": spec.legal_basis.authority,
            "opened_at": utc_text(facts.opened_at),
            "decided_at": utc_text(facts.decided_at),
            "decided_by": facts.decided_by,
            "outcome": facts.outcome,
            "policy": facts.policy,
            "steps_taken": list(facts.enforcements),
            "timeline": [
                {"at": utc_text(entry.at), "what": entry.text} for entry in facts.timeline
            ],
            "messages_included": facts.messages_included,
            "left_out": list(spec.left_out),
        }
    )


def reports(spec: PackageSpec) -> dict[str, Any]:
    """``reports.json``: who said what, as it came. Claims, not findings."""
    return {"package": spec.package_id, "reports": [_report(report) for report in spec.reports]}


def _report(report: Report) -> dict[str, Any]:
    return known(
        {
            "number": report.number,
            "source": report.source,
            "source_kind": report.source_kind,
            "external_id": report.external_id,
            "reason": report.reason,
            "description": report.description,
            "occurred_at": time_text(report.occurred_at),
            "received_at": utc_text(report.received_at),
            "reporter": known({"account": report.reporter_account, "ref": report.reporter_ref}),
            "entered_by": report.entered_by,
            "about": known({"platform_id": report.about, "when_received": dict(report.about_then)}),
            "in_group": report.in_group,
        }
    )


def exhibits(spec: PackageSpec, originals: Sequence[Original]) -> dict[str, Any]:
    """``exhibits.json``."""
    return {
        "package": spec.package_id,
        "viewing_rule": (
            "viewed_by_a_person is true when the log of reveals shows that one signed-in person had the"
            " original on the screen before the referral was approved: a picture for one second in all, half of"
            " it or more in the window, in stretches of half a second or more; a film with all of it played, at"
            " most twice as fast. Of an animated picture (viewing.is_animation) nobody measured how much was seen:"
            " it counts as seen in part at most."
            " viewing.words says what was seen and by whom, also in part; viewing.reveals lists what it was"
            " computed from, in milliseconds. That bytes were served proves no viewing."
        ),
        "exhibits": [_exhibit(original) for original in originals],
    }


def _exhibit(original: Original) -> dict[str, Any]:
    exhibit = original.exhibit
    return known(
        {
            "id": exhibit.id,
            "path": original.path,
            "original_name": exhibit.original_name,
            "media_type": exhibit.media_type,
            "recognised_as": exhibit.recognised_as,
            "size": exhibit.size,
            "md5": exhibit.md5.lower(),
            "sha1": original.sha1,
            "sha256": original.sha256,
            "sha512": original.sha512,
            "item": exhibit.item_id,
            "platform_id": exhibit.platform_id,
            "surface": exhibit.surface,
            "role": exhibit.role,
            "account": exhibit.account_id,
            "group": exhibit.group_id,
            "report": exhibit.report,
            "source": exhibit.source,
            "source_url": exhibit.source_url,
            "uploaded_at": time_text(exhibit.uploaded_at),
            "upload_ip": exhibit.upload_ip,
            "upload_port": exhibit.upload_port,
            "is_public": exhibit.is_public,
            **place(exhibit.place),
            "received_at": time_text(exhibit.received_at),
            "relevance": exhibit.relevance,
            "annotations": list(exhibit.annotations),
            "findings": [
                known(
                    {
                        "detector": found.detector,
                        "summary": found.summary,
                        "at": time_text(found.at),
                    }
                )
                for found in exhibit.findings
            ],
            "viewed_by_a_person": exhibit.was_viewed,
            "viewing": _viewing(exhibit),
            # The same bytes under other reports, ids or accounts.
            "also": [_appearance(also) for also in exhibit.also],
        }
    )


def _viewing(exhibit: Exhibit) -> dict[str, Any]:
    seen = [
        reveal.served_at for reveal in exhibit.reveals if reveal.served_at and reveal.painted_ms
    ]
    times = seen if exhibit.was_viewed else []
    return known(
        {
            "computed_from": f"{len(exhibit.reveals)} entries of the log of reveals",
            "words": exhibit.viewed,
            "is_animation": exhibit.is_animation or None,
            "first_viewed_at": time_text(min(times)) if times else "",
            "last_viewed_at": time_text(max(times)) if times else "",
            "reveals": [
                {
                    "id": reveal.id,
                    "person": reveal.person,
                    "purpose": reveal.purpose,
                    "opened_at": utc_text(reveal.opened_at),
                    "served_at": time_text(reveal.served_at) or None,
                    "closed_at": time_text(reveal.closed_at) or None,
                    "shown_seconds": reveal.shown_seconds,
                    "whole": reveal.whole,
                    "painted_ms": reveal.painted_ms,
                    "played_ms": [list(each) for each in reveal.played],
                    "film_ms": reveal.film_ms or None,
                }
                for reveal in exhibit.reveals
            ],
        }
    )


def _appearance(also: Appearance) -> dict[str, Any]:
    return known(
        {
            "item": also.item_id,
            "original_name": also.original_name,
            "platform_id": also.platform_id,
            "surface": also.surface,
            "role": also.role,
            "account": also.account_id,
            "group": also.group_id,
            "report": also.report,
            "source": also.source,
            "source_url": also.source_url,
            "uploaded_at": time_text(also.uploaded_at),
            "upload_ip": also.upload_ip,
            "upload_port": also.upload_port,
            "is_public": also.is_public,
            **place(also.place),
            "received_at": time_text(also.received_at),
        }
    )


def accounts(spec: PackageSpec) -> dict[str, Any]:
    """``accounts.json``."""
    return {
        "package": spec.package_id,
        "earlier": _HISTORY,
        "accounts": [_account(account) for account in spec.accounts],
    }


def _account(account: Account) -> dict[str, Any]:
    return known(
        {
            "platform_id": account.platform_id,
            "part": known(
                {
                    "is": account.role,
                    "said_by": account.role_said_by,
                    "said_at": time_text(account.role_said_at),
                }
            ),
            "username": account.username,
            "display_name": account.display_name,
            "profile_text": account.profile_text,
            "profile_url": account.profile_url,
            "country": account.country,
            "language": account.language,
            "platform_status": account.platform_status,
            "joined_at": time_text(account.joined_at),
            "known_to_us_since": time_text(account.first_seen_at),
            "identifiers": [
                known(
                    {
                        "kind": each.kind,
                        "value": each.value,
                        "detail": dict(each.detail),
                        "verified": each.verified,
                        "first_seen_at": time_text(each.first_seen_at),
                        "last_seen_at": time_text(each.last_seen_at),
                    }
                )
                for each in account.identifiers
            ],
            "groups": [
                {"group": place.group_id, **_membership(place)} for place in account.memberships
            ],
            "ip_events": [
                known(
                    {
                        "at": utc_text(event.at),
                        "ip": event.ip,
                        "port": event.port,
                        "kind": event.kind,
                        "device": event.device,
                    }
                )
                for event in account.network
            ],
            "earlier": _earlier(account.earlier),
        }
    )


def groups(spec: PackageSpec) -> dict[str, Any]:
    """``groups.json``: the groups, all links that led into them, and the members of those that the case is about."""
    return {
        "package": spec.package_id,
        "earlier": _HISTORY,
        "members": "One entry for each stay. One with left_at has ended; who came back has another entry.",
        "groups": [_group(group) for group in spec.groups],
    }


def _group(group: Group) -> dict[str, Any]:
    found = known(
        {
            "platform_id": group.platform_id,
            "name": group.name,
            "description": group.description,
            "member_count": group.member_count,
            "created_at": time_text(group.created_at),
            "platform_status": group.platform_status,
            "known_to_us_since": time_text(group.first_seen_at),
            "invite_links": [
                known(
                    {
                        "link": link.link,
                        "is_present": link.is_present,
                        "known_to_us_since": time_text(link.first_seen_at),
                    }
                )
                for link in group.links
            ],
            "earlier": _earlier(group.earlier),
        }
    )
    if group.members is None:
        return found | {"members_left_out": True}
    return found | {
        "members": [
            {"account": member.account_id, **_membership(member)} for member in group.members
        ]
    }


def _membership(place: Membership) -> dict[str, Any]:
    return known(
        {
            "name": place.name,
            "role": place.role,
            "is_present": place.left_at is None,
            "joined_at": time_text(place.joined_at),
            "left_at": time_text(place.left_at),
            "earlier": _earlier(place.earlier),
        }
    )


def _earlier(changes: Sequence[Earlier]) -> list[dict[str, Any]]:
    return [
        {
            "field": each.field,
            "value": each.value,
            "until": utc_text(each.until),
            **({"only_the_beginning": True} if each.is_shortened else {}),
        }
        for each in changes
    ]


def place(found: Place) -> dict[str, Any]:
    """Return where a message stood and what its sender did to it, as members of the object that tells it."""
    return known(
        {
            "conversation": found.conversation,
            "conversation_position": found.position,
            "reply_to": found.reply_to,
            "is_edited": found.is_edited,
            "edited_at": time_text(found.edited_at),
            "is_deleted": found.is_deleted,
            "deleted_at": time_text(found.deleted_at),
            "not_sent": found.not_sent,
        }
    )


def known(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that say something. False, zero and None given on purpose inside lists stay."""
    return {name: value for name, value in fields.items() if value not in ("", None, [], (), {})}


def time_text(moment: datetime | None) -> str:
    """Return a time as documents write it, or nothing when nobody knows it."""
    return utc_text(moment) if moment is not None else ""


def as_json(document: dict[str, Any]) -> bytes:
    """Return a document as the bytes of its file."""
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)
    return (text + "\n").encode("utf-8", "backslashreplace")
