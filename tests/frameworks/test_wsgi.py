"""The middleware around plain WSGI applications (PEP 3333)."""

from __future__ import annotations

import gc
import io
import json
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import ref
from wsgiref.handlers import SimpleHandler
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest
from hypothesis import given, strategies as st
from starlette.requests import Request
from werkzeug.test import Client

from coatcheck import App, InputAppInfo, RecipeUserId
from coatcheck.claims import Clock
from coatcheck.recipes import emailpassword, session
from coatcheck.recipes.delivery import EmailDeliveryConfig, EmailDeliveryInterface
from coatcheck.recipes.exceptions import ConfigurationError
from coatcheck.recipes.kit.request import after_response, as_request
from coatcheck.recipes.kit.routing import MAX_BODY_BYTES
from coatcheck.recipes.session import SessionContainer
from coatcheck.server.guard import Guard
from coatcheck.server.wsgi import AuthMiddleware, TokenMiddleware, request_of
from coatcheck.sessions.exceptions import UnauthorisedError

from ..kit import API, LIMIT_S, WEBSITE, Make

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

TEXT = [("Content-Type", "text/plain"), ("Set-Cookie", "theirs=1; Path=/")]


class Incoming:
    """The least that a request object of a WSGI framework is."""

    def __init__(self, environ: WSGIEnvironment) -> None:
        self.environ = environ


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Sign in at /login, tell the user at /me, fail at /fail and /boom, stream at /stream, send a file at /file."""
    request = Incoming(environ)
    match environ["PATH_INFO"]:
        case "/login":
            session.sync.create_new_session(request, "public", RecipeUserId("ann"))
        case "/me":
            session.sync.get_session(request)
        case "/fail":
            raise UnauthorisedError("no")
        case "/boom":
            raise ZeroDivisionError
        case "/stream":
            return streaming(start_response)
        case "/file":
            start_response("200 OK", TEXT)
            wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](io.BytesIO(b"file"))
            return wrapped
    start_response("200 OK", TEXT)
    return [b"hello"]


def streaming(start_response: StartResponse) -> Iterator[bytes]:
    """Start the response only when the server asks for the first chunk, as WSGI permits."""
    start_response("200 OK", TEXT)
    yield from (b"one", b"two")


@pytest.fixture
def client(make_app: Make) -> Client:
    """Return a client on the application, its every step checked against the rules of WSGI."""
    return Client(validator(AuthMiddleware(validator(application), make_app())))


def test_the_auth_api_and_the_applications_own_routes(client: Client) -> None:
    """Both are served, and tokens travel with the application's responses beside its own cookies."""
    fields = [{"id": "email", "value": "ann@example.com"}, {"id": "password", "value": "correct horse 1"}]
    signed_up = client.post(
        "/auth/signup", buffered=True, json={"formFields": fields}, headers={"st-auth-mode": "cookie"}
    )
    assert signed_up.json is not None
    assert signed_up.json["status"] == "OK"
    assert client.get("/me", buffered=True).text == "hello"
    created = client.post("/login", buffered=True, headers={"st-auth-mode": "cookie"})
    assert created.text == "hello"
    names = [line.partition("=")[0] for line in created.headers.getlist("set-cookie")]
    assert names == ["theirs", "sAccessToken", "sRefreshToken"]


def test_errors_of_ours_are_answers_and_others_pass(client: Client) -> None:
    """A session error raised in the application is its 401; any other error is the server's to handle."""
    assert client.get("/me", buffered=True).status_code == 401
    assert client.get("/fail", buffered=True).json == {"message": "unauthorised"}
    with pytest.raises(ZeroDivisionError):
        client.get("/boom", buffered=True)


def test_streams_and_files_pass(client: Client) -> None:
    """A body is passed on chunk by chunk, and a file in the wrapper that the server knows."""
    assert client.get("/stream", buffered=True).text == "onetwo"
    assert client.get("/file", buffered=True, environ_overrides={"wsgi.file_wrapper": FileWrapper}).text == "file"


def call(app: Any, **variables: Any) -> tuple[str, dict[str, str], bytes]:
    """Call a WSGI application with these variables; return status, headers and body."""
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    environ.update(variables)
    told: list[Any] = []
    body = app(environ, lambda status, headers, *_error: told.append((status, dict(headers))))
    content = b"".join(body)
    if hasattr(body, "close"):
        body.close()
    return (*told[-1], content)


def signing_in(body: bytes, **variables: Any) -> dict[str, Any]:
    """Return the variables of a request to sign in with this body."""
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/auth/signin",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        **variables,
    }


