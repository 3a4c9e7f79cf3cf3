from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("core", "0002_audit_triggers")]
    operations = [
        migrations.AddIndex(
            model_name="auditentry",
            index=models.Index(
                fields=["ip", "-id"], condition=~models.Q(ip=""), name="core_audit_ip"
            ),
        )
    ]
