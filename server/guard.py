"""What a protected route demands of the session, the same in every framework; and the decorator `requires`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from starlette.requests import Request
from starlette.responses import Response

from ..recipes.exceptions import ConfigurationError
from ..recipes.kit.request import AnyRequest, app_of, as_request, request_context, set_session
from ..recipes.kit.services import Services, current_services, is_current
from ..recipes.session.container import SessionContainer
from ..recipes.session.interface import OverrideGlobalClaimValidators
from ..recipes.session.recipe import SessionRecipe
from ..sessions.exceptions import SessionError
from .errors import error_response

P = ParamSpec("P")
R = TypeVar("R")

_CONNECTION_NAMES = ("request", "websocket")
"""The names of the parameter in which an endpoint gets its connection."""


@dataclass(frozen=True, slots=True)
class Guard:
    """The options of `verify_session`.

    The default of `anti_csrf_check` is to check every method but GET. With `session_required=False` a request without a
    session passes with None. `check_database` asks the database whether the session has been revoked.
    `override_global_claim_validators` gets the validators that apply to every route, the session and the user
    context, and returns the validators to run. `user_context` is copied into the user context of each request.
    """

    anti_csrf_check: bool | None = None
    session_required: bool = True
    check_database: bool = False
    override_global_claim_validators: OverrideGlobalClaimValidators | None = None
    user_context: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if callable(self.anti_csrf_check):
            raise ConfigurationError("write verify_session(), with parentheses: its first argument is no function")
        for name in ("anti_csrf_check", "session_required", "check_database"):
            value = getattr(self, name)
            if not (isinstance(value, bool) or (value is None and name == "anti_csrf_check")):
                raise ConfigurationError(f"verify_session: {name} must be True or False, not {value!r}")
        override = self.override_global_claim_validators
        if override is not None and not callable(override):
            raise ConfigurationError(
                "verify_session: override_global_claim_validators must be a function of the global validators, the "
                f"session and the user context, not {override!r}"
            )

    async def check(self, request: Request) -> SessionContainer | None:
        """Return the verified session of a request; UnauthorisedError, TryRefreshTokenError or InvalidClaimsError."""
        app = served_by(request)
        if not is_current(app):  # rare: our middleware has nearly always made it the current one
            with app.active():
                return await self.check(request)
        recipe = SessionRecipe.of(app)
        session = await recipe.apis.verify_session(
            recipe.options(request),
            self.anti_csrf_check,
            self.session_required,
            self.check_database,
            self.override_global_claim_validators,
            request_context(request, self.user_context),
        )
        if session is None or session.req_res_info is None:
            set_session(request, session)
        return session

    def check_now(self, request: Request) -> SessionContainer | None:
        """Do the same in code that cannot await."""
        app = served_by(request)
        with app.active():
            return app.driver(self.check(request))

    async def refusal(self, request: Request) -> Response | None:
        """Check the session of a request; return the answer to send if it does not hold, otherwise None."""
        try:
            await self.check(request)
        except SessionError as error:
            return await answer_to(request, error)
        return None

    def refusal_now(self, request: Request) -> Response | None:
        """Do the same in code that cannot await."""
        app = served_by(request)
        with app.active():
            return app.driver(self.refusal(request))


def served_by(request: Request) -> Services:
    """Return the App that a middleware bound to the request, or else the process's default."""
    return app_of(request) or current_services()


async def answer_to(request: Request, error: Exception) -> Response:
    """Return the answer to an error of this library; any other error is raised again."""
    app = served_by(request)
    with app.active():
        response = await error_response(app, request, error)
    if response is None:
        raise error
    return response


def requires(
    anti_csrf_check: bool | None = None,
    session_required: bool = True,
    check_database: bool = False,
    override_global_claim_validators: OverrideGlobalClaimValidators | None = None,
    user_context: Mapping[str, Any] | None = None,
    *,
    request_of: Callable[[], AnyRequest] | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that demands a session before an endpoint runs: `request.state.supertokens`.

    It works with async and plain functions, methods of an HTTPEndpoint, and endpoints of websockets, all of which get
    the connection as `request` or `websocket`; for other frameworks `request_of` returns the connection. If the session
    does not hold, the endpoint is not run and a SessionError is raised, which the middleware answers. Options as in
    `coatcheck.server.guard.Guard`.
    """
    guard = Guard(anti_csrf_check, session_required, check_database, override_global_claim_validators, user_context)

    def decorate(endpoint: Callable[P, R]) -> Callable[P, R]:
        find = _finder(endpoint, request_of)
        if inspect.iscoroutinefunction(endpoint):

            @wraps(endpoint)
            async def protected_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                await guard.check(find(args, kwargs))
                return await endpoint(*args, **kwargs)

            return cast("Callable[P, R]", protected_async)

        @wraps(endpoint)
        def protected(*args: P.args, **kwargs: P.kwargs) -> R:
            guard.check_now(find(args, kwargs))
            return endpoint(*args, **kwargs)

        return protected

    return decorate


def _finder(
    endpoint: Callable[..., Any], request_of: Callable[[], AnyRequest] | None
) -> Callable[[tuple[Any, ...], Mapping[str, Any]], Request]:
    """Return what finds the connection, by default among an endpoint's arguments; ConfigurationError if not there."""
    if request_of is not None:
        return lambda _args, _kwargs: as_request(request_of())
    names = list(inspect.signature(endpoint).parameters)
    name = next((name for name in names if name in _CONNECTION_NAMES), None)
    if name is None:
        raise ConfigurationError(
            f"{endpoint!r} has no parameter named request or websocket: give it one, or pass request_of=..."
        )
    place = names.index(name)
    return lambda args, kwargs: as_request(kwargs[name] if name in kwargs else args[place])
