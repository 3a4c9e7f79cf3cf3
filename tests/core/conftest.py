"""What the core's tests need: a key ring, and a vault folder of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from core import crypto


@pytest.fixture(autouse=True)
def private_vault(tmp_path: Path, settings: Any) -> Path:
    """Give each test an empty vault and a key ring of its own."""
    root = tmp_path / "vault"
    settings.HOLDFAST_KEYRING = tmp_path / "keys" / "masterkeys.json"
    settings.STORAGES = settings.STORAGES | {
        "vault": {
            "BACKEND": "core.vault.folder.DurableFolder",
            "OPTIONS": {"location": str(root)},
        }
    }
    crypto.init_key_ring()
    return root


CORE_MIDDLEWARE = [
    "core.middleware.RequestContextMiddleware",
    "core.middleware.SecurityHeadersMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "core.middleware.RefusalMiddleware",
]


@pytest.fixture
def site(settings: Any) -> None:
    """Serve ``tests/core/urls.py`` behind the core's middleware, in the order of the real settings."""
    ours = [name for name in settings.MIDDLEWARE if name in CORE_MIDDLEWARE]
    assert ours == CORE_MIDDLEWARE
    settings.MIDDLEWARE = ours
    settings.ROOT_URLCONF = "tests.core.urls"
    settings.HOLDFAST_MAY_UPLOAD = None  # The core alone: whoever is signed in.
    settings.TEMPLATES = [
        settings.TEMPLATES[0]
        | {
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                    "core.context.environment",
                ]
            }
        }
    ]


@pytest.fixture
def person(db: None) -> Any:
    """Return somebody who can sign in."""
    people = get_user_model()
    return people.objects.create(email="r17@holdfast.example", name="Robin", pseudonym="R-17")


@pytest.fixture
def signed_in(site: None, person: Any) -> Client:
    """Return a browser in which that person is signed in."""
    browser = Client(raise_request_exception=False)
    browser.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    return browser
