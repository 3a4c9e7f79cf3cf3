from django.apps import AppConfig


class HashingConfig(AppConfig):
    name = "hashing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from hashing import checks  # noqa: F401 — registers them
