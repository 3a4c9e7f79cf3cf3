"""Requests to erase what was told of an account or a group."""

import uuid

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("reports", "0023_told_digest"),
    ]

    operations = [
        migrations.CreateModel(
            name="Erasure",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("external_id", models.CharField(blank=True, max_length=200)),
                ("kind", models.CharField(help_text="account or group", max_length=7)),
                (
                    "subject_id",
                    models.CharField(help_text="Its id on the platform.", max_length=201),
                ),
                ("reason", models.CharField(max_length=64)),
                (
                    "requested_at",
                    models.DateTimeField(help_text="When the person asked the platform."),
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
                            ("waiting", "Waiting"),
                            ("carrying_out", "Being carried out"),
                            ("done", "Carried out"),
                        ],
                        default="waiting",
                        max_length=12,
                    ),
                ),
                ("done_at", models.DateTimeField(blank=True, null=True)),
                (
                    "erased",
                    models.JSONField(
                        blank=True, default=dict, help_text="How many of what were erased."
                    ),
                ),
                (
                    "kept",
                    models.JSONField(
                        blank=True, default=list, help_text="Codes of what was kept, and why."
                    ),
                ),
                (
                    "account",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="erasures",
                        to="reports.account",
                    ),
                ),
                (
                    "group",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="erasures",
                        to="reports.group",
                    ),
                ),
                (
                    "source",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="erasures",
                        to="reports.source",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["-received_at"], name="erasures_newest_first"),
                    models.Index(
                        condition=models.Q(("state", "waiting")),
                        fields=["received_at"],
                        name="erasures_waiting",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("external_id", ""), _negated=True),
                        fields=("source", "external_id"),
                        name="erasure_external_id_once_per_source",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("done_at__isnull", False), ("state", "done")),
                            models.Q(models.Q(("state", "done"), _negated=True), ("done_at", None)),
                            _connector="OR",
                        ),
                        name="erasure_done_has_its_time",
                    ),
                ],
            },
        ),
    ]
