"""Fixtures that every room shares. The stores are started by ``tests/plugin.py``."""

from __future__ import annotations

from typing import Any

import pytest

from tests.machine import age, chromium

pytest_plugins = ["tests.stack", "tests.cast"]


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Start the Chromium that this machine has, cut off from every host but itself."""
    return browser_type_launch_args | chromium()


@pytest.fixture(scope="session", autouse=True)
def key_ring() -> None:
    """Make the master key ring in the data folder of this run; authenticators and blobs need it."""
    from core import crypto

    crypto.init_key_ring()


@pytest.fixture(scope="session")
def age_command() -> str:
    """Return the path of the stock ``age`` command."""
    return age()
