"""Who may open which address: the whole table, written down on purpose a second time.

It repeats what ``accounts/permissions.py`` and the decorators say, so that a slip in either shows. A view
that is not here fails the suite, and so does a row without a view.

A row says what a role that *may* gets for an object that does not exist or that it was given no grant
for (404), or for a page without an object (200, or 302 and 422 for an empty form). Everybody else gets
403, people who are not signed in are led to sign in. ``None`` means that the method is not offered (405).
"""

from __future__ import annotations

from dataclasses import dataclass

from accounts.permissions import Role

REVIEWER, LEAD, POLICY_ADMIN = Role.REVIEWER, Role.LEAD, Role.POLICY_ADMIN
LEGAL, AUDITOR, ADMIN = Role.LEGAL, Role.AUDITOR, Role.ADMINISTRATOR

EVERYBODY = frozenset(Role)
REVIEWING = frozenset({REVIEWER, LEAD})
SEES_CASES = REVIEWING | {LEGAL}
SEES_LISTS = frozenset({LEAD, POLICY_ADMIN})
SEES_DELIVERIES = frozenset({LEAD, ADMIN})


def only(*roles: Role) -> frozenset[Role]:
    return frozenset(roles)


@dataclass(frozen=True)
class Row:
    """What people with one of ``roles`` get from a view by GET and POST."""

    name: str
    roles: frozenset[Role]
    get: int | None = None
    post: int | None = None


PUBLIC: dict[str, str] = {
    "health": "asked by load balancers",
    "accounts:sign_in": "the way in",
    "accounts:second_factor": "the second step of the way in; worth nothing without the first",
    "accounts:invitation": "opened by a one-time token",
    "accounts:new_password": "opened by a one-time token",
    "accounts:set_up": "opened by a one-time token, while nobody exists",
    "accounts:theme": "colours of the sign-in page",
    "api-1:api-root": "points at the documentation",
    "api-1:openapi-json": "documentation; holds no data",
    "api-1:openapi-view": "the same as a page",
}
"""Every view that answers somebody who is not signed in, and why. No other one may."""

API: dict[str, str] = {
    "api-1:post_report": "POST",
    "api-1:get_report": "GET",
    "api-1:list_reports": "GET",
    "api-1:post_media": "POST",
    "api-1:post_scan": "POST",
    "api-1:get_scan": "GET",
    "api-1:put_account": "PUT",
    "api-1:get_account": "GET",
    "api-1:get_group": "GET",
    "api-1:get_members": "GET",
    "api-1:put_group": "PUT",
    "api-1:put_members": "PUT",
    "api-1:post_batch": "POST",
    "api-1:post_hash": "POST",
    "api-1:post_match": "POST",
    "api-1:post_links": "POST",
    "api-1:get_key": "GET",
    "api-1:post_erasure": "POST",
    "api-1:get_erasure": "GET",
    "api-1:get_status": "GET",
    "api-1:get_vocabulary": "GET",
    "api-1:list_enforcements": "GET",
    "api-1:get_enforcement": "GET",
    "api-1:post_result": "POST",
    "api-1:post_replay": "POST",
    "api-1:post_appeal": "POST",
    "api-1:get_appeal": "GET",
    "api-1:get_replay": "GET",
}
"""The machine API: a source's key opens it, a person's session never does."""

