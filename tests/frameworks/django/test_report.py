"""Django's error reports: the debug page and the mails to ADMINS show no token and no password."""

from __future__ import annotations

import html
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.log import AdminEmailHandler
from django.views.debug import SafeExceptionReporterFilter, get_default_exception_reporter_filter

from coatcheck.recipes import emailpassword
from coatcheck.recipes.session import InputOverrideConfig, RecipeInterface
from coatcheck.server.django import verify_session

from ...django_project import COOKIES, HEADERS, LOGIN, Project

Open = Callable[..., Project]
PASSWORD = "correct horse 1"
SIGN_UP = {"formFields": [{"id": "email", "value": "ann@example.com"}, {"id": "password", "value": PASSWORD}]}


class BrokenError(Exception):
    """What is raised by the application."""


@verify_session()
def fail(request: Any) -> HttpResponse:
    """Raise with tokens, old and new, in local variables."""
    merged = request.supertokens.sync_merge_into_access_token_payload
    merged({"tea": 1})
    new_token, everything = request.supertokens.access_token, request.supertokens.get_all_session_tokens_dangerously()
    tea = "darjeeling"
    raise BrokenError(f"{tea} {len(new_token)} {len(everything)}")


@verify_session(user_context={"break": True})
def broken_override(_request: HttpRequest) -> HttpResponse:
    """Never run: the override before it fails."""
    raise AssertionError


def breaking(original: RecipeInterface) -> RecipeInterface:
    """Override the verification so that it fails where a view asks for that."""
    inner = original.get_session

    async def get_session(**arguments: Any) -> Any:
        if arguments["user_context"].get("break"):
            raise BrokenError
        return await inner(**arguments)

    original.get_session = get_session  # type: ignore[assignment]
    return original


def breaking_sign_up(original: Any) -> Any:
    """Override signing up so that it fails with the password in sight."""

    async def sign_up(email: str, password: str, **others: Any) -> Any:
        raise BrokenError(email)

    original.sign_up = sign_up
    return original


@pytest.mark.parametrize("accept", ["text/html", "text/plain"])
@pytest.mark.parametrize("mode", [COOKIES, HEADERS], ids=["cookie", "header"])
def test_the_debug_page_shows_no_token(project: Open, mode: dict[str, str], accept: str) -> None:
    """Neither what the request carried nor what its response carries, in headers, cookies and local variables."""
    opened = project(anti_csrf="VIA_TOKEN", override=InputOverrideConfig(functions=breaking))
    opened.settings(DEBUG=True)
    ann = opened.serve(LOGIN, path("fail", fail), path("broken", broken_override))(**mode)
    signed_in = ann.post("/login/ann")
    secrets = {signed_in.headers[name] for name in ("st-access-token", "anti-csrf") if name in signed_in.headers}
    if mode is HEADERS:
        ann.headers["authorization"] = f"Bearer {signed_in.headers['st-access-token']}"
    else:
        secrets |= {ann.cookies["sAccessToken"], ann.cookies["sRefreshToken"]}
        ann.headers["anti-csrf"] = signed_in.headers["anti-csrf"]
    failed = ann.get("/fail", headers={"accept": accept})
    given = {failed.headers.get("st-access-token"), failed.headers["front-token"], ann.cookies.get("sAccessToken")}
    broken = ann.get("/broken", headers={"accept": accept})
    for page in (failed, broken):
        assert page.status_code == 500
        assert "BrokenError" in page.text
        assert [secret for secret in secrets | given if secret and secret in page.text] == []
    assert ("darjeeling" in failed.text, "request.supertokens" in failed.text) == (True, accept == "text/html")


def test_a_mail_to_the_admins_shows_no_password(project: Open) -> None:
    """Local variables are mailed where a project wants that, but not the password a user has just chosen."""
    mails: list[str] = []

    class Keeping(AdminEmailHandler):
        def send_mail(self, subject: object, message: object, *args: Any, **options: Any) -> None:
            mails.extend([str(message), options["html_message"]])

    override = emailpassword.InputOverrideConfig(functions=breaking_sign_up)
    opened = project(recipes=[emailpassword.init(override=override)])
    logger, keeping = logging.getLogger("django.request"), Keeping(include_html=True)
    logger.addHandler(keeping)
    try:
        assert opened.serve(LOGIN)().post("/auth/signup", json=SIGN_UP).status_code == 500
    finally:
        logger.removeHandler(keeping)
    assert ["ann@example.com" in text for text in mails] == [True, True]
    assert [PASSWORD in text for text in mails] == [False, False]


