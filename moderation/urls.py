"""Addresses of casework, grouped by what they are about."""

from django.urls import URLPattern, URLResolver, path

from moderation import delivery_views
from moderation.views import (
    appeals,
    cases,
    decisions,
    home,
    listing,
    media,
    orders,
    overturns,
    policies,
    queues,
    replays,
)

app_name = "moderation"

_CASE = "cases/<uuid:id>/"
_ITEM = "cases/<uuid:id>/items/<uuid:item_id>/"

urlpatterns: list[URLPattern | URLResolver] = [
    path("", home.home, name="home"),
    # Queues
    path("queues/", queues.index, name="queues"),
    path("queues/access/", queues.grants, name="grants"),
    path("queues/<slug:slug>/", queues.queue, name="queue"),
    path("start/", queues.start, name="start"),
    path("queues/<slug:slug>/claim-next/", queues.claim_next, name="claim_next"),
    path("queues/<slug:slug>/people/", queues.queue_people, name="queue_people"),
    path("categories/<slug:category>/people/", queues.category_people, name="category_people"),
    # Cases
    path("cases/", queues.search, name="search"),
    path(_CASE, cases.case, name="case"),
    path(f"{_CASE}claim/", cases.claim, name="claim"),
    path(f"{_CASE}heartbeat/", cases.heartbeat, name="heartbeat"),
    path(f"{_CASE}extend/", cases.extend, name="extend"),
    path(f"{_CASE}release/", cases.release, name="release"),
    path(f"{_CASE}take-over/", cases.take_over, name="take_over"),
    path(f"{_CASE}move/", cases.move, name="move"),
    path(f"{_CASE}notes/", cases.note, name="note"),
    path(f"{_CASE}list-digests/", listing.list_digests, name="list_digests"),
    # Media
    path(f"{_ITEM}preview/", media.preview, name="preview"),
    path(f"{_ITEM}text/", media.text, name="text"),
    path("cases/<uuid:id>/conversation/", media.conversation, name="conversation"),
    path(f"{_ITEM}reveal/", media.reveal, name="reveal"),
    path("originals/<str:token>/", media.original, name="original"),
    path("reveals/<uuid:id>/close/", media.reveal_close, name="reveal_close"),
    # Decisions
    path(f"{_CASE}decide/", decisions.decide, name="decide"),
    path(f"{_CASE}decide/policy/", decisions.panel, name="policy_choice"),
    path(f"{_CASE}decide/consequence/", decisions.consequence, name="consequence"),
    path("decisions/undo-bar/", decisions.undo_bar, name="undo_bar"),
    path("decisions/<uuid:id>/undo/", decisions.undo, name="undo"),
    path("decisions/<uuid:id>/send-now/", decisions.send_now, name="send_now"),
    path("decisions/<uuid:id>/overturn/", overturns.overturn, name="overturn"),
    path("overturns/<uuid:id>/undo/", overturns.overturn_undo, name="overturn_undo"),
    # Policies
    path("policies/", policies.index, name="policies"),
    path("policies/<slug:code>/", policies.policy, name="policy"),
    # Deliveries and where the platform listens
    path("deliveries/", delivery_views.log, name="deliveries"),
    path("deliveries/replay/", replays.replay_span, name="replay_span"),
    path("deliveries/<uuid:id>/", delivery_views.delivery, name="delivery"),
    path("deliveries/<uuid:id>/replay/", delivery_views.replay, name="delivery_replay"),
    path("appeals/", appeals.appeals, name="appeals"),
    path("appeals/<uuid:id>/uphold/", appeals.appeal_uphold, name="appeal_uphold"),
    path("orders/", orders.orders, name="orders"),
    path("orders/<uuid:id>/seen/", orders.order_seen, name="order_seen"),
    path("orders/<uuid:id>/anew/", orders.order_anew, name="order_anew"),
    path("webhooks/", delivery_views.endpoints, name="webhooks"),
    path("webhooks/new/", delivery_views.endpoint_new, name="webhook_new"),
    path("webhooks/<uuid:id>/", delivery_views.endpoint, name="webhook"),
    path("webhooks/<uuid:id>/rotate/", delivery_views.endpoint_rotate, name="webhook_rotate"),
    path("webhooks/<uuid:id>/test/", delivery_views.endpoint_test, name="webhook_test"),
]
