"""The audit log's rules, kept by the database itself.

A role that does not own the tables (``manage.py grant_app_role``) cannot switch these triggers off.
"""

from django.db import migrations

FORWARD = r"""
-- Locks the chain until the transaction ends, then reads its end. A volatile function takes a new
-- snapshot for each statement, so the second statement sees what the lock waited for.
CREATE FUNCTION holdfast_audit_begin(chain_name text, OUT seq bigint, OUT hash text, OUT at timestamptz)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('holdfast.audit.' || chain_name, 0));
    SELECT h.seq, h.hash INTO seq, hash FROM core_audithead h WHERE h.chain = chain_name;
    IF NOT FOUND THEN
        seq := 0;
        hash := repeat('0', 64);
    END IF;
    at := clock_timestamp();
END $$;

-- SECURITY DEFINER: the application's role may read core_audithead but never write it. The search path is
-- fixed with pg_temp last, or a temporary table of the same name would be taken for the real one.
CREATE FUNCTION holdfast_audit_check() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    head_seq bigint;
    head_hash text;
    said jsonb;
BEGIN
    SELECT h.seq, h.hash INTO head_seq, head_hash FROM core_audithead h WHERE h.chain = NEW.chain FOR UPDATE;
    IF NOT FOUND THEN
        head_seq := 0;
        head_hash := repeat('0', 64);
    END IF;
    IF NEW.seq <> head_seq + 1 THEN
        RAISE EXCEPTION 'audit: chain % continues with number %, not %', NEW.chain, head_seq + 1, NEW.seq
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.prev_hash <> head_hash THEN
        RAISE EXCEPTION 'audit: chain % does not end with the hash that number % continues', NEW.chain, NEW.seq
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.hash <> encode(sha256(convert_to(NEW.prev_hash || E'\n' || NEW.line, 'UTF8')), 'hex') THEN
        RAISE EXCEPTION 'audit: the hash of number % in chain % is wrong', NEW.seq, NEW.chain
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    said := NEW.line::jsonb;
    IF said ->> 'chain' <> NEW.chain OR (said ->> 'seq')::bigint <> NEW.seq OR said ->> 'event' <> NEW.event
        OR (said ->> 'at')::timestamptz <> NEW.at OR said -> 'data' <> NEW.data
        OR said #>> '{actor,id}' <> NEW.actor_id OR said #>> '{subject,id}' <> NEW.subject_id THEN
        RAISE EXCEPTION 'audit: the columns of number % in chain % disagree with its line', NEW.seq, NEW.chain
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    INSERT INTO core_audithead (chain, seq, hash) VALUES (NEW.chain, NEW.seq, NEW.hash)
        ON CONFLICT (chain) DO UPDATE SET seq = EXCLUDED.seq, hash = EXCLUDED.hash;
    RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION holdfast_audit_check() FROM PUBLIC;

CREATE FUNCTION holdfast_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit: % on % is not allowed; entries are only ever added', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE FUNCTION holdfast_audit_head_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Depth 1 is a statement somebody sent; the audit trigger writes from depth 2.
    IF pg_trigger_depth() < 2 OR TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'audit: % on % is not allowed; the log itself keeps it', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER holdfast_audit_check BEFORE INSERT ON core_auditentry
    FOR EACH ROW EXECUTE FUNCTION holdfast_audit_check();
CREATE TRIGGER holdfast_audit_no_change BEFORE UPDATE OR DELETE ON core_auditentry
    FOR EACH ROW EXECUTE FUNCTION holdfast_audit_refuse();
CREATE TRIGGER holdfast_audit_no_truncate BEFORE TRUNCATE ON core_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION holdfast_audit_refuse();
CREATE TRIGGER holdfast_audit_head_guard BEFORE INSERT OR UPDATE OR DELETE ON core_audithead
    FOR EACH ROW EXECUTE FUNCTION holdfast_audit_head_guard();
CREATE TRIGGER holdfast_audit_head_no_truncate BEFORE TRUNCATE ON core_audithead
    FOR EACH STATEMENT EXECUTE FUNCTION holdfast_audit_refuse();
"""

BACKWARD = """
DROP TRIGGER holdfast_audit_head_no_truncate ON core_audithead;
DROP TRIGGER holdfast_audit_head_guard ON core_audithead;
DROP TRIGGER holdfast_audit_no_truncate ON core_auditentry;
DROP TRIGGER holdfast_audit_no_change ON core_auditentry;
DROP TRIGGER holdfast_audit_check ON core_auditentry;
DROP FUNCTION holdfast_audit_head_guard();
DROP FUNCTION holdfast_audit_refuse();
DROP FUNCTION holdfast_audit_check();
DROP FUNCTION holdfast_audit_begin(text);
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
