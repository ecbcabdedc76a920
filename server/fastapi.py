"""coatcheck in FastAPI: the middleware, and dependencies that demand a session."""
# No `from __future__ import annotations`: FastAPI does not evaluate string annotations of a dependency object.

from collections.abc import Mapping
from threading import Lock
from typing import Annotated, Any, Generic, Literal, TypeVar, overload
from weakref import WeakSet

try:
    from fastapi import Depends
    from fastapi.openapi.models import HTTPBearer
    from fastapi.security.base import SecurityBase
except ImportError as missing:
    raise ImportError("coatcheck.server.fastapi needs FastAPI: pip install 'coatcheck[fastapi]'") from missing

from starlette.requests import HTTPConnection

from ..recipes.exceptions import ConfigurationError
from ..recipes.kit.request import as_request
from ..recipes.session.container import SessionContainer
from ..recipes.session.interface import OverrideGlobalClaimValidators
from ..recipes.session.response import ACCESS_COOKIE
from .asgi import AuthMiddleware, session_exception_handler as session_exception_handler, user_context as user_context
from .guard import Guard

S_co = TypeVar("S_co", bound=SessionContainer | None, covariant=True)

SESSION_RESPONSES: dict[int | str, dict[str, Any]] = {
    401: {"description": "There is no session, or its access token has expired and must be refreshed."},
    403: {"description": "The session lacks a claim that the route demands."},
}
"""The answers to a session that does not hold, for `responses=` of a protected route or of a protected router."""


class SessionDependency(Generic[S_co]):
    """The dependency that `verify_session` returns; equal options give the same object.

    So a router and a route with equal options check the session once per request, and tests can replace the check by
    `app.dependency_overrides[verify_session()]`.
    """

    def __init__(self, guard: Guard) -> None:
        self.guard = guard

    async def __call__(self, connection: HTTPConnection) -> S_co:
        """Return the session of a request or of a websocket's handshake."""
        session: Any = await self.guard.check(as_request(connection))
        return session  # type: ignore[no-any-return]  # `cast` would be a call for every request


class _Demanded(SessionDependency[SessionContainer], SecurityBase):
    """A dependency that lets no request without a session pass; FastAPI describes its routes as secured."""

    # One scheme for both ways: a second one would be one more dependency to solve for every request.
    model = HTTPBearer(
        bearerFormat="JWT",
        description=f"The access token, in this header or, from browsers, as the cookie {ACCESS_COOKIE}.",
    )
    scheme_name = "access-token"


def _refuse_uncalled() -> None:
    # FastAPI calls this only for `Depends(verify_session)`, which would let every request in.
    raise ConfigurationError("write Depends(verify_session()), with parentheses: without them the route is open")


@overload
def verify_session(
    anti_csrf_check: bool | None = None,
    session_required: Literal[True] = True,
    check_database: bool = False,
    override_global_claim_validators: OverrideGlobalClaimValidators | None = None,
    user_context: Mapping[str, Any] | None = None,
) -> SessionDependency[SessionContainer]: ...


@overload
def verify_session(
    anti_csrf_check: bool | None = None,
    session_required: bool = True,
    check_database: bool = False,
    override_global_claim_validators: OverrideGlobalClaimValidators | None = None,
    user_context: Mapping[str, Any] | None = None,
) -> SessionDependency[SessionContainer | None]: ...


def verify_session(
    anti_csrf_check: bool | None = None,
    session_required: bool = True,
    check_database: bool = False,
    override_global_claim_validators: OverrideGlobalClaimValidators | None = None,
    user_context: Mapping[str, Any] | None = None,
    *,
    _called: Annotated[None, Depends(_refuse_uncalled)] = None,
) -> Any:
    """Return a dependency: `session: Annotated[SessionContainer, Depends(verify_session())]`.

    It protects routes, routers and websockets, whose handshake it refuses. The session is also
    `request.state.supertokens`. A session that does not hold raises a SessionError, which the middleware answers. The
    OpenAPI description shows which routes demand a session. Options as in `coatcheck.server.guard.Guard`.
    """
    # A copy, because other callers with an equal mapping share the dependency.
    own = None if user_context is None else dict(user_context)
    guard = Guard(anti_csrf_check, session_required, check_database, override_global_claim_validators, own)
    # The same object, not an equal one: FastAPI looks it up several times for every request.
    with _making:
        found = next((made for made in _made if made.guard == guard), None)
        if found is None:
            found = _Demanded(guard) if session_required else SessionDependency(guard)
            _made.add(found)
    return found


_made: WeakSet[SessionDependency[Any]] = WeakSet()
_making = Lock()


def get_middleware() -> type[AuthMiddleware]:
    """Return the middleware: `app.add_middleware(get_middleware())`."""
    return AuthMiddleware
