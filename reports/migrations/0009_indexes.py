import django.contrib.postgres.indexes
import django.contrib.postgres.operations
import django.db.models.functions.text
from django.db import migrations, models


class Migration(migrations.Migration):
    # PostgreSQL builds an index beside the work only outside of a transaction.
    atomic = False

    dependencies = [
        ("reports", "0008_bounds"),
    ]

    operations = [
        django.contrib.postgres.operations.AddIndexConcurrently(
            model_name="account",
            index=models.Index(
                django.contrib.postgres.indexes.OpClass(
                    django.db.models.functions.text.Upper("external_id"), "text_pattern_ops"
                ),
                name="accounts_by_id",
            ),
        ),
        django.contrib.postgres.operations.AddIndexConcurrently(
            model_name="account",
            index=models.Index(
                django.contrib.postgres.indexes.OpClass(
                    django.db.models.functions.text.Upper("username"), "text_pattern_ops"
                ),
                name="accounts_by_name",
            ),
        ),
        django.contrib.postgres.operations.AddIndexConcurrently(
            model_name="account",
            index=models.Index(
                django.contrib.postgres.indexes.OpClass(
                    django.db.models.functions.text.Upper("display_name"), "text_pattern_ops"
                ),
                name="accounts_by_display",
            ),
        ),
        django.contrib.postgres.operations.AddIndexConcurrently(
            model_name="group",
            index=models.Index(
                django.contrib.postgres.indexes.OpClass(
                    django.db.models.functions.text.Upper("external_id"), "text_pattern_ops"
                ),
                name="groups_by_id",
            ),
        ),
        django.contrib.postgres.operations.AddIndexConcurrently(
            model_name="group",
            index=models.Index(
                django.contrib.postgres.indexes.OpClass(
                    django.db.models.functions.text.Upper("name"), "text_pattern_ops"
                ),
                name="groups_by_name",
            ),
        ),
        django.contrib.postgres.operations.AddIndexConcurrently(
            model_name="item",
            index=models.Index(
                condition=models.Q(("kind", "text"), _negated=True),
                fields=["scanned_at", "id"],
                name="items_scanned_media",
            ),
        ),
        django.contrib.postgres.operations.AddIndexConcurrently(
            model_name="report",
            index=models.Index(
                condition=models.Q(("entered_by__isnull", False)),
                fields=["entered_by", "-received_at"],
                name="reports_entered_by",
            ),
        ),
    ]
