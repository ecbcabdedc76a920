"""`coatcheck doctor`: what in an application's configuration does not work, or is not safe, and how to put it right.

Every check is a small function in a file `doctor_*.py` that yields what it found. Nothing is sent anywhere, and the
App's database is not touched.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from ...recipes.app import App
from ...recipes.session.recipe import SessionRecipe
from . import cors, safety, site
from .application import see
from .cors import allows_cookies, website_of
from .finding import LEVELS, Finding, Level, Note, Unchecked
from .setup import DOMAIN_CHECKS, Setup, has_site
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
    for check in safety.CHECKS:
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
        yield from site.public_suffix("API", setup.api)
        yield from site.public_suffix("website", setup.website)


def _of_tokens(app: App, *, in_cookies: bool) -> Iterator[Note]:
    measured = measure(app)
    yield from token_size(measured, in_cookies=in_cookies)
    yield from header_size(measured)
    yield from unmeasured(measured, SessionRecipe.of(app))


def _of_cookies(setup: Setup) -> Iterator[Finding]:
    for check in site.CHECKS:
        yield from check(setup)
    if setup.in_cookies:
        for check in DOMAIN_CHECKS:
            yield from check(setup)


def _of_cors(app: App, application: object | None, setup: Setup) -> Iterator[Note]:
    seen = see(app, application)
    yield from seen.notes
    if seen.cors is not None:
        methods = frozenset(route.method for recipe in app.recipes for route in recipe.routes if recipe.serves(route))
        yield from cors.check(seen.cors, setup, methods)
    elif seen.middleware is not None:
        yield from cors.missing(setup, seen.middleware)


_WIDTH = 100
_INDENT = " " * 4


def report(diagnosis: Diagnosis) -> str:
    """Return every finding with why and fix, a count of them, and what was not checked."""
    parts = ["\n".join(_told(finding)) for finding in diagnosis.findings]
    parts.append(_summary(diagnosis))
    parts += ["\n".join(_wrapped(what, "not checked: ", " " * 2) for what in diagnosis.unchecked)]
    return "\n\n".join(part for part in parts if part)


def _told(finding: Finding) -> Iterator[str]:
    yield _wrapped(finding.title, f"{finding.level}: ", _INDENT)
    yield _wrapped(finding.why, _INDENT, _INDENT)
    yield _wrapped(finding.fix, f"{_INDENT}Fix: ", _INDENT)


def _summary(diagnosis: Diagnosis) -> str:
    counts = Counter(finding.level for finding in diagnosis.findings)
    told = [f"{counts[level]} {level}{_plural(level, counts[level])}" for level in LEVELS if counts[level]]
    return ", ".join(told) or "nothing found"


def _plural(level: str, count: int) -> str:
    return "" if count == 1 or level == "advice" else "s"


def _wrapped(text: str, first: str, rest: str) -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
