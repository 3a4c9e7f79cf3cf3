"""Detectors that are turned on and off: registering them and changing their settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings as django_settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils.text import slugify

from accounts.guards import require
from accounts.models import User
from accounts.permissions import Permission
from core import audit
from core.audit import SYSTEM, Actor, AuditEvent, Person
from core.crypto import seal, unseal
from core.errors import Invalid, Refused
from core.outbound import check_url, new_secret
from hashing import settings_schema
from hashing.models import Category, DetectorChange, DetectorOrigin, DetectorSetting

__all__ = [
    "change_detector",
    "create_external_detector",
    "detector_secret",
    "register_detector",
    "reseal_detector_secrets",
    "rotate_detector_secret",
]

_LONGEST_LABEL = 80


@transaction.atomic
def register_detector(
    *,
    name: str,
    label: str,
    origin: DetectorOrigin,
    description: Mapping[str, Any],
    code_version: str,
    problem: str = "",
    thresholds: Mapping[str, float] | None = None,
    actor: Actor = SYSTEM,
) -> DetectorSetting:
    """Make an optional detector known, off, or note what another version of its code says of itself.

    Safe to repeat. Settings that the new code no longer knows are dropped, new ones stand at their
    default; values that no longer fit turn the detector off. Can be undone by turning it off.
    """
    found = DetectorSetting.objects.select_for_update(no_key=True).filter(name=name).first()
    schema = settings_schema.parse(description.get("settings", []))
    if found is None:
        try:
            with transaction.atomic():
                found = DetectorSetting.objects.create(
                    name=name,
                    label=label[:_LONGEST_LABEL],
                    origin=origin,
                    settings=settings_schema.defaults(schema),
                    thresholds=dict(thresholds or {}),
                    description=dict(description),
                    code_version=code_version,
                    problem=problem[:300],
                )
        except IntegrityError:
            return DetectorSetting.objects.get(name=name)  # Another process was faster.
        audit.record(
            AuditEvent.DETECTOR_REGISTERED,
            actor=actor,
            subject=found,
            name=name,
            origin=str(origin),
            code_version=code_version,
            problem=problem,
        )
        return found
    if (found.description, found.code_version, found.problem) == (
        dict(description),
        code_version,
        problem[:300],
    ):
        return found
    known = {each.name for each in schema}
    kept = {key: value for key, value in found.settings.items() if key in known}
    cleaned, errors = settings_schema.clean(schema, kept)
    values: dict[str, Any] = {
        "description": dict(description),
        "code_version": code_version,
        "problem": problem[:300],
        "settings": settings_schema.defaults(schema) | cleaned,
    }
    if thresholds and not found.thresholds:
        values["thresholds"] = dict(thresholds)
    if found.is_on and errors:
        values["is_on"] = False
    _apply(found, values, actor=actor, event=AuditEvent.DETECTOR_REGISTERED)
    return found


@transaction.atomic
def create_external_detector(
    *, label: str, url: str, actor: User, description: Mapping[str, Any], **given: Any
) -> tuple[DetectorSetting, str]:
    """Set up a classifier outside, off; return it with its signing secret, which is shown once.

    ``description`` is what the adapter says of itself. Raises Invalid. Can be undone by leaving it off.
    """
    require(actor, Permission.HASHING_DETECTORS_EDIT)
    label = label.strip()
    name = f"external.{slugify(label)[:31].strip('-')}"
    errors: dict[str, list[str]] = {}
    if name == "external.":
        errors["label"] = ["Use at least one Latin letter or digit in the name."]
    elif len(label) > _LONGEST_LABEL:
        errors["label"] = [f"Use at most {_LONGEST_LABEL} characters."]
    elif DetectorSetting.objects.filter(name=name).exists():
        errors["label"] = ["There is a detector of this name already."]
    thresholds = given.pop("thresholds", {})
    schema = settings_schema.parse(description["settings"])
    values, problems = settings_schema.clean(schema, {"url": url, **given})
    errors |= {key: [sentence] for key, sentence in problems.items()}
    errors |= _bad_address(values) | _bad_thresholds(thresholds)
    if errors:
        raise Invalid(errors)
    setting = DetectorSetting(
        name=name,
        label=label,
        origin=DetectorOrigin.EXTERNAL,
        settings=values,
        thresholds=dict(thresholds),
        description=dict(description),
        code_version="1",
        changed_by=actor,
    )
    secret = new_secret()
    setting.sealed_secret = seal(secret.encode(), _context(setting))
    setting.save(force_insert=True)
    audit.record(
        AuditEvent.DETECTOR_REGISTERED,
        actor=actor,
        subject=setting,
        name=name,
        origin=DetectorOrigin.EXTERNAL.value,
        host=urlsplit(url).hostname,
    )
    setting.refresh_from_db()
    return setting, secret


@transaction.atomic
def change_detector(
    setting: DetectorSetting, *, version: int | None = None, actor: User | Actor, **changes: Any
) -> DetectorSetting:
    """Turn a detector on or off, or change its settings: a new version, in force within seconds.

    Takes ``label``, ``is_on``, ``opens_cases``, ``settings`` and ``thresholds``. Raises Invalid, and
    Refused when ``version`` is no longer the current one or its code cannot be used. Can be undone by
    another change.
    """
    require(actor, Permission.HASHING_DETECTORS_EDIT)
    unknown = set(changes) - {"label", "is_on", "opens_cases", "settings", "thresholds"}
    if unknown:
        raise TypeError(f"a detector has no setting {min(unknown)!r}")
    setting = DetectorSetting.objects.select_for_update(no_key=True).get(pk=setting.pk)
    if version is not None and version != setting.version:
        raise Refused(
            "Somebody changed this detector meanwhile. Look at its settings before you save.",
            code="detector_changed",
        )
    if changes.get("is_on") and setting.problem:
        raise Refused(f"It cannot be turned on: {setting.problem}", code="detector_unusable")
    errors: dict[str, list[str]] = {}
    if "label" in changes:
        changes["label"] = changes["label"].strip()
        if not 0 < len(changes["label"]) <= _LONGEST_LABEL:
            errors["label"] = [f"Use 1 to {_LONGEST_LABEL} characters."]
    if "settings" in changes:
        schema = settings_schema.parse(setting.description.get("settings", []))
        cleaned, problems = settings_schema.clean(schema, changes["settings"])
        errors |= {key: [sentence] for key, sentence in problems.items()}
        if setting.origin == DetectorOrigin.EXTERNAL:
            errors |= _bad_address(cleaned)
        changes["settings"] = cleaned
    if "thresholds" in changes:
        errors |= _bad_thresholds(changes["thresholds"])
    if errors:
        raise Invalid(errors)
    _apply(setting, changes, actor=actor, event=AuditEvent.DETECTOR_CHANGED)
    return setting


@transaction.atomic
def rotate_detector_secret(setting: DetectorSetting, *, actor: User) -> tuple[DetectorSetting, str]:
    """Give a classifier outside a new signing secret, shown once. The old one ends at once.

    Cannot be undone: until the service knows the new secret its answers are *unavailable*.
    """
    require(actor, Permission.HASHING_DETECTORS_EDIT)
    setting = DetectorSetting.objects.select_for_update(no_key=True).get(pk=setting.pk)
    if setting.origin != DetectorOrigin.EXTERNAL:
        raise Refused("Only a service outside has a signing secret.", code="no_secret")
    secret = new_secret()
    setting.sealed_secret = seal(secret.encode(), _context(setting))
    setting.save(update_fields=["sealed_secret"])
    _apply(setting, {}, actor=actor, event=AuditEvent.DETECTOR_SECRET_ROTATED, force=True)
    return setting, secret


def detector_secret(setting: DetectorSetting) -> str:
    """Return the secret that signs messages now. Never show or log it. Raises Unsealable, KeyRingError."""
    return unseal(bytes(setting.sealed_secret or b""), _context(setting)).decode()


def reseal_detector_secrets() -> int:
    """Seal every secret with the current master key. Returns how many. Safe to repeat."""
    done = 0
    rows = DetectorSetting.objects.exclude(sealed_secret=None)
    for pk in list(rows.values_list("pk", flat=True)):
        with transaction.atomic():
            setting = DetectorSetting.objects.select_for_update().get(pk=pk)
            context = _context(setting)
            opened = unseal(bytes(setting.sealed_secret or b""), context)
            setting.sealed_secret = seal(opened, context)
            setting.save(update_fields=["sealed_secret"])
            done += 1
    return done


def _apply(
    setting: DetectorSetting,
    values: Mapping[str, Any],
    *,
    actor: User | Actor | Person,
    event: AuditEvent,
    force: bool = False,
) -> None:
    changed = {
        field: [getattr(setting, field), value]
        for field, value in values.items()
        if getattr(setting, field) != value
    }
    if not changed and not force:
        return
    for field, (_, value) in changed.items():
        setattr(setting, field, value)
    setting.version += 1
    setting.changed_by = actor if isinstance(actor, User) else None
    setting.changed_at = Now()
    setting.save()
    DetectorChange.objects.create(
        detector=setting,
        version=setting.version,
        changed=_told(changed),
        changed_by=setting.changed_by,
    )
    audit.record(
        event,
        actor=actor,
        subject=setting,
        name=setting.name,
        version=setting.version,
        fields=sorted(changed),
        is_on=setting.is_on,
    )
    setting.refresh_from_db()


def _told(changed: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Return what changed, setting by setting. Of an address only its host: it may hold a token."""
    told: dict[str, list[Any]] = {}
    for field, (old, new) in changed.items():
        if field == "description":
            continue
        if not isinstance(old, dict) or not isinstance(new, dict):
            told[field] = [old, new]
            continue
        for name in sorted(set(old) | set(new)):
            pair = [old.get(name), new.get(name)]
            if pair[0] != pair[1]:
                told[name] = [_host(each) for each in pair] if name == "url" else pair
    return told


def _host(url: object) -> str:
    return (urlsplit(url).hostname or "") if isinstance(url, str) else ""


def _bad_address(values: Mapping[str, Any]) -> dict[str, list[str]]:
    if "url" not in values:
        return {}
    refused = check_url(
        str(values["url"]), allow_private=django_settings.HOLDFAST_CLASSIFIER_ALLOW_PRIVATE
    )
    return {"url": [refused]} if refused else {}


def _bad_thresholds(thresholds: Mapping[str, Any]) -> dict[str, list[str]]:
    for category, value in thresholds.items():
        if category not in Category.values:
            return {"thresholds": ["Choose categories from the list."]}
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            return {f"threshold_{category}": ["Write a number from 0 to 1."]}
    return {}


def _context(setting: DetectorSetting) -> str:
    return f"detector:{setting.pk}"
