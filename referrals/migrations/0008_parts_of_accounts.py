"""The part that an account plays is said by a person, and by whom and when is kept.

Parts that were filled in by default are emptied where nothing was approved yet; a person says them. What was
approved or sealed stays as it was, so the constraint holds for rows that are written from now on.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

EMPTIED = """
UPDATE referrals_referralaccount AS a SET role = '' FROM referrals_referral AS r
WHERE r.id = a.referral_id AND r.state IN ('draft', 'awaiting_approval');
"""
ADDED = """
ALTER TABLE referrals_referralaccount ADD CONSTRAINT part_is_said_by_a_person CHECK (
    (role = '' AND role_set_by_id IS NULL AND role_set_at IS NULL)
    OR (role <> '' AND role_set_by_id IS NOT NULL AND role_set_at IS NOT NULL)
) NOT VALID;
"""
REMOVED = "ALTER TABLE referrals_referralaccount DROP CONSTRAINT part_is_said_by_a_person;"


class Migration(migrations.Migration):
    dependencies = [
        ("referrals", "0007_sealed_stays"),
        ("reports", "0012_route_attempts"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="referralaccount",
            name="role_set_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="referralaccount",
            name="role_set_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AlterField(
            model_name="referralaccount",
            name="role",
            field=models.CharField(
                blank=True,
                choices=[
                    ("suspect", "Suspect"),
                    ("victim", "Victim"),
                    ("recipient", "Recipient of the material"),
                    ("reporter", "Reporter"),
                    ("witness", "Witness"),
                    ("not said", "Not said"),
                ],
                default="",
                help_text="Empty until a person says it.",
                max_length=12,
            ),
        ),
        migrations.RunSQL(EMPTIED, migrations.RunSQL.noop),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(ADDED, REMOVED)],
            state_operations=[
                migrations.AddConstraint(
                    model_name="referralaccount",
                    constraint=models.CheckConstraint(
                        condition=models.Q(role="", role_set_by=None, role_set_at=None)
                        | (
                            ~models.Q(role="")
                            & models.Q(role_set_by__isnull=False, role_set_at__isnull=False)
                        ),
                        name="part_is_said_by_a_person",
                    ),
                )
            ],
        ),
    ]