ACCOUNTS = (
    Row("accounts:sign_out", EVERYBODY, post=302),
    Row("accounts:confirm", EVERYBODY, get=200, post=422),
    Row("accounts:idle", EVERYBODY, get=200, post=None),
    Row("accounts:stay", EVERYBODY, post=200),
    Row("accounts:profile", EVERYBODY, get=200),
    Row("accounts:name", EVERYBODY, post=422),
    Row("accounts:keys", EVERYBODY, post=302),
    Row("accounts:password", EVERYBODY, get=200, post=422),
    Row("accounts:end_other_sessions", EVERYBODY, post=302),
    Row("accounts:totp_set_up", EVERYBODY, get=200, post=422),
    Row("accounts:recovery_codes", EVERYBODY, post=200),
    Row("accounts:people", only(ADMIN), get=200, post=302),
    Row("accounts:invite", only(ADMIN), get=200, post=422),
    Row("accounts:invitations", only(ADMIN), get=200),
    Row("accounts:revoke_invitation", only(ADMIN), post=404),
    Row("accounts:requests", only(ADMIN), get=200),
    Row("accounts:confirm_request", only(ADMIN), post=404),
    Row("accounts:cancel_request", only(ADMIN), post=404),
    Row("accounts:person", only(ADMIN), get=404),
    Row("accounts:change_role", only(ADMIN), post=404),
    Row("accounts:deactivate", only(ADMIN), post=404),
    Row("accounts:reactivate", only(ADMIN), post=404),
    Row("accounts:unlock", only(ADMIN), post=404),
    Row("accounts:password_link", only(ADMIN), post=404),
    Row("accounts:reset_second_factor", only(ADMIN), post=404),
)

MODERATION = (
    Row("moderation:home", EVERYBODY, get=200),
    Row("moderation:queues", SEES_CASES, get=200),
    Row("moderation:grants", only(ADMIN), get=200),
    Row("moderation:queue", REVIEWING, get=404),
    Row("moderation:start", REVIEWING, post=303),
    Row("moderation:claim_next", REVIEWING, post=404),
    Row("moderation:queue_people", only(ADMIN), get=404, post=404),
    Row("moderation:category_people", only(ADMIN), get=404, post=404),
    Row("moderation:search", SEES_CASES, get=200, post=302),
    Row("moderation:case", SEES_CASES, get=404),
    Row("moderation:claim", REVIEWING, post=404),
    Row("moderation:heartbeat", REVIEWING, post=404),
    Row("moderation:extend", REVIEWING, post=404),
    Row("moderation:release", REVIEWING, post=404),
    Row("moderation:take_over", only(LEAD), post=404),
    Row("moderation:move", only(LEAD), post=404),
    Row("moderation:note", REVIEWING, post=404),
    Row("moderation:list_digests", only(LEAD), post=404),
    Row("moderation:preview", REVIEWING, get=404),
    Row("moderation:text", REVIEWING, get=404),
    Row("moderation:conversation", REVIEWING, get=404),
    Row("moderation:reveal", REVIEWING, post=404),
    Row("moderation:original", REVIEWING, get=410),
    Row("moderation:reveal_close", REVIEWING, post=404),
    Row("moderation:decide", REVIEWING, post=404),
    Row("moderation:policy_choice", REVIEWING, get=404),
    Row("moderation:consequence", REVIEWING, get=404),
    Row("moderation:undo_bar", REVIEWING, get=200),
    Row("moderation:undo", REVIEWING, post=404),
    Row("moderation:send_now", REVIEWING, post=404),
    Row("moderation:overturn", only(LEAD), get=404, post=404),
    Row("moderation:overturn_undo", only(LEAD), post=404),
    Row("moderation:deliveries", SEES_DELIVERIES, get=200),
    Row("moderation:replay_span", only(LEAD), get=200, post=422),
    Row("moderation:delivery", SEES_DELIVERIES, get=404),
    Row("moderation:delivery_replay", only(LEAD), post=404),
    Row("moderation:appeals", only(LEAD), get=200),
    Row("moderation:appeal_uphold", only(LEAD), post=404),
    Row("moderation:orders", only(LEAD), get=200),
    Row("moderation:order_seen", only(LEAD), post=404),
    Row("moderation:order_anew", only(LEAD), post=404),
    Row("moderation:webhooks", only(ADMIN), get=200),
    Row("moderation:webhook_new", only(ADMIN), get=200, post=422),
    Row("moderation:webhook", only(ADMIN), get=404, post=404),
    Row("moderation:webhook_rotate", only(ADMIN), post=404),
    Row("moderation:webhook_test", only(ADMIN), post=404),
    Row("moderation:policies", EVERYBODY, get=200),
    Row("moderation:policy", EVERYBODY, get=404),
)

