"""Videos on hash lists."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import person_of, requires
from accounts.permissions import Permission
from core.errors import Invalid, Refused
from hashing import access, actions, video_access
from hashing.forms import RetireForm
from hashing.video_forms import VideoForm
from hashing.views.lists import add_errors

VIDEOS_A_PAGE = 20


@require_safe
@requires(Permission.HASHING_LISTS_VIEW)
def listing(request: HttpRequest, list_id: uuid.UUID) -> HttpResponse:
    """The videos of a list; asks again by itself while one of them waits to be watched."""
    hash_list = access.get_hash_list_for(person_of(request), list_id)
    page = Paginator(video_access.videos_of(hash_list), VIDEOS_A_PAGE).get_page(
        request.GET.get("page")
    )
    context = {
        "hash_list": hash_list,
        "page": page,
        "is_moving": any(video.state == "waiting" for video in page),
    }
    is_fragment = request.headers.get("HX-Target") == "videos"
    template = "hashing/_videos.html" if is_fragment else "hashing/videos.html"
    return render(request, template, context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_LISTS_EDIT)
def new(request: HttpRequest, list_id: uuid.UUID) -> HttpResponse:
    """Put a video on a list, by its file or by the hashes of its frames."""
    hash_list = access.get_hash_list_for(person_of(request), list_id)
    form = VideoForm(request.POST or None, request.FILES or None)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            said, person = form.cleaned_data, person_of(request)
            try:
                if said.get("parsed"):
                    actions.add_video(hash_list, said["parsed"], note=said["note"], actor=person)
                    words = "The video is on the list and counts from the next item on."
                else:
                    blob = said["file"].blob
                    actions.add_video_file(hash_list, blob, note=said["note"], actor=person)
                    words = "The video is stored. A worker watches it now."
            except Invalid as invalid:
                add_errors(form, invalid)
            except Refused as refused:
                form.add_error(None, refused.message)
                status = refused.status
            else:
                messages.success(request, words)
                return redirect("hashing:list_videos", hash_list.pk)
    return render(
        request, "hashing/video_form.html", {"form": form, "hash_list": hash_list}, status=status
    )


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Permission.HASHING_LISTS_EDIT)
def retire(request: HttpRequest, video_id: int) -> HttpResponse:
    """Take a video out of force, with a reason."""
    video = video_access.get_video_for(person_of(request), video_id)
    form = RetireForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            actions.retire_video(video, **form.cleaned_data, actor=person_of(request))
        except Invalid as invalid:
            add_errors(form, invalid)
        else:
            messages.success(request, "The video is retired and matches nothing from now on.")
            return redirect("hashing:list_videos", video.hash_list_id)
    status = 422 if request.method == "POST" else 200
    return render(
        request, "hashing/video_retire.html", {"form": form, "video": video}, status=status
    )


@require_POST
@requires(Permission.HASHING_LISTS_EDIT)
def restore(request: HttpRequest, video_id: int) -> HttpResponse:
    """Put a retired video in force again."""
    video = video_access.get_video_for(person_of(request), video_id)
    actions.restore_video(video, actor=person_of(request))
    messages.success(request, "The video is in force again.")
    return redirect("hashing:list_videos", video.hash_list_id)
