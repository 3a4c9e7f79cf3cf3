"""Who looked, who decided and when stays: each is written once (core, migration 0006)."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER holdfast_row_guard BEFORE UPDATE OF
        id, case_id, item_id, user_id, sign_in_id, purpose, token_hash, issued_at, used_at, bytes_served, is_complete, shown_ms, closed_at
    ON moderation_reveal FOR EACH ROW WHEN (
        (OLD.id, OLD.case_id, OLD.item_id, OLD.user_id, OLD.sign_in_id, OLD.purpose, OLD.token_hash, OLD.issued_at)
        IS DISTINCT FROM (NEW.id, NEW.case_id, NEW.item_id, NEW.user_id, NEW.sign_in_id, NEW.purpose, NEW.token_hash, NEW.issued_at)
        OR (OLD.used_at IS DISTINCT FROM NULL AND OLD.used_at IS DISTINCT FROM NEW.used_at)
        OR (OLD.bytes_served IS DISTINCT FROM 0 AND OLD.bytes_served IS DISTINCT FROM NEW.bytes_served)
        OR (OLD.is_complete IS DISTINCT FROM false AND OLD.is_complete IS DISTINCT FROM NEW.is_complete)
        OR (OLD.shown_ms IS DISTINCT FROM NULL AND OLD.shown_ms IS DISTINCT FROM NEW.shown_ms)
        OR (OLD.closed_at IS DISTINCT FROM NULL AND OLD.closed_at IS DISTINCT FROM NEW.closed_at))
    EXECUTE FUNCTION holdfast_row_guard();
CREATE TRIGGER holdfast_row_stays BEFORE DELETE ON moderation_reveal FOR EACH ROW EXECUTE FUNCTION holdfast_row_guard();

CREATE TRIGGER holdfast_row_guard BEFORE UPDATE OF
        id, case_id, policy_version_id, outcome, reason, case_version, made_by_id, made_at, idempotency_key, published_at, undone_at, undone_by_id
    ON moderation_decision FOR EACH ROW WHEN (
        (OLD.id, OLD.case_id, OLD.policy_version_id, OLD.outcome, OLD.reason, OLD.case_version, OLD.made_by_id, OLD.made_at, OLD.idempotency_key)
        IS DISTINCT FROM (NEW.id, NEW.case_id, NEW.policy_version_id, NEW.outcome, NEW.reason, NEW.case_version, NEW.made_by_id, NEW.made_at, NEW.idempotency_key)
        OR (OLD.published_at IS DISTINCT FROM NULL AND OLD.published_at IS DISTINCT FROM NEW.published_at)
        OR (OLD.undone_at IS DISTINCT FROM NULL AND OLD.undone_at IS DISTINCT FROM NEW.undone_at)
        OR (OLD.undone_by_id IS DISTINCT FROM NULL AND OLD.undone_by_id IS DISTINCT FROM NEW.undone_by_id))
    EXECUTE FUNCTION holdfast_row_guard();
CREATE TRIGGER holdfast_row_stays BEFORE DELETE ON moderation_decision FOR EACH ROW EXECUTE FUNCTION holdfast_row_guard();
"""
BACKWARD = """
DROP TRIGGER holdfast_row_stays ON moderation_decision;
DROP TRIGGER holdfast_row_guard ON moderation_decision;
DROP TRIGGER holdfast_row_stays ON moderation_reveal;
DROP TRIGGER holdfast_row_guard ON moderation_reveal;
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0006_row_guard"), ("moderation", "0004_rule_for_risky_accounts")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
