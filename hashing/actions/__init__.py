"""The verbs of flagging: the only code that writes lists, terms, digests and flags."""

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
    "MOST_ROWS_IN_A_PAGE",
    "ImportResult",
    "Outcome",
    "add_entry",
    "begin_scan",
    "change_hash_list",
    "change_term_list",
    "create_hash_list",
    "create_term_list",
    "give_up_scan",
    "import_csv",
    "record_findings",
    "record_search",
    "record_verdicts",
    "restore_entry",
    "retire_entry",
    "set_terms",
    "waiting_items",
]
