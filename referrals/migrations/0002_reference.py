"""The running number of package references. A sequence: two people who open at once get two numbers."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("referrals", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "CREATE SEQUENCE referrals_reference_seq START 1",
            "DROP SEQUENCE referrals_reference_seq",
        )
    ]
