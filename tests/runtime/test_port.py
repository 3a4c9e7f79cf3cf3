"""The port of an installation: taken before anything is prepared, and never shared."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from config.runtime.processes import ServiceError
from config.runtime.up import Launcher, read_wishes, take_port
from config.runtime.web import listen
from tests.stack import free_port


def test_of_two_starts_on_one_port_the_second_is_told_before_either_serves(tmp_path: Path) -> None:
    wishes = read_wishes({"HOLDFAST_VAR": str(tmp_path), "PORT": str(free_port())})
    with take_port(wishes), pytest.raises(ServiceError, match="cannot be used"):
        take_port(wishes)


def test_of_two_web_servers_on_one_port_the_second_does_not_start() -> None:
    port = free_port()
    with listen("127.0.0.1", port), pytest.raises(OSError, match="in use"):
        listen("127.0.0.1", port)


def test_the_web_server_inherits_the_port_and_callers_wait_for_it(tmp_path: Path) -> None:
    wishes = read_wishes({"HOLDFAST_VAR": str(tmp_path), "PORT": str(free_port())})
    launcher = Launcher(wishes, {})
    launcher._port = take_port(wishes)
    with launcher._port:
        web = launcher._web({})
        assert web.sockets == (launcher._port.fileno(),)
        link = http.client.HTTPConnection("127.0.0.1", wishes.port, timeout=30)
        link.request("GET", "/")  # Nobody serves yet.
        answers = (
            "import socket, sys; link = socket.socket(fileno=int(sys.argv[1])); "
            "one, _ = link.accept(); one.recv(9999); one.sendall(b'HTTP/1.1 204 No\\r\\n\\r\\n')"
        )
        subprocess.run(
            [sys.executable, "-c", answers, web.command[-1]],
            pass_fds=web.sockets,
            check=True,
            timeout=60,
        )
        assert link.getresponse().status == 204
        link.close()
    with socket.socket() as after:
        assert after.connect_ex(("127.0.0.1", wishes.port)), "it still listens"
