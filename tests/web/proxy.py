"""nginx with the configuration of docs/operations.md, changed only where it names ports, files and folders."""

from __future__ import annotations

import datetime
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from config.runtime.processes import end_group
from tests.machine import nginx
from tests.stack import REPOSITORY, free_port, wait_until

NAME = "holdfast.example"
AROUND = """
{user}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/main-error.log;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {folder}/temp/body;
    proxy_temp_path {folder}/temp/proxy;
    fastcgi_temp_path {folder}/temp/fastcgi;
    uwsgi_temp_path {folder}/temp/uwsgi;
    scgi_temp_path {folder}/temp/scgi;
    {page}
}}
"""


def configuration() -> str:
    """Return the configuration that the page shows."""
    page = (REPOSITORY / "docs" / "operations.md").read_text()
    return page.split("```nginx\n")[1].split("```")[0]


class Proxy:
    """A running nginx: its ports, its folder, and what lies in its temporary folders."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.master = 0
        self.port, self.plain_port = free_port(), free_port()

    def temporary(self) -> list[str]:
        """Return the temporary files that nginx has open or left, deleted ones included."""
        root = str(self.folder / "temp")
        found = [str(path) for path in Path(root).rglob("*") if path.is_file()]
        for process in self._workers():
            for link in Path(f"/proc/{process}/fd").glob("*"):
                try:
                    target = str(link.readlink())
                except OSError:
                    continue
                if target.startswith(root):
                    found.append(target)
        return found

    def _workers(self) -> list[int]:
        children = Path(f"/proc/{self.master}/task/{self.master}/children")
        return [int(pid) for pid in children.read_text().split()]

    def logs(self) -> str:
        """Return everything that nginx has written down."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))


@contextmanager
def proxy(folder: Path, upstream_port: int, *, without: str = "") -> Iterator[Proxy]:
    """Run nginx in front of a port of 127.0.0.1. ``without`` is a line to leave out of the page's file."""
    folder.mkdir()
    (folder / "temp").mkdir()
    running = Proxy(folder)
    _certificate(folder)
    page = configuration()
    if without:
        assert page.count(without) == 1
        page = page.replace(without, "")
    for shown, here in {
        "127.0.0.1:8000": f"127.0.0.1:{upstream_port}",
        "listen 80;": f"listen 127.0.0.1:{running.plain_port};",
        "listen 443 ssl;": f"listen 127.0.0.1:{running.port} ssl;",
        "/etc/holdfast/tls/": f"{folder}/",
        "/var/log/nginx/": f"{folder}/",
    }.items():
        assert shown in page, shown
        page = page.replace(shown, here)
    assert not re.search(r"\s/(etc|var)/", page)
    user = "user root;" if os.geteuid() == 0 else ""
    file = folder / "nginx.conf"
    file.write_text(AROUND.format(user=user, folder=folder, page=page))
    program = nginx()
    checked = subprocess.run(
        [program, "-t", "-c", str(file), "-p", str(folder), "-e", str(folder / "start.log")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
    assert "[warn]" not in checked.stderr
    process = subprocess.Popen(
        [program, "-c", str(file), "-p", str(folder), "-e", str(folder / "start.log")],
        start_new_session=True,
        stdin=subprocess.DEVNULL,
    )
    try:
        running.master = process.pid
        wait_until(running._workers, what="nginx")
        yield running
    finally:
        end_group(process, timeout=10)


def _certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "fullchain.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "privkey.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
