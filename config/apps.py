from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """The wiring room: management commands that see every app live here."""

    name = "config"
