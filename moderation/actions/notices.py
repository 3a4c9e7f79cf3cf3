"""Messages that order nothing: what came of a report, to whoever asked to hear it."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Max
from django.db.models.functions import Now

from core.jobs import enqueue
from moderation.enforcement import GIVE_UP_AFTER, report_closed
from moderation.models import Decision, Delivery, Notice, NoticeKind, WebhookEndpoint
from reports.access import state_of
from reports.models import Report, Source

__all__ = ["tell_closed"]

AT_ONCE = 1000


def tell_closed(decision: Decision, reports: Sequence[Report]) -> None:
    """Tell the endpoints that hear of it what came of reports, in the transaction in which that is said on them.

    For the caller that locked the reports and found that this is new for them: so each is told once for each decision
    that it gets. An endpoint bound to a source hears of that source's reports, any other one of the platform's own. Where
    none listens nothing waits: ``GET /reports`` has it.
    """
    listening = [
        endpoint
        for endpoint in WebhookEndpoint.objects.order_by("created_at")
        if NoticeKind.REPORT_CLOSED in endpoint.events
    ]
    if not listening or not reports or decision.case.is_practice:
        return
    sources = Source.objects.in_bulk({report.source_id for report in reports})
    for start in range(0, len(reports), AT_ONCE):
        part = [
            (report, heard)
            for report in reports[start : start + AT_ONCE]
            if (heard := [each for each in listening if _hears(each, sources[report.source_id])])
        ]
        keys = [report.pk for report, _ in part]
        last = dict(
            Notice.objects.filter(report__in=keys)
            .values_list("report")
            .annotate(last=Max("number"))
        )
        notices = Notice.objects.bulk_create(
            [
                Notice(
                    kind=NoticeKind.REPORT_CLOSED,
                    report=report,
                    decision=decision,
                    number=last.get(report.pk, 0) + 1,
                )
                for report, _ in part
            ]
        )
        Delivery.objects.bulk_create(
            [
                Delivery(
                    notice=notice,
                    endpoint=endpoint,
                    payload=_payload(notice, sources[report.source_id]),
                    give_up_at=Now() + GIVE_UP_AFTER,
                )
                for notice, (report, heard) in zip(notices, part, strict=True)
                for endpoint in heard
            ]
        )
    enqueue("send_due")


def _hears(endpoint: WebhookEndpoint, source: Source) -> bool:
    if source.practice_of_id is not None:
        return False
    if endpoint.source_id is not None:
        return bool(endpoint.source_id == source.pk)
    return bool(source.is_own_platform)


def _payload(notice: Notice, source: Source) -> dict[str, object]:
    report, is_told = notice.report, source.tells_outcomes
    return report_closed(
        report_id=str(report.pk),
        number=str(report),
        external_id=report.external_id,
        state=state_of(report, tells_outcomes=is_told),
        outcome=report.outcome if is_told else None,
        decided_at=report.decided_at if is_told else None,
        sequence=notice.number,
        at=notice.decision.published_at or notice.decision.publish_at,
    )