REFERRALS = (
    Row("referrals:list", only(LEGAL), get=200, post=302),
    Row("referrals:new", only(LEGAL), get=404, post=404),
    Row("referrals:detail", only(LEGAL), get=404, post=404),
    Row("referrals:state", only(LEGAL), get=404),
    Row("referrals:refresh", only(LEGAL), post=404),
    Row("referrals:request", only(LEGAL), post=404),
    Row("referrals:withdraw", only(LEGAL), post=404),
    Row("referrals:approve", only(LEGAL), get=404, post=404),
    Row("referrals:return", only(LEGAL), post=404),
    Row("referrals:build_again", only(LEGAL), post=404),
    Row("referrals:revise", only(LEGAL), post=404),
    Row("referrals:note_overturn", only(LEGAL), post=404),
    Row("referrals:package", only(LEGAL), get=404, post=404),
    Row("referrals:checksum", only(LEGAL), get=404),
    Row("referrals:allowed_signers", only(LEGAL), get=404),  # No key is configured here.
    Row("referrals:registry", only(LEGAL), get=200),
    Row("referrals:recipients", only(LEGAL), get=200),
    Row("referrals:recipient_new", only(LEGAL), get=200, post=422),
    Row("referrals:recipient", only(LEGAL), get=404, post=404),
    Row("referrals:recipient_keys", only(LEGAL), post=404),
    Row("referrals:confirm_key", only(LEGAL), get=404, post=404),
    Row("referrals:withdraw_key", only(LEGAL), post=404),
)

REPORTS = (
    Row("reports:entered", REVIEWING, get=200),
    Row("reports:new", REVIEWING, get=200, post=422),
    Row("reports:subjects", REVIEWING, post=200),
    Row("reports:report", REVIEWING, get=404),
    Row("reports:erasures", only(ADMIN, LEGAL), get=200),
    Row("reports:sources", only(ADMIN), get=200),
    Row("reports:source_new", only(ADMIN), get=200, post=422),
    Row("reports:source", only(ADMIN), get=404),
    Row("reports:source_edit", only(ADMIN), get=404, post=404),
    Row("reports:key_issue", only(ADMIN), post=404),
    Row("reports:key_rotate", only(ADMIN), post=404),
    Row("reports:key_revoke", only(ADMIN), post=404),
)

