"""The verbs of flagging: the only code that writes lists, terms, digests and flags."""

from hashing.actions.breakers import (
    MOST_LOOKS,
    due_looks,
    keep_pending_looks,
    look_again,
    note_failure,
    note_success,
    pass_breaker,
    try_detector_again,
)
from hashing.actions.detector_figures import (
    add_to_periods,
    ask_trial,
    begin_trial,
    end_trial,
    forget_figures,
    waiting_trials,
)
from hashing.actions.detectors import (
    change_detector,
    create_external_detector,
    detector_secret,
    register_detector,
    reseal_detector_secrets,
    rotate_detector_secret,
)
from hashing.actions.hash_lists import (
    MOST_ROWS_IN_A_PAGE,
    ImportResult,
    add_entry,
    change_hash_list,
    create_hash_list,
    import_csv,
    record_search,
    restore_entry,
    retire_entry,
)
from hashing.actions.scans import (
    Outcome,
    begin_scan,
    give_up_scan,
    record_findings,
    waiting_items,
)
from hashing.actions.term_lists import change_term_list, create_term_list, set_terms
from hashing.actions.verdicts import record_verdicts

__all__ = [
    "MOST_LOOKS",
    "MOST_ROWS_IN_A_PAGE",
    "ImportResult",
    "Outcome",
    "add_entry",
    "add_to_periods",
    "ask_trial",
    "begin_scan",
    "begin_trial",
    "change_detector",
    "change_hash_list",
    "change_term_list",
    "create_external_detector",
    "create_hash_list",
    "create_term_list",
    "detector_secret",
    "due_looks",
    "end_trial",
    "forget_figures",
    "give_up_scan",
    "import_csv",
    "keep_pending_looks",
    "look_again",
    "note_failure",
    "note_success",
    "pass_breaker",
    "record_findings",
    "record_search",
    "record_verdicts",
    "register_detector",
    "reseal_detector_secrets",
    "restore_entry",
    "retire_entry",
    "rotate_detector_secret",
    "set_terms",
    "try_detector_again",
    "waiting_items",
    "waiting_trials",
]