class Broken(io.BytesIO):
    """A body whose connection breaks, or whose chunks make no sense."""

    def read(self, *_size: object) -> bytes:
        """Fail, as servers do."""
        raise OSError("unexpected end of file")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (signing_in(b"", CONTENT_LENGTH=""), "JSON"),
        (signing_in(b"{}", CONTENT_LENGTH="many"), "JSON"),
        (signing_in(b"{}", CONTENT_LENGTH="-1"), "JSON"),
        (signing_in(b"{}", CONTENT_LENGTH="200"), "went away"),
        (signing_in(b" " * (MAX_BODY_BYTES + 1)), "larger than"),
        (signing_in(b" " * (MAX_BODY_BYTES + 1), **{"wsgi.input_terminated": True}), "larger than"),
        (signing_in(b"{}", **{"wsgi.input": Broken()}), "went away"),
        (signing_in(b"{}", **{"wsgi.input": Broken(), "wsgi.input_terminated": True}), "went away"),
    ],
)
def test_bodies_that_cannot_be_read_are_400(make_app: Make, variables: dict[str, Any], message: str) -> None:
    """A missing, cut off, broken or oversized body is the client's error, and no more of it is read than needed."""
    status, _headers, body = call(AuthMiddleware(application, make_app()), **variables)
    assert status == "400 Bad Request"
    assert message in json.loads(body)["message"]


def test_a_chunked_body_is_read_where_the_server_ends_it(make_app: Make) -> None:
    """Without a length the body is read to its end where the server says that there is one."""
    body = b'{"formFields": [{"id": "email", "value": "a@b.co"}, {"id": "password", "value": "x"}]}'
    variables = signing_in(body, CONTENT_LENGTH="", **{"wsgi.input_terminated": True})
    status, _headers, answer = call(AuthMiddleware(application, make_app()), **variables)
    assert (status, json.loads(answer)["status"]) == ("200 OK", "WRONG_CREDENTIALS_ERROR")


def opened(app: Any, **variables: Any) -> tuple[Any, list[Any]]:
    """Call a WSGI application as a server does; return the body, of which nothing is asked yet, and what was begun."""
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    environ.update(variables)
    begun: list[Any] = []
    return app(environ, lambda status, headers, *_error: begun.append((status, dict(headers)))), begun


