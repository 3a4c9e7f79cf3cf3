"""The log gives each entry its id as well, takes one-line entries only, and its functions take no table but the real ones.

Anchors and newest-first pages go by the id: an entry that chose one for itself could hide from both, or, with
a very high one, keep every later entry out of the anchors. A line break or a member named twice would show
one reader of the log this and another that.
"""

from django.db import migrations

# By its name it runs after the check, which holds the chain's lock and has filled the line's gaps.
FORWARD = r"""
CREATE FUNCTION holdfast_audit_number() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.line ~ E'[\x01-\x1f]' OR EXISTS (
        SELECT 1 FROM json_object_keys(NEW.line::json) AS member GROUP BY member HAVING count(*) > 1
    ) THEN
        RAISE EXCEPTION 'audit: the line is not written as the log writes lines'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    NEW.id := nextval('public.core_auditentry_id_seq');
    RETURN NEW;
END $$;
CREATE TRIGGER holdfast_audit_number BEFORE INSERT ON core_auditentry
    FOR EACH ROW EXECUTE FUNCTION holdfast_audit_number();
ALTER FUNCTION holdfast_audit_refuse() SET search_path = public, pg_temp;
ALTER FUNCTION holdfast_audit_head_guard() SET search_path = public, pg_temp;
ALTER FUNCTION holdfast_row_guard() SET search_path = public, pg_temp;
"""
BACKWARD = """
ALTER FUNCTION holdfast_row_guard() RESET search_path;
ALTER FUNCTION holdfast_audit_head_guard() RESET search_path;
ALTER FUNCTION holdfast_audit_refuse() RESET search_path;
DROP TRIGGER holdfast_audit_number ON core_auditentry;
DROP FUNCTION holdfast_audit_number();
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0007_audit_anchors")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
