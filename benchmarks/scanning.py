"""How many stored, encrypted photographs are scanned a second, from the row to committed findings.

    python benchmarks/scanning.py [--quick] [--json]

Two scan workers (one a core) over a private PostgreSQL and Valkey with fsync on. Measured is everything
between "waiting for scan" and "scanned": taking the items, decrypting, MD5, SHA-1 and SHA-256, decoding, PDQ
with its turned hashes, pHash and dHash, looking up in lists of some thousand entries, and the committed
digests, flags, states and audit lines. One photograph in ten is listed. Intake and routing are not measured.

Beside it, on the same photographs in the same run: decoding and digesting alone in two processes, which is
what cannot be avoided, and decrypting with it; and decoding outside of the sandbox, in turns with decoding inside,
for what the sandbox costs. Outside is for this measurement only: no setting leads there. HMA's figures come from its own HTTP server on a
similar machine and were taken elsewhere; they are no part of this run.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.installation import REPOSITORY, prepared

SIZE = (1024, 1024)
WORKERS = 2
LISTED_IN = 10
ELSEWHERE = [
    ("HMA 1.1.7, POST /h/hash, one worker", 36.6),
    ("HMA 1.1.7, POST /m/lookup (hash and match), one worker", 30.2),
]


def fill(count: int) -> list[str]:
    """Store photographs as items that wait for their scan, a tenth of them listed; return their blobs."""
    import secrets

    from benchmarks.photos import photographs
    from core import vault
    from core.audit import SYSTEM
    from hashing import actions, images
    from hashing.models import Category
    from reports.actions import create_source, create_upload, submit_scan
    from reports.models import SourceKind
    from reports.payloads import ScanPayload

    listed = actions.create_hash_list(name="Drawn", category=Category.CSAM_KNOWN, actor=SYSTEM)
    source = create_source(slug="scans", name="Scans", kind=SourceKind.PROACTIVE_SCAN, actor=SYSTEM)
    rows = "".join(f"pdq,{secrets.token_hex(32)}\n" for _ in range(5000))
    actions.import_csv(listed, io.BytesIO(rows.encode()), actor=SYSTEM)
    blobs = []
    for number, photo in enumerate(photographs(count, SIZE)):
        if number % LISTED_IN == 0:
            pdq = images.digest(photo, algorithms=["pdq"]).digests[0].pdq
            actions.add_entry(listed, algorithm="pdq", value=pdq, actor=SYSTEM)
        blob = vault.store_bytes(photo, media_type="image/jpeg")
        upload = create_upload(source, blob, actor=SYSTEM)
        said = {
            "subject": {"account": f"account-{number}"},
            "surface": "profile_photo",
            "media": str(upload.pk),
        }
        submit_scan(source, payload=ScanPayload.model_validate(said), actor=SYSTEM)
        blobs.append(str(blob.pk))
    images.stop()
    return blobs


WORKER = "manage.py rqworker scan --worker-class config.runtime.worker.WarmWorker --serializer rq.serializers.JSONSerializer"

FLOOR = """
import os, sys
from pathlib import Path
import django; django.setup()
from core import vault
from core.models import Blob
from hashing import images
wish, *names = sys.argv[1:]
if wish == "unconfined":
    images.COMMAND = [sys.executable, "-c", "from hashing.decoder import main; main(confined=False)"]
