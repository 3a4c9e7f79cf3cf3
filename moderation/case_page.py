"""Everything the page of one case shows, for one person at one moment."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Count
from django.urls import reverse

from accounts.models import SignIn, User
from accounts.permissions import Permission
from core.context import current
from core.foreign import spelt
from hashing.film import film_of
from hashing.list_access import own_lists_for
from hashing.models import HashList
from hashing.risk_access import score_of
from moderation import (
    access,
    actions,
    conversations,
    decide_panel,
    evidence,
    order_access,
    orders_shown,
    other_cases,
    overturning,
    places,
    platform_status,
    presence,
    why,
    workflow,
)
from moderation.actions.claims import lease
from moderation.forms import DecideForm, MoveForm, NoteForm, ReasonForm
from moderation.models import (
    Case,
    CaseItem,
    CaseReport,
    CaseStatus,
    Claim,
    ClaimEnd,
    Decision,
    Outcome,
    RoutingReason,
)
from moderation.timeline import timeline
from moderation.windows import Window, window
from reports.access import former_memberships
from reports.directory_access import earlier_names
from reports.models import Account, Group, Item, Report

MOST_REPORTS = 100
MOST_REASONS = 100


def context(
    case: Case,
    *,
    user: User,
    sign_in: SignIn | None,
    form: DecideForm | None = None,
    changes: list[str] | None = None,
    refusal: str = "",
    note_form: NoteForm | None = None,
    shown_text: str = "",
    asked: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return what ``moderation/case.html`` needs.

    ``form`` is the verdict that was sent and not recorded; ``changes`` says what joined the case since
    the person saw it; ``refusal`` why it was refused. ``shown_text`` is the id of a text item that was
    asked for without script, ``asked`` which parts of long lists are wanted (``moderation.windows``).
    """
    asked = asked or {}
    holding = access.live_claim_on(case)
    mine = holding if holding is not None and holding.user_id == user.pk else None
    is_open = case.status == CaseStatus.OPEN
    works = user.may(Permission.CASES_DECIDE) and access.may_work(user, case)
    has_second_factor = sign_in is not None and sign_in.second_factor_at is not None
    may_reveal = bool(
        works and is_open and mine and has_second_factor and user.may(Permission.MEDIA_REVEAL)
    )
    items_window = evidence.items_window(case, asked)
    cards = evidence.cards(
        case,
        user,
        part=items_window,
        may_reveal=may_reveal,
        page_view=current().request_id or uuid.uuid4().hex,
    )
    reports_window = window(
        "reports",
        asked,
        size=MOST_REPORTS,
        total=case.case_reports.count(),
        order="the newest first",
    )
    reasons_window = window(
        "reasons",
        asked,
        size=MOST_REASONS,
        total=why.merged(case).count(),
        order="the gravest first",
    )
    events, events_window = timeline(case, asked)
    _mark_shown(cards, shown_text)
    others = other_cases.about(user, case)
    decision = (
        case.decisions.filter(undone_at=None)
        .select_related("policy_version__policy", "made_by")
        .order_by("-made_at")
        .first()
    )
    orders, more_orders = orders_shown.lines_of(decision) if decision is not None else ([], 0)
    return {
        "case": case,
        "subject": case.subject,
        "reasons": why.merged(case)[reasons_window.start : reasons_window.stop],
        "reasons_window": reasons_window,
        "reason_line": _reason_line(case),
        "works": works,
        "is_open": is_open,
        "held_by": holding,
        "mine": mine if is_open else None,
        "lost": _lost(case, user) if is_open and mine is None else "",
        "may_take_over": works
        and is_open
        and holding is not None
        and user.may(Permission.CASES_TAKE_OVER),
        "may_move": works and is_open and user.may(Permission.CASES_MOVE),
        "viewers": presence.seen(case.pk, user.pseudonym),
        "cards": cards,
        "items_window": items_window,
        "conversation": conversations.conversation_of(
            case, user, asked=asked, cards=[card.id for card in cards]
        ),
        "places": places.of_case(case, user),
        "purposes": evidence.purposes(),
        "matches": [
            (
                card,
                [(flag, evidence.match_facts(flag), film_of(flag.evidence)) for flag in card.flags],
            )
            for card in cards
            if card.flags
        ],
        "reports": _reports(case, reports_window),
        "reports_window": reports_window,
        "subject_facts": _subject_facts(case),
        "snapshot_changes": _snapshot_changes(case),
        **others,
        "events": events,
        "events_window": events_window,
        "decision": decision,
        "orders": orders,
        "appeals": order_access.appeals_on(case),
        "overturn": overturning.pending_overturn(decision),
        "may_overturn": decision is not None and not overturning.why_not(decision, user),
        "may_undo_overturn": works and user.may(Permission.DECISIONS_OVERTURN),
        "overturned": overturning.overturned_on(case),
        "more_orders": more_orders,
        "own_lists": _own_lists(user, case, decision),
        "risk": score_of(case.subject),
        "may_undo": decision is not None and may_undo(decision, case, user),
        "release_form": ReasonForm(prefix="release"),
        "take_over_form": ReasonForm(prefix="take_over"),
        "move_form": MoveForm(prefix="move", initial={"case_version": case.version}),
        "note_form": note_form or NoteForm(),
        "changes": changes or [],
        "refusal": refusal,
        "skip_minutes": workflow.SKIP_MINUTES,
        "lease_minutes": int(lease().total_seconds() // 60),
        **decide_panel.context(case, user=user, form=form),
    }


def lease_context(case: Case, claim: Claim) -> dict[str, Any]:
    """Return what the lease panel shows."""
    return {"case": case, "mine": claim}


def may_undo(decision: Decision, case: Case, user: User) -> bool:
    """Return whether the person could take the decision back now (the action asks again)."""
    is_theirs = decision.made_by_id == user.pk or user.may(Permission.CASES_TAKE_OVER)
    return (
        case.status == CaseStatus.DECIDING
        and decision.published_at is None
        and decision.undone_at is None
        and is_theirs
    )


def _mark_shown(cards: list[evidence.Card], shown_text: str) -> None:
    """Open the card that keys act on, and the text that was asked for without script."""
    for card in cards:
        if shown_text and card.id == shown_text:
            spans = evidence.spans_of(card.flags)
            card.shown_pieces = evidence.pieces(card.item.text, spans)
    if cards:
        chosen = next((card for card in cards if card.shown_pieces), cards[0])
        chosen.active = True


def _reason_line(case: Case) -> str:
    return " ".join(spelt(reason["said"]) for reason in why.merged(case)[:3])


def _lost(case: Case, user: User) -> str:
    """Return why the person's last lease on this open case ended, when that needs saying."""
    last = case.claims.filter(user=user).order_by("-started_at").first()
    if last is None or last.end in {ClaimEnd.RELEASED, ClaimEnd.DECIDED}:
        return ""
    return actions.why_no_lease(case, actor=user)


def _reports(case: Case, part: Window) -> list[Report]:
    return [
        row.report
        for row in case.case_reports.select_related(
            "report__source", "report__reporter_account"
        ).order_by("-joined_at", "-pk")[part.start : part.stop]
    ]


def _groups_left(account: Account) -> int:
    return former_memberships().filter(account=account).values("group").distinct().count()


def _subject_facts(case: Case) -> list[tuple[str, Any]]:
    if account := case.account:
        return [
            ("Account", account.external_id),
            ("User name", account.username),
            ("Display name", account.display_name),
            ("Earlier names", _earlier(account)),
            ("Country", account.country),
            ("Language", account.language),
            ("Joined", _day(account.joined_at)),
            ("Status on the platform", platform_status.words_of(account)),
            ("Known since", _day(account.first_seen_at)),
            ("Reports about it", account.reports.count()),
            ("Member of groups", account.memberships.filter(left_at=None).count()),
            ("Groups it left", _groups_left(account)),
        ]
    group = case.group
    if group is None:  # The constraint case_has_one_subject leaves no such row.
        return []
    return [
        ("Group", group.external_id),
        ("Name", group.name),
        ("Earlier names", _earlier(group)),
        ("Description", Masked(group.description) if group.description else ""),
        ("Members", group.member_count),
        ("Created", _day(group.created_on_platform_at)),
        ("Status on the platform", platform_status.words_of(group)),
        ("Known since", _day(group.first_seen_at)),
        ("Reports about it", group.reports.count()),
    ]


def _earlier(subject: Account | Group) -> str:
    """Return the newest earlier names with the day until which they were told, and how many more there are."""
    names = earlier_names(subject)[::-1]
    shown = "; ".join(f"{one.value} (until {_day(one.until)})" for one in names[:MOST_EARLIER])
    more = len(names) - MOST_EARLIER
    return f"{shown}; and {more} more" if more > 0 else shown


_SNAPSHOT_WORDS = {
    "username": "User name",
    "display_name": "Display name",
    "profile_text": "Profile text",
    "platform_status": "Status on the platform",
    "name": "Name",
    "description": "Description",
    "invite_link": "Invite link",
}


def _snapshot_changes(case: Case) -> list[tuple[str, Any]]:
    """Return what the subject was called when the case was opened and is not any more."""
    changed = []
    for field, word in _SNAPSHOT_WORDS.items():
        before = case.subject_snapshot.get(field)
        if before and before != getattr(case.subject, field, before):
            is_text = field in {"description", "profile_text"}
            changed.append((word, Masked(str(before)) if is_text else str(before)))
    return changed


MOST_EARLIER = 5
"""Earlier names that the case page shows; a package has all of them."""


@dataclass(frozen=True, slots=True)
class Masked:
    """A text that a page shows only when it is asked for, like the texts among the evidence."""

    text: str


def _day(at: Any) -> str:
    return f"{at:%Y-%m-%d}" if at else ""


def _own_lists(user: User, case: Case, decision: Decision | None) -> list[HashList]:
    """Return the lists that the media of a confirmed case may be put on, for whoever may do that."""
    if decision is None or decision.published_at is None or case.is_practice:
        return []
    if decision.outcome == Outcome.NOT_VIOLATING or not access.may_work(user, case):
        return []
    return list(own_lists_for(user))


def queue_rows(cases: Any) -> Any:
    """Add to cases what a row of the queue list shows. Lists show words and numbers, never media."""
    from django.db.models import CharField, OuterRef, Subquery

    top_reason = RoutingReason.objects.filter(case=OuterRef("pk")).order_by(
        "-severity", "-score", "pk"
    )
    holder = access.live_claims().filter(case=OuterRef("pk"))
    first_source = Report.objects.filter(case_reports__case=OuterRef("pk")).order_by("received_at")
    item_source = Item.objects.filter(case_items__case=OuterRef("pk")).order_by("received_at")
    return cases.select_related("account", "group", "queue").annotate(
        why=Subquery(top_reason.values(said=why.as_said())[:1]),
        holder=Subquery(holder.values("user__pseudonym")[:1], output_field=CharField()),
        source_name=Subquery(first_source.values("source__name")[:1]),
        item_source_name=Subquery(item_source.values("source__name")[:1]),
        is_trusted=access.has_trusted_report(),
        report_count=_count(CaseReport),
        item_count=_count(CaseItem),
    )


def _count(rows: type[CaseReport | CaseItem]) -> Any:
    """Return a count per case as a subquery: only the rows of the shown page are ever counted."""
    from django.db.models import OuterRef, Subquery
    from django.db.models.functions import Coalesce

    counted = (
        rows.objects.filter(case=OuterRef("pk"))
        .order_by()
        .values("case")
        .annotate(n=Count("pk"))
        .values("n")
    )
    return Coalesce(Subquery(counted), 0)


def case_url(case: Case) -> str:
    """Return the address of a case's page."""
    return reverse("moderation:case", kwargs={"id": case.pk})
