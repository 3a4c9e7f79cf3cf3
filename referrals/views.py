"""Pages on which legal staff draft, approve and follow a referral."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import person_of, requires
from accounts.permissions import Permission
from accounts.searches import searched, stored_search
from core import audit
from core.audit_events import AuditEvent
from core.errors import Invalid
from moderation.viewing import Seen, most_seen, seen_in_words
from referrals import access, actions
from referrals.completeness import measure
from referrals.contents import places_of, talks_of
from referrals.describing import exhibit_name, left_out
from referrals.forms import Draft, ExhibitForm, FilterForm, OpenForm, ReasonForm
from referrals.models import Exhibit, Referral, ReferralState
from referrals.proposals import incident_words, places, proposals
from referrals.standing import NOTHING_LEAVES, Fallen, fallen, fallen_one, may_leave
from referrals.workflow import Step, steps_shown, why_not

PER_PAGE = 25
NOTICE = "Whom you told, how and when; or that it never left"
WAITING = 20
"""Decided cases without a referral, and downloads, that a page shows; it says how many more there are."""
LISTS = ("exhibits", "accounts")
"""What a referral has many of; each is shown, and saved, a page at a time (``?exhibits=2``)."""
MANY = 5
"""With more accounts without a part than this, one answer for all the rest is offered."""
SHOWN = 100
"""Reports or groups that a page lists; it says how many more there are. All of them leave."""
LINES = 50
"""Exhibits or accounts on one page: four fields each stay far below what a form may send."""


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.REFERRALS_VIEW)
@stored_search("q")
def listing(request: HttpRequest) -> HttpResponse:
    """All referrals by state, and decided cases that still wait for one."""
    # A NUL is in no name, and the database would not even compare it.
    typed = searched(request)
    text = typed.get("q", "").replace("\x00", "").strip()[:200]
    state = typed.get("state", "")
    counts = access.waiting_counts(person_of(request))
    tabs = [_tab("", "All", sum(counts.values()), state)]
    for key, (label, states) in access.TABS.items():
        tabs.append(_tab(key, label, sum(counts.get(name, 0) for name in states), state))
    if overturned := access.count_overturned(person_of(request)):
        tabs.append(_tab(access.OVERTURNED, "Decision overturned", overturned, state))
    found = access.search_referrals(person_of(request), state=state, text=text)
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    if text:
        audit.record(
            AuditEvent.REFERRALS_SEARCHED, actor=person_of(request), found=page.paginator.count
        )
    unreferred = access.unreferred_cases_for(person_of(request))
    waiting = unreferred[:WAITING]
    return render(
        request,
        "referrals/list.html",
        {
            "page": page,
            "lines": _lines(page),
            "tabs": tabs,
            "state": state,
            "filter_form": FilterForm(typed or None),
            "waiting": waiting,
            "waiting_count": unreferred.count(),
        },
    )


def _lines(page: Page[Referral]) -> list[tuple[Referral, Fallen | None]]:
    overturned = fallen(page)
    return [(referral, overturned.get(referral.pk)) for referral in page]


def _tab(key: str, label: str, count: int, current: str) -> dict[str, Any]:
    url = reverse("referrals:list") + (f"?state={key}" if key else "")
    return {"label": label, "url": url, "count": count, "current": key == current}


@requires(Permission.REFERRALS_DRAFT)
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    """Choose the agency and open a draft."""
    case = access.get_referable_case_for(person_of(request), case_id)
    form = OpenForm(request.POST or None, user=person_of(request))
    if request.method == "POST" and form.is_valid():
        referral = actions.open_referral(
            case, recipient=form.cleaned_data["recipient"], actor=person_of(request)
        )
        messages.success(request, f"{referral} is open as a draft.")
        return redirect("referrals:detail", referral.pk)
    status = 422 if request.method == "POST" else 200
    has_recipients = access.recipients_for(person_of(request), only_active=True).exists()
    return render(
        request,
        "referrals/new.html",
        {"case": case, "form": form, "has_recipients": has_recipients},
        status=status,
    )


@requires(Permission.REFERRALS_VIEW)
@require_http_methods(["GET", "HEAD", "POST"])
def detail(request: HttpRequest, referral_id: uuid.UUID) -> HttpResponseBase:
    """The referral: its draft, its completeness, its approval, its package."""
    referral = access.get_referral_for(person_of(request), referral_id)
    if request.method == "POST":
        return save(request, referral_id)
    _record_view(request, referral)
    return _page(request, referral)


def _record_view(request: HttpRequest, referral: Referral) -> None:
    audit.record(
        AuditEvent.REFERRAL_VIEWED, actor=person_of(request), subject=referral, case=referral.case
    )


@requires(Permission.REFERRALS_DRAFT)
def save(request: HttpRequest, referral_id: uuid.UUID) -> HttpResponse:
    """Save the draft; with ``next=request`` ask for approval in the same breath."""
    referral = access.get_referral_for(person_of(request), referral_id)
    draft = _draft(request, referral, request.POST)
    shown = {name: request.GET[name] for name in LISTS if name in request.GET}
    if not draft.is_valid():
        return _page(request, referral, draft=draft, status=422)
    try:
        referral = actions.update_draft(
            referral,
            changes=draft.changes(),
            version=draft.form.cleaned_data["version"],
            actor=person_of(request),
        )
    except Invalid as invalid:
        for field, sentences in invalid.errors.items():
            draft.form.add_error(field or None, sentences)
        return _page(request, referral, draft=draft, status=422)
    except actions.DraftChanged as refused:
        # The page keeps what was typed, so that it can be carried over to the version that stands.
        return _page(request, referral, draft=draft, conflict=refused.message, status=409)
    asked = request.POST.get("next", "")
    if asked == "request":
        try:
            actions.request_approval(referral, version=referral.version, actor=person_of(request))
        except (actions.NotComplete, actions.Overturned) as refused:
            draft = _saved(request, referral)
            return _page(request, referral, draft=draft, incomplete=refused.message, status=409)
        messages.success(request, "Approval was asked for. A second person will look at it.")
        return redirect("referrals:detail", referral.pk)
    messages.success(request, "Draft saved.")
    name, _, number = asked.partition(":")
    if name in LISTS:
        shown[name] = number
    there = reverse("referrals:detail", args=[referral.pk])
    query = f"?{urlencode(shown)}" if shown else ""
    return redirect(there + query + (f"#{name}-title" if name in LISTS else ""))


def _list_page(request: HttpRequest, name: str, rows: QuerySet[Any]) -> Page[Any]:
    """Return the part of a list that the address asks for: a case may have many thousand items."""
    return Paginator(rows, LINES).get_page(request.GET.get(name))


def _exhibits(request: HttpRequest, referral: Referral) -> Page[Exhibit]:
    rows = referral.exhibits.select_related("item__blob").order_by("position", "pk")
    return _list_page(request, "exhibits", rows)


def _saved(request: HttpRequest, referral: Referral) -> Draft:
    """Return the draft as it was just saved, with a sentence at each field on this page that approval waits for."""
    data = request.POST.copy()
    data["version"] = str(referral.version)
    draft = _draft(request, referral, data)
    if draft.is_valid():
        draft.say_what_nobody_said()
    return draft


def _draft(request: HttpRequest, referral: Referral, data: QueryDict | None = None) -> Draft:
    accounts = referral.named_accounts.select_related("account", "role_set_by")
    accounts = accounts.order_by("position", "pk")
    return Draft(
        referral,
        exhibits=_exhibits(request, referral),
        accounts=_list_page(request, "accounts", accounts),
        user=person_of(request),
        data=data,
    )


def _page(
    request: HttpRequest,
    referral: Referral,
    *,
    draft: Draft | None = None,
    conflict: str = "",
    incomplete: str = "",
    status: int = 200,
) -> HttpResponse:
    may_edit = person_of(request).may(Permission.REFERRALS_DRAFT) and not why_not(
        Step.EDIT, referral.state
    )
    draft = draft or _draft(request, referral)
    rows = [row for row, _ in draft.exhibits]
    seen, where = access.looks_at_exhibits(referral, rows), places_of(referral.case, rows)
    return render(
        request,
        "referrals/detail.html",
        {
            **_state_context(request, referral),
            "steps": steps_shown(referral.state),
            "draft": draft,
            "conflict": conflict,
            "incomplete": incomplete,
            "may_edit": may_edit,
            "incident_words": incident_words(referral),
            "exhibits": [_exhibit(row, seen, where, form) for row, form in draft.exhibits],
            "exhibit_page": draft.exhibit_page,
            "account_lines": _account_lines(referral, draft),
            "page_without_part": _page_without_part(referral) if incomplete else "",
            **_contents(request, referral),
            "return_form": ReasonForm(),
            "notice_form": ReasonForm(what=NOTICE, id="notice"),
            "revise_form": ReasonForm(what="What the correction is", id="revise"),
        },
        status=status,
    )


def _exhibit(
    row: Exhibit,
    seen: dict[Any, Any],
    where: dict[Any, list[SafeString]],
    form: ExhibitForm | None = None,
) -> dict[str, Any]:
    looks = seen.get(row.item.blob_id, [])
    return {
        "row": row,
        "form": form,
        "name": exhibit_name(row.position),
        "viewed": seen_in_words(looks),
        "places": where.get(row.item.blob_id, []),
        "is_viewed": most_seen(looks) == Seen.VIEWED,
    }


def _page_without_part(referral: Referral) -> str:
    return str(access.page_without_part(referral, lines=LINES) or "")


def _account_lines(referral: Referral, draft: Draft) -> list[dict[str, Any]]:
    """Return each account with its form, what the rows propose for it and where it stands in the case's group."""
    ids = [row.account_id for row, _ in draft.accounts]
    proposed, placed = proposals(referral, ids), places(referral.case, ids)
    return [
        {
            "row": row,
            "form": form,
            "proposal": None if row.role_set_by_id else proposed.get(row.account_id),
            "place": placed.get(row.account_id, ""),
        }
        for row, form in draft.accounts
    ]