blobs = {str(blob.pk): blob for blob in Blob.objects.filter(pk__in=names)}
clear = {name: vault.read(blobs[name], 1 << 30) for name in names}
images.digest(clear[names[0]])
def spent():
    fields = Path(f"/proc/{images.decoder_pid()}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
print("ready", flush=True)
sys.stdin.readline()
images.MOST_PICTURES = 1 << 30  # One decoder for all of them, whose time is read.
before = spent()
for name in names:
    images.digest(vault.read(blobs[name], 1 << 30) if wish == "decrypt" else clear[name])
print(spent() - before, flush=True)
images.stop()
"""


def floor(env: dict[str, str], blobs: list[str], wish: str) -> tuple[float, float]:
    """Have two processes only decode (confined or not), or decrypt and decode.

    Returns images per second, and milliseconds of a decoder's processor time per image, which other work on the
    machine disturbs less.
    """
    own = env | {"DJANGO_SETTINGS_MODULE": "config.settings", "PYTHONPATH": str(REPOSITORY)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", FLOOR, wish, *blobs[part::WORKERS]],
            cwd=REPOSITORY,
            env=own,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for part in range(WORKERS)
    ]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    began = time.monotonic()
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.close()
    spent = 0.0
    for process in processes:
        assert process.stdout
        spent += float(process.stdout.readline())
        assert process.wait() == 0
    return len(blobs) / (time.monotonic() - began), 1000 * spent / len(blobs)


def in_turns(env: dict[str, str], blobs: list[str], rounds: int) -> dict[str, tuple[float, float]]:
    """Decode inside and outside of the sandbox in turns; return medians of what ``floor`` returns, by wish."""
    found: dict[str, list[tuple[float, float]]] = {"decode": [], "unconfined": []}
    for number in range(rounds):
        for wish in sorted(found, reverse=bool(number % 2)):
            found[wish].append(floor(env, blobs, wish))
    return {
        wish: (statistics.median(run[0] for run in runs), statistics.median(run[1] for run in runs))
        for wish, runs in found.items()
    }


def scan(env: dict[str, str], warm: int) -> tuple[float, int]:
    """Let two workers scan everything; return images per second after the first ``warm``, and flags."""
    from django.db.models import Max

    from core.jobs import run_sweeps
    from hashing.models import Flag
    from reports.models import Item, ScanState

    command = [sys.executable, *WORKER.split()]
    workers = [
        subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(WORKERS)
    ]
    try:
        swept = 0.0
        while Item.objects.filter(scan_state=ScanState.WAITING).exists():
            if time.monotonic() - swept > 5:
                run_sweeps()
                swept = time.monotonic()
            time.sleep(0.1)
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.wait(30)
    assert not Item.objects.exclude(scan_state=ScanState.SCANNED).exists()
    ended = sorted(at for at in Item.objects.values_list("scanned_at", flat=True) if at is not None)
    assert Item.objects.aggregate(last=Max("scanned_at"))["last"] == ended[-1]
    # Items end a batch at a time: those that ended with the last warm one are not counted.
    since = ended[warm - 1]
    seconds = (ended[-1] - since).total_seconds()
    return sum(at > since for at in ended) / seconds, Flag.objects.filter(kind="hash_match").count()


def main() -> None:
    """Measure and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few photographs")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    count = 240 if options.quick else 1200
    rows: list[dict[str, Any]] = []
    with prepared() as env:
        os.environ.update(env | {"DJANGO_SETTINGS_MODULE": "config.settings"})
        import django

        django.setup()
        from django.db import connections

        blobs = fill(count)
        turns = in_turns(env, blobs, 3 if options.quick else 5)
        decode = turns["decode"][0]
        decrypt, decrypt_ms = floor(env, blobs, "decrypt")
        scanned, flags = scan(env, warm=count // 6)
        assert flags >= count // LISTED_IN
        measured: list[tuple[str, float, float | None]] = [
            ("decode and digest only", *turns["decode"]),
            ("decode and digest only, outside of the sandbox", *turns["unconfined"]),
            ("decrypt, decode and digest only", decrypt, decrypt_ms),
            ("holdfast, stored photo to committed findings", scanned, None),
        ]
        for system, figure, decoder_ms in measured:
            rows.append(
                {
                    "system": system,
                    "images_per_s": round(figure, 1),
                    "share_of_decode_only": round(figure / decode, 2),
                    "decoder_ms": None if decoder_ms is None else round(decoder_ms, 2),
                    "taken_elsewhere": False,
                }
            )
        connections.close_all()
        connections["default"].close_pool()  # type: ignore[attr-defined]  # PostgreSQL has one
    for system, figure in ELSEWHERE:
        rows.append(
            {
                "system": system,
                "images_per_s": figure,
                "share_of_decode_only": None,
                "decoder_ms": None,
                "taken_elsewhere": True,
            }
        )
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'':56} {'images/s':>9} {'of decode only':>15} {'decoder, ms':>12}")
    for row in rows:
        share = row["share_of_decode_only"]
        note = "  (taken elsewhere)" if row["taken_elsewhere"] else ""
        print(
            f"{row['system']:56} {row['images_per_s']:>9} "
            f"{'' if share is None else f'{share:.0%}':>15} {row['decoder_ms'] or '':>12}{note}"
        )


if __name__ == "__main__":
    main()
