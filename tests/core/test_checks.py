"""The start-up checks complain about each unsafe setting, and about nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.checks import Tags, run_checks
from django.core.management import call_command
from django.db import connection

from core import doctor


def ids(**options: Any) -> set[str]:
    return {str(found.id) for found in run_checks(**options) if str(found.id).startswith("core.")}


def test_the_settings_as_they_are_have_no_complaint() -> None:
    assert ids(tags=[Tags.security]) == set()


@pytest.mark.parametrize(
    ("name", "value", "number"),
    [
        (
            "FILE_UPLOAD_HANDLERS",
            ["django.core.files.uploadhandler.TemporaryFileUploadHandler"],
            "core.E001",
        ),
        ("DEBUG", True, "core.E002"),
    ],
)
def test_an_unsafe_setting_is_an_error(settings: Any, name: str, value: Any, number: str) -> None:
    setattr(settings, name, value)
    assert number in ids(tags=[Tags.security])


def test_the_admin_is_a_second_writer(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from core import checks

    monkeypatch.setattr(
        checks.settings, "INSTALLED_APPS", [*settings.INSTALLED_APPS, "django.contrib.admin"]
    )
    assert [found.id for found in checks.no_second_writer()] == ["core.E003"]


def test_storages_that_could_leak_are_errors(settings: Any) -> None:
    settings.TESTING = False
    memory = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    disk = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    settings.STORAGES = settings.STORAGES | {"vault": memory, "default": disk}
    assert {"core.E005", "core.E006"} <= ids(tags=[Tags.security])


def test_a_ring_that_others_may_read_is_an_error(settings: Any) -> None:
    Path(settings.HOLDFAST_KEYRING).chmod(0o644)
    assert ids(tags=[Tags.security]) == {"core.E004"}


def test_a_broken_ring_is_an_error_and_a_missing_one_a_warning(settings: Any) -> None:
    path = Path(settings.HOLDFAST_KEYRING)
    path.write_text("broken")
    assert ids(tags=[Tags.security]) == {"core.E004"}
    path.unlink()
    assert ids(tags=[Tags.security]) == {"core.W001"}


def test_before_production_secrets_must_last(
    settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings.VAR_DIR = tmp_path
    monkeypatch.delenv("SECRET_KEY", raising=False)
    monkeypatch.delenv("SECRET_KEY_FILE", raising=False)
    deploy = {"tags": [Tags.security], "include_deployment_checks": True}
    assert "core.E007" in ids(**deploy)
    monkeypatch.setenv("SECRET_KEY", "x" * 60)
    assert "core.E007" not in ids(**deploy)
    Path(settings.HOLDFAST_KEYRING).unlink()
    assert "core.E008" in ids(**deploy)


@pytest.mark.django_db
def test_a_switched_off_trigger_is_named() -> None:
    database: dict[str, Any] = {"tags": [Tags.database], "databases": ["default"]}
    assert ids(**database) == set()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE core_auditentry DISABLE TRIGGER holdfast_audit_no_change")
    found = [f for f in run_checks(**database) if f.id == "core.E010"]
    assert "holdfast_audit_no_change" in found[0].msg


@pytest.mark.django_db
def test_an_application_that_owns_its_log_fails_the_deploy_check() -> None:
    options = {
        "tags": [Tags.database],
        "databases": ["default"],
        "include_deployment_checks": True,
    }
    assert "core.E011" in ids(**options)
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE holdfast_checked")
        cursor.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO holdfast_checked")
        name = connection.ops.quote_name(connection.settings_dict["NAME"])
        cursor.execute(f"GRANT TEMPORARY ON DATABASE {name} TO holdfast_checked")
        cursor.execute("SET LOCAL ROLE holdfast_checked")
        found = ids(**options)
        assert "core.E011" not in found
        assert "core.E012" in found
        assert "core.E012" in " ".join(said for _, said in doctor._database())
        cursor.execute("RESET ROLE")
        call_command("grant_app_role", role="holdfast_checked")
        cursor.execute("SET LOCAL ROLE holdfast_checked")
        assert "core.E012" not in ids(**options)
        assert [state for state, _ in doctor._database()] == [doctor.OK]
        cursor.execute("RESET ROLE")
