"""The function that numbers entries of lists takes the real table, whatever temporary one a session made."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("hashing", "0017_approved_surfaces")]
    operations = [
        migrations.RunSQL(
            "ALTER FUNCTION holdfast_mark_entry() SET search_path = public, pg_temp",
            "ALTER FUNCTION holdfast_mark_entry() RESET search_path",
        )
    ]
