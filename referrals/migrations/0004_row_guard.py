"""A sealed package's row stays (core, migration 0006)."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER holdfast_row_guard BEFORE UPDATE OF
        id, referral_id, file_name, storage_name, sha256, size, tar_sha256, tagmanifest_sha512, signer, exhibit_count, custody_head, built_at
    ON referrals_package FOR EACH ROW WHEN (
        (OLD.id, OLD.referral_id, OLD.file_name, OLD.storage_name, OLD.sha256, OLD.size, OLD.tar_sha256, OLD.tagmanifest_sha512, OLD.signer, OLD.exhibit_count, OLD.custody_head, OLD.built_at)
        IS DISTINCT FROM (NEW.id, NEW.referral_id, NEW.file_name, NEW.storage_name, NEW.sha256, NEW.size, NEW.tar_sha256, NEW.tagmanifest_sha512, NEW.signer, NEW.exhibit_count, NEW.custody_head, NEW.built_at))
    EXECUTE FUNCTION holdfast_row_guard();
CREATE TRIGGER holdfast_row_stays BEFORE DELETE ON referrals_package FOR EACH ROW EXECUTE FUNCTION holdfast_row_guard();
"""
BACKWARD = """
DROP TRIGGER holdfast_row_stays ON referrals_package;
DROP TRIGGER holdfast_row_guard ON referrals_package;
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0006_row_guard"), ("referrals", "0003_build_waits_for")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
