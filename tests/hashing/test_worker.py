"""A real worker on real stores: it scans, dies by SIGKILL in the middle, and nothing is lost."""

from __future__ import annotations

import os
import signal

import psycopg
import pytest

from config.runtime.postgres import OWNER
from tests.stack import PrivateStack, wait_until

PUT_AN_ITEM = """
import io
from PIL import Image
from core import vault
from core.audit import SYSTEM
from reports.actions import create_source, create_upload, submit_scan
from reports.payloads import ScanPayload

page = Image.radial_gradient("L").resize((5000, 5000))
file = io.BytesIO()
page.save(file, "TIFF", compression="tiff_deflate", save_all=True, append_images=[page] * 4)
source = create_source(slug="scans", name="Scans", kind="proactive_scan", actor=SYSTEM)
blob = vault.store_bytes(file.getvalue(), media_type="image/tiff")
upload = create_upload(source, blob, actor=SYSTEM)
said = {"subject": {"account": "a"}, "surface": "profile_photo", "media": str(upload.pk)}
submit_scan(source, payload=ScanPayload.model_validate(said), actor=SYSTEM)
"""
WORKER = (
    "manage.py",
    "rqworker",
    "scan",
    "--worker-class",
    "config.runtime.worker.AppWorker",
    "--serializer",
    "rq.serializers.JSONSerializer",
)


@pytest.mark.runtime
def test_a_worker_killed_in_a_scan_only_delays_it(private_stack: PrivateStack) -> None:
    private_stack.manage("migrate", "-v0")
    private_stack.manage("init_keys")
    private_stack.manage("shell", "-c", PUT_AN_ITEM)
    with psycopg.connect(private_stack.postgres.url(OWNER), autocommit=True) as link:

        def item() -> tuple[str, int]:
            row = link.execute("SELECT scan_state, scan_attempts FROM reports_item").fetchone()
            assert row
            return row[0], row[1]

        worker = private_stack.spawn(*WORKER)
        wait_until(lambda: item() == ("waiting", 1), seconds=60, what="the first attempt")
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        assert item() == ("waiting", 1)
        assert link.execute("SELECT count(*) FROM hashing_flag").fetchone() == (0,)

        link.execute("UPDATE reports_item SET scan_due_at = now()")
        private_stack.manage("shell", "-c", "from hashing import jobs; jobs.sweep_items()")
        private_stack.spawn(*WORKER)
        wait_until(lambda: item()[0] != "waiting", seconds=60, what="the second attempt")
        assert item() == ("scanned", 2)
        digests = link.execute("SELECT count(*) FROM hashing_digest WHERE algorithm = 'pdq'")
        assert digests.fetchone() == (1,)  # Five equal pages.