def _contents(request: HttpRequest, referral: Referral) -> dict[str, Any]:
    """Return the meter, and what goes in: accounts with how much is known of each, groups, reports, texts."""
    facts = actions.read_facts(referral)
    named = referral.named_accounts.filter(is_included=True).select_related(
        "account", "role_set_by"
    )
    reports, groups = access.reports_in(referral), access.groups_in(referral)
    page = _list_page(request, "accounts", named.order_by("position", "pk"))
    known = access.known_of([row.account_id for row in page])
    return {
        "meter": measure(facts),
        "account_page": page,
        "accounts": [(row, known[row.account_id]) for row in page],
        "reports": reports[:SHOWN],
        "report_count": reports.count(),
        "groups": groups[:SHOWN],
        "group_count": groups.count(),
        "members": access.members_in(referral),
        "left_out": left_out(referral),
        "many_without_part": facts.accounts_without_part > MANY,
        "text_count": facts.messages,
        "talks": talks_of(referral),
        "case_url": reverse("moderation:case", args=[referral.case_id]),
    }


def _state_context(request: HttpRequest, referral: Referral) -> dict[str, Any]:
    package = getattr(referral, "package", None) if referral.state == "sealed" else None
    person = person_of(request)
    overturned = fallen_one(referral)
    # Who may approve is said as long as somebody has to.
    waits = referral.state in {ReferralState.DRAFT, ReferralState.AWAITING_APPROVAL}
    waits = waits and overturned is None
    approvers = access.possible_approvers(referral) if waits else []
    return {
        "referral": referral,
        "overturned": overturned,
        "may_revise": referral.state == ReferralState.SEALED and may_leave(referral.case),
        "case": referral.case,
        "package": package,
        "downloads": package.downloads.select_related("user").order_by("-at")[:WAITING]
        if package
        else [],
        "more_downloads": max(0, package.downloads.count() - WAITING) if package else 0,
        "is_author": person.pk in {referral.drafted_by_id, referral.requested_by_id},
        "against": actions.and_list(actions.reasons_against(referral, person)),
        "approvers": [(someone, actions.and_list(against)) for someone, against in approvers],
        "can_be_approved": any(not against for _, against in approvers),
        "sealing_keys": access.sealing_keys_of(referral),
        "later": getattr(referral, "superseded_by", None),
        "is_moving": referral.state in {ReferralState.APPROVED, ReferralState.BUILDING},
    }


