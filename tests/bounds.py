"""Loops of views and actions over a set that no slice bounds, and what bounds it (tests/architecture.py)."""

from __future__ import annotations

_CONFIGURED = "what this installation has set up by hand: a few"
_COMMAND = "run by rotate_master_key alone, no request; a row at a time"
_NAMED_KEYS = "rows of the keys that the caller named, read by a computed name"

_OF_ONE_ORDER = (
    "the messages of one order: one for each endpoint, and again each time a lead gives it anew"
)

BOUNDS = {
    # ── A few by their nature ─────────────────────────────────────────────────────────────────
    "accounts/actions/people.py _next_pseudonym": "the people of one role, names only",
    "accounts/views/people.py requests": "what administrators asked of each other in thirty days",
    "accounts/views/people.py _person": "what administrators asked about one person",
    "reports/actions/idempotency.py lines_remembered": "the lines of one batch, at most MAX_LINES",
    "hashing/actions/activations.py start_shadow": "at most one version of a classifier runs in shadow",
    "hashing/actions/activations.py _replace": "at most one version of a classifier is active",
    "hashing/actions/term_lists.py add_terms": "MOST_TERMS rules are in force in one list",
    "hashing/actions/term_lists.py restore_terms": "MOST_TERMS rules are in force in one list",
    "hashing/actions/term_lists.py _replace": "one statement per thousand of the rules of one list",
    "moderation/actions/claims.py _end_expired_on": "one lease runs on a case (one_lease_per_case)",
    "moderation/actions/decisions.py _end_lease_of": "one lease runs on a case (one_lease_per_case)",
    "moderation/actions/attempts.py _settle": _OF_ONE_ORDER,
    "moderation/actions/notices.py tell_closed": _CONFIGURED,
    "moderation/actions/orders.py bring_into_force": _CONFIGURED,
    "moderation/actions/orders.py _behind_case": "the kinds of source that there are",
    "moderation/actions/orders.py _behind_things": "a job; the items of one case with the files that are to be removed, streamed",
    "moderation/actions/overturns.py what_follows": "the orders of one decision, streamed",
    "moderation/actions/overturns.py _counterparts": "a job; the orders of one decision. To be cut into batches",
    "hashing/actions/verdicts.py withdraw_verdicts": "a job; the items of one case. To be cut into batches",
    "moderation/actions/results.py give_order_anew": _OF_ONE_ORDER,
    "moderation/actions/results.py record_result": _OF_ONE_ORDER,
    "moderation/actions/placing.py current_rules": _CONFIGURED,
    "moderation/views/policies.py policy": "the wordings that one policy ever had",
    "referrals/actions/keys.py enter_anew": "the confirmed keys of one agency",
    "referrals/actions/keys.py _end_approvals": "referrals to one agency that are asked for or approved at this moment",
    # ── One statement, whatever its size; memory for keys alone ───────────────────────────────
    "referrals/actions/steps.py approve": "one statement for the ids of the exhibits, which the log names one by one",
    # ── Handed a batch by its caller ──────────────────────────────────────────────────────────
    "reports/actions/scan_states.py scan_again": "callers put a batch of at most some hundred keys in line",
    "hashing/actions/exchange_reviews.py note_reviews": "the entries behind the items of one decision",
    "hashing/actions/risk.py _rate": _NAMED_KEYS,
    "moderation/actions/placing.py _lock_open": "open cases about the subjects of one batch",
    "moderation/actions/placing.py _link_earlier": "EARLIER_CASES_LINKED for each subject of one batch",
    # ── Called by jobs alone ──────────────────────────────────────────────────────────────────
    "accounts/actions/second_factor.py reseal_secrets": _COMMAND,
    "hashing/actions/detectors.py reseal_detector_secrets": _COMMAND,
    "hashing/actions/exchanges.py reseal_exchanges": _COMMAND,
    "hashing/actions/term_lists.py reseal_secrets": _COMMAND,
    "moderation/actions/deliveries.py reseal_secrets": _COMMAND,
    "hashing/actions/term_lists.py _seal_all": "a sweep; the rules of one list, of which MOST_TERMS are in force",
    "hashing/actions/hash_lists.py _count_retired": "imports of small lists by code; files are read by jobs in parts",
    "hashing/actions/index_builds.py finish_index_build": "the builds before this one: each file is removed after the next",
    "hashing/actions/list_states.py guard_against_floods": "a sweep; one line for each list that flagged within the hour",
    "moderation/actions/attempts.py begin_attempts": "a sender's own look at its endpoints: set up by hand, a few",
    "moderation/actions/decisions.py publish_decision": "a job; the items of one case. To be cut into batches",
    "moderation/actions/decisions.py _route_again": "a job; ids of what joined one case within its undo window",
    "referrals/actions/anchors.py _grown": "the anchor's job; chains that grew since the last anchor, streamed",
}
"""``path function`` → why the loop ends soon. A loop that fits in here needs a sentence, not a number of lines."""
