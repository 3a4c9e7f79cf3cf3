"""What the senders know of an endpoint's health, and the due orders of each endpoint by time."""

import django.db.models.deletion
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # PostgreSQL builds an index beside the work only outside of a transaction.
    atomic = False

    dependencies = [
        ("moderation", "0007_indexes"),
    ]

    operations = [
        migrations.CreateModel(
            name="EndpointBreaker",
            fields=[
                (
                    "endpoint",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="breaker",
                        serialize=False,
                        to="moderation.webhookendpoint",
                    ),
                ),
                ("failures", models.PositiveIntegerField(default=0, help_text="in a row")),
                (
                    "openings",
                    models.PositiveIntegerField(
                        default=0, help_text="in a row; each doubles the wait"
                    ),
                ),
                ("open_until", models.DateTimeField(blank=True, null=True)),
                ("is_probing", models.BooleanField(default=False)),
                ("last_error", models.CharField(blank=True, max_length=300)),
                ("last_failed_at", models.DateTimeField(blank=True, null=True)),
            ],
        ),
        AddIndexConcurrently(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("state", "pending")),
                fields=["endpoint", "next_attempt_at"],
                name="deliveries_due_by_endpoint",
            ),
        ),
        RemoveIndexConcurrently(
            model_name="delivery",
            name="deliveries_due",
        ),
    ]
