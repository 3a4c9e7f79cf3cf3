import django.contrib.postgres.operations
from django.db import migrations, models


class Migration(migrations.Migration):
    # PostgreSQL builds an index beside the work only outside of a transaction.
    atomic = False

    dependencies = [
        ("moderation", "0006_bounds"),
    ]

    operations = [
        django.contrib.postgres.operations.AddIndexConcurrently(
            model_name="decision",
            index=models.Index(fields=["made_by", "-published_at"], name="decisions_by_person"),
        ),
    ]
