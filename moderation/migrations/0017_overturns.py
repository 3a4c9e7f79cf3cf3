"""Decisions in effect that somebody else takes back; what was said and when is written once (core, migration 0006)."""

import uuid

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

GUARD = """
CREATE TRIGGER holdfast_row_guard_overturned BEFORE UPDATE OF overturned_at ON moderation_decision FOR EACH ROW
    WHEN (OLD.overturned_at IS NOT NULL AND OLD.overturned_at IS DISTINCT FROM NEW.overturned_at)
    EXECUTE FUNCTION holdfast_row_guard();
CREATE TRIGGER holdfast_row_guard BEFORE UPDATE OF
        id, decision_id, reason, made_by_id, made_at, published_at, undone_at
    ON moderation_overturn FOR EACH ROW WHEN (
        (OLD.id, OLD.decision_id, OLD.reason, OLD.made_by_id, OLD.made_at)
        IS DISTINCT FROM (NEW.id, NEW.decision_id, NEW.reason, NEW.made_by_id, NEW.made_at)
        OR (OLD.published_at IS NOT NULL AND OLD.published_at IS DISTINCT FROM NEW.published_at)
        OR (OLD.undone_at IS NOT NULL AND OLD.undone_at IS DISTINCT FROM NEW.undone_at))
    EXECUTE FUNCTION holdfast_row_guard();
CREATE TRIGGER holdfast_row_stays BEFORE DELETE ON moderation_overturn
    FOR EACH ROW EXECUTE FUNCTION holdfast_row_guard();
"""
UNGUARD = """
DROP TRIGGER holdfast_row_stays ON moderation_overturn;
DROP TRIGGER holdfast_row_guard ON moderation_overturn;
DROP TRIGGER holdfast_row_guard_overturned ON moderation_decision;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("moderation", "0016_orders"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Overturn",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("reason", models.TextField()),
                (
                    "made_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                ("publish_at", models.DateTimeField()),
                ("published_at", models.DateTimeField(blank=True, null=True)),
                ("undone_at", models.DateTimeField(blank=True, null=True)),
                ("undone_reason", models.CharField(blank=True, max_length=300)),
                (
                    "retry_at",
                    models.DateTimeField(
                        blank=True, help_text="Not tried before this time.", null=True
                    ),
                ),
                (
                    "error",
                    models.CharField(
                        blank=True, help_text="Why it has not taken effect.", max_length=500
                    ),
                ),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="decision",
            name="one_published_decision_per_case",
        ),
        migrations.AddField(
            model_name="decision",
            name="overturned_at",
            field=models.DateTimeField(
                blank=True, help_text="It was in effect and does not stand since.", null=True
            ),
        ),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.UniqueConstraint(
                condition=models.Q(("overturned_at", None), ("published_at__isnull", False)),
                fields=("case",),
                name="one_published_decision_per_case",
            ),
        ),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("overturned_at", None), ("published_at__isnull", False), _connector="OR"
                ),
                name="overturned_was_in_effect",
            ),
        ),
        migrations.AddField(
            model_name="overturn",
            name="decision",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="overturns",
                to="moderation.decision",
            ),
        ),
        migrations.AddField(
            model_name="overturn",
            name="made_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddIndex(
            model_name="overturn",
            index=models.Index(
                condition=models.Q(("published_at", None), ("undone_at", None)),
                fields=["publish_at"],
                name="overturns_to_carry_out",
            ),
        ),
        migrations.AddConstraint(
            model_name="overturn",
            constraint=models.UniqueConstraint(
                condition=models.Q(("undone_at", None)),
                fields=("decision",),
                name="overturned_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="overturn",
            constraint=models.CheckConstraint(
                condition=models.Q(("undone_at", None), ("published_at", None), _connector="OR"),
                name="overturn_undone_or_published",
            ),
        ),
        migrations.RunSQL(GUARD, UNGUARD),
    ]
