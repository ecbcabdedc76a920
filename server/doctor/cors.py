"""Whether the pages of the website may read what the API answers: CORS, in whatever framework it is configured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from starlette.requests import Request

from ...recipes.app import App
from ...recipes.kit.request import get_all_cors_headers
from ...recipes.session.config import SessionConfig
from ...recipes.session.response import ACCESS_HEADER, ANTI_CSRF_HEADER, FRONT_HEADER, REFRESH_HEADER
from ...recipes.session.transport import checked_answer, creation_method
from .finding import Finding, Note, Unchecked
from .setup import Setup

_BY_WISH = {"authorization", "anti-csrf"}
"""Request headers that clients send only in one mode or other."""

_NOBODY = "https://nobody.invalid"


@dataclass(frozen=True, slots=True)
class Words:
    """What the settings are called where they are made, and how CORS is put around the auth API there."""

    middleware: str
    origins: str
    credentials: str
    headers: str
    methods: str
    exposed: str
    paths: str
    order: str


@dataclass(frozen=True, slots=True)
class Cors:
    """How CORS is configured; None stands for what cannot be told, or does not matter there.

    `around` says whether it is outside the auth middleware, `leaves_out` names a path of the auth API that gets no
    headers. `headers` is asked in lower case. `exposed` takes the place of what the tokens have exposed.
    """

    words: Words
    around: bool = True
    leaves_out: str | None = None
    allows: Callable[[str], bool] | None = None
    credentials: bool | None = None
    headers: Callable[[str], bool] | None = None
    methods: frozenset[str] | None = None
    exposed: frozenset[str] | None = None

    @property
    def allows_everybody(self) -> bool:
        """Whether an origin is allowed that nobody can have named."""
        return self.allows is not None and self.allows(_NOBODY)


def check(cors: Cors, setup: Setup, methods_served: frozenset[str]) -> Iterator[Finding]:
    """Find what is wrong with CORS; where website and API have one origin, that may only be that it allows too much."""
    yield from any_origin(cors, setup)
    if setup.website == setup.api:
        return
    yield from methods(cors, methods_served)
    for one in (order, paths, origins, credentials, headers, exposed):
        yield from one(cors, setup)


def missing(setup: Setup, middleware: str) -> Iterator[Finding]:
    """Find a website whose pages nothing lets read the answers."""
    if setup.website == setup.api:
        return
    yield Finding(
        "warning",
        "nothing lets the pages of the website read the answers of the API (CORS)",
        f"{setup.website} is another origin than {setup.api}, and {middleware} was not found in the application. "
        "Browsers hide the answers from the pages unless something in front of the application adds the headers.",
        f"Add {middleware} around the auth API, with the origin {setup.website}, credentials, and the headers "
        "['content-type', *get_all_cors_headers()].",
    )


def order(cors: Cors, setup: Setup) -> Iterator[Finding]:
    """Find CORS inside the auth middleware, whose own answers it does not reach then."""
    if not cors.around:
        yield Finding(
            "error",
            f"{cors.words.middleware} is inside the auth middleware",
            "What the auth API answers, and every 401 and 403, has no CORS headers then: browsers hide those answers "
            "from the pages, which see network errors in their place.",
            cors.words.order,
        )


def paths(cors: Cors, setup: Setup) -> Iterator[Finding]:
    """Find CORS for other paths than those of the auth API."""
    if cors.leaves_out is not None:
        yield Finding(
            "error",
            f"{cors.words.middleware} leaves the auth API out",
            f"{cors.words.paths} does not match {cors.leaves_out}, so browsers hide the answers of the auth API from "
            "the pages.",
            f"Let {cors.words.paths} match the paths of the auth API as well.",
        )


def origins(cors: Cors, setup: Setup) -> Iterator[Finding]:
    """Find a website that is not allowed."""
    if cors.allows is not None and not cors.allows(setup.website):
        yield Finding(
            "error",
            f"{cors.words.origins} does not name the website, {setup.website}",
            "Origins are compared as text, scheme and port included and without a slash at the end. Browsers hide the "
            "answers from pages of an origin that is not named.",
            f"Add {setup.website!r} to {cors.words.origins}.",
        )


def any_origin(cors: Cors, setup: Setup) -> Iterator[Finding]:
    """Find every website allowed, credentials included."""
    if cors.allows_everybody and cors.credentials:
        reads = setup.in_cookies and setup.same_site == "none"
        yield Finding(
            "error" if reads else "warning",
            f"{cors.words.middleware} lets every website call the API with credentials",
            "Any website can read what the API answers to a signed-in user who looks at it."
            if reads
            else "Nothing but SameSite keeps other websites from reading what the API answers to a signed-in user.",
            f"Name the website alone in {cors.words.origins}: {setup.website!r}.",
        )


def credentials(cors: Cors, setup: Setup) -> Iterator[Finding]:
    """Find credentials refused."""
    if cors.credentials is False:
        name = (
            f"; name {setup.website!r} in {cors.words.origins}, as '*' does not go with it"
            if cors.allows_everybody
            else ""
        )
        yield Finding(
            "error",
            f"{cors.words.credentials} is not set",
            "The browser SDKs send requests with credentials, and browsers hide an answer to such a request unless it "
            "says Access-Control-Allow-Credentials: true.",
            f"Set {cors.words.credentials}=True{name}.",
        )


def headers(cors: Cors, setup: Setup) -> Iterator[Finding]:
    """Find request headers of the browser SDKs that are not allowed."""
    if cors.headers is None:
        return
    refused = [name for name in ("content-type", *get_all_cors_headers()) if not cors.headers(name)]
    if setup.anti_csrf != "VIA_TOKEN":
        refused = [name for name in refused if name != "anti-csrf"]
    if refused:
        always = set(refused) - _BY_WISH or "anti-csrf" in refused
        yield Finding(
            "error" if always else "warning",
            f"{cors.words.headers} lacks {', '.join(refused)}",
            "Browsers do not send a request with headers that are not allowed, and the browser SDKs send these"
            + ("." if always else " where tokens travel in headers."),
            f"Let {cors.words.headers} be ['content-type', *get_all_cors_headers()], besides headers of your own (from "
            "coatcheck import get_all_cors_headers).",
        )


def methods(cors: Cors, needed: frozenset[str]) -> Iterator[Finding]:
    """Find methods of the auth API that are not allowed."""
    refused = sorted(needed - cors.methods) if cors.methods is not None else []
    if refused:
        yield Finding(
            "error",
            f"{cors.words.methods} lacks {', '.join(refused)}",
            "The auth API is called with these methods, and the preflight request that browsers send first is refused.",
            f"Add {', '.join(refused)} to {cors.words.methods}, and the methods of your own routes.",
        )


def exposed(cors: Cors, setup: Setup) -> Iterator[Finding]:
    """Find exposed headers that take the place of those the tokens need."""
    needed = [FRONT_HEADER]
    needed += [ANTI_CSRF_HEADER] if setup.anti_csrf == "VIA_TOKEN" and setup.in_cookies else []
    needed += [] if setup.in_cookies else [ACCESS_HEADER, REFRESH_HEADER]
    # From inside, the list of the tokens is added to it.
    hidden = [name for name in needed if name not in cors.exposed] if cors.exposed and cors.around else []
    if hidden:
        yield Finding(
            "error",
            f"{cors.words.exposed} hides {', '.join(hidden)}",
            f"{cors.words.middleware} puts its list in the place of the one that comes with the tokens, and the "
            "browser SDKs cannot read a header that is not exposed: they do not notice that there is a session.",
            f"Add front-token, anti-csrf, st-access-token and st-refresh-token to {cors.words.exposed}.",
        )


def website_of(app: App) -> tuple[str | None, list[Unchecked]]:
    """Return the origin of the website, None where a request is needed to tell; and what is not known of it."""
    if isinstance(app.info.origin, str):
        return app.info.origin, []
    try:
        with app.active():
            website = app.info.website_origin(None, {})
    except Exception as error:
        return None, [Unchecked(f"what depends on the website: origin without a request failed ({_told(error)})")]
    return website, [Unchecked(f"other websites than {website}, which origin returns without a request")]


def allows_cookies(app: App, website: str | None) -> tuple[bool, list[Unchecked]]:
    """Tell whether a client that asks for its tokens in cookies gets them there; and whether that is not known."""
    config: SessionConfig = app.recipe("session").config
    if config.get_token_transfer_method is None:
        return True, []
    request = _sign_in(app, website)
    try:
        with app.active():
            answer = checked_answer(config.get_token_transfer_method(request, True, {}))
    except Exception as error:
        return True, [Unchecked(f"which clients get cookies: get_token_transfer_method failed ({_told(error)})")]
    return creation_method(request, answer) == "cookie", []


def _sign_in(app: App, website: str | None) -> Request:
    headers = [(b"st-auth-mode", b"cookie"), (b"rid", b"emailpassword")]
    headers += [] if website is None else [(b"origin", website.encode())]
    scope = {
        "type": "http",
        "method": "POST",
        "scheme": app.info.api_domain.partition("://")[0],
        "path": f"{app.info.api_base_path.removeprefix(app.info.api_gateway_path)}/signin",
        "query_string": b"",
        "headers": headers,
        "state": {},
    }
    return Request(scope)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


@dataclass(frozen=True, slots=True)
class Seen:
    """The CORS of the application, and what else there is to say.

    `cors` is None where there is none; `middleware` is what to add then, None where CORS cannot be seen at all.
    """

    middleware: str | None = None
    cors: Cors | None = None
    notes: tuple[Note, ...] = ()
