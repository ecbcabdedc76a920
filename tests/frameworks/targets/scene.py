"""What the six servers of the behaviour suite have in common: one App, its clock, its claim."""

from __future__ import annotations

import os
from collections.abc import Iterator

from coatcheck import InputAppInfo, init
from coatcheck.claims import BooleanClaim, Clock, ManualClock, SessionClaimValidator
from coatcheck.recipes import emailpassword, session
from coatcheck.recipes.session import SessionContainer
from coatcheck.sessions.exceptions import UnauthorisedError

CHUNKS = ("one", "two", "three")
SecondFactorClaim = BooleanClaim("2fa-completed", lambda *_arguments: False)
clock = ManualClock(Clock().now_ms() // 1000 * 1000)

app = init(
    app_info=InputAppInfo(app_name="Scene", api_domain="http://127.0.0.1:3567", website_domain="http://127.0.0.1:3000"),
    recipe_list=[session.init(claims=[SecondFactorClaim], anti_csrf="VIA_TOKEN"), emailpassword.init()],
    database=os.environ["SCENE_DATABASE"],
    clock=clock,
    unsafe_for_tests=True,
)


def about(found: SessionContainer | None) -> dict[str, object]:
    """Return what the routes tell about a session."""
    return {"user": None if found is None else found.get_user_id()}


def chunks() -> Iterator[bytes]:
    """Yield a body in pieces."""
    for chunk in CHUNKS:
        yield chunk.encode()


def second_factor(
    validators: list[SessionClaimValidator], _session: object, _user_context: object
) -> list[SessionClaimValidator]:
    """Demand the second factor besides what every route demands."""
    return [*validators, SecondFactorClaim.validators.has_value(True)]


class BrokenError(Exception):
    """What a view of the application's raises."""


def banned() -> UnauthorisedError:
    """Return the error with which an application throws a user out."""
    return UnauthorisedError("banned")
