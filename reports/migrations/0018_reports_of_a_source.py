import django.contrib.postgres.operations
from django.db import migrations, models


class Migration(migrations.Migration):
    # PostgreSQL builds an index beside the work only outside of a transaction.
    atomic = False

    dependencies = [
        ("reports", "0017_outcomes"),
    ]

    operations = [
        django.contrib.postgres.operations.AddIndexConcurrently(
            model_name="report",
            index=models.Index(fields=["source", "-number"], name="reports_of_a_source"),
        ),
    ]
