"""What a protected route demands of the session, the same in every framework."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..recipes.app import App
from ..recipes.exceptions import ConfigurationError
from ..recipes.kit.request import app_of, request_context, set_session
from ..recipes.kit.services import current_app, is_current
from ..recipes.session.container import SessionContainer
from ..recipes.session.interface import OverrideGlobalClaimValidators
from ..recipes.session.recipe import SessionRecipe
from ..sessions.exceptions import SessionError
from .errors import error_response


@dataclass(frozen=True, slots=True)
class Guard:
    """The options of `verify_session`.

    `anti_csrf_check` is by default made for everything but GET. With `session_required=False` a request without a
    session passes with None. `check_database` asks whether the session has been revoked meanwhile.
    `override_global_claim_validators` gets the validators that apply to every route, the session and the user
    context, and returns those to run. `user_context` is copied into the user context of each request.
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
        if not is_current(app):  # a middleware of ours has nearly always seen to it
            with app.active():
                return await self.check(request)
        recipe = SessionRecipe.of(app)
        session = await recipe.apis.verify_session(
            recipe.api_options(request),
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
        """Do the same where nothing can be awaited."""
        app = served_by(request)
        with app.active():
            return app.driver(self.check(request))

    async def refusal(self, request: Request) -> Response | None:
        """Check the session of a request; return the answer to send where it does not hold, otherwise None."""
        try:
            await self.check(request)
        except SessionError as error:
            return await answer_to(request, error)
        return None

    def refusal_now(self, request: Request) -> Response | None:
        """Do the same where nothing can be awaited."""
        app = served_by(request)
        with app.active():
            return app.driver(self.refusal(request))


def served_by(request: Request) -> App:
    """Return the App that serves a request; the process's default where no middleware has said which."""
    return app_of(request) or current_app()


async def answer_to(request: Request, error: Exception) -> Response:
    """Return the answer to an error of ours; any other is raised again."""
    app = served_by(request)
    with app.active():
        response = await error_response(app, request, error)
    if response is None:
        raise error
    return response
