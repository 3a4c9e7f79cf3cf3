"""What test keys send: a queue of its own, and the only rows of the record that may be removed.

``holdfast_row_guard`` refuses to remove what was received or decided. It lets go what belongs to practice, which it
sees by where the row leads to, and nothing can become practice afterwards: what says so is never changed.
"""

from typing import Any

from django.db import migrations, models

FORWARD = """
CREATE FUNCTION holdfast_is_practice(gone jsonb) RETURNS boolean LANGUAGE plpgsql STABLE
    SET search_path = public, pg_temp AS $$
BEGIN
    RETURN EXISTS (SELECT FROM reports_source WHERE id = (gone->>'source_id')::uuid AND practice_of_id IS NOT NULL)
        OR EXISTS (SELECT FROM reports_account WHERE id = (gone->>'account_id')::uuid AND left(external_id, 1) = ' ')
        OR EXISTS (SELECT FROM reports_group WHERE id = (gone->>'group_id')::uuid AND left(external_id, 1) = ' ')
        OR EXISTS (SELECT FROM moderation_case WHERE id = (gone->>'case_id')::uuid AND is_practice)
        OR EXISTS (SELECT FROM moderation_decision d JOIN moderation_case c ON c.id = d.case_id
                   WHERE d.id = (gone->>'decision_id')::uuid AND c.is_practice)
        OR EXISTS (SELECT FROM moderation_enforcement e JOIN moderation_decision d ON d.id = e.decision_id
                   JOIN moderation_case c ON c.id = d.case_id
                   WHERE e.id = (gone->>'enforcement_id')::uuid AND c.is_practice)
        OR EXISTS (SELECT FROM reports_item i JOIN reports_source s ON s.id = i.source_id
                   WHERE i.id = (gone->>'item_id')::uuid AND s.practice_of_id IS NOT NULL)
        OR EXISTS (SELECT FROM reports_report r JOIN reports_source s ON s.id = r.source_id
                   WHERE r.id = (gone->>'report_id')::uuid AND s.practice_of_id IS NOT NULL);
END $$;
CREATE OR REPLACE FUNCTION holdfast_row_guard() RETURNS trigger LANGUAGE plpgsql
    SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' AND holdfast_is_practice(to_jsonb(OLD)) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'record: % of % is not allowed; what was received, decided or sealed stays', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER holdfast_row_guard_practice BEFORE UPDATE OF is_practice ON moderation_case FOR EACH ROW
    WHEN (OLD.is_practice IS DISTINCT FROM NEW.is_practice) EXECUTE FUNCTION holdfast_row_guard();
CREATE TRIGGER holdfast_row_guard_practice BEFORE UPDATE OF practice_of_id ON reports_source FOR EACH ROW
    WHEN (OLD.practice_of_id IS DISTINCT FROM NEW.practice_of_id) EXECUTE FUNCTION holdfast_row_guard();
CREATE TRIGGER holdfast_row_guard_practice BEFORE UPDATE OF external_id ON reports_account FOR EACH ROW
    WHEN (left(OLD.external_id, 1) IS DISTINCT FROM left(NEW.external_id, 1)) EXECUTE FUNCTION holdfast_row_guard();
CREATE TRIGGER holdfast_row_guard_practice BEFORE UPDATE OF external_id ON reports_group FOR EACH ROW
    WHEN (left(OLD.external_id, 1) IS DISTINCT FROM left(NEW.external_id, 1)) EXECUTE FUNCTION holdfast_row_guard();
"""
BACKWARD = """
DROP TRIGGER holdfast_row_guard_practice ON reports_group;
DROP TRIGGER holdfast_row_guard_practice ON reports_account;
DROP TRIGGER holdfast_row_guard_practice ON reports_source;
DROP TRIGGER holdfast_row_guard_practice ON moderation_case;
CREATE OR REPLACE FUNCTION holdfast_row_guard() RETURNS trigger LANGUAGE plpgsql
    SET search_path = public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'record: % of % is not allowed; what was received, decided or sealed stays', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;
DROP FUNCTION holdfast_is_practice(jsonb);
"""


def make_queue(apps: Any, schema_editor: Any) -> None:
    """Make the queue of practice, the last one."""
    apps.get_model("moderation", "Queue").objects.create(
        slug="practice",
        name="Practice",
        position=900,
        description="What test keys send. Nothing here orders, counts or leaves, and it is deleted after some weeks.",
        is_practice=True,
    )


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0008_audit_numbers"),
        ("moderation", "0013_painted"),
        ("reports", "0022_practice"),
    ]

    operations = [
        migrations.AddField(
            model_name="queue",
            name="is_practice",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Takes what test keys send, and nothing else.",
            ),
        ),
        migrations.AddConstraint(
            model_name="queue",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_practice", True)),
                fields=("is_practice",),
                name="one_practice_queue",
            ),
        ),
        migrations.AddField(
            model_name="case",
            name="is_practice",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Of what a test key sent: orders nothing, counts nowhere, is never referred.",
            ),
        ),
        migrations.RunPython(make_queue, migrations.RunPython.noop),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
