from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("core", "0012_audit_about"),
        ("reports", "0026_scans_in_turns"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="item",
            index=models.Index(
                condition=models.Q(("kind", "video"), ("scan_state", "waiting")),
                fields=["source", "scan_due_at"],
                name="items_videos_to_scan",
            ),
        ),
    ]
