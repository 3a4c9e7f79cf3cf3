from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("hashing", "0023_odd_values_of_exchanges")]

    operations = [
        migrations.AddField(
            model_name="exchangerun",
            name="is_cut",
            field=models.BooleanField(
                default=False,
                help_text="It has not reached the end of what there was; the next one goes on.",
            ),
        ),
    ]
