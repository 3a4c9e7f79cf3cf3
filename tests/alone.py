"""A network of one's own: loopback and nothing else, with the kernel counting who tried to leave it.

Run as a program inside ``unshare --net``: brings loopback up, runs the command, and writes what the
kernel counted. A packet without a route is counted in the namespace, whatever program sent it and
whatever library it used, so nothing has to be patched or watched.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1


def alone(command: list[str], counts: Path) -> list[str]:
    """Return the command that runs ``command`` with loopback only and writes the counts to a file."""
    program = [sys.executable, str(Path(__file__).resolve()), str(counts)]
    if os.geteuid() == 0:
        return ["unshare", "--net", *program, *command]
    # An ordinary user gets a network only inside a user namespace, where everybody calls them root;
    # a second one gives them their number back, since PostgreSQL refuses to run as root.
    own = ["unshare", f"--map-user={os.geteuid()}", f"--map-group={os.getegid()}"]
    return ["unshare", "--map-root-user", "--net", *program, *own, *command]


def is_permitted() -> bool:
    """Say whether this machine lets a process have a network of its own (Linux, not every container)."""
    if sys.platform != "linux":
        return False
    nothing = Path(os.devnull)
    return (
        subprocess.run(alone(["true"], nothing), capture_output=True, check=False).returncode == 0
    )


def _raise_loopback() -> None:
    with socket.socket() as link:
        fcntl.ioctl(link, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))


def _without_route() -> dict[str, int]:
    lines = [line.split() for line in Path("/proc/net/snmp").read_text().splitlines()]
    names, values = (line for line in lines if line[0] == "Ip:")
    four = dict(zip(names, values, strict=True))
    six_file = Path("/proc/net/snmp6")  # Absent where the kernel has no IPv6.
    six = (
        dict(line.split() for line in six_file.read_text().splitlines())
        if six_file.exists()
        else {}
    )
    return {"ipv4": int(four["OutNoRoutes"]), "ipv6": int(six.get("Ip6OutNoRoutes", 0))}


def main() -> int:
    """Run the command and return its status."""
    counts, *command = sys.argv[1:]
    _raise_loopback()
    status = subprocess.call(command)
    Path(counts).write_text(json.dumps(_without_route()))
    return status


if __name__ == "__main__":
    sys.exit(main())
