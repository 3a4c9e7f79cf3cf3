from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "__first__"),
        ("core", "0004_kinds_of_heartbeats"),
        ("reports", "0007_row_guard"),
    ]

    operations = [
        migrations.AddConstraint(
            model_name="item",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("uploaded_port", None),
                    models.Q(("uploaded_port__gte", 0), ("uploaded_port__lte", 65535)),
                    _connector="OR",
                ),
                name="item_port_range",
            ),
        ),
    ]
