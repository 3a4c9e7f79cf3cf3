"""Sources have a twin for their test keys; accounts and groups of practice have ids with a blank before them."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("reports", "0021_groups_of_messages")]

    operations = [
        migrations.AddField(
            model_name="source",
            name="practice_of",
            field=models.OneToOneField(
                blank=True,
                help_text="Its test keys belong to this twin of a source; what they send is practice.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="practice",
                to="reports.source",
            ),
        ),
        migrations.AlterField(
            model_name="account",
            name="external_id",
            field=models.CharField(
                help_text="With a blank before it: of practice.", max_length=201, unique=True
            ),
        ),
        migrations.AlterField(
            model_name="group",
            name="external_id",
            field=models.CharField(
                help_text="With a blank before it: of practice.", max_length=201, unique=True
            ),
        ),
    ]
