"""What a case was made of, what a decision ordered and the words it was decided by stay (core, migration 0006)."""

from django.db import migrations

KEPT = {
    "moderation_caseitem": "id, case_id, item_id, joined_at, case_version",
    "moderation_casereport": "id, case_id, report_id, joined_at, case_version",
    "moderation_enforcement": "id, decision_id, verb, account_id, group_id, item_id",
    "moderation_note": "id, case_id, author_id, text, created_at",
    "moderation_policyversion": (
        "id, policy_id, version, summary, definition, include, exclude, severity, enforcements,"
        " requires_referral, effective_from, created_at"
    ),
}
"""Table → the columns that no verb ever changes. No row of these is ever removed."""


def _guard(table: str, columns: str) -> str:
    names = columns.split(", ")
    old, new = (", ".join(f"{row}.{name}" for name in names) for row in ("OLD", "NEW"))
    return f"""
CREATE TRIGGER holdfast_row_guard BEFORE UPDATE OF {columns} ON {table} FOR EACH ROW
    WHEN (({old}) IS DISTINCT FROM ({new})) EXECUTE FUNCTION holdfast_row_guard();
CREATE TRIGGER holdfast_row_stays BEFORE DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION holdfast_row_guard();
"""


FORWARD = "".join(_guard(table, columns) for table, columns in KEPT.items())
BACKWARD = "".join(
    f"DROP TRIGGER holdfast_row_stays ON {table};\nDROP TRIGGER holdfast_row_guard ON {table};\n"
    for table in KEPT
)


class Migration(migrations.Migration):
    dependencies = [("core", "0006_row_guard"), ("moderation", "0008_endpoint_breakers")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
