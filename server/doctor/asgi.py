"""The doctor looks into Starlette, FastAPI, and applications inside ASGI middlewares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount

from ...claims.exceptions import CoatcheckError
from ...recipes.app import App
from ..app import WebsiteCORS
from ..asgi import AuthMiddleware
from .cors import Cors, Inspection, Words
from .finding import Finding, Unchecked

MIDDLEWARE = "CORSMiddleware"

WORDS = Words(
    middleware=MIDDLEWARE,
    origins="allow_origins",
    credentials="allow_credentials",
    headers="allow_headers",
    methods="allow_methods",
    exposed="expose_headers",
    paths="paths",
    order="Call app.add_middleware(CORSMiddleware, ...) after app.add_middleware(AuthMiddleware): what is added last "
    "is outermost. In a list of middlewares, CORSMiddleware comes first.",
)

_DEEPEST = 20
_MISSING = Finding(
    "warning",
    "there is no AuthMiddleware in the application",
    "It serves nothing of the auth API, and a route whose session does not hold answers 500 in place of 401 or 403.",
    "Call app.add_middleware(AuthMiddleware) (coatcheck.server.asgi; in FastAPI get_middleware()), or wrap the "
    "application: AuthMiddleware(app).",
)

_WRAPPED = Finding(
    "warning",
    "AuthMiddleware is wrapped around the whole application",
    "Starlette answers errors that no handler takes with 500 before they reach AuthMiddleware, so that a route whose "
    "session does not hold answers 500 in place of 401 or 403.",
    "Call app.add_middleware(AuthMiddleware) instead of AuthMiddleware(app).",
)


@dataclass(frozen=True, slots=True)
class _Layer:
    """One middleware: its class and its arguments, or the instance itself.

    `inner` is the application to which it was added, or which it wraps.
    """

    kind: Any
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] | None = None
    made: Any = None
    inner: Any = None

    def is_a(self, kind: type) -> bool:
        """Whether it is a middleware of this class."""
        return isinstance(self.kind, type) and issubclass(self.kind, kind)


def recognises(application: object) -> bool:
    """Whether this module can look into an application, which middlewares may wrap."""
    return callable(application) and any(
        isinstance(one, (Starlette, AuthMiddleware, CORSMiddleware)) for one in _unwrapped(application)
    )


def app_of(application: object) -> App | None:
    """Return the App that an application was given."""
    auth = _auth_of(_stack(application))
    if auth is None:
        return None
    if auth.made is not None:
        given = auth.made._api.app
    else:
        given = (auth.kwargs or {}).get("coatcheck", next(iter(auth.args), None))
    return given if isinstance(given, App) else None


def inspection(application: object, _path: str) -> Inspection:
    """Return what a look into an ASGI application shows."""
    stack = _stack(application)
    auth, cors = _auth_of(stack), _cors_of(stack)
    if auth is None:
        return Inspection(notes=(_MISSING, Unchecked("CORS: there is no AuthMiddleware to put it around")))
    inner = stack[-1].inner
    if cors is None and not isinstance(inner, Starlette):
        return Inspection(notes=(Unchecked(f"CORS, which {type(inner).__name__} may have a way of its own for"),))
    found = None if cors is None else replace(_read(cors), around=stack.index(cors) < stack.index(auth))
    return Inspection(MIDDLEWARE, found, (_WRAPPED,) if _loses_errors(auth) else ())


def _stack(application: object) -> list[_Layer]:
    """Return the middlewares around the application or a mounted one, if possible with the auth middleware."""
    stacks = list(_stacks(application))
    return next((stack for stack in stacks if _auth_of(stack)), stacks[0])


def _stacks(application: object, outer: tuple[_Layer, ...] = (), depth: int = 0) -> Iterator[list[_Layer]]:
    """Yield the middlewares around an application, outermost first, and around each application mounted in it."""
    *wrappers, inner = _unwrapped(application)
    layers = [*outer, *(_Layer(type(one), made=one, inner=inner) for one in wrappers)]
    if not isinstance(inner, Starlette):
        yield layers
        return
    layers += [_Layer(added.cls, added.args, added.kwargs, inner=inner) for added in inner.user_middleware]
    yield layers
    for route in inner.routes:
        if isinstance(route, Mount) and depth < _DEEPEST:
            yield from _stacks(route.app, tuple(layers), depth + 1)


def _unwrapped(application: Any) -> list[Any]:
    """Return the middlewares that wrap an application, outermost first, and the application itself as the last."""
    found = [application]
    while not isinstance(found[-1], Starlette) and hasattr(found[-1], "app") and len(found) < _DEEPEST:
        found.append(found[-1].app)
    return found


def _auth_of(stack: list[_Layer]) -> _Layer | None:
    return next((layer for layer in stack if layer.is_a(AuthMiddleware)), None)


def _cors_of(stack: list[_Layer]) -> _Layer | None:
    return next((layer for layer in stack if "cors" in getattr(layer.kind, "__name__", "").lower()), None)


def _loses_errors(auth: _Layer) -> bool:
    """Whether an AuthMiddleware stands outside a Starlette application that has no handler for CoatcheckError."""
    inner = auth.inner
    if auth.made is None or not isinstance(inner, Starlette):
        return False
    kinds = [kind for kind in inner.exception_handlers if isinstance(kind, type)]
    return not any(issubclass(kind, CoatcheckError) or issubclass(CoatcheckError, kind) for kind in kinds)


def _read(layer: _Layer) -> Cors:
    """Return the configuration of a CORS middleware; of one that is not Starlette's, only its name."""
    if layer.is_a(WebsiteCORS) or not layer.is_a(CORSMiddleware):
        return Cors(replace(WORDS, middleware=layer.kind.__name__))
    made: CORSMiddleware = layer.made or layer.kind(_nowhere, *layer.args, **(layer.kwargs or {}))
    allowed = {name.lower() for name in made.allow_headers}
    return Cors(
        WORDS,
        allows=made.is_allowed_origin,
        credentials=bool(made.allow_credentials),
        headers=lambda name: made.allow_all_headers or name in allowed,
        methods=frozenset(made.allow_methods),
        exposed=_exposed(made),
    )


def _exposed(made: CORSMiddleware) -> frozenset[str]:
    listed = made.simple_headers.get("Access-Control-Expose-Headers", "")
    return frozenset(name.strip().lower() for name in listed.split(",") if name.strip())


async def _nowhere(scope: Any, receive: Any, send: Any) -> None:
    """Do nothing: this is the application inside a middleware that is made only to read its settings."""
