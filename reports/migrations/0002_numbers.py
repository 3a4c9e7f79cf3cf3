"""Report numbers come from a sequence: never given twice, however many write at once."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("reports", "0001_initial")]
    operations = [
        migrations.RunSQL(
            "CREATE SEQUENCE reports_report_number AS bigint START 1",
            "DROP SEQUENCE reports_report_number",
        )
    ]
