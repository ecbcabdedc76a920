"""Run as a script: a Flask application under gevent, and clients in greenlets that call it all at once."""
# ruff: noqa: E402

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

import flask
import gevent
from gevent.pywsgi import WSGIServer

from coatcheck import InputAppInfo, RecipeUserId, current_app, get_request_from_user_context, init
from coatcheck.recipes import session
from coatcheck.server.flask import CoatCheck, verify_session

CLIENTS = 20
seen: dict[str, int] = {"inside": 0, "most": 0, "mixed": 0}


@contextmanager
def inside() -> Iterator[None]:
    """Count who is inside, and let others in meanwhile."""
    seen["inside"] += 1
    seen["most"] = max(seen["most"], seen["inside"])
    gevent.sleep(0.01)
    yield
    seen["inside"] -= 1


def override(original: Any) -> Any:
    """Let greenlets take turns in the middle of a verification, and compare what each finds before and after."""
    verify = original.get_session

    async def get_session(**given: Any) -> Any:
        context = given["user_context"]
        request = get_request_from_user_context(context)
        context["mine"] = request and request.headers["x-user"]
        with inside():
            same = get_request_from_user_context(context) is request and current_app() is app
            seen["mixed"] += not same or flask.request.headers["x-user"] != context["mine"]
        return await verify(**given)

    original.get_session = get_session
    return original


app = init(
    app_info=InputAppInfo(app_name="T", api_domain="http://localhost:3567", website_domain="http://localhost:3000"),
    recipe_list=[session.init(override=session.InputOverrideConfig(functions=override))],
    database=f"sqlite:///{sys.argv[1]}",
    unsafe_for_tests=True,
)
site = flask.Flask(__name__)
CoatCheck(site)


@site.post("/create")
def create() -> dict[str, str]:
    """Sign a user in."""
    user = flask.request.headers["x-user"]
    session.sync.create_new_session(flask.request, "public", RecipeUserId(user))
    return {"userId": user}


@site.get("/me")
@verify_session(check_database=True)
def me() -> dict[str, str]:
    """Tell who is there."""
    return {"userId": flask.g.supertokens.get_user_id()}


def visit(port: int, user: str) -> list[str]:
    """Sign in, and ask twice who one is."""
    connection = HTTPConnection("127.0.0.1", port, timeout=300)
    headers = {"x-user": user}
    users = []
    for method, path in (("POST", "/create"), ("GET", "/me"), ("GET", "/me")):
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        users.append(json.loads(answer.read())["userId"])
        if method == "POST":
            headers["authorization"] = f"Bearer {answer.headers['st-access-token']}"
    connection.close()
    return users


server = WSGIServer(("127.0.0.1", 0), site, log=None)
server.start()
port = int(server.address[1])
visits = {f"u{number}": gevent.spawn(visit, port, f"u{number}") for number in range(CLIENTS)}
found = {user: greenlet.get(timeout=300) for user, greenlet in visits.items()}
server.stop()
print(json.dumps({"wrong": [user for user, users in found.items() if set(users) != {user}], **seen}))
