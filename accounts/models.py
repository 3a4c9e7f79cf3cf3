"""People and invitations."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models.functions import Lower, Now
from django.utils import timezone

from accounts.permissions import Permission, Role, needs_second_factor, role_may

RECOVERY_SHOWN = timedelta(days=30)
"""How long a recovery is named to the person, to administrators and leads, and marked in the audit log."""


class UserManager(BaseUserManager["User"]):
    """Only what Django's authentication needs; people are created by ``accounts.actions``."""

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email__iexact=username)


class User(AbstractBaseUser, PermissionsMixin):
    """A person who signs in. Outside the installation only ``pseudonym`` is ever shown."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=120)
    pseudonym = models.CharField(max_length=16, unique=True)
    role = models.CharField(max_length=20, choices=[(r.value, r.label) for r in Role])
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    deactivated_at = models.DateTimeField(null=True, blank=True)
    failed_sign_ins = models.PositiveIntegerField(default=0)
    """Wrong passwords and codes since the last sign-in. They close nothing (``accounts.attempts``)."""
    attempts_epoch = models.PositiveIntegerField(default=0)
    """Raised to count every budget for guesses at this account anew."""
    recovered_at = models.DateTimeField(null=True, blank=True)
    """When administrators last reset the second factor, or gave a new password while there was none."""
    theme = models.CharField(
        max_length=8,
        default="auto",
        choices=[("auto", "auto"), ("light", "light"), ("dark", "dark")],
    )
    keys_enabled = models.BooleanField(default=True)

    is_superuser = False  # No account bypasses the permission table.
    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects = UserManager()

    class Meta:
        constraints = [models.UniqueConstraint(Lower("email"), name="one_account_per_email")]

    def __str__(self) -> str:
        return self.pseudonym

    def may(self, permission: Permission) -> bool:
        """Return whether the person's role holds ``permission`` (inactive people hold nothing)."""
        return self.is_active and role_may(self.role, permission)

    @property
    def needs_second_factor(self) -> bool:
        """Whether a session of this person can do nothing before its second factor was checked."""
        return needs_second_factor(self.role)

    @property
    def after_reset(self) -> str:
        """The time (ISO 8601) at which administrators last let somebody in anew as this person, or nothing.

        For ``RECOVERY_SHOWN``. The audit log marks with it whatever the person does (``core.audit``).
        """
        at = self.recovered_at
        return at.isoformat() if at and timezone.now() - at < RECOVERY_SHOWN else ""


class Invitation(models.Model):
    """A one-time link that lets one person create an account with one role."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    token_hash = models.CharField(max_length=64, unique=True)
    email = models.EmailField()
    name = models.CharField(max_length=120, blank=True)
    role = models.CharField(max_length=20, choices=[(r.value, r.label) for r in Role])
    invited_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    accepted_by = models.OneToOneField(
        User, null=True, blank=True, on_delete=models.PROTECT, related_name="invitation"
    )
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                Lower("email"),
                condition=models.Q(accepted_at=None, revoked_at=None),
                name="one_open_invitation_per_email",
            )
        ]

    def __str__(self) -> str:
        return f"Invitation {self.pk}"


class AccountRequest(models.Model):
    """Something about an account that takes two administrators: asked by one, confirmed by another."""

    class Kind(models.TextChoices):
        SECOND_FACTOR = "second_factor", "Reset the second factor"
        PASSWORD_LINK = "password_link", "New password without a second factor"
        ADMINISTRATOR = "administrator", "Make administrator"
        INVITATION = "invitation", "Invite an administrator"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    person = models.ForeignKey(
        User, null=True, on_delete=models.PROTECT, related_name="account_requests"
    )
    invitation = models.ForeignKey(
        Invitation, null=True, on_delete=models.PROTECT, related_name="requests"
    )
    reason = models.CharField(max_length=500)
    requested_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    """None: on the machine itself. So is ``confirmed_by`` of a request that was confirmed."""
    requested_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    confirmed_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    confirmed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(person=None) ^ models.Q(invitation=None),
                name="account_request_has_one_subject",
            ),
            models.CheckConstraint(
                condition=models.Q(confirmed_by=None)
                | models.Q(requested_by=None)
                | ~models.Q(confirmed_by=models.F("requested_by")),
                name="account_request_takes_two",
            ),
            models.UniqueConstraint(
                fields=["kind", "person"],
                condition=models.Q(confirmed_at=None, closed_at=None),
                name="one_open_account_request_per_kind",
            ),
        ]

    def __str__(self) -> str:
        return f"Account request {self.pk}"

    @property
    def shown_until(self) -> datetime | None:
        """Until when a confirmed recovery is named on pages and marked in the audit log."""
        return self.confirmed_at + RECOVERY_SHOWN if self.confirmed_at else None


class SetUpLink(models.Model):
    """The one-time token that lets the first administrator create an account on an empty system."""

    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"Set-up link {self.pk}"


class PasswordLink(models.Model):
    """A one-time link with which a person who forgot the password sets a new one."""

    token_hash = models.CharField(max_length=64, unique=True)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="password_links")
    issued_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"Password link {self.pk}"


class StoredSearch(models.Model):
    """What one person typed into the search of one page, so that it stands in no address."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    page = models.CharField(max_length=80)
    """The name of the view."""
    fields = models.JSONField()
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"Stored search {self.pk}"


class SignIn(models.Model):
    """One signed-in browser of one person, kept apart from the session so that others can end it.

    The session cookie names this row; ``SessionGuardMiddleware`` trusts the row, not the cookie.
    All times are the database's.
    """

    class Ended(models.TextChoices):
        SIGNED_OUT = "signed_out", "Signed out"
        IDLE = "idle", "Left idle"
        TOO_OLD = "too_old", "Reached the longest session time"
        BY_OWNER = "by_owner", "Signed out from another browser"
        DEACTIVATED = "deactivated", "Account deactivated"
        ROLE_CHANGED = "role_changed", "Role changed"
        PASSWORD_CHANGED = "password_changed", "Password changed"
        SECOND_FACTOR_RESET = "second_factor_reset", "Second factor reset"
        RECOVERED = "recovered", "New password without a second factor"
        SECOND_FACTOR_SET_UP = "second_factor_set_up", "Second factor set up in another browser"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="sign_ins")
    started_at = models.DateTimeField(db_default=Now(), editable=False)
    last_seen_at = models.DateTimeField(db_default=Now())
    confirmed_at = models.DateTimeField(db_default=Now())
    """When the person last proved to be present with a password or code."""
    second_factor_at = models.DateTimeField(null=True, blank=True)
    ip = models.GenericIPAddressField(null=True, blank=True)
    user_agent = models.CharField(max_length=200, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_because = models.CharField(max_length=20, blank=True, choices=Ended.choices)

    # Added by ``access.find_open_sign_in``, measured by the database's clock.
    idle: timedelta
    age: timedelta
    since_confirmed: timedelta

    class Meta:
        indexes = [
            models.Index(
                fields=["user"], condition=models.Q(ended_at=None), name="open_sign_ins_of_user"
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(ended_at=None, ended_because="")
                | (models.Q(ended_at__isnull=False) & ~models.Q(ended_because="")),
                name="ended_sign_in_says_why",
            )
        ]

    def __str__(self) -> str:
        return f"Sign-in {self.pk}"

    @property
    def lacks_second_factor(self) -> bool:
        """Whether the session saw only a password, and its person's role needs more."""
        return self.second_factor_at is None and self.user.needs_second_factor
