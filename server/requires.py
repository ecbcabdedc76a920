"""A decorator for endpoints that demand a session, in the manner of Starlette's own `requires`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from starlette.requests import Request

from ..recipes.exceptions import ConfigurationError
from ..recipes.kit.request import AnyRequest, as_request
from ..recipes.session.interface import OverrideGlobalClaimValidators
from .guard import Guard

P = ParamSpec("P")
R = TypeVar("R")

NAMES = ("request", "websocket")
"""What the parameter is called that an endpoint gets its connection in."""


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

    Works with async and plain functions, methods of an HTTPEndpoint, and endpoints of websockets, which get the
    connection as `request` or `websocket`; other frameworks say with `request_of` where it is to be found. Where the
    session does not hold, the endpoint is not run and a SessionError is raised, which the middleware answers. Options
    as in `coatcheck.server.guard.Guard`.
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
    name = next((name for name in names if name in NAMES), None)
    if name is None:
        raise ConfigurationError(
            f"{endpoint!r} has no parameter named request or websocket: give it one, or pass request_of=..."
        )
    place = names.index(name)
    return lambda args, kwargs: as_request(kwargs[name] if name in kwargs else args[place])
