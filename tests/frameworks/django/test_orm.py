"""Django's database and the session: overrides that ask it, its connections in our threads, its transactions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path

from coatcheck import blocking
from coatcheck.recipes.session import InputOverrideConfig, RecipeInterface
from coatcheck.server.django import verify_session
from coatcheck.sessions.exceptions import UnauthorisedError

from ...django_project import COOKIES, LOGIN, VIEWS, BrokenError, Order, Project, cookies, database, payload

Open = Callable[..., Project]


@pytest.fixture
def orders(tmp_path: Path) -> Iterator[None]:
    """Give the project a database with a table of orders."""
    with database(tmp_path):
        yield


def noting_in_the_orm(original: RecipeInterface) -> RecipeInterface:
    """Override the verification: every check is noted in a table of the application's."""
    inner = original.get_session

    async def get_session(**arguments: Any) -> Any:
        found = await inner(**arguments)
        if found is not None:
            await blocking(Order.objects.create, user=found.get_user_id())
        return found

    original.get_session = get_session  # type: ignore[assignment]
    return original


def test_an_override_that_asks_the_orm_works_from_async_and_sync_views(project: Open, orders: None) -> None:
    """`await blocking(...)` around a sync ORM call is the same override in both stacks and both kinds of views."""
    ann = project(override=InputOverrideConfig(functions=noting_in_the_orm)).serve(*VIEWS)(**COOKIES)
    ann.post("/login/ann")
    for count, kind in enumerate(("sync", "async", "sync", "async"), start=1):
        assert ann.get(f"/{kind}").text == "ann"
        assert Order.objects.filter(user="ann").count() == count


@pytest.mark.parametrize("stack", ["asgi"])
def test_connections_opened_in_worker_threads_are_closed_again(project: Open, orders: None) -> None:
    """Django tidies up the connections of its own threads only; ours are tidied up after each piece of work."""
    seen: list[bool] = []

    async def view(_request: HttpRequest) -> HttpResponse:
        for _ in range(20):
            seen.append(await blocking(lambda: connection.connection is None))
            await blocking(Order.objects.count)
        return HttpResponse()

    assert project().serve(path("", view))().get("/").status_code == 200
    assert seen == [True] * 20


@pytest.mark.parametrize(("error", "status"), [(BrokenError, 500), (UnauthorisedError, 401)])
def test_an_error_in_a_view_keeps_the_tokens_and_rolls_back(
    project: Open, orders: None, error: type[Exception], status: int
) -> None:
    """Under ATOMIC_REQUESTS what the view wrote is gone, and what happened to the tokens is told all the same."""

    @verify_session()
    def order(request: Any) -> HttpResponse:
        request.supertokens.sync_merge_into_access_token_payload({"ordered": True})
        Order.objects.create(user=request.supertokens.get_user_id())
        raise error("out of tea")

    connection.settings_dict["ATOMIC_REQUESTS"] = True
    ann = project().serve(LOGIN, path("order", order))(**COOKIES)
    ann.post("/login/ann")
    failed = ann.post("/order")
    assert failed.status_code == status
    assert Order.objects.count() == 0
    if error is BrokenError:
        assert payload(failed)["ordered"] is True
        assert cookies(failed) == ["sAccessToken"]
    else:
        assert failed.json() == {"message": "unauthorised"}
        assert failed.headers["front-token"] == "remove"
