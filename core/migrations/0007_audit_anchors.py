"""Anchors of the audit log: rows that are only added, with three fields that are written once."""

from django.db import migrations, models

FORWARD = """
CREATE TRIGGER holdfast_anchor_no_change BEFORE UPDATE ON core_auditanchor FOR EACH ROW WHEN (
        (OLD.number, OLD.made_at, OLD.reason, OLD.through_id, OLD.statement, OLD.signature, OLD.signer, OLD.heads)
        IS DISTINCT FROM
        (NEW.number, NEW.made_at, NEW.reason, NEW.through_id, NEW.statement, NEW.signature, NEW.signer, NEW.heads)
        OR (OLD.token IS NOT NULL AND OLD.token IS DISTINCT FROM NEW.token)
        OR (OLD.stored_at IS NOT NULL AND OLD.stored_at IS DISTINCT FROM NEW.stored_at)
        OR (OLD.told_at IS NOT NULL AND OLD.told_at IS DISTINCT FROM NEW.told_at))
    EXECUTE FUNCTION holdfast_audit_refuse();
CREATE TRIGGER holdfast_anchor_stays BEFORE DELETE ON core_auditanchor
    FOR EACH ROW EXECUTE FUNCTION holdfast_audit_refuse();
CREATE TRIGGER holdfast_anchor_no_truncate BEFORE TRUNCATE ON core_auditanchor
    FOR EACH STATEMENT EXECUTE FUNCTION holdfast_audit_refuse();
"""
BACKWARD = """
DROP TRIGGER holdfast_anchor_no_truncate ON core_auditanchor;
DROP TRIGGER holdfast_anchor_stays ON core_auditanchor;
DROP TRIGGER holdfast_anchor_no_change ON core_auditanchor;
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0006_row_guard")]
    operations = [
        migrations.CreateModel(
            name="AuditAnchor",
            fields=[
                ("number", models.BigIntegerField(primary_key=True, serialize=False)),
                ("made_at", models.DateTimeField()),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("nightly", "Nightly"),
                            ("package", "Package"),
                            ("asked", "Asked"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "through_id",
                    models.BigIntegerField(help_text="the newest entry of the log at that moment"),
                ),
                ("statement", models.TextField(help_text="what is signed")),
                ("signature", models.TextField(help_text="SSHSIG over the statement")),
                ("signer", models.CharField(max_length=200)),
                ("heads", models.BinaryField(help_text="the list of heads, gzip")),
                (
                    "token",
                    models.BinaryField(help_text="answer of the time-stamp authority", null=True),
                ),
                (
                    "stored_at",
                    models.DateTimeField(help_text="when its file lay in the store", null=True),
                ),
                (
                    "told_at",
                    models.DateTimeField(
                        help_text="when the operator's endpoint had it", null=True
                    ),
                ),
            ],
            options={
                "ordering": ["number"],
                "indexes": [models.Index(fields=["made_at"], name="core_anchor_made")],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
