"""Type and time of the incident are proposals until a person confirms or changes them, and by whom and when is kept.

Nobody kept it before: in drafts, and in what waits for approval, they are proposals now. What was approved or sealed
stays as it was and names nobody.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("moderation", "0013_painted"),
        ("referrals", "0008_parts_of_accounts"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="referral",
            name="incident_at_set_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="referral",
            name="incident_at_set_by",
            field=models.ForeignKey(
                blank=True,
                help_text="Who confirmed or wrote it. Nobody: it is a proposal.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="referral",
            name="incident_type_set_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="referral",
            name="incident_type_set_by",
            field=models.ForeignKey(
                blank=True,
                help_text="Who confirmed or wrote it. Nobody: it is a proposal.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddConstraint(
            model_name="referral",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("incident_type_set_at", None), ("incident_type_set_by", None)),
                    models.Q(
                        models.Q(("incident_type", ""), _negated=True),
                        ("incident_type_set_at__isnull", False),
                        ("incident_type_set_by__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="incident_type_is_said_by_a_person",
            ),
        ),
        migrations.AddConstraint(
            model_name="referral",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("incident_at_set_at", None), ("incident_at_set_by", None)),
                    models.Q(
                        ("incident_at__isnull", False),
                        ("incident_at_set_at__isnull", False),
                        ("incident_at_set_by__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="incident_time_is_said_by_a_person",
            ),
        ),
    ]
