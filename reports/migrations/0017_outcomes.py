"""What came of a report, and which sources are told.

Sources that are there are told as usual: the platform itself and trusted flaggers hear the outcome. Reports that were
decided before are told by ``moderation.jobs.sweep_outcomes``, with a line in the audit log for each.
"""

from django.conf import settings
from django.db import migrations, models

USUAL = """
UPDATE reports_source SET tells_outcomes = true
 WHERE is_own_platform OR kind = 'trusted_flagger' OR trust = 'trusted';
"""


class Migration(migrations.Migration):
    dependencies = [
        ("reports", "0016_roles_of_items"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="report",
            name="decided_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="report",
            name="outcome",
            field=models.CharField(
                blank=True,
                choices=[("action_taken", "Action taken"), ("no_action", "No action")],
                db_default="",
                help_text="Of the decision in effect on its case.",
                max_length=16,
            ),
        ),
        migrations.AddField(
            model_name="source",
            name="tells_outcomes",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Is told what was decided on its reports; otherwise only that they are closed.",
            ),
        ),
        migrations.RunSQL(USUAL, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="report",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("decided_at", None), ("outcome", "")),
                    models.Q(
                        ("decided_at__isnull", False),
                        ("outcome__in", ["action_taken", "no_action"]),
                    ),
                    _connector="OR",
                ),
                name="report_outcome_has_its_time",
            ),
        ),
    ]
