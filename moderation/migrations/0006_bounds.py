from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_second_factor_by_session"),
        ("accounts", "__first__"),
        ("moderation", "0005_row_guard"),
        ("reports", "0006_risk_scores"),
    ]

    operations = [
        migrations.AddConstraint(
            model_name="case",
            constraint=models.CheckConstraint(
                condition=models.Q(("severity__gte", 1), ("severity__lte", 5)),
                name="case_severity_range",
            ),
        ),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.UniqueConstraint(
                condition=models.Q(("published_at__isnull", False)),
                fields=("case",),
                name="one_published_decision_per_case",
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("delivered_at__isnull", False), ("state", "delivered")),
                    models.Q(
                        models.Q(("state", "delivered"), _negated=True),
                        models.Q(
                            ("delivered_at", None), ("replayed_at__isnull", False), _connector="OR"
                        ),
                    ),
                    _connector="OR",
                ),
                name="delivered_has_its_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="reveal",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("used_at", None), ("used_at__lte", models.F("expires_at")), _connector="OR"
                ),
                name="reveal_used_in_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="routingreason",
            constraint=models.CheckConstraint(
                condition=models.Q(("severity__gte", 1), ("severity__lte", 5)),
                name="reason_severity_range",
            ),
        ),
        migrations.AddConstraint(
            model_name="routingrule",
            constraint=models.CheckConstraint(
                condition=models.Q(("severity__gte", 1), ("severity__lte", 5)),
                name="routing_rule_severity_range",
            ),
        ),
    ]