HASHING = (
    Row("hashing:lists", SEES_LISTS, get=200, post=302),
    Row("hashing:list_new", only(POLICY_ADMIN), get=200, post=422),
    Row("hashing:list", SEES_LISTS, get=404, post=302),
    Row("hashing:list_edit", only(POLICY_ADMIN), get=404, post=404),
    Row("hashing:list_import", only(POLICY_ADMIN), get=404, post=404),
    Row("hashing:entry_new", only(POLICY_ADMIN), get=404, post=404),
    Row("hashing:entry_retire", only(POLICY_ADMIN), get=404, post=404),
    Row("hashing:entry_restore", only(POLICY_ADMIN), post=404),
    Row("hashing:risk", only(LEAD), get=200, post=302),
    Row("hashing:risk_detail", only(LEAD), get=404),
    Row("hashing:risk_policy", only(POLICY_ADMIN), get=200, post=422),
    Row("hashing:links", SEES_LISTS, get=200, post=302),
    Row("hashing:link_new", only(POLICY_ADMIN), get=200, post=422),
    Row("hashing:link_import", SEES_LISTS, get=404),
    Row("hashing:link_switch", only(POLICY_ADMIN), post=404),
    Row("hashing:match", SEES_LISTS, get=200, post=422),
    Row("hashing:match_explore", SEES_LISTS, get=200, post=302),
    Row("hashing:match_file", SEES_LISTS, get=404),
    Row("hashing:import", SEES_LISTS, get=404),
    Row("hashing:import_problems", SEES_LISTS, get=404),
    Row("hashing:import_switch", only(POLICY_ADMIN), post=404),
    Row("hashing:list_pause", only(POLICY_ADMIN), get=404, post=404),
    Row("hashing:list_resume", only(POLICY_ADMIN), post=404),
    Row("hashing:list_release", SEES_LISTS, post=404),
    Row("hashing:list_automatic", SEES_LISTS, post=404),
    Row("hashing:list_export", only(POLICY_ADMIN), get=404),
    Row("hashing:list_preview", SEES_LISTS, get=404),
    Row("hashing:entry", SEES_LISTS, get=404),
    Row("hashing:exchanges", only(LEAD, POLICY_ADMIN, ADMIN), get=200),
    Row("hashing:exchange_new", only(POLICY_ADMIN, ADMIN), get=404, post=404),
    Row("hashing:exchange", only(LEAD, POLICY_ADMIN, ADMIN), get=404),
    Row("hashing:exchange_edit", only(POLICY_ADMIN, ADMIN), get=404, post=404),
    Row("hashing:exchange_switch", only(POLICY_ADMIN, ADMIN), post=404),
    Row("hashing:list_videos", SEES_LISTS, get=404),
    Row("hashing:video_new", only(POLICY_ADMIN), get=404, post=404),
    Row("hashing:video_retire", only(POLICY_ADMIN), get=404, post=404),
    Row("hashing:video_restore", only(POLICY_ADMIN), post=404),
    Row("hashing:rules", SEES_LISTS, get=200),
    Row("hashing:rule_new", only(POLICY_ADMIN), get=200, post=422),
    Row("hashing:try_text", SEES_LISTS, get=200, post=422),
    Row("hashing:rule", SEES_LISTS, get=404, post=302),
    Row("hashing:rule_edit", only(POLICY_ADMIN), get=404, post=404),
    Row("hashing:classifiers", SEES_LISTS, get=200),
    Row("hashing:classifier_new", only(POLICY_ADMIN), get=200, post=422),
    Row("hashing:classifier", SEES_LISTS, get=404),
    Row("hashing:classifier_edit", only(POLICY_ADMIN), get=404, post=404),
    Row("hashing:classifier_import", only(POLICY_ADMIN), get=404, post=404),
    Row("hashing:classifier_train", only(POLICY_ADMIN), get=404, post=404),
    Row("hashing:classifier_try", SEES_LISTS, get=404, post=404),
    Row("hashing:classifier_roll_back", SEES_LISTS, post=404),
    Row("hashing:training_set_withdraw", only(POLICY_ADMIN), post=404),
    Row("hashing:classifier_version", SEES_LISTS, get=404),
    Row("hashing:classifier_progress", SEES_LISTS, get=404),
    Row("hashing:classifier_threshold", SEES_LISTS, get=404),
    Row("hashing:classifier_choose", only(POLICY_ADMIN), post=404),
    Row("hashing:classifier_shadow", only(POLICY_ADMIN), post=404),
    Row("hashing:classifier_ask", only(POLICY_ADMIN), get=404, post=404),
    Row("hashing:classifier_stop", SEES_LISTS, get=404, post=404),
    Row("hashing:activation_approve", SEES_LISTS, post=404),
    Row("hashing:activation_decline", SEES_LISTS, get=404, post=404),
    Row("hashing:activation_withdraw", only(POLICY_ADMIN), post=404),
    Row("hashing:rule_terms", only(POLICY_ADMIN), get=404, post=404),
    Row("hashing:rule_build", only(POLICY_ADMIN), get=404, post=404),
    Row("hashing:rule_import", only(POLICY_ADMIN), get=404, post=404),
    Row("hashing:rule_export", only(POLICY_ADMIN), get=404),
    Row("hashing:rule_versions", SEES_LISTS, get=404),
    Row("hashing:rule_restore", only(POLICY_ADMIN), post=404),
    Row("hashing:rule_grant", only(POLICY_ADMIN), post=404),
    Row("hashing:rule_revoke", only(POLICY_ADMIN), post=404),
)

