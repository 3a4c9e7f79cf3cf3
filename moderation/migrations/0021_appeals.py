"""Appeals against orders; what was handed on is written once (core, migration 0006)."""

import uuid

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

GUARD = """
CREATE TRIGGER holdfast_row_guard BEFORE UPDATE OF
        id, source_id, enforcement_id, external_id, reason, appealed_at, received_at, state, decided_at, decided_by_id, answer
    ON moderation_appeal FOR EACH ROW WHEN (
        (OLD.id, OLD.source_id, OLD.enforcement_id, OLD.external_id, OLD.reason, OLD.appealed_at, OLD.received_at)
        IS DISTINCT FROM
        (NEW.id, NEW.source_id, NEW.enforcement_id, NEW.external_id, NEW.reason, NEW.appealed_at, NEW.received_at)
        OR (OLD.state <> 'open' AND (OLD.state, OLD.decided_at, OLD.decided_by_id, OLD.answer)
            IS DISTINCT FROM (NEW.state, NEW.decided_at, NEW.decided_by_id, NEW.answer)))
    EXECUTE FUNCTION holdfast_row_guard();
CREATE TRIGGER holdfast_row_stays BEFORE DELETE ON moderation_appeal
    FOR EACH ROW EXECUTE FUNCTION holdfast_row_guard();
"""
UNGUARD = """
DROP TRIGGER holdfast_row_stays ON moderation_appeal;
DROP TRIGGER holdfast_row_guard ON moderation_appeal;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("moderation", "0020_deliveries_by_time"),
        ("reports", "0023_told_digest"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Appeal",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("external_id", models.CharField(max_length=200)),
                ("reason", models.TextField()),
                (
                    "appealed_at",
                    models.DateTimeField(
                        blank=True, help_text="When the platform had it, by its clock.", null=True
                    ),
                ),
                (
                    "received_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "Waits for a lead"),
                            ("upheld", "The decision stands"),
                            ("overturned", "The decision was overturned"),
                        ],
                        default="open",
                        max_length=12,
                    ),
                ),
                ("decided_at", models.DateTimeField(blank=True, null=True)),
                ("answer", models.TextField(blank=True, help_text="Why it was decided so.")),
                (
                    "decided_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "enforcement",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="appeals",
                        to="moderation.enforcement",
                    ),
                ),
                (
                    "source",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="reports.source",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "open")),
                        fields=["received_at"],
                        name="appeals_that_wait",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("source", "external_id"), name="appeal_external_id_once_per_source"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("decided_at", None), ("state", "open")),
                            models.Q(
                                models.Q(("state", "open"), _negated=True),
                                ("decided_at__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="decided_appeal_has_its_time",
                    ),
                ],
            },
        ),
        migrations.RunSQL(GUARD, UNGUARD),
    ]
