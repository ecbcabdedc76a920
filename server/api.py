"""The auth API of an App, the same for every framework: which requests it serves, and what it answers."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from ..recipes.app import App, current_app
from ..recipes.kit.request import bind_app, has_jobs, jobs_of, release, request_context
from ..recipes.kit.routing import ApiCall, Route, public_path
from ..recipes.multitenancy import TenantsRecipe
from ..recipes.session.response import response_log
from ..sessions.blocking import in_background
from .errors import error_response

logger = logging.getLogger("coatcheck.server")


class AuthAPI:
    """The part that all middlewares share; `coatcheck` is the App to serve, by default the one that `init` made."""

    def __init__(self, coatcheck: App | None = None) -> None:
        self._coatcheck = coatcheck
        self._router: tuple[App, _Router] | None = None

    @property
    def app(self) -> App:
        """The App that is served; NotInitialisedError before there is one."""
        return self._coatcheck or current_app()

    def bind(self, app: App, request: Request) -> None:
        """Bind a request to the App and start its log, so that later copies of the scope share both."""
        bind_app(request.scope, app)
        response_log(request)

    def match(self, app: App, request: Request) -> Match | None:
        """Return the route that serves a request, None if the application should serve it."""
        return self._router_of(app).match(request)

    def methods(self, app: App, request: Request) -> list[str]:
        """Return the methods with which the path of a request is served."""
        return self._router_of(app).methods(request)

    async def answer(self, app: App, found: Match, request: Request) -> Response:
        """Answer a request of the auth API; errors of this library become answers, too."""
        try:
            context = request_context(request)
            tenant_id = await TenantsRecipe.of(app).tenant_of(found.tenant_id, context)
            return await found.route.handler(ApiCall(app, request, tenant_id, context))
        except Exception as error:
            refusal = await error_response(app, request, error)
            if refusal is None:
                raise
            return refusal

    def serve(self, app: App, request: Request) -> Response | None:
        """Answer a request in code that cannot await; None if the application should answer it."""
        found = self.match(app, request)
        return None if found is None else app.driver(self.answer(app, found, request))

    def _router_of(self, app: App) -> _Router:
        router = self._router  # read once: another thread may serve another App meanwhile
        if router is None or router[0] is not app:
            router = self._router = (app, _Router(app))
        return router[1]


# After the response


async def finish(request: Request) -> None:
    """Run the jobs that waited for the response to be sent, and release the request."""
    await run_jobs(request)
    release(request)


async def run_jobs(request: Request) -> None:
    """Run the jobs that wait for the response to be sent; failures are logged."""
    for job in jobs_of(request.scope):
        try:
            await job()
        except Exception:
            logger.exception("a job after the response failed")


def finish_sync(app: App, request: Request) -> None:
    """Finish a request in code that cannot await, while the server waits before it ends or reuses the connection.

    Jobs run in the background so that timing does not reveal whether an account exists (docs/protocol.md, rule 21.7).
    Tests look for what jobs have done, so for them jobs run at once.
    """
    with app.active():
        if app.unsafe_for_tests or app.database.inline or not has_jobs(request.scope):
            app.driver(finish(request))
        else:
            in_background(partial(_finish_driven, app, request))


def _finish_driven(app: App, request: Request) -> None:
    try:
        app.driver(finish(request))
    except Exception:
        logger.exception("finishing a request after its response failed")


# Routing: by path and method, with `rid` as a hint (docs/protocol.md, section 18)

_ALIASES = {
    "thirdpartyemailpassword": ("thirdparty", "emailpassword"),
    "thirdpartypasswordless": ("thirdparty", "passwordless"),
}
"""The ids of older SDKs' combined recipes; each stands for several recipes of today."""

_TENANT = re.compile(r"/([a-zA-Z0-9-]+)(/.+)")


@dataclass(frozen=True, slots=True)
class Match:
    """A route, and the tenant that the path names (None if it names none)."""

    route: Route
    tenant_id: str | None


class _Router:
    """The routes of one App's recipes."""

    def __init__(self, app: App) -> None:
        self._base = app.info.api_base_path
        self._info = app.info
        self._served: dict[tuple[str, str], list[tuple[str, Route]]] = {}
        for recipe in app.recipes:
            for route in recipe.routes:
                if recipe.serves(route):
                    self._served.setdefault((route.method, route.path), []).append((recipe.recipe_id, route))

    def match(self, request: Request) -> Match | None:
        below = self._below(request)
        if below is None:
            return None
        exact = self._find(request, below)
        if exact is not None:
            return Match(exact, None)
        in_tenant = _TENANT.fullmatch(below)
        found = None if in_tenant is None else self._find(request, in_tenant[2])
        if in_tenant is None or found is None or not found.tenant_scoped:
            return None
        return Match(found, in_tenant[1])

    def methods(self, request: Request) -> list[str]:
        below = self._below(request)
        if below is None:
            return []
        in_tenant = _TENANT.fullmatch(below)
        paths = (below,) if in_tenant is None else (below, in_tenant[2])
        return sorted({method for method, path in self._served if path in paths})

    def _below(self, request: Request) -> str | None:
        """Return a request's path below the API base path, None if it is not below it."""
        path = public_path(request, self._info)
        return path.removeprefix(self._base) if path.startswith(self._base + "/") else None

    def _find(self, request: Request, path: str) -> Route | None:
        candidates = self._served.get((request.method.upper(), path), [])
        hint = request.headers.get("rid", "")
        preferred = _ALIASES.get(hint, (hint,))
        # The sort is stable, so among equals the order of recipe_list decides.
        ordered = sorted(candidates, key=lambda candidate: candidate[0] not in preferred)
        return ordered[0][1] if ordered else None
