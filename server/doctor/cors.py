"""CORS: whether the pages of the website may read the answers of the API, the same checks for every framework."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ...recipes.kit.request import get_all_cors_headers
from ...recipes.session.response import ACCESS_HEADER, ANTI_CSRF_HEADER, FRONT_HEADER, REFRESH_HEADER
from .finding import Finding, Note
from .setup import Setup

_OPTIONAL_HEADERS = {"authorization", "anti-csrf"}
"""Request headers that clients send only in some modes."""

_NOBODY = "https://nobody.invalid"


@dataclass(frozen=True, slots=True)
class Words:
    """A framework's names for its CORS settings, and its way to put CORS around the auth API."""

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
    """How CORS is configured; None stands for a setting that is not known or does not matter in the framework.

    `around` is whether it stands outside the auth middleware; `leaves_out` names a path of the auth API that gets no
    headers. `headers` takes a name in lower case. `exposed` replaces the list of headers that comes with the tokens.
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
        """Whether even an origin is allowed that no configuration can have named."""
        return self.allows is not None and self.allows(_NOBODY)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a look into a web application showed: its CORS, and other notes.

    `cors` is None if there is none; `middleware` names what to add then, None if the look shows nothing about CORS.
    """

    middleware: str | None = None
    cors: Cors | None = None
    notes: tuple[Note, ...] = ()


def check(cors: Cors, setup: Setup, methods_served: frozenset[str]) -> Iterator[Finding]:
    """Find what is wrong with CORS; if website and API have one origin, only permissions that go too far count."""
    yield from _any_origin(cors, setup)
    if setup.website == setup.api:
        return
    yield from _methods(cors, methods_served)
    for one in (_order, _paths, _origins, _credentials, _headers, _exposed):
        yield from one(cors, setup)


def missing(setup: Setup, middleware: str) -> Iterator[Finding]:
    """Find a website whose pages cannot read the answers."""
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


def _order(cors: Cors, setup: Setup) -> Iterator[Finding]:
    """Find CORS inside the auth middleware: the middleware's own answers get no headers then."""
    if not cors.around:
        yield Finding(
            "error",
            f"{cors.words.middleware} is inside the auth middleware",
            "What the auth API answers, and every 401 and 403, has no CORS headers then: browsers hide those answers "
            "from the pages, which see network errors in their place.",
            cors.words.order,
        )


def _paths(cors: Cors, setup: Setup) -> Iterator[Finding]:
    """Find CORS that does not cover the paths of the auth API."""
    if cors.leaves_out is not None:
        yield Finding(
            "error",
            f"{cors.words.middleware} leaves the auth API out",
            f"{cors.words.paths} does not match {cors.leaves_out}, so browsers hide the answers of the auth API from "
            "the pages.",
            f"Let {cors.words.paths} match the paths of the auth API as well.",
        )


def _origins(cors: Cors, setup: Setup) -> Iterator[Finding]:
    """Find an origin of the website that is not allowed."""
    if cors.allows is not None and not cors.allows(setup.website):
        yield Finding(
            "error",
            f"{cors.words.origins} does not name the website, {setup.website}",
            "Origins are compared as text, scheme and port included and without a slash at the end. Browsers hide the "
            "answers from pages of an origin that is not named.",
            f"Add {setup.website!r} to {cors.words.origins}.",
        )


def _any_origin(cors: Cors, setup: Setup) -> Iterator[Finding]:
    """Find CORS that allows every website, with credentials."""
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


def _credentials(cors: Cors, setup: Setup) -> Iterator[Finding]:
    """Find CORS that refuses credentials."""
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


def _headers(cors: Cors, setup: Setup) -> Iterator[Finding]:
    """Find request headers of the browser SDKs that are not allowed."""
    if cors.headers is None:
        return
    refused = [name for name in ("content-type", *get_all_cors_headers()) if not cors.headers(name)]
    if setup.anti_csrf != "VIA_TOKEN":
        refused = [name for name in refused if name != "anti-csrf"]
    if refused:
        always = set(refused) - _OPTIONAL_HEADERS or "anti-csrf" in refused
        yield Finding(
            "error" if always else "warning",
            f"{cors.words.headers} lacks {', '.join(refused)}",
            "Browsers do not send a request with headers that are not allowed, and the browser SDKs send these"
            + ("." if always else " where tokens travel in headers."),
            f"Let {cors.words.headers} be ['content-type', *get_all_cors_headers()], besides headers of your own (from "
            "coatcheck import get_all_cors_headers).",
        )


def _methods(cors: Cors, needed: frozenset[str]) -> Iterator[Finding]:
    """Find methods of the auth API that are not allowed."""
    refused = sorted(needed - cors.methods) if cors.methods is not None else []
    if refused:
        yield Finding(
            "error",
            f"{cors.words.methods} lacks {', '.join(refused)}",
            "The auth API is called with these methods, and the preflight request that browsers send first is refused.",
            f"Add {', '.join(refused)} to {cors.words.methods}, and the methods of your own routes.",
        )


def _exposed(cors: Cors, setup: Setup) -> Iterator[Finding]:
    """Find a list of exposed headers that replaces the one that the tokens need."""
    needed = [FRONT_HEADER]
    needed += [ANTI_CSRF_HEADER] if setup.anti_csrf == "VIA_TOKEN" and setup.in_cookies else []
    needed += [] if setup.in_cookies else [ACCESS_HEADER, REFRESH_HEADER]
    # If CORS is inside, the auth middleware adds the headers of the tokens to its list.
    hidden = [name for name in needed if name not in cors.exposed] if cors.exposed and cors.around else []
    if hidden:
        yield Finding(
            "error",
            f"{cors.words.exposed} hides {', '.join(hidden)}",
            f"{cors.words.middleware} puts its list in the place of the one that comes with the tokens, and the "
            "browser SDKs cannot read a header that is not exposed: they do not notice that there is a session.",
            f"Add front-token, anti-csrf, st-access-token and st-refresh-token to {cors.words.exposed}.",
        )
