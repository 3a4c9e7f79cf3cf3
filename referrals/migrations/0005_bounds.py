from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("referrals", "0004_row_guard"),
    ]

    operations = [
        migrations.AddConstraint(
            model_name="package",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("sha256__regex", "^[0-9a-f]{64}$"), ("tar_sha256__regex", "^[0-9a-f]{64}$")
                ),
                name="package_digests_are_well_formed",
            ),
        ),
    ]
