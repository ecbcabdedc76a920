"""Which recipe serves a request: by path and method, with `rid` as a hint (docs/protocol.md, section 18)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from starlette.requests import Request

from ..recipes.app import App
from ..recipes.kit.routing import Route, public_path

DEFAULT_TENANT = "public"
ALIASES = {
    "thirdpartyemailpassword": ("thirdparty", "emailpassword"),
    "thirdpartypasswordless": ("thirdparty", "passwordless"),
}
"""The ids under which combined recipes of older SDKs speak for several of ours."""

_TENANT = re.compile(r"/([a-zA-Z0-9-]+)(/.+)")


@dataclass(frozen=True, slots=True)
class Match:
    """A route, and the tenant named in the path (None where none is)."""

    route: Route
    tenant_id: str | None


class Router:
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
        """Return what serves a request, None where the application should."""
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
        """Return the methods with which the path of a request is served."""
        below = self._below(request)
        if below is None:
            return []
        in_tenant = _TENANT.fullmatch(below)
        paths = (below,) if in_tenant is None else (below, in_tenant[2])
        return sorted({method for method, path in self._served if path in paths})

    def _below(self, request: Request) -> str | None:
        """Return a request's path below the API base path, None where it is not below it."""
        path = public_path(request, self._info)
        return path.removeprefix(self._base) if path.startswith(self._base + "/") else None

    def _find(self, request: Request, path: str) -> Route | None:
        candidates = self._served.get((request.method.upper(), path), [])
        hint = request.headers.get("rid", "")
        preferred = ALIASES.get(hint, (hint,))
        # Stable: among equals the order of recipe_list decides.
        ordered = sorted(candidates, key=lambda candidate: candidate[0] not in preferred)
        return ordered[0][1] if ordered else None
