"""A Flask application for a server that loads it once and forks: everything is in use before the fork."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import flask

from coatcheck import InputAppInfo, RecipeUserId, init
from coatcheck.recipes import session
from coatcheck.server.flask import CoatCheck, verify_session


def override(original: Any) -> Any:
    """Await what needs an event loop, so that the thread with the loop must survive the fork."""
    create = original.create_new_session

    async def create_new_session(**given: Any) -> Any:
        await asyncio.sleep(0)
        return await create(**given)

    original.create_new_session = create_new_session
    return original


app = init(
    app_info=InputAppInfo(app_name="T", api_domain="http://localhost:3567", website_domain="http://localhost:3000"),
    recipe_list=[session.init(override=session.InputOverrideConfig(functions=override))],
    database=f"sqlite:///{os.environ['SITE_DATABASE']}",
    sync_overrides="loop",
    unsafe_for_tests=True,
)
# Keys are loaded, connections are open, the loop runs: all of it in the process that will fork.
session.sync.create_new_session_without_request_response("public", RecipeUserId("before"))
site = flask.Flask(__name__)
CoatCheck(site)


@site.after_request
def sign(response: flask.Response) -> flask.Response:
    """Say which process answered."""
    response.headers["x-process"] = str(os.getpid())
    return response


@site.post("/create/<user>")
def create_session(user: str) -> dict[str, str]:
    """Sign a user in."""
    session.sync.create_new_session(flask.request, "public", RecipeUserId(user))
    return {"userId": user}


@site.get("/me")
@verify_session(check_database=True)
def me() -> dict[str, str]:
    """Tell who is there."""
    return {"userId": flask.g.supertokens.get_user_id()}
