"""One application in each framework, an open and a protected route in it: `python served.py NAME ...` serves them."""

from __future__ import annotations

import logging
import multiprocessing
import os
import socket
import sys
from collections.abc import Callable
from multiprocessing.connection import wait
from typing import Any

import django
import uvicorn
import waitress
from apps import MEMORY, active_app, new_session
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from fastapi import Depends, FastAPI
from flask import Flask
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from coatcheck import App
from coatcheck.recipes.kit.services import set_default_services
from coatcheck.server import create_app
from coatcheck.server.asgi import AuthMiddleware, verify_session as guard
from coatcheck.server.django import verify_session as django_guard
from coatcheck.server.fastapi import verify_session as dependency
from coatcheck.server.flask import CoatCheck, verify_session as flask_guard

HELLO = {"hello": "world"}


def by_path(applications: dict[str, Any]) -> Any:
    """Return an ASGI application that hands each path to one of its own, lest a route be looked for behind others."""

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        await applications[scope["path"]](scope, receive, send)

    return serve


def starlette_application(app: App) -> Any:
    """Return the two routes in Starlette."""
    demand = guard()

    async def open_to_all(_request: Request) -> JSONResponse:
        return JSONResponse(HELLO)

    async def protected(request: Request) -> JSONResponse:
        await demand(request)
        return JSONResponse(HELLO)

    endpoints = {"/open": open_to_all, "/protected": protected}
    return by_path({path: create_app(app, [Route(path, endpoint)]) for path, endpoint in endpoints.items()})


def fastapi_application(app: App) -> Any:
    """Return the two routes in FastAPI, and one with a dependency that does nothing."""

    async def nothing(_connection: HTTPConnection) -> None:
        """Stand for any dependency."""

    def application(path: str, dependencies: list[Any]) -> FastAPI:
        made = FastAPI()
        made.add_middleware(AuthMiddleware, coatcheck=app)

        @made.get(path, dependencies=dependencies)
        async def hello() -> dict[str, str]:
            return HELLO

        return made

    demands: dict[str, list[Any]] = {
        "/open": [],
        "/depending": [Depends(nothing)],
        "/protected": [Depends(dependency())],
    }
    return by_path({path: application(path, dependencies) for path, dependencies in demands.items()})


def flask_application(app: App) -> Any:
    """Return the two routes in Flask."""
    application = Flask(__name__)
    CoatCheck(application, app)

    @application.get("/open")
    def open_to_all() -> dict[str, str]:
        return HELLO

    @application.get("/protected")
    @flask_guard()
    def protected() -> dict[str, str]:
        return HELLO

    return application


urlpatterns: list[Any] = []


def django_application(make: Callable[[], Any], views: Callable[[], dict[str, Any]]) -> Any:
    """Return the two routes in Django, as WSGI or ASGI application."""
    settings.configure(
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        MIDDLEWARE=["coatcheck.server.django.Middleware", "django.middleware.common.CommonMiddleware"],
        LOGGING_CONFIG=None,
        REST_FRAMEWORK={
            "DEFAULT_AUTHENTICATION_CLASSES": [],
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
            "UNAUTHENTICATED_USER": None,
        },
    )
    urlpatterns.extend(path(name, view) for name, view in views().items())
    django.setup()
    return make()


def _sync_views() -> dict[str, Any]:
    def view(_request: HttpRequest) -> JsonResponse:
        return JsonResponse(HELLO)

    return {"open": view, "protected": django_guard()(view)}


def _async_views() -> dict[str, Any]:
    async def view(_request: HttpRequest) -> JsonResponse:
        return JsonResponse(HELLO)

    return {"open": view, "protected": django_guard()(view)}


def _rest_views() -> dict[str, Any]:
    # Django REST framework reads the settings when it is imported.
    from rest_framework.response import Response
    from rest_framework.views import APIView

    from coatcheck.server.drf import CoatCheckAuthentication

    class Demanding(CoatCheckAuthentication):
        session_required = True

    class Open(APIView):
        def get(self, _request: Any) -> Response:
            return Response(HELLO)

    class Protected(Open):
        authentication_classes = (Demanding,)

    return {"open": Open.as_view(), "protected": Protected.as_view()}


ASGI: dict[str, Callable[[App], Any]] = {
    "starlette": starlette_application,
    "fastapi": fastapi_application,
    "django-asgi": lambda _app: django_application(get_asgi_application, _async_views),
}
WSGI: dict[str, Callable[[App], Any]] = {
    "flask": flask_application,
    "django-wsgi": lambda _app: django_application(get_wsgi_application, _sync_views),
    "django-rest": lambda _app: django_application(get_wsgi_application, _rest_views),
}


def serve(name: str) -> None:
    """Serve one of them, after printing its name, its port and an access token."""
    with active_app(MEMORY) as app, socket.create_server(("127.0.0.1", 0)) as listening:
        set_default_services(app)  # for the threads of servers
        application = (ASGI | WSGI)[name](app)
        # In one piece: all servers write to the same pipe.
        os.write(1, f"{name} {listening.getsockname()[1]} {new_session().access_token}\n".encode())
        if name in WSGI:
            # Its warning for each request that waits would bury the table.
            logging.getLogger("waitress.queue").setLevel(logging.ERROR)
            waitress.serve(application, sockets=[listening], threads=4, _quiet=True)
        else:
            config = uvicorn.Config(application, log_level="warning", access_log=False, lifespan="off")
            uvicorn.Server(config).run(sockets=[listening])


def main(names: list[str]) -> None:
    """Serve each of them in a process of its own, until standard input is closed; all share what is imported here."""
    fork = multiprocessing.get_context("fork")
    servers = [fork.Process(target=serve, args=(name,), daemon=True) for name in names]
    for server in servers:
        server.start()
    wait([sys.stdin.fileno(), *(server.sentinel for server in servers)])


if __name__ == "__main__":
    main(sys.argv[1:])
