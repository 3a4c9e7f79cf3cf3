"""A sealed referral stays as it was sealed; keys and downloads are never removed; approval asks the real table.

Without a search path of its own the check of an approval took a temporary table of the session for the keys that
were confirmed. It is asked again when the agency changes under an approval.
"""

from django.db import migrations

FORWARD = r"""
CREATE OR REPLACE FUNCTION holdfast_approval_check() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.approved_by_id IS NULL OR (TG_OP = 'UPDATE'
        AND (NEW.approved_by_id, NEW.approved_keys, NEW.recipient_id)
            IS NOT DISTINCT FROM (OLD.approved_by_id, OLD.approved_keys, OLD.recipient_id))
    THEN
        RETURN NEW;
    END IF;
    IF EXISTS (
        SELECT 1 FROM jsonb_array_elements_text(NEW.approved_keys) AS approved(key)
        WHERE NOT EXISTS (
            SELECT 1 FROM public.referrals_recipientkey AS k
            WHERE k.recipient_id = NEW.recipient_id AND k.text = approved.key
              AND k.confirmed_at IS NOT NULL AND k.ended_at IS NULL AND k.entered_by_id <> NEW.approved_by_id
        )
    ) THEN
        RAISE EXCEPTION 'a key that nobody confirmed, or that the approver entered, cannot be approved'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
ALTER FUNCTION holdfast_key_stays() SET search_path = public, pg_temp;

CREATE TRIGGER holdfast_row_guard BEFORE UPDATE ON referrals_referral FOR EACH ROW
    WHEN (OLD.state = 'sealed' AND OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION holdfast_row_guard();
CREATE TRIGGER holdfast_row_stays BEFORE DELETE ON referrals_referral FOR EACH ROW EXECUTE FUNCTION holdfast_row_guard();
CREATE TRIGGER holdfast_row_stays BEFORE DELETE ON referrals_recipientkey
    FOR EACH ROW EXECUTE FUNCTION holdfast_row_guard();
CREATE TRIGGER holdfast_row_guard BEFORE UPDATE ON referrals_packagedownload FOR EACH ROW
    WHEN ((OLD.id, OLD.package_id, OLD.user_id, OLD.at) IS DISTINCT FROM (NEW.id, NEW.package_id, NEW.user_id, NEW.at)
        OR OLD.is_complete) EXECUTE FUNCTION holdfast_row_guard();
CREATE TRIGGER holdfast_row_stays BEFORE DELETE ON referrals_packagedownload
    FOR EACH ROW EXECUTE FUNCTION holdfast_row_guard();

-- Exhibits and named accounts belong to the draft until it is sealed.
CREATE FUNCTION holdfast_part_of_sealed() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM public.referrals_referral AS r WHERE r.state = 'sealed'
            AND ((TG_OP <> 'INSERT' AND r.id = OLD.referral_id) OR (TG_OP <> 'DELETE' AND r.id = NEW.referral_id))
    ) THEN
        RAISE EXCEPTION 'record: % of % is not allowed; what was received, decided or sealed stays', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER holdfast_part_of_sealed BEFORE INSERT OR UPDATE OR DELETE ON referrals_exhibit
    FOR EACH ROW EXECUTE FUNCTION holdfast_part_of_sealed();
CREATE TRIGGER holdfast_part_of_sealed BEFORE INSERT OR UPDATE OR DELETE ON referrals_referralaccount
    FOR EACH ROW EXECUTE FUNCTION holdfast_part_of_sealed();
"""
BACKWARD = """
DROP TRIGGER holdfast_part_of_sealed ON referrals_referralaccount;
DROP TRIGGER holdfast_part_of_sealed ON referrals_exhibit;
DROP FUNCTION holdfast_part_of_sealed();
DROP TRIGGER holdfast_row_stays ON referrals_packagedownload;
DROP TRIGGER holdfast_row_guard ON referrals_packagedownload;
DROP TRIGGER holdfast_row_stays ON referrals_recipientkey;
DROP TRIGGER holdfast_row_stays ON referrals_referral;
DROP TRIGGER holdfast_row_guard ON referrals_referral;
ALTER FUNCTION holdfast_key_stays() RESET search_path;
ALTER FUNCTION holdfast_approval_check() RESET search_path;
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0008_audit_numbers"), ("referrals", "0006_agency_keys")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
