"""The scenarios as a Django service with sync views, by WSGI."""

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "apps.django_settings"

from django.core.wsgi import get_wsgi_application

app = get_wsgi_application()
