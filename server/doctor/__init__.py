"""`coatcheck doctor`: what in an application's configuration does not work, or is not safe, and how to put it right.

Every check is a small function in a file `doctor_*.py` that yields what it found. Nothing is sent anywhere, and the
App's database is not touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...recipes.app import App
from ...recipes.session.recipe import SessionRecipe
from . import cors as doctor_cors
from . import domain as doctor_domain
from . import safety as doctor_safety
from . import site as doctor_site
from .answers import allows_cookies, website_of
from .application import see
from .finding import LEVELS, Finding, Level, Note, Unchecked
from .setup import Setup, has_site
from .size import header_size, measure, token_size, unmeasured

__all__ = ["Diagnosis", "Finding", "Level", "diagnose", "examine"]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found, the gravest first, and what could not be looked at."""

    findings: tuple[Finding, ...]
    unchecked: tuple[str, ...]

    @property
    def has_errors(self) -> bool:
        """Whether there is an error among the findings."""
        return any(finding.level == "error" for finding in self.findings)


def examine(app: App, application: object | None = None) -> list[Finding]:
    """Return what is wrong with an App, and with the web application that serves it; the gravest first."""
    return list(diagnose(app, application).findings)


def diagnose(app: App, application: object | None = None) -> Diagnosis:
    """Return what is wrong, and what could not be looked at.

    `application` is what a server runs: a Starlette, FastAPI or Flask application, or Django's handler or settings.
    Functions that the configuration names are called: the origin, the transfer method, and the values of claims.
    """
    notes = list(_notes(app, application))
    findings = sorted((note for note in notes if isinstance(note, Finding)), key=lambda note: LEVELS.index(note.level))
    return Diagnosis(tuple(findings), tuple(note.what for note in notes if isinstance(note, Unchecked)))


def _notes(app: App, application: object | None) -> Iterator[Note]:
    website, unknown = website_of(app)
    yield from unknown
    for check in doctor_safety.CHECKS:
        yield from check(app, website)
    if not app.has_recipe("session"):
        return
    in_cookies, unknown = allows_cookies(app, website)
    yield from unknown
    yield from _of_tokens(app, in_cookies=in_cookies)
    if website is None:
        return
    setup = Setup(app.info.api_domain, website, SessionRecipe.of(app).config, in_cookies)
    if has_site(setup.api) and has_site(setup.website):
        yield from _of_cookies(setup)
        yield from _of_cors(app, application, setup)
    elif setup.config.cookie_same_site is None:
        yield from doctor_site.public_suffix("API", setup.api)
        yield from doctor_site.public_suffix("website", setup.website)


def _of_tokens(app: App, *, in_cookies: bool) -> Iterator[Note]:
    measured = measure(app)
    yield from token_size(measured, in_cookies=in_cookies)
    yield from header_size(measured)
    yield from unmeasured(measured, SessionRecipe.of(app))


def _of_cookies(setup: Setup) -> Iterator[Finding]:
    for check in doctor_site.CHECKS:
        yield from check(setup)
    if setup.in_cookies:
        for check in doctor_domain.CHECKS:
            yield from check(setup)


def _of_cors(app: App, application: object | None, setup: Setup) -> Iterator[Note]:
    seen = see(app, application)
    yield from seen.notes
    if seen.cors is not None:
        methods = frozenset(route.method for recipe in app.recipes for route in recipe.routes if recipe.serves(route))
        yield from doctor_cors.check(seen.cors, setup, methods)
    elif seen.middleware is not None:
        yield from doctor_cors.missing(setup, seen.middleware)
