"""The scenarios as a Django service with async views, by ASGI."""

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "apps.django_settings"
os.environ["DJANGO_ASYNC"] = "1"

from django.core.asgi import get_asgi_application

app = get_asgi_application()
