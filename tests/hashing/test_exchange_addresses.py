"""A name that answers a public address first and an inside one second gains nothing, whichever client asks."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import requests

from core import outbound
from core.outbound import AddressRefused, PinnedAdapter
from hashing.exchanges.connection import careful
from tests.hashing.exchange_servers import serving

PUBLIC = "93.184.215.14"


class Resolver:
    """Answers each question with the next address of a list; the last one stays."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
        self.addresses, self.asked = list(addresses), 0
        self.real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self)

    def __call__(self, host: Any, port: Any, *rest: Any, **more: Any) -> list[Any]:
        try:
            socket.inet_aton(str(host))
        except OSError:
            address = self.addresses[min(self.asked, len(self.addresses) - 1)]
            self.asked += 1
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, int(port)))]
        return self.real(host, port, *rest, **more)  # An address is no question.


def session_of(*, base: str, allow_private: bool) -> requests.Session:
    return careful(requests.Session(), base=base, allow_private=allow_private)


def test_the_checked_address_is_the_one_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver(monkeypatch, PUBLIC, "127.0.0.1")
    reached: list[Any] = []

    def connect(address: Any, *_: Any, **__: Any) -> socket.socket:
        reached.append(address)
        raise OSError("no network in tests")

    monkeypatch.setattr("urllib3.util.connection.create_connection", connect)
    session = session_of(base="https://rebind.example", allow_private=False)
    with session, pytest.raises(requests.ConnectionError):
        session.get("https://rebind.example/hashes")
    assert reached == [(PUBLIC, 443)]
    assert resolver.asked == 1


def test_a_name_that_leads_inside_is_refused_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Resolver(monkeypatch, "10.0.0.1")
    session = session_of(base="https://inside.example", allow_private=False)
    with session, pytest.raises(AddressRefused):
        session.get("https://inside.example/hashes")


def test_the_name_stays_in_the_host_header_and_for_the_certificate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Resolver(monkeypatch, "127.0.0.1")
    with serving(lambda *_: (200, "text/plain", b"here")) as stand_in:
        port = stand_in.url.rpartition(":")[2]
        base = f"http://partner.example:{port}"
        with session_of(base=base, allow_private=True) as session:
            assert session.get(f"{base}/hashes").content == b"here"
        ((_, _, headers),) = stand_in.asked
        assert headers["Host"] == f"partner.example:{port}"
    request = requests.Request("GET", "https://partner.example/x").prepare()
    host, pool = PinnedAdapter(allow_private=True).build_connection_pool_key_attributes(
        request, verify=True
    )
    assert (host["host"], pool["server_hostname"]) == ("127.0.0.1", "partner.example")
    assert pool["assert_hostname"] == "partner.example"
    assert outbound.resolve("partner.example", 443, allow_private=True) == "127.0.0.1"
