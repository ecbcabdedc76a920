"""Django's settings for the scene; `ROOT_URLCONF` is chosen by the server's module."""

from __future__ import annotations

import os

SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["*"]
DEBUG = False
USE_TZ = True
TIME_ZONE = "Pacific/Auckland"
INSTALLED_APPS = ["django.contrib.sessions"]
MIDDLEWARE = [
    "coatcheck.server.django.Middleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
]
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
ROOT_URLCONF = os.environ["SCENE_URLS"]
LOGGING_CONFIG = None
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "UNAUTHENTICATED_USER": None,
}
