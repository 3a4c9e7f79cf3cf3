"""What a sender keeps with a report for itself. It is part of what was received: no verb changes it."""

from django.db import migrations, models

FORWARD = """
CREATE TRIGGER holdfast_row_guard_metadata BEFORE UPDATE OF metadata ON reports_report FOR EACH ROW
    WHEN (OLD.metadata IS DISTINCT FROM NEW.metadata) EXECUTE FUNCTION holdfast_row_guard();
"""
BACKWARD = "DROP TRIGGER holdfast_row_guard_metadata ON reports_report;"


class Migration(migrations.Migration):
    dependencies = [("reports", "0018_reports_of_a_source")]

    operations = [
        migrations.AddField(
            model_name="report",
            name="metadata",
            field=models.JSONField(
                blank=True,
                db_default=models.Value({}, models.JSONField()),
                default=dict,
                help_text="What the sender keeps with it for itself: texts by name.",
            ),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
