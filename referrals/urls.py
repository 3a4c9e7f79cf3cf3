"""Addresses of the referrals room."""

from django.urls import path

from referrals import package_views, recipient_views, views

app_name = "referrals"
urlpatterns = [
    path("referrals/", views.listing, name="list"),
    path("referrals/new/<uuid:case_id>/", views.new, name="new"),
    path("referrals/<uuid:referral_id>/", views.detail, name="detail"),
    path("referrals/<uuid:referral_id>/state/", views.state, name="state"),
    path("referrals/<uuid:referral_id>/refresh/", views.refresh, name="refresh"),
    path("referrals/<uuid:referral_id>/request/", views.request_approval, name="request"),
    path("referrals/<uuid:referral_id>/withdraw/", views.withdraw, name="withdraw"),
    path("referrals/<uuid:referral_id>/approve/", views.approve, name="approve"),
    path("referrals/<uuid:referral_id>/return/", views.send_back, name="return"),
    path("referrals/<uuid:referral_id>/build-again/", views.build_again, name="build_again"),
    path("referrals/<uuid:referral_id>/revise/", views.revise, name="revise"),
    path("referrals/<uuid:referral_id>/overturned/", views.note_overturn, name="note_overturn"),
    path("referrals/<uuid:referral_id>/package/", package_views.download, name="package"),
    path("referrals/<uuid:referral_id>/package.sha256", package_views.checksum, name="checksum"),
    path("referrals/allowed-signers", package_views.allowed_signers, name="allowed_signers"),
    path("referrals/registry.json", package_views.registry, name="registry"),
    path("recipients/", recipient_views.listing, name="recipients"),
    path("recipients/new/", recipient_views.new, name="recipient_new"),
    path("recipients/<uuid:recipient_id>/", recipient_views.edit, name="recipient"),
    path("recipients/<uuid:recipient_id>/keys/", recipient_views.add_keys, name="recipient_keys"),
    path(
        "recipients/<uuid:recipient_id>/keys/<uuid:key_id>/confirm/",
        recipient_views.confirm_key,
        name="confirm_key",
    ),
    path(
        "recipients/<uuid:recipient_id>/keys/<uuid:key_id>/withdraw/",
        recipient_views.withdraw_key,
        name="withdraw_key",
    ),
]
