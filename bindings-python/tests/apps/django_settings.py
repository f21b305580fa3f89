import os

from apps import common

SECRET_KEY = "for tests"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "apps.django_urls"
LOGGING_CONFIG = None
APPEND_SLASH = False
TWICE = os.environ.get("TWICE") is not None
MIDDLEWARE = [
    *(["tenant_sentinel.django.SentinelMiddleware"] if TWICE else []),
    "tenant_sentinel.django.SentinelMiddleware",
    "django.middleware.common.CommonMiddleware",
    "apps.django_urls.early",
]
TENANT_SENTINEL = {
    "sentinel": common.SENTINEL,
    "tenant": common.tenant(lambda request: request.headers.get("x-tenant-id")),
    "exclude": ["/health"],
} | ({"excludes": []} if "TYPO" in os.environ else {})
