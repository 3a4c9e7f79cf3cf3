"""What the platform told of somebody whom nobody reported may be erased, while a request for that is carried out.

``holdfast_row_guard`` asks the database itself whether the account was named in a report, a case or a referral: an
action that forgot to look would be stopped here.
"""

from django.db import migrations

FORWARD = """
CREATE FUNCTION holdfast_may_erase(about uuid) RETURNS boolean LANGUAGE plpgsql STABLE
    SET search_path = public, pg_temp AS $$
BEGIN
    RETURN EXISTS (SELECT FROM reports_erasure WHERE account_id = about AND state = 'carrying_out')
        AND NOT EXISTS (SELECT FROM reports_report WHERE account_id = about OR reporter_account_id = about)
        AND NOT EXISTS (SELECT FROM reports_item
                        WHERE (account_id = about OR sender_id = about) AND report_id IS NOT NULL)
        AND NOT EXISTS (SELECT FROM moderation_case WHERE account_id = about)
        AND NOT EXISTS (SELECT FROM referrals_referralaccount WHERE account_id = about);
END $$;
CREATE OR REPLACE FUNCTION holdfast_row_guard() RETURNS trigger LANGUAGE plpgsql
    SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF TG_TABLE_NAME IN ('reports_accountidentifier', 'reports_ipevent')
           AND holdfast_may_erase((to_jsonb(OLD)->>'account_id')::uuid) THEN
            RETURN OLD;
        END IF;
        IF holdfast_is_practice(to_jsonb(OLD)) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'record: % of % is not allowed; what was received, decided or sealed stays', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER holdfast_row_guard BEFORE UPDATE OF
        id, source_id, external_id, kind, subject_id, account_id, group_id, reason, requested_at, received_at
    ON reports_erasure FOR EACH ROW WHEN (
        (OLD.id, OLD.source_id, OLD.external_id, OLD.kind, OLD.subject_id, OLD.account_id, OLD.group_id, OLD.reason, OLD.requested_at, OLD.received_at)
        IS DISTINCT FROM
        (NEW.id, NEW.source_id, NEW.external_id, NEW.kind, NEW.subject_id, NEW.account_id, NEW.group_id, NEW.reason, NEW.requested_at, NEW.received_at))
    EXECUTE FUNCTION holdfast_row_guard();
CREATE TRIGGER holdfast_row_stays BEFORE DELETE ON reports_erasure FOR EACH ROW EXECUTE FUNCTION holdfast_row_guard();
"""
BACKWARD = """
DROP TRIGGER holdfast_row_stays ON reports_erasure;
DROP TRIGGER holdfast_row_guard ON reports_erasure;
CREATE OR REPLACE FUNCTION holdfast_row_guard() RETURNS trigger LANGUAGE plpgsql
    SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' AND holdfast_is_practice(to_jsonb(OLD)) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'record: % of % is not allowed; what was received, decided or sealed stays', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;
DROP FUNCTION holdfast_may_erase(uuid);
"""


class Migration(migrations.Migration):
    dependencies = [("moderation", "0017_overturns"), ("reports", "0024_erasures")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
