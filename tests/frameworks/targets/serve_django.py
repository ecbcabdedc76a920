"""The scene in Django: the sync views behind WSGI, the async ones behind ASGI, or Django REST framework's."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.frameworks.targets.django_settings")

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

application = get_asgi_application() if os.environ["SCENE_URLS"].endswith("_async") else get_wsgi_application()
