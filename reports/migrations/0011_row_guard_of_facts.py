"""IP events and identifiers that were told are added, never removed or reworded (core, migration 0006)."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER holdfast_row_guard BEFORE UPDATE ON reports_ipevent FOR EACH ROW
    WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION holdfast_row_guard();
CREATE TRIGGER holdfast_row_stays BEFORE DELETE ON reports_ipevent FOR EACH ROW EXECUTE FUNCTION holdfast_row_guard();
CREATE TRIGGER holdfast_row_guard BEFORE UPDATE OF id, account_id, kind, value ON reports_accountidentifier FOR EACH ROW
    WHEN ((OLD.id, OLD.account_id, OLD.kind, OLD.value) IS DISTINCT FROM (NEW.id, NEW.account_id, NEW.kind, NEW.value))
    EXECUTE FUNCTION holdfast_row_guard();
CREATE TRIGGER holdfast_row_stays BEFORE DELETE ON reports_accountidentifier
    FOR EACH ROW EXECUTE FUNCTION holdfast_row_guard();
"""
BACKWARD = """
DROP TRIGGER holdfast_row_stays ON reports_accountidentifier;
DROP TRIGGER holdfast_row_guard ON reports_accountidentifier;
DROP TRIGGER holdfast_row_stays ON reports_ipevent;
DROP TRIGGER holdfast_row_guard ON reports_ipevent;
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0006_row_guard"), ("reports", "0010_own_platform")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
