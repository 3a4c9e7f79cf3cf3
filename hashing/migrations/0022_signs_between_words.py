"""Lists that disregard capitals disregard signs between the words of a phrase too, as the level "folded" does now."""

from django.db import migrations


def add_gaps(apps, schema_editor):
    for term_list in apps.get_model("hashing", "TermList").objects.all():
        if "case" in term_list.steps and "gaps" not in term_list.steps:
            term_list.steps = [*term_list.steps, "gaps"]
            term_list.save(update_fields=["steps"])


class Migration(migrations.Migration):
    dependencies = [("hashing", "0021_retired_rows_of_imports")]

    operations = [migrations.RunPython(add_gaps, migrations.RunPython.noop)]
