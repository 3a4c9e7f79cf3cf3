"""The stages of detection, for the pages of health: what waits, since when, and who does it."""

from __future__ import annotations

from django.db.models import Case, F, Q, QuerySet, When
from django.db.models.functions import Now

from core.stages import Stage
from hashing import actions
from hashing.actions import risk
from reports.models import Item, ItemKind, ScanState, SubjectChange

__all__ = ["STAGES"]

# A first scan waits since its item came in, whoever began it meanwhile; a later one since it was due.
_SINCE = Case(When(scanned_at=None, then=F("received_at")), default=F("scan_due_at"))


def _unscanned(*, videos: bool) -> QuerySet[Item]:
    rows = Item.objects.filter(scan_state=ScanState.WAITING)
    kind = Q(kind=ItemKind.VIDEO)
    return rows.filter(kind if videos else ~kind).filter(
        Q(scanned_at=None) | Q(scan_due_at__lte=Now())
    )


STAGES = (
    Stage(
        "scanning",
        "Received → scanned",
        "Scanning",
        lambda: _unscanned(videos=False),
        _SINCE,
        60,
        ("scan_waiting", "scan_item"),
        order_by="scan_due_at",
    ),
    Stage(
        "video_scanning",
        "Videos received → scanned",
        "Scanning of videos",
        lambda: _unscanned(videos=True),
        _SINCE,
        900,
        ("scan_video",),
        order_by="scan_due_at",
    ),
    Stage(
        "lookups",
        "Asked → answered (hashes and matches)",
        "Answering look-ups",
        actions.waiting_lookups,
        "due_at",
        30,
        ("look_up",),
    ),
    Stage(
        "imports",
        "Lists uploaded → read",
        "Reading lists",
        actions.waiting_imports,
        "due_at",
        600,
        ("read_import",),
    ),
    Stage(
        "listed_videos",
        "Listed videos → watched",
        "Watching listed videos",
        actions.waiting_videos,
        "due_at",
        900,
        ("watch_listed",),
    ),
    Stage(
        "index",
        "Index asked for → built",
        "Building the index",
        actions.waiting_index_builds,
        "due_at",
        3600,
        ("build_index",),
    ),
    Stage(
        "links",
        "Link files → read",
        "Reading link files",
        actions.waiting_link_imports,
        "due_at",
        600,
        ("read_links",),
    ),
    Stage(
        "exchanges",
        "Exchanges due → fetched",
        "Fetching from exchanges",
        actions.due_exchanges,
        "due_at",
        1800,
        ("fetch_exchange",),
    ),
    Stage(
        "reviews",
        "Reviews due → sent to exchanges",
        "Sending reviews",
        actions.waiting_reviews,
        "due_at",
        1800,
        ("send_review",),
    ),
    Stage(
        "training",
        "Classifiers asked for → trained",
        "Training",
        actions.waiting_trainings,
        "due_at",
        3600,
        ("train_classifier",),
    ),
    Stage(
        "long_work",
        "Lists released, weights changed → worked off",
        "Scanning and rating again",
        actions.open_works,
        "moved_at",
        300,
        ("do_long_work",),
    ),
    Stage(
        "trials",
        "Detectors to be tried → tried",
        "Trying a detector",
        actions.waiting_trials,
        "asked_at",
        120,
        ("try_detector",),
    ),
    Stage(
        "drift",
        "Classifiers due to be looked at → looked at",
        "Watching classifiers for drift",
        actions.watched_versions,
        "drift_due_at",
        3600,
        ("watch_drift",),
    ),
    Stage(
        "ratings",
        "Something learnt of a subject → rated again",
        "Rating accounts and groups",
        SubjectChange.objects.all,
        "at",
        900,
        ("compute_risk",),
        order_by="id",
    ),
    Stage(
        "risk_cases",
        "Risky subjects → in a case",
        "Placing risky subjects",
        risk.waiting_risk_cases,
        "case_due_at",
        120,
        ("route_risk_case",),
    ),
)
