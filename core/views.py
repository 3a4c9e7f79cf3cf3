"""Health, error pages and refusals: answers that belong to no room."""

from __future__ import annotations

import logging
import sys
from datetime import timedelta
from typing import Any

import redis
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from core import disk
from core.errors import (
    DISK_RETRY_SECONDS,
    RETRY_AFTER_SECONDS,
    Invalid,
    Refused,
    UploadRefused,
    UploadTooLarge,
    VaultDamage,
    VaultDestroyed,
    describe,
    disk_full_sentence,
    is_contention,
    is_database_down,
    problem,
    problem_for,
)
from core.postgres_link import answer_within
from core.valkey_link import Resting, valkey

log = logging.getLogger(__name__)

HEALTH_SECONDS = 2.0
"""How long ``/healthz`` waits for each answer of the database. The web server itself answers after 4.5 s."""


def wants_problem(request: HttpRequest) -> bool:
    """Return whether a program is asking: the machine API, or a script that accepts JSON only."""
    if request.path.startswith("/api/"):
        return True
    accept = request.headers.get("Accept", "")
    return "json" in accept and "html" not in accept


def _is_htmx(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true" and "HX-Boosted" not in request.headers


def _page(
    request: HttpRequest, status: int, title: str, message: str, *, retry: bool = False
) -> HttpResponse:
    """Return a refusal for people: a fragment for htmx, else a page.

    ``retry`` means that the database is away: the page is then made without asking who is signed in.
    """
    context = {
        "title": title,
        "message": message,
        "back_href": _back(request),
        "back_label": "Back",
        "id": request.headers.get("HX-Target", "") or "refused",
        "status": status,
    }
    if _is_htmx(request):
        template, within = "ui/refused_fragment.html", None
    elif not retry and hasattr(request, "user") and request.user.is_authenticated:
        template, within = "ui/refused.html", request
    else:
        template, within = "core/refused.html", None
    response = HttpResponse(render_to_string(template, context, request=within), status=status)
    if retry:
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


_LOST = {
    403: (
        "You may not open this",
        "Your role does not include this page. If you need it for your work, ask an administrator.",
    ),
    404: (
        "Not found",
        "There is nothing at this address that you can see. It may have moved, or it may belong to another team.",
    ),
    500: (
        "Something went wrong on our side",
        "Nothing you did caused this. The error has been written to the log. Try again in a moment.",
    ),
}


def _lost(request: HttpRequest, status: int) -> HttpResponse:
    """Return the page of a 403, 404 or 500: in the frame of the other pages for whoever is signed in."""
    title, message = _LOST[status]
    back = _back(request)
    context = {"title": title, "message": message, "status": status, "back_label": "Back"}
    context["back_href"] = "" if back in {"/", request.get_full_path()} else back
    if _is_htmx(request):
        return HttpResponse(render_to_string("ui/refused_fragment.html", context), status=status)
    try:
        if request.user.is_authenticated:
            page = render_to_string("core/lost.html", context, request=request)
            return HttpResponse(page, status=status)
    except Exception as failed:  # noqa: BLE001 — whatever broke the page may break its frame as well
        log.warning("error page without its frame: %s", describe(failed))
    context |= {"back_href": "/", "back_label": "Go to the start page"}
    return HttpResponse(render_to_string("core/refused.html", context), status=status)


def _back(request: HttpRequest) -> str:
    from urllib.parse import urlsplit

    referer = urlsplit(request.headers.get("Referer", ""))
    # "//host" would be another site's address.
    own = referer.netloc == request.META.get("HTTP_HOST") and referer.path.startswith("/")
    if own and not referer.path.startswith("//"):
        return referer.path + (f"?{referer.query}" if referer.query else "")
    return "/"


def response_for(request: HttpRequest, exc: BaseException) -> HttpResponse | None:
    """Return the answer to one of our exceptions, or None when it is not ours to answer."""
    if isinstance(exc, VaultDamage) and not isinstance(exc, VaultDestroyed):
        log.error("vault damage: blob %s: %s", exc.blob_id, exc.reason)
    if wants_problem(request):
        return problem_for(exc)
    answer: tuple[int, str, str] | None = None
    if isinstance(exc, Refused):
        answer = (exc.status, "This is not possible now", exc.message)
    elif isinstance(exc, Invalid):
        answer = (422, "Something in the form is not right", str(exc))
    elif isinstance(exc, UploadRefused):
        answer = (
            403,
            "This file was not taken",
            "Your session has ended, or you may not send files here. Nothing of it was kept.",
        )
    elif isinstance(exc, UploadTooLarge):
        answer = (413, "The file is too large", str(exc))
    elif isinstance(exc, RequestDataTooBig):
        answer = (413, "The form is too large", "Send less at once, then try again.")
    elif isinstance(exc, VaultDestroyed):
        answer = (
            410,
            "This original was destroyed",
            "Its key was erased on purpose. Digests and the record of what happened remain.",
        )
    elif isinstance(exc, VaultDamage):
        answer = (
            500,
            "A stored original cannot be read",
            (
                f"Original {exc.blob_id}: {exc.reason}. Nothing was decided because of it. Tell an "
                "administrator: they can run verify_vault to see how far the damage goes."
            ),
        )
    elif (holds := disk.full_disk(exc)) is not None:
        log.error("disk full: %s: %s", holds, describe(exc))
        answered = _page(request, 503, "A disk is full", disk_full_sentence(holds), retry=True)
        answered["Retry-After"] = str(DISK_RETRY_SECONDS)
        return answered
    elif is_database_down(exc):
        log.error("database not reachable: %s", describe(exc))
        return _page(
            request,
            503,
            "Holdfast cannot reach its database",
            "Nothing you sent was lost that had been confirmed. Try again in a few seconds, and look first whether "
            "your last step was taken: its confirmation may be all that is missing.",
            retry=True,
        )
    elif is_contention(exc):
        answer = (
            503,
            "Others were faster",
            "Somebody changed the same thing at this moment. Nothing of yours was done: try again.",
        )
    if answer is None:
        return None
    return _page(request, *answer)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's 400: also where an upload that is too large arrives, from before the view."""
    answer = response_for(request, exception)
    if answer is not None:
        return answer
    if wants_problem(request):
        return problem(400, "Bad request", "The request could not be read.", code="bad_request")
    return _page(request, 400, "The request could not be read", "Go back and try once more.")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's 403: visible, but not for this role."""
    if isinstance(exception, UploadRefused) and (answer := response_for(request, exception)):
        return answer
    if wants_problem(request):
        return problem_for(PermissionDenied(str(exception))) or problem(403, "Forbidden")
    return _lost(request, 403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's 404: not there, or not visible; the answer is the same."""
    if wants_problem(request):
        return problem(404, "Not found", code="not_found")
    return _lost(request, 404)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's 500. The database being away arrives here from any middleware: that is a 503."""
    exc = sys.exc_info()[1]
    if exc is not None:
        answer = response_for(request, exc)
        if answer is not None:
            return answer
    if wants_problem(request):
        return problem(
            500, "Internal error", "The error has been written to the log.", code="error"
        )
    return _lost(request, 500)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The form's token is missing or old. Nothing of the form was used."""
    sentence = (
        "This form was opened too long ago, or in another session. Nothing was changed. "
        "Go back: the form is still there with what you entered. Send it again; if it is refused once more, copy your "
        "words, reload that page and enter them anew."
    )
    if wants_problem(request):
        return problem(403, "Forbidden", sentence, code="csrf")
    return _page(request, 403, "This form could not be taken", sentence)


@require_safe
@never_cache
@login_not_required
def health(request: HttpRequest) -> HttpResponse:
    """Say whether the installation can work: 200 or 503, without any detail worth stealing.

    With ``?deep=1`` also whether work gets done: each stage's oldest waiting row against its limit. It then
    is 503 unless everything is well: for whoever watches, not for a balancer.
    """
    parts: dict[str, Any] = {
        "database": _database(),
        "valkey": _valkey(),
        "scheduler": "unknown",
        "disk": _disk(),
    }
    if parts["database"] == "ok":
        parts["scheduler"] = _scheduler()
    # Without Valkey or the scheduler reports are still taken; only the database is vital.
    healthy = parts["database"] == "ok"
    status = "ok" if all(v == "ok" for v in parts.values()) else "degraded" if healthy else "down"
    if request.GET.get("deep") == "1" and healthy:
        parts |= _deep()
        late = any(stage["late"] for stage in parts["stages"])
        status = "ok" if status == "ok" and not late and parts["clock"] == "ok" else "degraded"
        healthy = status == "ok"
    response = JsonResponse({"status": status, **parts}, status=200 if healthy else 503)
    if not healthy:
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _database() -> str:
    try:
        with answer_within(HEALTH_SECONDS), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Exception as failed:  # noqa: BLE001 — any failure is the answer
        log.warning("health: database: %s", describe(failed))
        return "down"
    return "ok"


def _valkey() -> str:
    """Return ``ok``, ``silent`` for one that takes questions and does not answer, or ``down``."""
    try:
        valkey().ping()
    except Resting as resting:  # Not asked: whoever found out has just waited for it.
        return "silent" if resting.was_silent else "down"
    except redis.TimeoutError:
        return "silent"
    except (redis.RedisError, OSError):
        return "down"
    return "ok"


def _disk() -> str:
    """Return ``ok``, or ``full: `` and what lies on the full disks."""
    try:
        found = disk.full()
    except OSError as failed:
        log.warning("health: disk: %s", describe(failed))
        return "unknown"
    return f"full: {', '.join(found)}" if found else "ok"


def _deep() -> dict[str, Any]:
    from core import doctor, stages

    measured = stages.measure_now_and_then()
    return {
        "clock": "put back" if doctor.clock_jump() else "ok",
        "stages": [
            {
                "stage": found.stage.key,
                "waiting": found.waiting,
                "oldest_seconds": round(found.waited.total_seconds()) if found.waited else 0,
                "limit_seconds": found.stage.limit_seconds,
                "late": found.is_late,
                "process": found.process,
            }
            for found in measured
        ],
    }


def _scheduler() -> str:
    from django.db.models.functions import Now

    from core.models import Heartbeat

    grace = timedelta(seconds=max(30, settings.HOLDFAST_SWEEP_SECONDS * 6))
    try:
        alive = Heartbeat.objects.filter(
            kind=Heartbeat.Kind.SCHEDULER, at__gt=Now() - grace
        ).exists()
    except DatabaseError:
        return "unknown"
    return "ok" if alive else "late"
