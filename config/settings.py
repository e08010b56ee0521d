"""Settings. Every value that differs between machines comes from the environment (config/env.py).

DEMO=1 switches customers' rates and ceilings off and shortens the wait for a mail's webhook; with
SANDBOX_URL set, the providers' addresses default to the sandbox's.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from kombu import Queue

from config import csp, database, env
from config.web import limits

BASE_DIR = Path(__file__).resolve().parent.parent

DEMO = env.flag("DEMO")
DEBUG = env.flag("DEBUG")
SECRET_KEY = env.required("SECRET_KEY", "Any long random text; `make demo` and `make test` make one.")
SECRET_KEY_FALLBACKS = env.words("SECRET_KEY_FALLBACKS")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "127.0.0.1,localhost")
SITE_URL = env.text("SITE_URL", "http://127.0.0.1:8000").rstrip("/")
CSRF_TRUSTED_ORIGINS = [SITE_URL]
SILENCED_SYSTEM_CHECKS = env.words("SILENCED_CHECKS")

INSTALLED_APPS = [
    "postings",
    "examples.registrations",
    "examples.ledger_orders",
    "pipeline",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "rest_framework.authtoken",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "csp",
]

MIDDLEWARE = [
    "config.metrics.CountRequests",
    "config.web.media_types.PlainUtf8",
    "config.web.multipart.strict_forms",
    "django.middleware.security.SecurityMiddleware",
    "config.static_files.StaticFiles",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- PostgreSQL -------------------------------------------------------------------------------
DATABASES: dict[str, Any] = {"default": database.from_environment()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Celery: a fast path only; PostgreSQL is the truth (docs/decisions) --------------------------
CELERY_BROKER_URL = env.required("BROKER_URL", "For example redis://127.0.0.1:6379/0 or amqp://….")
ON_REDIS = CELERY_BROKER_URL.startswith(("redis", "rediss"))
# How long a publisher waits for a broker that swallows packets, once: dispatch.py then stops trying for 5 s.
BROKER_PATIENCE = env.seconds("BROKER_SOCKET_TIMEOUT", 5)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CONNECTION_TIMEOUT = 3
CELERY_BROKER_POOL_ACQUIRE_TIMEOUT = 3
CELERY_VISIBILITY_TIMEOUT = 300
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = (
    {
        "visibility_timeout": CELERY_VISIBILITY_TIMEOUT,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "unacked_restore_limit": 100,
        "socket_timeout": BROKER_PATIENCE.total_seconds(),
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0.2,
        "interval_max": 0.5,
        "global_keyprefix": "jobpipe:",
        "client_name": "jobpipe",
    }
    if ON_REDIS
    else {"confirm_publish": True, "max_retries": 1, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5}
)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_EVENT_SERIALIZER = "json"
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = False  # the sweep recovers; a requeue would loop on a poison job
CELERY_TASK_ACKS_ON_FAILURE = True
CELERY_TASK_ACKS_ON_TIMEOUT = True
CELERY_TASK_SOFT_TIME_LIMIT = 35  # the time ladder: call < attempt < soft < hard < lease < visibility
CELERY_TASK_TIME_LIMIT = 45
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 2, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5}
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_DEFAULT_QUEUE = "pipeline"
# Published by queue name only: a named exchange's bindings are lost with Redis's data, silently.
# On RabbitMQ they are replicated, and what was delivered ten times in vain is dropped: the sweep publishes anew.
_QUEUE_ARGUMENTS = None if ON_REDIS else {"x-queue-type": "quorum", "x-delivery-limit": 10}
CELERY_TASK_QUEUES = [
    Queue(name, routing_key=name, queue_arguments=_QUEUE_ARGUMENTS) for name in ("pipeline", "commit", "rollback")
]
CELERY_WORKER_CONSUMER = "pipeline.consumer:Consumer"
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 20
CELERY_WORKER_MAX_TASKS_PER_CHILD = 5000
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 400_000  # KiB
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_TASK_SEND_SENT_EVENT = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_DB_REUSE_MAX = 1_000_000  # keep the worker's connection between tasks; the executor closes a broken one

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": env.text("CACHE_URL"),
        # It counts requests and nothing more: without it they are let through.
        "OPTIONS": {"socket_timeout": 1, "socket_connect_timeout": 1},
    }
    if env.text("CACHE_URL")
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}

# --- the engine --------------------------------------------------------------------------------
PIPELINE: dict[str, Any] = {
    "SECRET_KEYS": env.words("PIPELINE_SECRET_KEYS"),
    "OWNER_ADDRESS": database.address("DATABASE_OWNER_URL") if env.text("DATABASE_OWNER_URL") else None,
    "PAUSE_STAGING": env.flag("PAUSE_STAGING"),
    "GO_ON": env.flag("PIPELINE_GO_ON", default=True),
    "PARALLEL": env.integer("PIPELINE_PARALLEL", 16),
    "ON_ATTENTION": "postings.operators.tell",
    "AUDITS": ("postings.audit.audit", "examples.registrations.audit.audit", "examples.ledger_orders.audit.audit"),
    "PUBLISH_TIMEOUT": BROKER_PATIENCE,
    "RECONCILERS": (
        "postings.reconcile.Intents",
        "postings.reconcile.Objects",
        "examples.registrations.reconcile.Users",
        "examples.ledger_orders.reconcile.Transactions",
    ),
    "RECONCILE_AFTER": env.seconds("RECONCILE_AFTER_SECONDS", 600),
    "CHORES": {
        "pipeline.reconciliation.reconcile_recent": timedelta(minutes=10),
        "postings.endings.expire_due": timedelta(seconds=5) if DEMO else timedelta(minutes=5),
        "postings.operators.tell_of_findings": timedelta(minutes=5),
        "postings.news.missed.take_missed": timedelta(minutes=30),
        "postings.news.pending.settle_pending": timedelta(seconds=5) if DEMO else timedelta(seconds=30),
        "pipeline.retention.reap": timedelta(hours=1),
    },
    "RETENTION": timedelta(days=env.integer("RETENTION_DAYS", 180)),
    "ALSO_REAP": ["postings.retention.reap", "config.sessions.reap"],
    "ALSO_ERASE": ["postings.retention.erase"],
    "ALSO_HOLDING": ["postings.retention.holding"],
    "MAX_OPEN_PER_CLIENT": 0 if DEMO else env.integer("MAX_OPEN_PER_CLIENT", 20),
}

# --- the shop and its providers ----------------------------------------------------------------
SANDBOX_URL = env.text("SANDBOX_URL").rstrip("/")
STRIPE_SECRET_KEY = env.text("STRIPE_SECRET_KEY", "sk_test_sandbox" if SANDBOX_URL else "")
STRIPE_API_BASE = env.text("STRIPE_API_BASE", f"{SANDBOX_URL}/stripe" if SANDBOX_URL else "")
STRIPE_WEBHOOK_SECRETS = env.words("STRIPE_WEBHOOK_SECRET")
STRIPE_PUBLISHABLE_KEY = env.text("STRIPE_PUBLISHABLE_KEY")
SENDGRID_API_KEY = env.text("SENDGRID_API_KEY", "SG.sandbox" if SANDBOX_URL else "")
SENDGRID_HOST = env.text("SENDGRID_HOST", f"{SANDBOX_URL}/sendgrid" if SANDBOX_URL else "")
SENDGRID_WEBHOOK_PUBLIC_KEY = env.text("SENDGRID_WEBHOOK_PUBLIC_KEY")
S3_ENDPOINT_URL = env.text("S3_ENDPOINT_URL", f"{SANDBOX_URL}/s3" if SANDBOX_URL else "")
S3_BUCKET = env.text("S3_BUCKET", "postings")
S3_REGION = env.text("S3_REGION", "us-east-1")
S3_ADDRESSING_STYLE = env.text("S3_ADDRESSING_STYLE", "path")  # path, virtual or auto
S3_ACCESS_KEY_ID = env.text("AWS_ACCESS_KEY_ID", "sandbox" if SANDBOX_URL else "")
S3_SECRET_ACCESS_KEY = env.text("AWS_SECRET_ACCESS_KEY", "sandbox" if SANDBOX_URL else "")
MAIL_FROM = env.text("MAIL_FROM", "jobs@example.com")
MAIL_FROM_NAME = env.text("MAIL_FROM_NAME", "Job board")
OPERATOR_EMAIL = env.text("OPERATOR_EMAIL", "operator@example.com" if DEMO else "")
# How long a mail whose fate is unknown waits for the provider's webhook before it is sent again.
MAIL_GRACE = env.seconds("MAIL_GRACE_SECONDS", 2 if DEMO else 120)
# Refused cards per address and hour before submissions are throttled (card testing). 0 switches it off.
MAX_REFUSED_CARDS_PER_HOUR = 0 if DEMO else env.integer("MAX_REFUSED_CARDS_PER_HOUR", 10)
PAYMENT_WAITING = env.seconds("PAYMENT_WAITING_SECONDS", 1800)

# Optional steps of a posting, each switched on by its first setting.
SMS_ENABLED = env.flag("SMS_ENABLED")
TWILIO_API_BASE = env.text("TWILIO_API_BASE", f"{SANDBOX_URL}/twilio" if SANDBOX_URL else "https://api.twilio.com")
TWILIO_ACCOUNT_SID = env.text("TWILIO_ACCOUNT_SID", "ACsandbox" if SANDBOX_URL else "")
TWILIO_AUTH_TOKEN = env.text("TWILIO_AUTH_TOKEN", "sandbox" if SANDBOX_URL else "")
TWILIO_FROM = env.text("TWILIO_FROM", "+15005550006" if SANDBOX_URL else "")  # or a messaging service:
TWILIO_MESSAGING_SERVICE_SID = env.text("TWILIO_MESSAGING_SERVICE_SID")
INDEXING_ENABLED = env.flag("INDEXING_ENABLED")
GOOGLE_INDEXING_BASE = env.text(
    "GOOGLE_INDEXING_BASE", f"{SANDBOX_URL}/google" if SANDBOX_URL else "https://indexing.googleapis.com"
)
GOOGLE_INDEXING_CREDENTIALS = env.text("GOOGLE_INDEXING_CREDENTIALS")  # the JSON of a service account's key
INDEXING_DAILY_QUOTA = env.integer("INDEXING_DAILY_QUOTA", 200)  # Google's default for a project
INDEXING_RESERVED_FOR_DELETIONS = env.integer("INDEXING_RESERVED_FOR_DELETIONS", 40)  # of the quota
RECAPTCHA_ENABLED = env.flag("RECAPTCHA_ENABLED")
RECAPTCHA_BASE = env.text("RECAPTCHA_BASE", f"{SANDBOX_URL}/google" if SANDBOX_URL else "https://www.google.com")
RECAPTCHA_SITE_KEY = env.text("RECAPTCHA_SITE_KEY", "sandbox" if SANDBOX_URL else "")
RECAPTCHA_SECRET = env.text("RECAPTCHA_SECRET", "sandbox" if SANDBOX_URL else "")
RECAPTCHA_VERSION = env.integer("RECAPTCHA_VERSION", 2)  # of the site key: 2 or 3
RECAPTCHA_MIN_SCORE = env.text("RECAPTCHA_MIN_SCORE", "0.5")  # version 3: from 0.0, a robot, to 1.0, a person

# The examples' providers.
SUPABASE_URL = env.text("SUPABASE_URL", f"{SANDBOX_URL}/supabase" if SANDBOX_URL else "").rstrip("/")
SUPABASE_KEY = env.text("SUPABASE_KEY", "sandbox" if SANDBOX_URL else "")  # the service role's
MODERN_TREASURY_BASE_URL = env.text("MODERN_TREASURY_BASE_URL", f"{SANDBOX_URL}/modern_treasury" if SANDBOX_URL else "")
MODERN_TREASURY_ORGANIZATION_ID = env.text("MODERN_TREASURY_ORGANIZATION_ID", "sandbox" if SANDBOX_URL else "")
MODERN_TREASURY_API_KEY = env.text("MODERN_TREASURY_API_KEY", "sandbox" if SANDBOX_URL else "")
MODERN_TREASURY_LEDGER = env.text("MODERN_TREASURY_LEDGER", "Orders")  # the name of the ledger that is used

# --- HTTP --------------------------------------------------------------------------------------
DATA_UPLOAD_MAX_NUMBER_FIELDS = limits.MAX_PARTS
DATA_UPLOAD_MAX_NUMBER_FILES = 10
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024  # a JSON body with a base64 logo of 2 MiB fits
FILE_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024
REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "pipeline.api.negotiation.OneRepresentation",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "pipeline.api.problems.exception_handler",
    "NUM_PROXIES": env.integer("NUM_PROXIES", 0),
    "DEFAULT_THROTTLE_RATES": {
        "submit": None if DEMO else env.text("RATE_SUBMIT", "30/min"),
        "read": None if DEMO else env.text("RATE_READ", "600/min"),
        "act": None if DEMO else env.text("RATE_ACT", "60/min"),
        "login": env.text("RATE_LOGIN", "10/min"),  # of one address, in the demo too: each costs half a second
        "login_name": env.text("RATE_LOGIN_NAME", "20/min"),  # of one name from anywhere: more are slowed down
    },
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Job postings",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,  # what is sent and what is shown differ
    "ENUM_NAME_OVERRIDES": {
        "PipelineState": "pipeline.states.PipelineState",
        "StepState": "pipeline.states.StepState",
        "EventType": "pipeline.states.EventType",
        "EmploymentType": "postings.models.EmploymentType",
        "SalaryUnit": "postings.models.SalaryUnit",
    },
}
MAX_WATCHERS = env.integer("MAX_WATCHERS", 500)  # waits and streams that one process keeps open
MAX_WATCHERS_PER_CLIENT = env.integer("MAX_WATCHERS_PER_CLIENT", 0 if DEMO else 20)  # of one address; 0: no ceiling
MAX_CONNECTIONS = env.integer("MAX_CONNECTIONS", 1000)  # that one process keeps open
# Of one address, where no proxy stands before; 0: no ceiling.
MAX_CONNECTIONS_PER_CLIENT = env.integer("MAX_CONNECTIONS_PER_CLIENT", 0 if DEMO else MAX_CONNECTIONS // 4)
SESSION_ENGINE = "config.sessions"
CSRF_FAILURE_VIEW = "config.errors.csrf_failure"
# The API's description, for everybody or (in production, unless it is wanted) for staff alone.
API_DOCS_PUBLIC = env.flag("API_DOCS_PUBLIC", default=DEMO or DEBUG or not SITE_URL.startswith("https://"))
METRICS_PUBLIC = env.flag("METRICS_PUBLIC")
METRICS_NETWORKS = env.words("METRICS_NETWORKS", "127.0.0.0/8,::1/128")

STATIC_URL = "static/"
STATIC_ROOT = Path(env.text("STATIC_ROOT", str(BASE_DIR / ".data" / "static")))
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
LOGIN_URL = "/admin/login/"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

CONTENT_SECURITY_POLICY = csp.policy(RECAPTCHA_BASE if RECAPTCHA_ENABLED else None, is_sandbox=bool(SANDBOX_URL))
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
HTTPS = SITE_URL.startswith("https://")
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = ["^healthz$", "^readyz$", "^metrics$"]  # asked from inside, without TLS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
if env.flag("BEHIND_PROXY"):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"()": "pipeline.logs.formatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": env.text("LOG_LEVEL", "INFO")},
    # SDKs that would log every request, some with its content.
    "loggers": {
        name: {"level": "WARNING"} for name in ("stripe", "python_http_client", "httpx", "httpcore", "modern_treasury")
    },
}

if not DEBUG and not DEMO and len(SECRET_KEY) < 32:
    raise ImproperlyConfigured("SECRET_KEY is shorter than 32 characters: use a long random text.")
