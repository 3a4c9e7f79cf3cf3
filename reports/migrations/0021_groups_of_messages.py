"""Items and reports by the group in which something was written or happened."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("reports", "0020_messages_of_conversations")]

    operations = [
        AddIndexConcurrently(
            model_name="item",
            index=models.Index(
                condition=models.Q(("in_group__isnull", False)),
                fields=["in_group"],
                name="items_in_group",
            ),
        ),
        AddIndexConcurrently(
            model_name="report",
            index=models.Index(
                condition=models.Q(("in_group__isnull", False)),
                fields=["in_group"],
                name="reports_in_group",
            ),
        ),
    ]
