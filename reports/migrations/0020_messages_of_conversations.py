"""Messages say their place in a conversation, and that they were edited, deleted or not sent; reports say where it happened.

All of it is what was received, so the guards of the rows cover it (0007), and the role of an item with it.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

ITEM = [
    "id",
    "source_id",
    "report_id",
    "account_id",
    "group_id",
    "sender_id",
    "external_id",
    "surface",
    "kind",
    "text",
    "blob_id",
    "original_name",
    "source_url",
    "uploaded_ip",
    "uploaded_port",
    "content_at",
    "is_public",
]
REPORT = [
    "id",
    "number",
    "source_id",
    "external_id",
    "account_id",
    "group_id",
    "reporter_account_id",
    "reporter_ref",
    "reason",
    "description",
    "occurred_at",
    "received_at",
    "entered_by_id",
]
ADDED_TO_ITEM = [
    "role",
    "in_group_id",
    "conversation",
    "position",
    "reply_to",
    "is_edited",
    "edited_at",
    "is_deleted",
    "deleted_at",
    "not_sent",
]
ADDED_TO_REPORT = ["in_group_id"]


def guard(table, columns):
    """Return the statements that hang the guard on these columns, instead of those it hung on before."""
    old, new = (", ".join(f"{row}.{name}" for name in columns) for row in ("OLD", "NEW"))
    return f"""
DROP TRIGGER holdfast_row_guard ON {table};
CREATE TRIGGER holdfast_row_guard BEFORE UPDATE OF {", ".join(columns)}
    ON {table} FOR EACH ROW WHEN (({old}) IS DISTINCT FROM ({new}))
    EXECUTE FUNCTION holdfast_row_guard();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0009_audit_after_reset"),
        ("reports", "0019_report_metadata"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="item",
            name="item_is_text_or_media",
        ),
        migrations.AddField(
            model_name="item",
            name="conversation",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
        migrations.AddField(
            model_name="item",
            name="deleted_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="item",
            name="edited_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="item",
            name="in_group",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                help_text="The group in which it was written.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="items_written",
                to="reports.group",
            ),
        ),
        migrations.AddField(
            model_name="item",
            name="is_deleted",
            field=models.BooleanField(help_text="Its sender deleted it.", null=True),
        ),
        migrations.AddField(
            model_name="item",
            name="is_edited",
            field=models.BooleanField(help_text="Its sender changed it after sending.", null=True),
        ),
        migrations.AddField(
            model_name="item",
            name="not_sent",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Why the content is not here.",
                max_length=64,
            ),
        ),
        migrations.AddField(
            model_name="item",
            name="position",
            field=models.BigIntegerField(
                blank=True,
                help_text="Its place in the conversation; what is missing is a gap.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="item",
            name="reply_to",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
        migrations.AddField(
            model_name="report",
            name="in_group",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                help_text="Where it happened, of a report about an account.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="reports_within",
                to="reports.group",
            ),
        ),
        migrations.AlterField(
            model_name="item",
            name="kind",
            field=models.CharField(
                choices=[
                    ("text", "Text"),
                    ("image", "Image"),
                    ("video", "Video"),
                    ("audio", "Voice or sound"),
                    ("other", "Other file"),
                    ("not_sent", "Not sent"),
                ],
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="upload",
            name="kind",
            field=models.CharField(
                choices=[
                    ("text", "Text"),
                    ("image", "Image"),
                    ("video", "Video"),
                    ("audio", "Voice or sound"),
                    ("other", "Other file"),
                    ("not_sent", "Not sent"),
                ],
                default="other",
                max_length=8,
            ),
        ),
        migrations.AddConstraint(
            model_name="item",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("blob", None), ("kind__in", ["text", "not_sent"])),
                    models.Q(
                        models.Q(("kind__in", ["text", "not_sent"]), _negated=True),
                        ("blob__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="item_is_text_or_media",
            ),
        ),
        migrations.AddConstraint(
            model_name="item",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("kind", "not_sent"),
                        ("text", ""),
                        models.Q(("not_sent", ""), _negated=True),
                    ),
                    models.Q(models.Q(("kind", "not_sent"), _negated=True), ("not_sent", "")),
                    _connector="OR",
                ),
                name="item_not_sent_says_why",
            ),
        ),
        migrations.AddConstraint(
            model_name="item",
            constraint=models.CheckConstraint(
                condition=models.Q(("position", None), ("position__gte", 0), _connector="OR"),
                name="item_position_range",
            ),
        ),
        migrations.AddConstraint(
            model_name="report",
            constraint=models.CheckConstraint(
                condition=models.Q(("in_group", None), ("account__isnull", False), _connector="OR"),
                name="report_in_group_is_about_an_account",
            ),
        ),
        migrations.RunSQL(
            guard("reports_item", ITEM + ADDED_TO_ITEM)
            + guard("reports_report", REPORT + ADDED_TO_REPORT),
            guard("reports_item", ITEM) + guard("reports_report", REPORT),
        ),
    ]
