"""How casework answers a form that could not be carried out, for people and for scripts."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.access import person_of, sign_in_of
from core.errors import Refused
from core.views import wants_problem
from moderation import access, case_page
from moderation.models import Case


def see(address: str) -> HttpResponse:
    """Send the browser on with a GET, whatever it sent (303)."""
    return HttpResponse(status=303, headers={"Location": address})


def refused_page(request: HttpRequest, case: Case, refused: Refused) -> HttpResponse:
    """Show the case as it is now, with the sentence that says why the verb was refused.

    Scripts get the problem document instead.
    """
    if wants_problem(request):
        raise refused
    fresh = access.get_case_for(person_of(request), case.pk)
    context = case_page.context(
        fresh, user=person_of(request), sign_in=sign_in_of(request), refusal=refused.message
    )
    return render(request, "moderation/case.html", context, status=refused.status)
