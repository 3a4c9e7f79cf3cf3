"""What was painted of an original, beside what was sent of it; written once, like all of a reveal."""

from django.db import migrations, models

FORWARD = """
CREATE TRIGGER holdfast_row_guard_painted BEFORE UPDATE OF painted_ms, played, film_ms
    ON moderation_reveal FOR EACH ROW WHEN (
        (OLD.closed_at IS NULL OR OLD.painted_ms IS NOT NULL)
        AND (OLD.painted_ms, OLD.played, OLD.film_ms) IS DISTINCT FROM (NEW.painted_ms, NEW.played, NEW.film_ms))
    EXECUTE FUNCTION holdfast_row_guard();
"""
BACKWARD = "DROP TRIGGER holdfast_row_guard_painted ON moderation_reveal;"


class Migration(migrations.Migration):
    dependencies = [("moderation", "0012_usual_measures")]
    operations = [
        migrations.AddField(
            "reveal", "painted_ms", models.PositiveIntegerField(blank=True, null=True)
        ),
        migrations.AddField(
            "reveal",
            "played",
            models.JSONField(blank=True, help_text="[[from, to], …] of a film, in ms.", null=True),
        ),
        migrations.AddField(
            "reveal", "film_ms", models.PositiveIntegerField(blank=True, null=True)
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
