"""Lists that detectors look things up in, the digests they compute, and what they found."""

from hashing.models.classifiers import (
    Activation,
    ActivationState,
    Classifier,
    ClassifierVersion,
    ScoreDay,
    ScoredItem,
    TrainingSet,
    VersionState,
)
from hashing.models.detectors import (
    DetectorBreaker,
    DetectorChange,
    DetectorOrigin,
    DetectorPeriod,
    DetectorSetting,
    DetectorTrial,
    PendingLook,
)
from hashing.models.exchanges import (
    Exchange,
    ExchangeKind,
    ExchangeRecord,
    ExchangeReview,
    ExchangeRun,
    ReviewState,
)
from hashing.models.findings import Digest, Flag, FlagKind, Verdict
from hashing.models.hash_lists import HashEntry, HashImport, HashList, ImportState, StagedRow
from hashing.models.index_builds import IndexBuild, IndexState
from hashing.models.long_work import LongWork, LongWorkKind
from hashing.models.lookups import FileLookup, LookupState
from hashing.models.risk import (
    CaseState,
    LinkImport,
    LinkImportState,
    ListedLink,
    RiskPolicy,
    RiskScore,
    StagedLink,
)
from hashing.models.term_lists import Term, TermChange, TermList
from hashing.models.videos import ListedVideo, VideoFrame, VideoState, VideoWatch
from hashing.models.words import Algorithm, Category

__all__ = [
    "Activation",
    "ActivationState",
    "Algorithm",
    "CaseState",
    "Category",
    "Classifier",
    "ClassifierVersion",
    "DetectorBreaker",
    "DetectorChange",
    "DetectorOrigin",
    "DetectorPeriod",
    "DetectorSetting",
    "DetectorTrial",
    "Digest",
    "Exchange",
    "ExchangeKind",
    "ExchangeRecord",
    "ExchangeReview",
    "ExchangeRun",
    "FileLookup",
    "Flag",
    "FlagKind",
    "HashEntry",
    "HashImport",
    "HashList",
    "ImportState",
    "IndexBuild",
    "IndexState",
    "LinkImport",
    "LinkImportState",
    "ListedLink",
    "ListedVideo",
    "LongWork",
    "LongWorkKind",
    "LookupState",
    "PendingLook",
    "ReviewState",
    "RiskPolicy",
    "RiskScore",
    "ScoreDay",
    "ScoredItem",
    "StagedLink",
    "StagedRow",
    "Term",
    "TermChange",
    "TermList",
    "TrainingSet",
    "Verdict",
    "VersionState",
    "VideoFrame",
    "VideoState",
    "VideoWatch",
]
