"""Practice whose time is over is found without reading every case."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # Built beside the work.

    dependencies = [("moderation", "0014_practice")]

    operations = [
        AddIndexConcurrently(
            model_name="case",
            index=models.Index(
                condition=models.Q(("is_practice", True)),
                fields=["opened_at"],
                name="practice_cases_by_age",
            ),
        ),
    ]