@requires(Permission.REFERRALS_VIEW)
@require_safe
def state(request: HttpRequest, referral_id: uuid.UUID) -> HttpResponse:
    """The state panel alone, asked for again and again while the package is built.

    When there is nothing more to wait for, the browser loads the whole page: its steps, contents and
    dialogs are others then.
    """
    referral = access.get_referral_for(person_of(request), referral_id)
    context = _state_context(request, referral)
    response = render(request, "referrals/_state.html", context)
    if not context["is_moving"]:
        response["HX-Refresh"] = "true"
    return response


def _back(referral: Referral) -> HttpResponse:
    return redirect("referrals:detail", referral.pk)


def _reason(request: HttpRequest) -> str:
    form = ReasonForm(request.POST)
    if not form.is_valid():
        raise Invalid({field: list(map(str, found)) for field, found in form.errors.items()})
    return str(form.cleaned_data["reason"])


def _version(request: HttpRequest) -> int:
    raw = request.POST.get("version", "")
    if not raw.isdecimal() or len(raw) > 9:
        raise Invalid({"version": ["The form is incomplete. Load the page again."]})
    return int(raw)


@requires(Permission.REFERRALS_DRAFT)
@require_POST
def refresh(request: HttpRequest, referral_id: uuid.UUID) -> HttpResponse:
    """Add what joined the case since the draft was opened."""
    referral = access.get_referral_for(person_of(request), referral_id)
    added = actions.refresh_draft(referral, actor=person_of(request))
    plural = "exhibit or account was" if added == 1 else "exhibits and accounts were"
    words = f"{added} new {plural} added." if added else "Nothing new has joined the case."
    messages.info(request, words)
    return _back(referral)