@pytest.mark.parametrize("ascii", [True, False])
@pytest.mark.parametrize(
    "password",
    ['it\'s the "quoted" 1', "C:\\dir\\file 1", "zwölf Boxer 12", "tab\tinside 1", " ".join(["horse"] * 16) + " 1"],
)
def test_attack_a_password_that_is_written_otherwise(project: Open, password: str, ascii: bool) -> None:
    """Quotes, backslashes, JSON, bytes and line breaks in long texts do not bring a password onto the page."""
    override = emailpassword.InputOverrideConfig(functions=breaking_sign_up)
    opened = project(recipes=[emailpassword.init(override=override)])
    opened.settings(DEBUG=True)
    fields = [{"id": "email", "value": "ann@example.com"}, {"id": "password", "value": password}]
    body = json.dumps({"formFields": fields}, ensure_ascii=ascii).encode()
    failed = opened.serve(LOGIN)().post("/auth/signup", content=body, headers={"accept": "text/html"})
    assert failed.status_code == 500
    page = html.unescape(failed.text)
    assert "ann@example.com" in page
    # Of a password, all words count that its source here does not hold.
    pieces = [repr(password)[1:-1], repr(password.encode())[2:-1], json.dumps(password)[1:-1], "horse horse"]
    assert [piece for piece in pieces if piece in page] == []


def test_attack_a_token_in_long_bytes(project: Open) -> None:
    """A token in headers as a server hands them on, which a report breaks into lines, is hidden, too."""

    @verify_session()
    def holding_bytes(request: Any) -> HttpResponse:
        raw = [(b"authorization", b"Bearer " + request.supertokens.access_token.encode())]
        raise BrokenError(str(len(raw)))

    opened = project()
    opened.settings(DEBUG=True)
    ann = opened.serve(LOGIN, path("fail", holding_bytes))()
    token = ann.post("/login/ann").headers["st-access-token"]
    page = ann.get("/fail", headers={"accept": "text/html", "authorization": f"Bearer {token}"}).text
    assert "holding_bytes" in page
    assert [place for place in range(0, len(token) - 20, 20) if token[place : place + 20] in page] == []


def test_attack_a_link_for_a_new_password_in_a_report(project: Open) -> None:
    """The token of a reset link, which may still be good, is no more shown than the new password."""

    def breaking_reset(original: Any) -> Any:
        async def password_reset_post(form_fields: Any, token: str, *_others: Any) -> Any:
            raise BrokenError(str(len(token)))

        original.password_reset_post = password_reset_post
        return original

    override = emailpassword.InputOverrideConfig(apis=breaking_reset)
    opened = project(recipes=[emailpassword.init(override=override)])
    opened.settings(DEBUG=True)
    sent = {"method": "token", "token": "reset-token-of-ann", "formFields": SIGN_UP["formFields"][1:]}
    failed = opened.serve(LOGIN)().post("/auth/user/password/reset", json=sent, headers={"accept": "text/html"})
    assert failed.status_code == 500
    assert "breaking_reset" in failed.text
    assert failed.text.count("reset-token-of-ann") == 0


def test_a_filter_of_the_projects_own_goes_on_filtering(project: Open) -> None:
    """The project's filter is asked first, with all it has of its own."""
    opened = project()
    opened.settings(DEBUG=True, DEFAULT_EXCEPTION_REPORTER_FILTER=f"{__name__}.OwnFilter")
    get_default_exception_reporter_filter.cache_clear()  # type: ignore[attr-defined]
    ann = opened.serve(LOGIN, path("fail", fail))(**COOKIES)
    ann.post("/login/ann")
    page = ann.get("/fail", headers={"accept": "text/html"}).text
    get_default_exception_reporter_filter.cache_clear()  # type: ignore[attr-defined]
    assert "darjeeling-free" in page


class OwnFilter(SafeExceptionReporterFilter):
    """Replaces what it hides by a word of its own."""

    cleansed_substitute = "darjeeling-free"
