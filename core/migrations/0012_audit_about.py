"""A line about a group of rows is found by each of them."""

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models.fields.json import KeyTransform


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("core", "0011_turns")]
    operations = [
        AddIndexConcurrently(
            "auditentry",
            GinIndex(
                KeyTransform("about", "data"),
                condition=models.Q(("data__has_key", "about"), ("subject_id", "")),
                name="core_audit_about",
            ),
        ),
    ]