@requires(Permission.REFERRALS_DRAFT)
@require_POST
def request_approval(request: HttpRequest, referral_id: uuid.UUID) -> HttpResponse:
    """Ask a second person."""
    referral = access.get_referral_for(person_of(request), referral_id)
    actions.request_approval(referral, version=_version(request), actor=person_of(request))
    messages.success(request, "Approval was asked for. A second person will look at it.")
    return _back(referral)


@requires(Permission.REFERRALS_DRAFT)
@require_POST
def withdraw(request: HttpRequest, referral_id: uuid.UUID) -> HttpResponse:
    """Take the request back."""
    referral = access.get_referral_for(person_of(request), referral_id)
    actions.withdraw_request(referral, actor=person_of(request))
    messages.info(request, "The request was withdrawn; this is a draft again.")
    return _back(referral)


@requires(Permission.REFERRALS_APPROVE, recent_login=True)
@require_http_methods(["GET", "HEAD", "POST"])
def approve(request: HttpRequest, referral_id: uuid.UUID) -> HttpResponse:
    """Look at exactly what will leave, and approve it."""
    referral = access.get_referral_for(person_of(request), referral_id)
    if request.method == "POST":
        actions.approve(referral, version=_version(request), actor=person_of(request))
        messages.success(request, "Approved. The package is being built.")
        return _back(referral)
    _record_view(request, referral)
    page = _exhibits(request, referral)
    seen, where = access.looks_at_exhibits(referral, page), places_of(referral.case, page)
    return render(
        request,
        "referrals/approve.html",
        {
            **_state_context(request, referral),
            "return_form": ReasonForm(),
            "exhibits": [_exhibit(row, seen, where) for row in page],
            "exhibit_page": page,
            **_contents(request, referral),
            "refusal": why_not(Step.APPROVE, referral.state)
            or ("" if may_leave(referral.case) else NOTHING_LEAVES),
        },
    )


@requires(Permission.REFERRALS_APPROVE)
@require_POST
def send_back(request: HttpRequest, referral_id: uuid.UUID) -> HttpResponse:
    """Return it to its author with a reason."""
    referral = access.get_referral_for(person_of(request), referral_id)
    actions.return_for_correction(referral, reason=_reason(request), actor=person_of(request))
    messages.info(request, "Returned for correction.")
    return _back(referral)


@requires(Permission.REFERRALS_APPROVE)
@require_POST
def build_again(request: HttpRequest, referral_id: uuid.UUID) -> HttpResponse:
    """Try a failed build once more."""
    referral = access.get_referral_for(person_of(request), referral_id)
    actions.build_again(referral, actor=person_of(request))
    messages.info(request, "The package is being built again.")
    return _back(referral)


@requires(Permission.REFERRALS_DRAFT)
@require_POST
def note_overturn(request: HttpRequest, referral_id: uuid.UUID) -> HttpResponse:
    """Note what was done about a sealed package whose decision was overturned."""
    referral = access.get_referral_for(person_of(request), referral_id)
    actions.note_overturn(referral, words=_reason(request), actor=person_of(request))
    messages.success(request, "Noted. It stays on this page.")
    return _back(referral)


@requires(Permission.REFERRALS_DRAFT)
@require_POST
def revise(request: HttpRequest, referral_id: uuid.UUID) -> HttpResponse:
    """Open the next revision of a sealed package."""
    referral = access.get_referral_for(person_of(request), referral_id)
    revision = actions.open_revision(referral, reason=_reason(request), actor=person_of(request))
    messages.success(request, f"{revision} is open as a draft.")
    return _back(revision)
