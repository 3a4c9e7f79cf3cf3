"""Rows that the log speaks of keep what was received, decided or sealed.

``holdfast_row_guard`` refuses the statement that fires it; each room hangs it on the columns that no verb ever
changes. The application's role owns nothing, so it cannot switch it off; ``verify_audit`` finds who can.
"""

from django.db import migrations

FORWARD = """
CREATE FUNCTION holdfast_row_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'record: % of % is not allowed; what was received, decided or sealed stays', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER holdfast_row_guard BEFORE UPDATE OF sha256, md5 ON core_blob FOR EACH ROW
    WHEN ((OLD.sha256, OLD.md5) IS DISTINCT FROM (NEW.sha256, NEW.md5)) EXECUTE FUNCTION holdfast_row_guard();
"""
BACKWARD = """
DROP TRIGGER holdfast_row_guard ON core_blob;
DROP FUNCTION holdfast_row_guard();
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0005_audit_clock")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
