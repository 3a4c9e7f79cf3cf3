"""What is done about packages whose decision was overturned; what was noted stays (core, migration 0006)."""

import uuid

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

GUARD = """
DROP TRIGGER holdfast_row_guard ON referrals_packagedownload;
CREATE TRIGGER holdfast_row_guard BEFORE UPDATE ON referrals_packagedownload FOR EACH ROW
    WHEN ((OLD.id, OLD.package_id, OLD.user_id, OLD.at, OLD.reason)
        IS DISTINCT FROM (NEW.id, NEW.package_id, NEW.user_id, NEW.at, NEW.reason)
        OR OLD.is_complete) EXECUTE FUNCTION holdfast_row_guard();
CREATE TRIGGER holdfast_row_guard BEFORE UPDATE ON referrals_overturnnotice FOR EACH ROW
    WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION holdfast_row_guard();
CREATE TRIGGER holdfast_row_stays BEFORE DELETE ON referrals_overturnnotice
    FOR EACH ROW EXECUTE FUNCTION holdfast_row_guard();
"""
UNGUARD = """
DROP TRIGGER holdfast_row_stays ON referrals_overturnnotice;
DROP TRIGGER holdfast_row_guard ON referrals_overturnnotice;
DROP TRIGGER holdfast_row_guard ON referrals_packagedownload;
CREATE TRIGGER holdfast_row_guard BEFORE UPDATE ON referrals_packagedownload FOR EACH ROW
    WHEN ((OLD.id, OLD.package_id, OLD.user_id, OLD.at) IS DISTINCT FROM (NEW.id, NEW.package_id, NEW.user_id, NEW.at)
        OR OLD.is_complete) EXECUTE FUNCTION holdfast_row_guard();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("moderation", "0021_appeals"),
        ("referrals", "0009_incident_said_by"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="packagedownload",
            name="reason",
            field=models.TextField(
                blank=True, help_text="Why it was fetched although its decision was overturned."
            ),
        ),
        migrations.CreateModel(
            name="OverturnNotice",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "words",
                    models.TextField(
                        help_text="Whom they told, how and when; or that it never left."
                    ),
                ),
                (
                    "noted_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                (
                    "overturn",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="moderation.overturn",
                    ),
                ),
                (
                    "referral",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="notices",
                        to="referrals.referral",
                    ),
                ),
                (
                    "told_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("referral", "overturn"), name="overturn_noted_once"
                    )
                ],
            },
        ),
        migrations.RunSQL(GUARD, UNGUARD),
    ]
