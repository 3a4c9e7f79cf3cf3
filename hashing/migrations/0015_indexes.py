import django.contrib.postgres.indexes
import django.contrib.postgres.operations
import django.db.models.functions.text
from django.db import migrations, models


class Migration(migrations.Migration):
    # PostgreSQL builds an index beside the work only outside of a transaction.
    atomic = False

    dependencies = [
        ("hashing", "0014_long_work"),
    ]

    operations = [
        django.contrib.postgres.operations.TrigramExtension(),
        django.contrib.postgres.operations.AddIndexConcurrently(
            model_name="hashentry",
            index=django.contrib.postgres.indexes.GinIndex(
                django.contrib.postgres.indexes.OpClass(
                    django.db.models.functions.text.Upper("note"), "gin_trgm_ops"
                ),
                condition=models.Q(("note", ""), _negated=True),
                name="entries_by_note",
            ),
        ),
        django.contrib.postgres.operations.AddIndexConcurrently(
            model_name="verdict",
            index=models.Index(fields=["item", "-decided_at"], name="verdicts_of_item"),
        ),
        django.contrib.postgres.operations.AddIndexConcurrently(
            model_name="verdict",
            index=models.Index(
                condition=models.Q(("is_weighed", False)), fields=["id"], name="verdicts_to_weigh"
            ),
        ),
    ]
