"""A time-stamp authority of one's own: openssl behind a small HTTP server on the loopback interface."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CONFIGURATION = """
[tsa]
default_tsa = authority
[authority]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


@dataclass
class Authority:
    """Where it listens, the certificate it leads to, and what it was asked."""

    url: str
    ca_file: Path
    is_up: bool = True
    asked: list[bytes] = field(default_factory=list)


def _run(*command: str, folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=30)


def _certificates(folder: Path) -> None:
    new = ("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    _run(
        *(*new, "-x509", "-days", "30", "-subj", "/CN=Invented root"),
        *("-addext", "keyUsage=critical,keyCertSign"),
        *("-keyout", "ca.key", "-out", "ca.pem"),
        folder=folder,
    )
    _run(
        *(*new, "-subj", "/CN=Invented authority", "-keyout", "tsa.key", "-out", "tsa.csr"),
        folder=folder,
    )
    (folder / "usage").write_text(
        "extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\n"
        "authorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"
    )
    _run(
        *("openssl", "x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
        *("-days", "30", "-extfile", "usage", "-out", "tsa.pem"),
        folder=folder,
    )
    (folder / "serial").write_text("01\n")
    (folder / "tsa.cnf").write_text(CONFIGURATION.format(folder=folder))


@contextmanager
def authority() -> Iterator[Authority]:
    """Run the authority for the block."""
    with tempfile.TemporaryDirectory(prefix="holdfast-tsa-") as name:
        folder = Path(name)
        _certificates(folder)

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = self.rfile.read(int(self.headers["content-length"]))
                made.asked.append(query)
                (folder / "query").write_bytes(query)
                if made.is_up:
                    _run(
                        *("openssl", "ts", "-reply", "-config", "tsa.cnf"),
                        *("-queryfile", "query", "-out", "answer"),
                        folder=folder,
                    )
                self.send_response(200 if made.is_up else 503)
                self.send_header("content-type", "application/timestamp-reply")
                self.end_headers()
                self.wfile.write((folder / "answer").read_bytes() if made.is_up else b"")

            def log_message(self, *_: Any) -> None:
                """Stay quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        made = Authority(f"http://127.0.0.1:{server.server_port}/", folder / "ca.pem")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
