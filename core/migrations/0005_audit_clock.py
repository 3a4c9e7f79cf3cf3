"""The audit log writes number, time and hash itself; a caller cannot choose any of them.

What a caller sends in ``line`` is the entry's canonical JSON with two gaps (U+001E, which JSON text cannot
hold): where the time goes and where the number goes. The trigger fills both under the chain's lock, so that
an entry cannot be dated back, and compares every column with what the finished line says.
"""

from django.db import migrations, models

FORWARD = r"""
ALTER TABLE core_audithead DISABLE TRIGGER holdfast_audit_head_guard;
UPDATE core_audithead h SET at = e.at FROM core_auditentry e WHERE e.chain = h.chain AND e.seq = h.seq;
ALTER TABLE core_audithead ENABLE TRIGGER holdfast_audit_head_guard;

DROP FUNCTION holdfast_audit_begin(text);

-- Runs with the caller's own rights and, by its name, before the check: only the owner of the log may give a
-- time, and only while every entry there is came with one. (The newest entry tells: the first ordinary one
-- ends this for ever.)
CREATE FUNCTION holdfast_audit_caller() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    given boolean;
BEGIN
    SELECT e.as_given INTO given FROM public.core_auditentry e ORDER BY e.id DESC LIMIT 1;
    IF (FOUND AND NOT given)
        OR current_user::regrole IS DISTINCT FROM
            (SELECT c.relowner::regrole FROM pg_catalog.pg_class c WHERE c.oid = TG_RELID) THEN
        RAISE EXCEPTION 'audit: an entry has the time of the database; % was given', NEW.at
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION holdfast_audit_check() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    head_seq bigint;
    head_hash text;
    head_at timestamptz;
    clock timestamptz;
    parts text[];
    stamp text;
    said jsonb;
BEGIN
    IF num_nonnulls(NEW.seq, NEW.prev_hash, NEW.hash, NEW.behind_ms) > 0 THEN
        RAISE EXCEPTION 'audit: number and hashes are written by the log itself; leave them out'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    parts := string_to_array(NEW.line, E'\x1e');
    IF cardinality(parts) IS DISTINCT FROM 3 THEN
        RAISE EXCEPTION 'audit: the line has no place for its time and its number'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    -- Held until the transaction ends. The next statement has a new snapshot: it sees what this waited for.
    PERFORM pg_advisory_xact_lock(hashtextextended('holdfast.audit.' || NEW.chain, 0));
    SELECT h.seq, h.hash, h.at INTO head_seq, head_hash, head_at FROM core_audithead h WHERE h.chain = NEW.chain;
    IF NOT FOUND THEN
        head_seq := 0;
        head_hash := repeat('0', 64);
    END IF;
    clock := clock_timestamp();
    NEW.as_given := NEW.at IS NOT NULL;
    IF NEW.as_given THEN
        IF NEW.at > clock OR NEW.at < head_at THEN
            RAISE EXCEPTION 'audit: % is in the future or before the last entry of chain %', NEW.at, NEW.chain
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    ELSE
        NEW.at := greatest(clock, head_at);
        IF head_at > clock THEN
            NEW.behind_ms := ceil(extract(epoch FROM head_at - clock) * 1000);
        END IF;
    END IF;
    NEW.seq := head_seq + 1;
    NEW.prev_hash := head_hash;
    stamp := to_char(NEW.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
    NEW.line := parts[1]
        || CASE WHEN NEW.as_given THEN '"as_given":true,' ELSE '' END
        || '"at":"' || stamp || '"'
        || CASE WHEN NEW.behind_ms IS NULL THEN '' ELSE ',"behind_ms":' || NEW.behind_ms END
        || parts[2] || '"seq":' || NEW.seq || parts[3];
    NEW.hash := encode(sha256(convert_to(NEW.prev_hash || E'\n' || NEW.line, 'UTF8')), 'hex');
    said := jsonb_build_object(
        'actor', jsonb_build_object('kind', NEW.actor_kind, 'id', NEW.actor_id, 'label', NEW.actor_label),
        'at', stamp, 'chain', NEW.chain, 'client', NEW.user_agent, 'data', NEW.data, 'event', NEW.event,
        'ip', NEW.ip, 'request', NEW.request_id, 'seq', NEW.seq,
        'subject', jsonb_build_object('type', NEW.subject_type, 'id', NEW.subject_id));
    IF NEW.as_given THEN
        said := said || '{"as_given":true}';
    END IF;
    IF NEW.behind_ms IS NOT NULL THEN
        said := said || jsonb_build_object('behind_ms', NEW.behind_ms);
    END IF;
    -- IS DISTINCT FROM: a comparison with NULL must not count as agreement.
    IF NEW.line::jsonb IS DISTINCT FROM said THEN
        RAISE EXCEPTION 'audit: the columns of number % in chain % disagree with its line', NEW.seq, NEW.chain
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    INSERT INTO core_audithead (chain, seq, hash, at) VALUES (NEW.chain, NEW.seq, NEW.hash, NEW.at)
        ON CONFLICT (chain) DO UPDATE SET seq = EXCLUDED.seq, hash = EXCLUDED.hash, at = EXCLUDED.at;
    RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION holdfast_audit_check() FROM PUBLIC;

CREATE TRIGGER holdfast_audit_caller BEFORE INSERT ON core_auditentry
    FOR EACH ROW WHEN (NEW.at IS NOT NULL) EXECUTE FUNCTION holdfast_audit_caller();
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0004_kinds_of_heartbeats")]
    operations = [
        migrations.AddField(
            "auditentry",
            "as_given",
            models.BooleanField(
                db_default=False,
                editable=False,
                help_text="generated history: the time is the writer's, not the database's",
            ),
        ),
        migrations.AddField(
            "auditentry",
            "behind_ms",
            models.BigIntegerField(
                null=True,
                editable=False,
                help_text="how far the database's clock lay before the chain's last entry",
            ),
        ),
        migrations.AlterField(
            "auditentry",
            "at",
            models.DateTimeField(
                help_text="the database's clock, never before the entry before it"
            ),
        ),
        migrations.AddField(
            "audithead",
            "at",
            models.DateTimeField(
                null=True, help_text="the last entry's time: the next is no earlier"
            ),
        ),
        # Not to be undone: the code that wrote the lines before does not fit these triggers.
        migrations.RunSQL(FORWARD),
    ]
