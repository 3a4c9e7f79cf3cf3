import django.contrib.postgres.operations
from django.db import migrations, models


class Migration(migrations.Migration):
    # PostgreSQL builds an index beside the work only outside of a transaction.
    atomic = False

    dependencies = [
        ("moderation", "0019_notices_and_replays"),
    ]

    operations = [
        django.contrib.postgres.operations.AddIndexConcurrently(
            model_name="delivery",
            index=models.Index(fields=["created_at", "id"], name="deliveries_by_time"),
        ),
    ]
