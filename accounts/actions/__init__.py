"""The only writer of people, invitations, second factors and sign-ins.

Every verb locks, checks, changes and audits in one transaction. Verbs that answer yes or no to a guess
(``try_password``, ``try_code``, ``confirm``) return instead of raising, so that the count of failures
is committed.
"""

from accounts.actions.clocks import pull_back_sessions
from accounts.actions.first_administrator import (
    create_first_administrator,
    is_set_up_open,
    is_set_up_token,
    issue_set_up_link,
)
from accounts.actions.invitations import (
    INVITATION_LIFE,
    accept_invitation,
    find_invitation,
    invite,
    revoke_invitation,
    waits_for_confirmation,
)
from accounts.actions.own import change_password, rename, set_keys_enabled, set_theme
from accounts.actions.password_links import (
    find_password_link,
    issue_password_link,
    set_password_by_link,
)
from accounts.actions.people import (
    change_role,
    create_person,
    deactivate,
    reactivate,
    unlock,
)
from accounts.actions.requests import ask_for, cancel_request, confirm_request, invite_administrator
from accounts.actions.searches import forget_old_searches, keep_search
from accounts.actions.second_factor import (
    enable_totp,
    has_totp,
    new_recovery_codes,
    recovery_codes_left,
)
from accounts.actions.sign_ins import (
    confirm,
    end_other_sign_ins,
    end_sign_in,
    forget_old_sign_ins,
    mark_seen,
    open_sign_in,
    try_code,
    try_password,
)

__all__ = [
    "INVITATION_LIFE",
    "accept_invitation",
    "ask_for",
    "cancel_request",
    "change_password",
    "change_role",
    "confirm",
    "confirm_request",
    "create_first_administrator",
    "create_person",
    "deactivate",
    "enable_totp",
    "end_other_sign_ins",
    "end_sign_in",
    "find_invitation",
    "find_password_link",
    "forget_old_searches",
    "forget_old_sign_ins",
    "has_totp",
    "invite",
    "invite_administrator",
    "is_set_up_open",
    "is_set_up_token",
    "issue_password_link",
    "issue_set_up_link",
    "keep_search",
    "mark_seen",
    "new_recovery_codes",
    "open_sign_in",
    "pull_back_sessions",
    "reactivate",
    "recovery_codes_left",
    "rename",
    "revoke_invitation",
    "set_keys_enabled",
    "set_password_by_link",
    "set_theme",
    "try_code",
    "try_password",
    "unlock",
    "waits_for_confirmation",
]
