import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "__first__"),
        ("hashing", "0013_exchange_reviews"),
        ("reports", "0006_risk_scores"),
    ]

    operations = [
        migrations.CreateModel(
            name="LongWork",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("rescan", "Scan again what came in while a list was held"),
                            ("rerate", "Rate again under new weights"),
                        ],
                        max_length=8,
                    ),
                ),
                ("since", models.DateTimeField(help_text="Items scanned from then …", null=True)),
                (
                    "until",
                    models.DateTimeField(help_text="… until then are scanned again.", null=True),
                ),
                (
                    "cursor_at",
                    models.DateTimeField(
                        help_text="How far it is: the last item's time,", null=True
                    ),
                ),
                (
                    "cursor_key",
                    models.CharField(
                        blank=True, help_text="and the last row's key.", max_length=40
                    ),
                ),
                ("done", models.PositiveIntegerField(default=0, help_text="Rows so far.")),
                (
                    "started_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                (
                    "moved_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("ended_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.AddField(
            model_name="verdict",
            name="is_weighed",
            field=models.BooleanField(
                db_default=False,
                help_text="Whether the entries behind it were looked at because of it.",
            ),
        ),
        migrations.AddConstraint(
            model_name="riskpolicy",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("raise_by__range", (1, 100)),
                    ("quiet_days__range", (0, 365)),
                    ("group_limit__range", (2, 1000000)),
                    ("drop__gte", 0),
                    ("drop__lt", models.F("group_open_at")),
                    ("drop__lt", models.F("account_open_at")),
                ),
                name="risk_policy_bounds",
            ),
        ),
        migrations.AddField(
            model_name="longwork",
            name="hash_list",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="long_works",
                to="hashing.hashlist",
            ),
        ),
        migrations.AddField(
            model_name="longwork",
            name="policy",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="long_works",
                to="hashing.riskpolicy",
            ),
        ),
        migrations.AddIndex(
            model_name="longwork",
            index=models.Index(
                condition=models.Q(("ended_at", None)), fields=["id"], name="long_work_to_do"
            ),
        ),
        migrations.AddConstraint(
            model_name="longwork",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("hash_list__isnull", False), ("kind", "rescan"), ("since__isnull", False)
                    ),
                    models.Q(("kind", "rerate"), ("policy__isnull", False)),
                    _connector="OR",
                ),
                name="long_work_says_what_is_asked",
            ),
        ),
    ]
