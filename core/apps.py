from django.apps import AppConfig


class CoreConfig(AppConfig):
    """The room below all others: vault, audit log, wake-ups, answers."""

    name = "core"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the start-up checks, and what a forked process must forget."""
        from core import (
            checks,  # noqa: F401 — importing registers them
            forks,
        )

        forks.register()
