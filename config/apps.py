from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """The wiring room: management commands that see every app live here."""

    name = "config"

    def ready(self) -> None:
        """Register the check of the environment."""
        from config import checks  # noqa: F401 — importing registers it
