"""What was received stays as it was received: no verb changes or removes it (core, migration 0006)."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER holdfast_row_guard BEFORE UPDATE OF
        id, number, source_id, external_id, account_id, group_id, reporter_account_id, reporter_ref, reason, description, occurred_at, received_at, entered_by_id
    ON reports_report FOR EACH ROW WHEN (
        (OLD.id, OLD.number, OLD.source_id, OLD.external_id, OLD.account_id, OLD.group_id, OLD.reporter_account_id, OLD.reporter_ref, OLD.reason, OLD.description, OLD.occurred_at, OLD.received_at, OLD.entered_by_id)
        IS DISTINCT FROM (NEW.id, NEW.number, NEW.source_id, NEW.external_id, NEW.account_id, NEW.group_id, NEW.reporter_account_id, NEW.reporter_ref, NEW.reason, NEW.description, NEW.occurred_at, NEW.received_at, NEW.entered_by_id))
    EXECUTE FUNCTION holdfast_row_guard();
CREATE TRIGGER holdfast_row_stays BEFORE DELETE ON reports_report FOR EACH ROW EXECUTE FUNCTION holdfast_row_guard();

CREATE TRIGGER holdfast_row_guard BEFORE UPDATE OF
        id, source_id, report_id, account_id, group_id, sender_id, external_id, surface, kind, text, blob_id, original_name, source_url, uploaded_ip, uploaded_port, content_at, is_public
    ON reports_item FOR EACH ROW WHEN (
        (OLD.id, OLD.source_id, OLD.report_id, OLD.account_id, OLD.group_id, OLD.sender_id, OLD.external_id, OLD.surface, OLD.kind, OLD.text, OLD.blob_id, OLD.original_name, OLD.source_url, OLD.uploaded_ip, OLD.uploaded_port, OLD.content_at, OLD.is_public)
        IS DISTINCT FROM (NEW.id, NEW.source_id, NEW.report_id, NEW.account_id, NEW.group_id, NEW.sender_id, NEW.external_id, NEW.surface, NEW.kind, NEW.text, NEW.blob_id, NEW.original_name, NEW.source_url, NEW.uploaded_ip, NEW.uploaded_port, NEW.content_at, NEW.is_public))
    EXECUTE FUNCTION holdfast_row_guard();
CREATE TRIGGER holdfast_row_stays BEFORE DELETE ON reports_item FOR EACH ROW EXECUTE FUNCTION holdfast_row_guard();
"""
BACKWARD = """
DROP TRIGGER holdfast_row_stays ON reports_item;
DROP TRIGGER holdfast_row_guard ON reports_item;
DROP TRIGGER holdfast_row_stays ON reports_report;
DROP TRIGGER holdfast_row_guard ON reports_report;
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0006_row_guard"), ("reports", "0006_risk_scores")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
