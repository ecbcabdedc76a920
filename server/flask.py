"""coatcheck in Flask: the extension, and protected views."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, ParamSpec, TypeVar, cast

try:
    import flask
except ImportError as missing:
    raise ImportError("coatcheck.server.flask needs Flask: pip install 'coatcheck[flask]'") from missing

from starlette.requests import Request
from starlette.responses import Response

from ..claims.exceptions import CoatcheckError
from ..claims.payload import UserContext
from ..recipes.app import App
from ..recipes.exceptions import ConfigurationError
from ..recipes.kit.request import as_request, on_session, request_context
from ..recipes.session.interface import OverrideGlobalClaimValidators
from .guard import Guard, answer_to, served_by
from .wsgi import TokenMiddleware, body_of

P = ParamSpec("P")
R = TypeVar("R")

_EXTENSION = "coatcheck"


class CoatCheck:
    """The Flask extension: serves the auth API, answers session errors, and sends tokens with every response.

    `coatcheck` is the App to serve, by default the one that `init` made. `g.supertokens` is the session of a request,
    None if there is none. The auth API is served before any hook of the application, and its answers pass through the
    `after_request` hooks, such as those of flask-cors; preflight requests for it are answered.
    """

    def __init__(self, app: flask.Flask | None = None, coatcheck: App | None = None) -> None:
        self.coatcheck = coatcheck
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask) -> None:
        """Add the extension to an application; ConfigurationError if it has it already."""
        if _EXTENSION in app.extensions:
            raise ConfigurationError("CoatCheck was already added to this Flask application")
        app.extensions[_EXTENSION] = self
        tokens = TokenMiddleware(app.wsgi_app, self.coatcheck)
        self._api = tokens.api
        app.wsgi_app = tokens  # type: ignore[method-assign]
        app.before_request_funcs.setdefault(None, []).insert(0, self._before_request)
        app.register_error_handler(CoatcheckError, _answer_error)

    def _before_request(self) -> flask.Response | None:
        # The real object: an application context around several requests has one `g` for all of them.
        state = flask.g._get_current_object()
        state.supertokens = None
        request = _current_request()
        on_session(request.scope, lambda session: setattr(state, "supertokens", session))
        app = self._api.app
        response = self._api.serve(app, request)
        if response is not None:
            return _flask_response(response)
        if request.method == "OPTIONS" and (allowed := self._api.methods(app, request)):
            return flask.Response(status=204, headers={"allow": ", ".join([*allowed, "OPTIONS"])})
        return None


def verify_session(
    anti_csrf_check: bool | None = None,
    session_required: bool = True,
    check_database: bool = False,
    override_global_claim_validators: OverrideGlobalClaimValidators | None = None,
    user_context: Mapping[str, Any] | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that demands a session before a view (or a `before_request` hook) runs: `g.supertokens`.

    It works with sync and async views. If the session does not hold, the view is not run and the client gets 401 or
    403. A hook is not run for OPTIONS requests that Flask answers itself, because browsers send no tokens with them; a
    view that declares OPTIONS cannot demand a session (docs/protocol.md, rule 14.6). Options as in
    `coatcheck.server.guard.Guard`.
    """
    guard = Guard(anti_csrf_check, session_required, check_database, override_global_claim_validators, user_context)

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        if iscoroutinefunction(view):

            @wraps(view)
            async def protected_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                if session_required and _flask_answers():
                    return None
                refusal = await guard.refusal(_current_request())
                return await view(*args, **kwargs) if refusal is None else _flask_response(refusal)

            return cast("Callable[P, R]", protected_async)

        @wraps(view)
        def protected(*args: P.args, **kwargs: P.kwargs) -> Any:
            if session_required and _flask_answers():
                return None
            refusal = guard.refusal_now(_current_request())
            return view(*args, **kwargs) if refusal is None else _flask_response(refusal)

        return cast("Callable[P, R]", protected)

    return decorate


def user_context() -> UserContext:
    """Return the user context of the current request, the same from its first hook to its last."""
    return request_context(_current_request())


def _current_request() -> Request:
    return as_request(flask.request)


def _flask_answers() -> bool:
    """Whether Flask itself answers a request after the hooks: OPTIONS of most routes, and of unknown paths."""
    rule = flask.request.url_rule
    answers = rule is None or getattr(rule, "provide_automatic_options", False) is True
    return flask.request.method == "OPTIONS" and answers


def _answer_error(error: CoatcheckError) -> flask.Response:
    request = _current_request()
    return _flask_response(served_by(request).driver(answer_to(request, error)))


def _flask_response(response: Response) -> flask.Response:
    headers = [(name.decode(), value.decode("latin-1")) for name, value in response.raw_headers]
    return flask.Response(body_of(response), response.status_code, headers)
