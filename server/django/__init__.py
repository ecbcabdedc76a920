"""coatcheck in Django: the middleware, and protected views.

    MIDDLEWARE = [..., "corsheaders.middleware.CorsMiddleware", "coatcheck.server.django.Middleware", ...]
    INSTALLED_APPS = [..., "coatcheck.server.django"]  # optional: adds checks to `manage.py check`

Call `coatcheck.init(...)` in the settings, in the `ready` of an application, or beside the URL patterns.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import Any, TypeVar, cast

try:
    import django.core.checks
except ImportError as missing:
    raise ImportError("coatcheck.server.django needs Django: pip install 'coatcheck[django]'") from missing

from asgiref.sync import async_to_sync, iscoroutinefunction, markcoroutinefunction
from django.apps import apps
from django.core.checks import CheckMessage
from django.db import close_old_connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import get_resolver
from starlette.requests import Request
from starlette.responses import Response

from ...claims.exceptions import CoatcheckError
from ...claims.payload import UserContext
from ...recipes.app import App
from ...recipes.exceptions import ConfigurationError, NotInitialisedError
from ...recipes.kit.request import AnyRequest, as_request, has_jobs, request_context
from ...recipes.kit.routing import ApiResponse
from ...recipes.session.api import UNCHECKED_METHODS
from ...recipes.session.interface import OverrideGlobalClaimValidators
from ...recipes.session.response import response_log
from ...sessions.blocking import after_work
from ..api import AuthAPI, finish, finish_sync
from ..errors import error_response
from ..guard import Guard, served_by
from .http import (
    SessionRequest,
    attach_request,
    django_response,
    expose_session,
    keep_cacheable,
    request_among,
    send_tokens,
    stream_within,
    vary_on_session,
)
from .report import check_middleware, hide_secrets

__all__ = ["Middleware", "SessionRequest", "user_context", "verify_session"]

V = TypeVar("V", bound=Callable[..., Any])

logger = logging.getLogger("coatcheck.server")


class Middleware:
    """Serves the auth API, answers session errors, and sends tokens with every response, in sync and async stacks.

    `request.supertokens` is the session of a request, None if there is none; Django's own `request.session` stays as
    it is. The App is the one that `init` made; a subclass may name another as `coatcheck`. The auth API is served
    before any view, so Django's CSRF check does not apply to it; it has an anti-CSRF check of its own. Errors of this
    library that a view raises are answered after the transaction of the request has been rolled back.
    """

    sync_capable = True
    async_capable = True
    coatcheck: App | None = None

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._api = AuthAPI(self.coatcheck)
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        # Overrides may use models in our worker threads, whose database connections Django would never close.
        after_work(close_old_connections)
        if not apps.is_installed(__name__):
            for finding in check_middleware(Middleware):
                logger.warning("%s", finding)

    def __call__(self, request: HttpRequest) -> Any:
        """Serve one request; a coroutine in an async stack."""
        if self._is_async:
            return self._call_async(request)
        app = self._app()
        own = self._bind(app, request)
        with app.active():
            answer = self._api.serve(app, own)
            response = self.get_response(request) if answer is None else django_response(answer)
        return self._finish(app, request, response)

    async def _call_async(self, request: HttpRequest) -> HttpResponseBase:
        app = self._app()
        own = self._bind(app, request)
        with app.active():
            found = self._api.match(app, own)
            if found is None:
                response = await self.get_response(request)
            else:
                response = django_response(await self._api.answer(app, found, own))
        return self._finish(app, request, response)

    @property
    def process_exception(self) -> Callable[[HttpRequest, Exception], Any]:
        """The function that answers an error of this library in a view, and leaves any other to Django."""
        return self._answer if self._is_async else self._answer_sync

    def _answer_sync(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        app = served_by(as_request(request))
        with app.active():
            return app.driver(self._answer(request, exception))

    async def _answer(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        if not isinstance(exception, CoatcheckError):
            return None
        own = as_request(request)
        app = served_by(own)
        with app.active():
            answer = await error_response(app, own, exception)
        return None if answer is None else django_response(answer)

    def _app(self) -> App:
        try:
            return self._api.app
        except NotInitialisedError:
            # The module of the views may call `init`, and Django imports it only when it resolves a view.
            resolved = get_resolver().url_patterns
            logger.debug("imported %d URL patterns to find an App", len(resolved))
            return self._api.app

    def _bind(self, app: App, request: HttpRequest) -> Request:
        own = attach_request(request)
        self._api.bind(app, own)
        expose_session(request, own)
        hide_secrets(request, own)
        return own

    def _finish(self, app: App, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        own = as_request(request)
        if len(log := response_log(own)):
            send_tokens(response, log)
            # Older versions of Django's cache do not obey Cache-Control: no-store.
            cast("Any", request)._cache_update_cache = False
        if hasattr(own.state, "supertokens"):
            vary_on_session(response)
        stream_within(app, response)
        # Django calls these after it has sent the response; the list has no public name.
        cast("Any", response)._resource_closers.append(_Jobs(app, own, self._is_async))
        return response


def verify_session(
    anti_csrf_check: bool | None = None,
    session_required: bool = True,
    check_database: bool = False,
    override_global_claim_validators: OverrideGlobalClaimValidators | None = None,
    user_context: Mapping[str, Any] | None = None,
) -> Callable[[V], V]:
    """Return a decorator that demands a session before a view runs: `request.supertokens` (see SessionRequest).

    It decorates sync and async functions, the result of `as_view()`, methods (also by `method_decorator`) and whole
    class-based views; with Django REST framework also `@api_view` functions (above or below that decorator), views and
    the actions of view sets. If the session does not hold, the view is not run and the client gets 401 or 403. Options
    as in `coatcheck.server.guard.Guard`. Django's CSRF check of views still applies beside this library's; a view that
    only scripts call can do without it (`csrf_exempt`).
    """
    guard = Guard(anti_csrf_check, session_required, check_database, override_global_claim_validators, user_context)

    def decorate(view: V) -> V:
        if not isinstance(view, type):
            return cast("V", _protected(guard, view))
        if not hasattr(view, "dispatch"):
            raise ConfigurationError(f"verify_session protects views, and {view!r} is none: it has no dispatch method")
        view.dispatch = _protected(guard, view.dispatch)
        return cast("V", view)

    return decorate


def user_context(request: AnyRequest) -> UserContext:
    """Return the user context of a request, the same from its first middleware to its last."""
    return request_context(as_request(request))


def _protected(guard: Guard, view: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(view)
    async def protected_async(*args: Any, **kwargs: Any) -> Any:
        request = request_among(args)
        own = as_request(request)
        with keep_cacheable(request):
            refusal = _not_allowed(guard, own) or await guard.refusal(own)
        return vary_on_session(await view(*args, **kwargs)) if refusal is None else django_response(refusal)

    if iscoroutinefunction(view):
        return protected_async

    @wraps(view)
    def protected(*args: Any, **kwargs: Any) -> Any:
        if _is_dispatch_of_async_view(view, args):
            return protected_async(*args, **kwargs)
        request = request_among(args)
        own = as_request(request)
        with keep_cacheable(request):
            refusal = _not_allowed(guard, own) or guard.refusal_now(own)
        return vary_on_session(view(*args, **kwargs)) if refusal is None else django_response(refusal)

    return protected


def _not_allowed(guard: Guard, own: Request) -> Response | None:
    """Return the answer to a method that cannot demand a session (docs/protocol.md, rule 14.6)."""
    if not guard.session_required or own.method.upper() not in UNCHECKED_METHODS:
        return None
    return ApiResponse({"message": f"verify_session cannot be used with {own.method} method"}, 405)


def _is_dispatch_of_async_view(view: Callable[..., Any], args: tuple[Any, ...]) -> bool:
    """Whether a plain method returns an awaitable; only the view it belongs to knows that."""
    method = getattr(view, "func", view)  # `method_decorator` passes a partial around the bound method
    owner = getattr(method, "__self__", args[0] if args else None)
    return getattr(owner, "view_is_async", False) is True


class _Jobs:
    """Runs the jobs that waited for a response to be sent; a copy of the response in a cache runs none."""

    def __init__(self, app: App, own: Request, is_async: bool) -> None:
        self._app = app
        self._own = own
        self._is_async = is_async

    def __call__(self) -> None:
        # An async server closes responses in a thread; asgiref runs the jobs in the event loop behind it.
        if self._is_async and has_jobs(self._own.scope) and asyncio._get_running_loop() is None:
            with self._app.active():
                async_to_sync(finish)(self._own)
        else:
            finish_sync(self._app, self._own)

    def __reduce__(self) -> tuple[type[partial[bool]], tuple[type[bool]]]:
        return partial, (bool,)


@django.core.checks.register("coatcheck")
def _check(**_: Any) -> list[CheckMessage]:
    return check_middleware(Middleware)
