"""Addresses of the people room, grouped by what they are about."""

from django.urls import URLPattern, path

from accounts.views import audit, jobs, own, people, second_factor, session

app_name = "accounts"
urlpatterns: list[URLPattern] = [
    # Sessions
    path("sign-in/", session.sign_in, name="sign_in"),
    path("sign-in/code/", session.second_factor, name="second_factor"),
    path("sign-out/", session.sign_out, name="sign_out"),
    path("confirm/", session.confirm, name="confirm"),
    path("session/idle/", session.idle, name="idle"),
    path("session/stay/", session.stay, name="stay"),
    path("theme/", own.theme, name="theme"),
    # New accounts
    path("invitation/", session.accept_invitation, name="invitation"),
    path("new-password/", session.new_password, name="new_password"),
    path("set-up/", session.first_set_up, name="set_up"),
    # One's own account
    path("account/", own.profile, name="profile"),
    path("account/name/", own.name, name="name"),
    path("account/keys/", own.keys, name="keys"),
    path("account/password/", own.password, name="password"),
    path("account/sessions/end/", own.end_other_sessions, name="end_other_sessions"),
    path("account/second-factor/", second_factor.set_up, name="totp_set_up"),
    path("account/recovery-codes/", second_factor.recovery_codes, name="recovery_codes"),
    # Administration
    path("people/", people.index, name="people"),
    path("people/invite/", people.invite, name="invite"),
    path("people/invitations/", people.invitations, name="invitations"),
    path(
        "people/invitations/<uuid:id>/revoke/",
        people.revoke_invitation,
        name="revoke_invitation",
    ),
    path("people/requests/", people.requests, name="requests"),
    path("people/requests/<uuid:id>/confirm/", people.confirm_request, name="confirm_request"),
    path("people/requests/<uuid:id>/cancel/", people.cancel_request, name="cancel_request"),
    path("people/<uuid:id>/", people.person, name="person"),
    path("people/<uuid:id>/role/", people.change_role, name="change_role"),
    path("people/<uuid:id>/deactivate/", people.deactivate, name="deactivate"),
    path("people/<uuid:id>/reactivate/", people.reactivate, name="reactivate"),
    path("people/<uuid:id>/unlock/", people.unlock, name="unlock"),
    path("people/<uuid:id>/password-link/", people.password_link, name="password_link"),
    path(
        "people/<uuid:id>/second-factor/reset/",
        people.reset_second_factor,
        name="reset_second_factor",
    ),
    # Audit and operations
    path("audit/", audit.index, name="audit"),
    path("audit/export/", audit.export, name="audit_export"),
    path("audit/check/", audit.check, name="audit_check"),
    path("audit/check/state/", audit.check_state, name="audit_check_state"),
    path("audit/<int:id>/", audit.entry, name="audit_entry"),
    path("jobs/", jobs.index, name="jobs"),
]
