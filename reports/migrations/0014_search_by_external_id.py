import django.contrib.postgres.operations
from django.db import migrations, models


class Migration(migrations.Migration):
    # PostgreSQL builds an index beside the work only outside of a transaction.
    atomic = False

    dependencies = [
        ("reports", "0013_trust_words"),
    ]

    operations = [
        django.contrib.postgres.operations.AddIndexConcurrently(
            model_name="report",
            index=models.Index(
                condition=models.Q(("external_id", ""), _negated=True),
                fields=["external_id"],
                name="reports_by_external_id",
            ),
        ),
        django.contrib.postgres.operations.AddIndexConcurrently(
            model_name="item",
            index=models.Index(
                condition=models.Q(("external_id", ""), _negated=True),
                fields=["external_id"],
                name="items_by_external_id",
            ),
        ),
    ]