SEES_DETECTORS = frozenset({LEAD, POLICY_ADMIN, ADMIN})
EDITS_DETECTORS = frozenset({POLICY_ADMIN, ADMIN})
DETECTORS = (
    Row("hashing:detectors", SEES_DETECTORS, get=200),
    Row("hashing:detector_new", EDITS_DETECTORS, get=200, post=422),
    Row("hashing:detector_trial", SEES_DETECTORS, get=404),
    Row("hashing:detector", SEES_DETECTORS, get=404),
    Row("hashing:detector_edit", EDITS_DETECTORS, get=404, post=404),
    Row("hashing:detector_switch", EDITS_DETECTORS, post=404),
    Row("hashing:detector_again", EDITS_DETECTORS, post=404),
    Row("hashing:detector_secret", EDITS_DETECTORS, post=404),
    Row("hashing:detector_try", SEES_DETECTORS, post=404),
)

AUDIT_AND_JOBS = (
    Row("accounts:audit", only(AUDITOR), get=200, post=302),
    Row("accounts:audit_export", only(AUDITOR), get=200),
    Row("accounts:audit_check", only(AUDITOR), post=302),
    Row("accounts:audit_check_state", only(AUDITOR), get=200),
    Row("accounts:audit_entry", only(AUDITOR), get=404),
    Row("accounts:jobs", frozenset({LEAD, ADMIN}), get=200),
)

MATRIX = (*ACCOUNTS, *MODERATION, *REFERRALS, *REPORTS, *HASHING, *DETECTORS, *AUDIT_AND_JOBS)

CAST = ("reviewer", "lead", "outsider", "legal", "policy_admin", "auditor", "admin")


def by_person(
    reviewer: int, lead: int, outsider: int, legal: int, others: int = 403
) -> dict[str, int]:
    """Return who gets what; nobody else works cases."""
    return {
        "reviewer": reviewer,
        "lead": lead,
        "outsider": outsider,
        "legal": legal,
        "policy_admin": others,
        "auditor": others,
        "admin": others,
    }


WITH_A_CASE: dict[tuple[str, str], dict[str, int]] = {
    ("get", "moderation:queue"): by_person(200, 200, 404, 403),
    ("get", "moderation:case"): by_person(200, 200, 404, 404),
    ("get", "moderation:preview"): by_person(200, 200, 404, 403),
    ("get", "moderation:policy_choice"): by_person(200, 200, 404, 403),
    ("get", "moderation:consequence"): by_person(200, 200, 404, 403),
    ("post", "moderation:claim"): by_person(303, 409, 404, 403),
    ("post", "moderation:heartbeat"): by_person(200, 409, 404, 403),
    ("post", "moderation:extend"): by_person(303, 409, 404, 403),
    ("post", "moderation:release"): by_person(422, 409, 404, 403),
    ("post", "moderation:take_over"): by_person(403, 422, 403, 403),
    ("post", "moderation:move"): by_person(403, 422, 403, 403),
    ("post", "moderation:note"): by_person(422, 422, 404, 403),
    ("post", "moderation:reveal"): by_person(422, 422, 404, 403),
    ("post", "moderation:decide"): by_person(422, 422, 404, 403),
}
"""What the cast gets for a case that the reviewer holds, in a queue granted to reviewer and lead.

``outsider`` is a reviewer without grants, ``legal`` holds the category: legal staff see a case once a
decision that confirms a violation is published, and never its media.
"""

REFERRAL_CAST = ("legal", "legal2", "reviewer", "lead", "auditor", "admin")


def by_legal(granted: int, others: int = 403) -> dict[str, int]:
    """Return who gets what: ``legal`` holds the case's category, ``legal2`` does not."""
    return {
        "legal": granted,
        "legal2": 404,
        "reviewer": others,
        "lead": others,
        "auditor": others,
        "admin": others,
    }


WITH_A_REFERRAL: dict[tuple[str, str], dict[str, int]] = {
    ("get", "referrals:new"): by_legal(200),
    ("get", "referrals:detail"): by_legal(200),
    ("get", "referrals:state"): by_legal(200),
    ("get", "referrals:approve"): by_legal(200),
    ("post", "referrals:approve"): by_legal(422),
    ("post", "referrals:withdraw"): by_legal(409),
    ("get", "referrals:package"): by_legal(404),
    ("get", "referrals:checksum"): by_legal(404),
}
"""What the cast gets for a draft of a published decision: an empty approval is no approval."""
