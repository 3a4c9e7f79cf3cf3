"""Background work of flagging, by id. Each noun has a module; settings name the functions here."""

from hashing.jobs.classifiers import (
    score_recent,
    sweep_classifiers,
    train_classifier,
    watch_drift,
)
from hashing.jobs.detectors import (
    describe_plugin,
    find_plugins,
    sweep_detectors,
    sweep_pending_looks,
    sweep_trials,
    try_detector,
)
from hashing.jobs.exchanges import (
    fetch_exchange,
    send_review,
    sweep_exchanges,
    sweep_reviews,
)
from hashing.jobs.index import build_index, sweep_index
from hashing.jobs.list_imports import read_import, sweep_imports
from hashing.jobs.lists import sweep_lists
from hashing.jobs.long_work import do_long_work, sweep_clocks, sweep_long_work
from hashing.jobs.lookups import look_up, sweep_lookups
from hashing.jobs.mended import sweep_mended
from hashing.jobs.risk import compute_risk, read_links, sweep_links, sweep_risk
from hashing.jobs.scans import scan_item, scan_video, scan_waiting, sweep_items
from hashing.jobs.terms import sweep_terms
from hashing.jobs.videos import sweep_listed_videos, watch_listed

__all__ = [
    "build_index",
    "compute_risk",
    "describe_plugin",
    "do_long_work",
    "fetch_exchange",
    "find_plugins",
    "look_up",
    "read_import",
    "read_links",
    "scan_item",
    "scan_video",
    "scan_waiting",
    "score_recent",
    "send_review",
    "sweep_classifiers",
    "sweep_clocks",
    "sweep_detectors",
    "sweep_exchanges",
    "sweep_imports",
    "sweep_index",
    "sweep_items",
    "sweep_links",
    "sweep_listed_videos",
    "sweep_lists",
    "sweep_long_work",
    "sweep_lookups",
    "sweep_mended",
    "sweep_pending_looks",
    "sweep_reviews",
    "sweep_risk",
    "sweep_terms",
    "sweep_trials",
    "train_classifier",
    "try_detector",
    "watch_drift",
    "watch_listed",
]