@pytest.mark.parametrize("path", ["/", "/login"])
@pytest.mark.parametrize("middleware", [AuthMiddleware, TokenMiddleware])
def test_a_chunk_is_produced_when_the_server_asks_for_it(
    make_app: Make, middleware: type[TokenMiddleware], path: str
) -> None:
    """A body is not collected before it is sent, also where tokens travel with it."""
    produced: list[bytes] = []

    def view(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        if environ["PATH_INFO"] == "/login":
            session.sync.create_new_session(Incoming(environ), "public", RecipeUserId("ann"))
        start_response("200 OK", [("content-type", "text/plain")])
        for chunk in (b"one", b"two", b"three"):
            produced.append(chunk)
            yield chunk

    body, begun = opened(middleware(view, make_app()), PATH_INFO=path)
    assert produced == []
    chunks = iter(body)
    for count, chunk in enumerate((b"one", b"two", b"three"), start=1):
        assert next(chunks) == chunk
        assert produced == [b"one", b"two", b"three"][:count]
    ((_status, headers),) = begun
    assert ("front-token" in headers) is (path == "/login")
    body.close()


FILES: dict[str, Any] = {"PATH_INFO": "/file", "wsgi.file_wrapper": FileWrapper}


def test_a_file_is_left_in_the_wrapper_of_the_server(make_app: Make) -> None:
    """The server gets its own wrapper, not one of ours, so that it can send the file in a way of its own."""
    for middleware in (AuthMiddleware, TokenMiddleware):
        body, _begun = opened(middleware(application, make_app()), **FILES)
        assert type(body) is FileWrapper
        assert b"".join(body) == b"file"


def test_a_request_for_a_file_is_let_go_of(make_app: Make) -> None:
    """A file's request is freed without the garbage collector, though nobody says when the file has been sent."""
    seen: list[ref[Request]] = []
    app = make_app()
    with app.active():
        made = session.sync.create_new_session_without_request_response("public", RecipeUserId("ann"))

    def view(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        session.sync.get_session(Incoming(environ))
        seen.append(ref(as_request(Incoming(environ))))
        return application(environ, start_response)

    gc.disable()
    try:
        body, _begun = opened(AuthMiddleware(view, app), HTTP_AUTHORIZATION=f"Bearer {made.access_token}", **FILES)
        assert [request() for request in seen] == [None]
    finally:
        gc.enable()
    assert type(body) is FileWrapper


def test_jobs_run_after_a_file_was_sent(make_app: Make) -> None:
    """Where something waits for the response to be sent, the server says when it was; the file is closed, too."""
    done: list[str] = []
    file = io.BytesIO(b"file")

    async def job() -> None:
        done.append("job")

    def view(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        after_response(as_request(Incoming(environ)), job)
        start_response("200 OK", TEXT)
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
        return wrapped

    body, _begun = opened(AuthMiddleware(view, make_app(unsafe_for_tests=False, clock=Clock())), **FILES)
    assert b"".join(body) == b"file"
    assert (done, file.closed) == ([], False)
    body.close()
    assert (done, file.closed) == (["job"], True)


def test_jobs_run_though_the_application_fails(make_app: Make) -> None:
    """What waits for the response is done as well where an error leaves the response to the server."""
    done: list[str] = []

    async def job() -> None:
        done.append("job")

    def view(environ: WSGIEnvironment, _start_response: StartResponse) -> Iterable[bytes]:
        after_response(as_request(Incoming(environ)), job)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        call(AuthMiddleware(view, make_app()), PATH_INFO="/")
    assert done == ["job"]


def test_a_mail_is_sent_after_the_response_has_been(make_app: Make) -> None:
    """A password reset is answered first; the mail goes out when the server closes the body."""
    app = make_app(unsafe_for_tests=False, clock=Clock())
    wrapped = AuthMiddleware(application, app)
    fields = [{"id": "email", "value": "ann@example.com"}, {"id": "password", "value": "correct horse 1"}]
    sign_up = signing_in(json.dumps({"formFields": fields}).encode(), PATH_INFO="/auth/signup")
    assert call(wrapped, **sign_up)[0] == "200 OK"
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    reset = json.dumps({"formFields": fields[:1]}).encode()
    environ.update(signing_in(reset, PATH_INFO="/auth/user/password/reset/token"))
    body = wrapped(environ, lambda *_arguments: lambda _chunk: None)
    assert json.loads(b"".join(body)) == {"status": "OK"}
    assert not app.outbox.mails
    body.close()  # type: ignore[attr-defined]
    assert [mail.to for mail in app.outbox.mails] == ["ann@example.com"]


def test_attack_whether_an_account_exists_told_by_the_end_of_a_connection(tmp_path: Path) -> None:
    """Closing the body, for which servers keep the connection, does not wait until a mail is on its way (rule 21.7)."""
    may_go, sent = threading.Event(), threading.Event()

    class Slow(EmailDeliveryInterface):
        async def send_email(self, template_vars: Any, user_context: Any) -> None:
            assert may_go.wait(LIMIT_S)
            sent.set()

    app = App(
        app_info=InputAppInfo("Real", API, website_domain=WEBSITE),
        recipe_list=[session.init(), emailpassword.init(email_delivery=EmailDeliveryConfig(service=Slow()))],
        database=f"sqlite:///{tmp_path}/real.db",
    )
    wrapped = AuthMiddleware(application, app)
    fields = [{"id": "email", "value": "ann@example.com"}, {"id": "password", "value": "correct horse 1"}]
    sign_up = signing_in(json.dumps({"formFields": fields}).encode(), PATH_INFO="/auth/signup")
    reset = json.dumps({"formFields": fields[:1]}).encode()
    try:
        assert call(wrapped, **sign_up)[0] == "200 OK"
        assert call(wrapped, **signing_in(reset, PATH_INFO="/auth/user/password/reset/token"))[0] == "200 OK"
        assert not sent.is_set()
        may_go.set()
        assert sent.wait(LIMIT_S)
    finally:
        app.close()


def test_jobs_run_though_the_body_cannot_be_closed(make_app: Make) -> None:
    """What waits for the response to be sent is not lost where the application fails to close its body."""
    done: list[str] = []

    async def job() -> None:
        done.append("job")

    class Body(list[bytes]):
        def close(self) -> None:
            raise BrokenPipeError

    def view(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        after_response(as_request(Incoming(environ)), job)
        start_response("200 OK", TEXT)
        return Body([b"hello"])

    with pytest.raises(BrokenPipeError):
        call(AuthMiddleware(view, make_app()), PATH_INFO="/")
    assert done == ["job"]


def test_an_error_after_the_response_was_begun_replaces_it(make_app: Make) -> None:
    """An application that gives up after `start_response` is answered for, which servers permit only with its error."""

    def view(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        raise UnauthorisedError("no")

    sent, _log = served(AuthMiddleware(view, make_app()))
    assert sent.startswith("HTTP/1.0 401 Unauthorized")
    assert '{"message":"unauthorised"}' in sent


def served(app: Any) -> tuple[str, str]:
    """Have a real handler run a WSGI application; return what it sent, and what it logged."""
    environ: dict[str, Any] = {"QUERY_STRING": ""}
    setup_testing_defaults(environ)
    out, log = io.BytesIO(), io.StringIO()
    SimpleHandler(io.BytesIO(), out, log, environ).run(app)
    return out.getvalue().decode(), log.getvalue()


@pytest.mark.parametrize("begun", [False, True])
def test_an_error_before_the_first_chunk_is_answered(make_app: Make, begun: bool) -> None:
    """A generator that gives up before anything of it was sent gets the answer of its error, and is closed."""
    closed: list[str] = []

    def view(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        try:
            if begun:
                start_response("200 OK", [("content-type", "text/plain")])
            yield from ()
            raise UnauthorisedError("no")
        finally:
            closed.append("closed")

    sent, log = served(validator(AuthMiddleware(view, make_app())))
    assert sent.startswith("HTTP/1.0 401 Unauthorized")
    assert sent.endswith('{"message":"unauthorised"}')
    assert log == ""
    assert closed == ["closed"]


def test_an_error_after_the_first_chunk_passes(make_app: Make) -> None:
    """What was handed out cannot be taken back: the server learns of the error, and nothing is added to the body."""

    def view(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("content-type", "text/plain")])
        yield b"one"
        raise UnauthorisedError("no")

    app = AuthMiddleware(view, make_app())
    body, begun = opened(app)
    chunks = iter(body)
    assert next(chunks) == b"one"
    with pytest.raises(UnauthorisedError):
        next(chunks)
    assert [status for status, _headers in begun] == ["200 OK"]
    sent, log = served(app)
    assert sent.startswith("HTTP/1.0 200 OK")
    assert sent.endswith("\r\n\r\none")
    assert "UnauthorisedError: no" in log


def test_another_error_before_the_first_chunk_passes(make_app: Make) -> None:
    """An error that is not ours is the server's to handle, wherever it comes from."""

    def view(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("content-type", "text/plain")])
        yield from ()
        raise ZeroDivisionError

    sent, log = served(AuthMiddleware(view, make_app()))
    assert sent.startswith("HTTP/1.0 500 ")
    assert "ZeroDivisionError" in log


def test_a_guard_is_all_a_framework_needs(make_app: Make) -> None:
    """Any WSGI framework protects a view with the guard and the request's environ."""
    seen: list[SessionContainer | None] = []

    def view(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = as_request(Incoming(environ))
        if Guard(session_required=False).refusal_now(request) is None:
            seen.append(request.state.supertokens)
        return application(environ, start_response)

    assert call(AuthMiddleware(view, make_app()), PATH_INFO="/")[0] == "200 OK"
    assert seen == [None]


def test_a_request_that_no_middleware_has_seen_is_named() -> None:
    """Session functions say what is missing, instead of losing the tokens they would send."""
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    with pytest.raises(ConfigurationError, match="middleware has not seen"):
        as_request(Incoming(environ))
    with pytest.raises(ConfigurationError, match="is not a request"):
        as_request(object())  # type: ignore[arg-type]


@pytest.mark.parametrize(("origin", "status"), [("https://evil.example", 401), ("http://localhost:3000", 200)])
def test_attack_a_websocket_opened_by_another_site(make_app: Make, origin: str, status: int) -> None:
    """Under WSGI a handshake is a GET like any other, but its origin counts (docs/protocol.md, rule 7.7)."""
    client = Client(AuthMiddleware(application, make_app(anti_csrf="VIA_CUSTOM_HEADER")))
    client.post("/login", buffered=True, headers={"st-auth-mode": "cookie"})
    asked = {"origin": origin, "connection": "Upgrade", "upgrade": "WebSocket"}
    assert client.get("/me", buffered=True, headers=asked).status_code == status


NAMES = ["CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_COOKIE", "HTTP_X_Y", "QUERY_STRING", "REMOTE_ADDR", "REMOTE_PORT"]
NAMES += ["SCRIPT_NAME", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "PATH_INFO", "REQUEST_METHOD"]
VARIABLES = st.dictionaries(st.sampled_from(NAMES), st.text(st.characters(max_codepoint=255)))


@given(VARIABLES, st.binary(max_size=50))
def test_any_environ_makes_a_request(variables: dict[str, str], body: bytes) -> None:
    """Whatever text a server passes on, a request comes of it, and the path is that of the environ."""
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    environ.update(variables, **{"wsgi.input": io.BytesIO(body)})
    request = request_of(environ)
    assert request.method == environ["REQUEST_METHOD"]
    whole = environ.get("SCRIPT_NAME", "") + environ["PATH_INFO"]
    assert request.scope["path"] == whole.encode("latin-1").decode("utf-8", "replace")
    assert as_request(Incoming(environ)) is request
    assert request.headers.get("x-y") == environ.get("HTTP_X_Y")
