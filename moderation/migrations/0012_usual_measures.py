"""Policies say which of their measures are usual. A version that was decided by never changes: this guards it too."""

from django.db import migrations, models

USUAL = {
    "CS-1": ["ban_account", "remove_media", "close_group"],
    "CS-2": ["ban_account", "remove_media", "close_group"],
    "CS-3": ["ban_account", "close_group"],
    "CS-4": ["close_group", "revoke_invite_link"],
    "GN-1": ["warn"],
}
KEPT = (
    "id, policy_id, version, summary, definition, include, exclude, severity, enforcements,"
    " requires_referral, effective_from, created_at"
)


def say_what_is_usual(apps, schema_editor):
    versions = apps.get_model("moderation", "PolicyVersion").objects
    for code, measures in USUAL.items():
        versions.filter(policy__code=code, version=1).update(usual_measures=measures)


def _guard(columns: str) -> str:
    names = columns.split(", ")
    old, new = (", ".join(f"{row}.{name}" for name in names) for row in ("OLD", "NEW"))
    return f"""
DROP TRIGGER holdfast_row_guard ON moderation_policyversion;
CREATE TRIGGER holdfast_row_guard BEFORE UPDATE OF {columns} ON moderation_policyversion FOR EACH ROW
    WHEN (({old}) IS DISTINCT FROM ({new})) EXECUTE FUNCTION holdfast_row_guard();
"""


class Migration(migrations.Migration):
    dependencies = [("moderation", "0011_endpoint_resumed")]
    operations = [
        migrations.AddField(
            model_name="policyversion",
            name="usual_measures",
            field=models.JSONField(
                blank=True,
                db_default=models.Value([], models.JSONField()),
                default=list,
                help_text="Verbs that are ticked to begin with.",
            ),
        ),
        migrations.RunPython(say_what_is_usual, migrations.RunPython.noop),
        migrations.RunSQL(_guard(f"{KEPT}, usual_measures"), _guard(KEPT)),
    ]
