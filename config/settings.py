"""Settings. Everything an operator may change comes from the environment (docs/operations.md lists it)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from config.env import (
    attach,
    database,
    env_bool,
    env_int,
    env_list,
    env_numbers,
    env_program,
    read_secret_files,
    secret,
    store,
)
from core.valkey_link import ANSWER_SECONDS, CONNECT_SECONDS, Patience

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(os.environ.get("HOLDFAST_VAR", BASE_DIR / "var"))

TESTING = os.environ.get("HOLDFAST_TESTING") == "1"
read_secret_files()
if not TESTING:
    attach(VAR_DIR)
DEBUG = False  # Never on: its error pages print local variables, which may hold evidence.

SECRET_KEY = secret("SECRET_KEY", VAR_DIR / "keys" / "secret_key")
ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS", [])
HTTPS = env_bool("HOLDFAST_HTTPS", default=False)

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.forms",
    "guardian",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "django_htmx",
    "django_rq",
    "ninja",
    "core",
    "accounts",
    "reports",
    "hashing",
    "moderation",
    "referrals",
    "config.apps.ConfigConfig",
]

MIDDLEWARE = [
    "core.middleware.RequestContextMiddleware",
    "core.middleware.SecurityHeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "core.middleware.ArrivingBodyMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "accounts.middleware.SessionGuardMiddleware",
    "core.middleware.RefusalMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "accounts.context.permissions",
                "core.context.environment",
            ],
            "builtins": ["core.templatetags.strangers"],
        },
    }
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

# ── Stores ────────────────────────────────────────────────────────────────────────────────────
DATABASES = {"default": database(testing=TESTING, command="".join(sys.argv[1:2]))}
REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        # As all connections to it (core.valkey_link): whoever asks the cache goes on without it.
        "OPTIONS": {
            "socket_connect_timeout": CONNECT_SECONDS,
            "socket_timeout": ANSWER_SECONDS,
            "retry": Patience(REDIS_URL),
        },
    }
}
SESSION_ENGINE = "django.contrib.sessions.backends.db"

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},  # Nothing may use it.
    "vault": store("vault", Path(os.environ.get("HOLDFAST_VAULT_ROOT", VAR_DIR / "vault"))),
    "packages": store("packages", VAR_DIR / "packages"),
    # Signed statements of where the audit log ended: public in themselves, and worth a disk of their own.
    "anchors": store("anchors", Path(os.environ.get("HOLDFAST_ANCHOR_ROOT", VAR_DIR / "anchors"))),
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if TESTING
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = TESTING
FILE_UPLOAD_HANDLERS = ["core.uploads.VaultUploadHandler"]
HOLDFAST_MAY_UPLOAD = "accounts.sending.may_upload"  # Asked before a file's first byte is taken.
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FILES = 200  # As many as a report has items.
HOLDFAST_WEB_THREADS = env_int(
    "HOLDFAST_WEB_THREADS", 12
)  # Requests at work at once, in each process.
HOLDFAST_MAX_UPLOAD_BYTES = env_int("HOLDFAST_MAX_UPLOAD_BYTES", 100 * 1024 * 1024)
# A disk with less left than this is full: uploads stop before a database on the same disk has to.
# When intake stops taking more (reports.admission). 0: never for that reason.
HOLDFAST_INTAKE_MOST_WAITING = env_int("HOLDFAST_INTAKE_MOST_WAITING", 1_000_000)
HOLDFAST_INTAKE_LONGEST_WAIT = env_int("HOLDFAST_INTAKE_LONGEST_WAIT", 0)
HOLDFAST_INTAKE_SOURCE_WAITING = env_int("HOLDFAST_INTAKE_SOURCE_WAITING", 50_000)
HOLDFAST_DISK_RESERVE_BYTES = env_int("HOLDFAST_DISK_RESERVE_BYTES", 64 * 1024 * 1024)
# Perceptual digests of every picture: pdq always, phash, dhash, and whash, which costs ten times the others.
HOLDFAST_DIGESTS = frozenset(env_list("HOLDFAST_DIGESTS", ["pdq", "phash", "dhash"]))
# Whether HEIC pictures are decoded, by a program of the operating system: 1, or its path (hashing.heic).
HOLDFAST_HEIC = env_program("HOLDFAST_HEIC")
# Whether films that OpenCV cannot show are watched by the system's ffmpeg: 1, or its path (hashing.film_program).
HOLDFAST_FFMPEG = env_program("HOLDFAST_FFMPEG")
HOLDFAST_KEYRING = Path(os.environ.get("HOLDFAST_KEYRING", VAR_DIR / "keys" / "masterkeys.json"))

# This machine's copy of the index over known digests: a cache, made again from the vault.
HOLDFAST_INDEX_DIR = Path(os.environ.get("HOLDFAST_INDEX_DIR", VAR_DIR / "index"))

# ── Background work ───────────────────────────────────────────────────────────────────────────
RQ_QUEUES = {
    name: {
        "URL": REDIS_URL,
        "SERIALIZER": "rq.serializers.JSONSerializer",
        "DEFAULT_TIMEOUT": 180,
        "DEFAULT_RESULT_TTL": 60,
    }
    for name in (
        "publish",
        "intake",
        "deliver",
        "match",
        "scan",
        "video",
        "anchor",
        "package",
        "index",
        "default",
        "long",
    )
}
RQ = {"COMMIT_MODE": "auto"}
HOLDFAST_JOBS = {
    "scan_waiting": {"path": "hashing.jobs.scan_waiting", "queue": "scan", "timeout": 90},
    "scan_video": {"path": "hashing.jobs.scan_video", "queue": "video", "timeout": 300},
    "watch_listed": {"path": "hashing.jobs.watch_listed", "queue": "video", "timeout": 300},
    "read_import": {"path": "hashing.jobs.read_import", "queue": "long", "timeout": 4 * 3600},
    "fetch_exchange": {"path": "hashing.jobs.fetch_exchange", "queue": "long", "timeout": 3600},
    "send_review": {"path": "hashing.jobs.send_review", "queue": "long", "timeout": 400},
    "compute_risk": {"path": "hashing.jobs.compute_risk", "queue": "default", "timeout": 120},
    "do_long_work": {"path": "hashing.jobs.do_long_work", "queue": "default", "timeout": 120},
    "read_links": {"path": "hashing.jobs.read_links", "queue": "long", "timeout": 1100},
    "route_risk_case": {
        "path": "moderation.jobs.route_risk_case",
        "queue": "intake",
        "timeout": 60,
    },
    "scan_item": {"path": "hashing.jobs.scan_item", "queue": "scan", "timeout": 90},
    "try_detector": {"path": "hashing.jobs.try_detector", "queue": "scan", "timeout": 90},
    "describe_plugin": {"path": "hashing.jobs.describe_plugin", "queue": "default", "timeout": 60},
    "look_up": {"path": "hashing.jobs.look_up", "queue": "match", "timeout": 60},
    "build_index": {"path": "hashing.jobs.build_index", "queue": "index", "timeout": 3600},
    "make_preview": {"path": "moderation.jobs.make_preview", "queue": "scan", "timeout": 60},
    "route_waiting": {"path": "moderation.jobs.route_waiting", "queue": "intake", "timeout": 60},
    "publish_due": {"path": "moderation.jobs.publish_due", "queue": "publish", "timeout": 60},
    "replay_deliveries": {
        "path": "moderation.jobs.replay_deliveries",
        "queue": "intake",
        "timeout": 60,
    },
    "send_due": {"path": "moderation.delivery_jobs.send_due", "queue": "deliver", "timeout": 180},
    "build_package": {
        "path": "referrals.jobs.build_package",
        "queue": "package",
        "timeout": 6 * 3600,
    },
    "make_anchor": {"path": "referrals.jobs.make_anchor", "queue": "anchor", "timeout": 3600},
    "keep_anchors": {"path": "referrals.jobs.keep_anchors", "queue": "anchor", "timeout": 3600},
    "verify_audit": {"path": "core.audit_job.verify_audit", "queue": "long", "timeout": 3600},
    # Classifiers of texts.
    "train_classifier": {
        "path": "hashing.jobs.train_classifier",
        "queue": "long",
        "timeout": 3600,
    },
    "score_recent": {"path": "hashing.jobs.score_recent", "queue": "default", "timeout": 120},
    "watch_drift": {"path": "hashing.jobs.watch_drift", "queue": "default", "timeout": 60},
}
# Whose groups and accounts a person may see named: grants live in a higher room than scores do.
HOLDFAST_SUBJECTS_SEEN = "moderation.access.subjects_seen"
# Who knows which case a number means: ``function(text) -> id or None``, for the filter of the audit log.
HOLDFAST_CASE_NUMBERS = ["moderation.access.case_of_number", "referrals.access.case_of_number"]
# Who knows the number of the case that a row belongs to: ``function([("item", id), …]) -> {("item", id): "C-000010"}``.
HOLDFAST_CASES_OF_ROWS = "moderation.case_numbers.of_rows"
# Who knows what waits for a person: ``function(user) -> [Waiting, …]``, for the first page.
HOLDFAST_WAITING = [
    "accounts.access.waiting_for",
    "hashing.access.waiting_for",
    "moderation.order_access.waiting_for",
    "referrals.access.waiting_for",
]
# Who knows which accounts and groups are evidence: ``function(accounts=…, groups=…) -> {id, …}``, before one is erased.
HOLDFAST_SUBJECTS_NEEDED = [
    "reports.access.named_in_reports",
    "moderation.named.named_in_cases",
    "referrals.access.named_in_referrals",
]
# What runs every few seconds, and what it does in words (the page of jobs).
HOLDFAST_SWEEPS = {
    "core.sweeps.sweep_staged_blobs": "Destroys originals that nothing has referred to for a day",
    "core.sweeps.sweep_half_written": "Removes files that a killed process left half written",
    "core.sweeps.sweep_old_rows": "Forgets sessions and processes that ended long ago",
    "core.sweeps.sweep_audit_check": "Goes on with a check of the audit log",
    "accounts.sweeps.sweep_sign_ins": "Forgets sign-ins that ended long ago",
    "accounts.sweeps.sweep_clocks": "Corrects times of sessions after the clock was put back",
    "accounts.sweeps.sweep_searches": "Forgets kept searches whose time is over",
    "reports.jobs.sweep_uploads": "Forgets uploads that no report used",
    "hashing.jobs.sweep_clocks": "Corrects times of detection after the clock was put back",
    "hashing.jobs.sweep_items": "Finds items that wait for their scan",
    "hashing.jobs.sweep_mended": "Scans again what could not be read before and can be now",
    "hashing.jobs.sweep_exchanges": "Contacts exchanges whose time has come",
    "hashing.jobs.sweep_reviews": "Sends partners what reviews said of their hashes",
    "hashing.jobs.sweep_imports": "Goes on with imports of hash lists",
    "hashing.jobs.sweep_lists": "Holds lists that flag too much and retires refuted entries",
    "hashing.jobs.sweep_listed_videos": "Watches videos that were put on a list",
    "hashing.jobs.sweep_lookups": "Answers questions about hashes and forgets old answers",
    "hashing.jobs.sweep_terms": "Seals lists of terms",
    "hashing.jobs.sweep_index": "Builds the index of hashes anew when it is worth it",
    "hashing.jobs.sweep_detectors": "Makes the detectors of this installation known",
    "hashing.jobs.sweep_pending_looks": "Scans again what a detector that was away has missed",
    "hashing.jobs.sweep_trials": "Goes on with trials of detectors",
    "hashing.jobs.sweep_classifiers": "Goes on with trainings and looks for drift",
    "hashing.jobs.sweep_links": "Reads imports of links between accounts",
    "hashing.jobs.sweep_risk": "Rates accounts and groups again",
    "hashing.jobs.sweep_long_work": "Goes on with long work: scans and ratings in batches",
    "moderation.jobs.sweep_clocks": "Corrects times of cases after the clock was put back",
    "moderation.jobs.sweep_risk_cases": "Opens cases for high risk scores",
    "moderation.jobs.sweep_previews": "Makes previews that are missing",
    "moderation.jobs.sweep_routing": "Finds reports and items without a case",
    "moderation.jobs.sweep_decisions": "Lets decisions take effect when they cannot be undone any more",
    "moderation.jobs.sweep_outcomes": "Tells reports of earlier decisions what came of them",
    "moderation.delivery_jobs.sweep_deliveries": "Sends the platform orders that are due",
    "moderation.jobs.sweep_practice": "Removes what test keys sent when its time is over",
    "moderation.jobs.sweep_claims": "Ends claims whose time is over",
    "referrals.jobs.sweep_packages": "Goes on with packages that are being built",
    "referrals.jobs.sweep_anchors": "Fixes the audit log with a signed anchor each night",
}
# Which queues each process of the launcher serves (config/runtime/up.py): health names the process to look at.
HOLDFAST_PROCESSES = {
    "case-worker": ["publish", "intake"],
    "scan-worker": ["match", "scan"],
    "sender": ["deliver"],
    "package-worker": ["anchor", "package"],
    "index-worker": ["index"],
    "video-worker": ["video", "default"],
    "long-worker": ["default", "long"],
}
# What rows wait for, and seconds that replace a stage's own limit.
HOLDFAST_STAGES = [
    "hashing.stages.STAGES",
    "moderation.stages.STAGES",
    "referrals.stages.STAGES",
    "core.audit_job.STAGES",
]
HOLDFAST_STAGE_LIMITS = env_numbers("HOLDFAST_STAGE_LIMITS")
# Rows that `verify_audit` compares with the lines that speak of them.
HOLDFAST_AUDITED_ROWS = [
    "accounts.audit_rows.KINDS",
    "reports.audit_rows.KINDS",
    "reports.audit_directory.KINDS",
    "reports.audit_erasures.KINDS",
    "hashing.audit_rows.KINDS",
    "moderation.audit_cases.KINDS",
    "moderation.audit_rows.KINDS",
    "moderation.audit_orders.KINDS",
    "referrals.audit_rows.KINDS",
]
# Who knows the keys that sign anchors, and the authority that stamps them.
HOLDFAST_ANCHOR_SIGNATURES = "referrals.anchoring.check_signature"
HOLDFAST_ANCHOR_STAMPS = "referrals.anchoring.check_token"
# What `rotate_master_key` seals anew besides the originals' keys.
HOLDFAST_RESEAL = [
    "hashing.actions.exchanges.reseal_exchanges",
    "hashing.actions.detectors.reseal_detector_secrets",
    "accounts.actions.second_factor.reseal_secrets",
    "moderation.actions.deliveries.reseal_secrets",
    "hashing.actions.term_lists.reseal_secrets",
]
# How many workers may scan at once. A lane is a wake-up, not a process.
HOLDFAST_SCAN_LANES = env_int("HOLDFAST_SCAN_LANES", 8)
# A worker that does not fork ends after a job when it holds more, and its supervisor starts a fresh one.
HOLDFAST_WORKER_MEMORY_MB = env_int("HOLDFAST_WORKER_MEMORY_MB", 1500)
HOLDFAST_SWEEP_SECONDS = env_int("HOLDFAST_SWEEP_SECONDS", 5)

# ── People ────────────────────────────────────────────────────────────────────────────────────
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "allauth.account.auth_backends.AuthenticationBackend",
    "guardian.backends.ObjectPermissionBackend",
]
GUARDIAN_MONKEY_PATCH_USER = False
ANONYMOUS_USER_NAME = None
PASSWORD_HASHERS = (
    ["django.contrib.auth.hashers.MD5PasswordHasher"]
    if TESTING
    else ["django.contrib.auth.hashers.Argon2PasswordHasher"]
)
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
# allauth keeps authenticators and checks passwords; its own pages are not mounted (accounts/urls.py).
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
MFA_ADAPTER = "accounts.mfa.SealedMFAAdapter"
MFA_TOTP_ISSUER = "Holdfast"
MFA_TOTP_TOLERANCE = (
    1  # One step of 30 s either way, for clocks that are a little off (RFC 6238 §6).
)
LOGIN_URL = "/sign-in/"
LOGIN_REDIRECT_URL = "/"
HOLDFAST_IDLE_MINUTES = env_int("HOLDFAST_IDLE_MINUTES", 20)
HOLDFAST_REAUTH_MINUTES = env_int("HOLDFAST_REAUTH_MINUTES", 10)

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = HTTPS
# Behind TLS a browser takes these names only from this host, for every path, never in clear (RFC 6265bis §4.1.3.2).
_HOST = "__Host-" if HTTPS else ""
SESSION_COOKIE_NAME = f"{_HOST}session"
CSRF_COOKIE_NAME = f"{_HOST}csrf"
HOLDFAST_DEVICE_COOKIE = f"{_HOST}known"
HOLDFAST_THEME_COOKIE = f"{_HOST}theme"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
CSRF_COOKIE_SECURE = HTTPS
CSRF_COOKIE_HTTPONLY = False
CSRF_FAILURE_VIEW = "core.views.csrf_failure"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_SSL_REDIRECT = HTTPS
# Monitoring and load balancers ask behind the proxy that ends TLS; the answer holds no secret.
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
# Subdomains and browsers' preload lists are the operator's whole domain, not this application's.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SECURE_PROXY_SSL_HEADER = (
    ("HTTP_X_FORWARDED_PROTO", "https")
    if env_bool("HOLDFAST_BEHIND_PROXY", default=False)
    else None
)
HOLDFAST_TRUST_FORWARDED_FOR = env_bool("HOLDFAST_BEHIND_PROXY", default=False)
X_FRAME_OPTIONS = "DENY"

# ── Casework ──────────────────────────────────────────────────────────────────────────────────
HOLDFAST_LEASE_SECONDS = env_int("HOLDFAST_LEASE_SECONDS", 600)
HOLDFAST_UNDO_SECONDS = env_int("HOLDFAST_UNDO_SECONDS", 60)
HOLDFAST_PRACTICE_DAYS = env_int("HOLDFAST_PRACTICE_DAYS", 30)
HOLDFAST_ROUTE_ANYWAY_SECONDS = env_int("HOLDFAST_ROUTE_ANYWAY_SECONDS", 180)
HOLDFAST_ORGANISATION = os.environ.get("HOLDFAST_ORGANISATION", "Example Messenger")
HOLDFAST_DOMAIN = os.environ.get("HOLDFAST_DOMAIN", "holdfast.example")
HOLDFAST_CONTACT = os.environ.get("HOLDFAST_CONTACT", "trust-and-safety@holdfast.example")
HOLDFAST_SIGNING_KEY_FILE = os.environ.get("HOLDFAST_SIGNING_KEY_FILE", "")
HOLDFAST_ALLOWED_SIGNERS_FILE = os.environ.get(
    "HOLDFAST_ALLOWED_SIGNERS_FILE", str(VAR_DIR / "keys" / "allowed_signers")
)
# Anchors of the audit log may be stamped by an RFC 3161 authority and sent to an endpoint of the operator. Neither
# by itself: both are contacted only when named here.
HOLDFAST_TSA_URL = os.environ.get("HOLDFAST_TSA_URL", "")
HOLDFAST_TSA_CA_FILE = os.environ.get("HOLDFAST_TSA_CA_FILE", "")
HOLDFAST_ANCHOR_WEBHOOK_URL = os.environ.get("HOLDFAST_ANCHOR_WEBHOOK_URL", "")
HOLDFAST_ANCHOR_WEBHOOK_SECRET = os.environ.get("HOLDFAST_ANCHOR_WEBHOOK_SECRET", "")
HOLDFAST_ANCHOR_ALLOW_PRIVATE = env_bool("HOLDFAST_ANCHOR_ALLOW_PRIVATE", default=False)
# A public key: `manage.py init_signing` writes it where every process may read it.
HOLDFAST_ESCROW_RECIPIENT = os.environ.get("HOLDFAST_ESCROW_RECIPIENT", "")
HOLDFAST_ESCROW_RECIPIENT_FILE = str(VAR_DIR / "keys" / "escrow.recipient")
HOLDFAST_SAMPLE = env_bool("HOLDFAST_SAMPLE", default=False)
# Webhooks may go to loopback and private addresses only where the operator says so.
# A sample installation is reached by nobody else, and its demo platform listens on loopback.
# Exchanges inside one's own network, and the folder whose files an exchange may read.
HOLDFAST_EXCHANGE_ALLOW_PRIVATE = env_bool("HOLDFAST_EXCHANGE_ALLOW_PRIVATE", default=False)
HOLDFAST_EXCHANGE_DIR = os.environ.get("HOLDFAST_EXCHANGE_DIR", "")
HOLDFAST_WEBHOOK_ALLOW_PRIVATE = env_bool("HOLDFAST_WEBHOOK_ALLOW_PRIVATE", default=HOLDFAST_SAMPLE)
# Where people outside read a policy, for orders: `{code}` stands for its code. Empty: orders name no address.
HOLDFAST_POLICY_ADDRESS = os.environ.get("HOLDFAST_POLICY_ADDRESS", "")

# Classifiers outside usually run in the organisation's own network: that has a switch of its own.
HOLDFAST_CLASSIFIER_ALLOW_PRIVATE = env_bool(
    "HOLDFAST_CLASSIFIER_ALLOW_PRIVATE", default=HOLDFAST_SAMPLE
)
# Directories with installed plug-ins (`pip install --target`), besides the application's own packages.
HOLDFAST_PLUGIN_PATH = env_list("HOLDFAST_PLUGIN_PATH", [])
# Refuse to start where a part of the decoders' sandbox is missing (hashing.confinement).
HOLDFAST_REQUIRE_SANDBOX = env_bool("HOLDFAST_REQUIRE_SANDBOX", default=False)

# ── Language, time, logs ──────────────────────────────────────────────────────────────────────
LANGUAGE_CODE = "en"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"  # RQ's schedules are local time; UTC keeps one clock.
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "core.errors.QuietFormatter",
            "format": "{asctime} {levelname} {name} {message}",
            "style": "{",
        }
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "stream": sys.stderr,
        }
    },
    "root": {"handlers": ["console"], "level": os.environ.get("HOLDFAST_LOG_LEVEL", "INFO")},
    "loggers": {
        "rq.worker": {"level": "WARNING"},
        # It writes every address it asks; those of webhooks may hold an access token.
        "httpx": {"level": "WARNING"},
    },
}
