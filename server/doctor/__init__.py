"""`coatcheck doctor`: what in an application's configuration does not work, or is not safe, and how to put it right.

Every check is a small function that yields its findings; they are in `safety`, `size`, `site` and `cors`. The doctor
sends nothing to anybody and does not touch the App's database.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from ...recipes.app import App
from ...recipes.session.recipe import SessionRecipe
from . import cors, safety, site, size
from .application import inspection_of
from .finding import LEVELS, Finding, Level, Note, Unchecked
from .setup import Setup, allows_cookies, has_site, website_of

__all__ = ["Diagnosis", "Finding", "Level", "diagnose", "examine", "report"]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The findings, the most serious first, and what could not be checked."""

    findings: tuple[Finding, ...]
    unchecked: tuple[str, ...]

    @property
    def has_errors(self) -> bool:
        """Whether there is an error among the findings."""
        return any(finding.level == "error" for finding in self.findings)


def examine(app: App, application: object | None = None) -> list[Finding]:
    """Return the findings about an App and the web application that serves it, the most serious first."""
    return list(diagnose(app, application).findings)


def diagnose(app: App, application: object | None = None) -> Diagnosis:
    """Return the findings, and what could not be checked.

    `application` is a Starlette, FastAPI or Flask application, or Django's handler or settings. Functions in the
    configuration are called: the origin, the transfer method, and the values of claims.
    """
    notes = list(_notes(app, application))
    findings = sorted((note for note in notes if isinstance(note, Finding)), key=lambda note: LEVELS.index(note.level))
    return Diagnosis(tuple(findings), tuple(note.what for note in notes if isinstance(note, Unchecked)))


def _notes(app: App, application: object | None) -> Iterator[Note]:
    website, unknown = website_of(app)
    yield from unknown
    yield from safety.check(app, website)
    if not app.has_recipe("session"):
        return
    in_cookies, unknown = allows_cookies(app, website)
    yield from unknown
    yield from size.check(app, in_cookies=in_cookies)
    if website is None:
        return
    setup = Setup(app.info.api_domain, website, SessionRecipe.of(app).config, in_cookies)
    if has_site(setup.api) and has_site(setup.website):
        yield from site.check(setup)
        yield from _cors_notes(app, application, setup)
    elif setup.config.cookie_same_site is None:
        yield from site.public_suffix("API", setup.api)
        yield from site.public_suffix("website", setup.website)


def _cors_notes(app: App, application: object | None, setup: Setup) -> Iterator[Note]:
    found = inspection_of(app, application)
    yield from found.notes
    if found.cors is not None:
        methods = frozenset(route.method for recipe in app.recipes for route in recipe.routes if recipe.serves(route))
        yield from cors.check(found.cors, setup, methods)
    elif found.middleware is not None:
        yield from cors.missing(setup, found.middleware)


# The report


_WIDTH = 100
_INDENT = " " * 4


def report(diagnosis: Diagnosis) -> str:
    """Return a diagnosis as text: every finding with why and fix, a count of them, and what was not checked."""
    parts = ["\n".join(_finding_lines(finding)) for finding in diagnosis.findings]
    parts.append(_summary(diagnosis))
    parts.append("\n".join(_wrapped(what, "not checked: ", " " * 2) for what in diagnosis.unchecked))
    return "\n\n".join(part for part in parts if part)


def _finding_lines(finding: Finding) -> Iterator[str]:
    yield _wrapped(finding.title, f"{finding.level}: ", _INDENT)
    yield _wrapped(finding.why, _INDENT, _INDENT)
    yield _wrapped(finding.fix, f"{_INDENT}Fix: ", _INDENT)


def _summary(diagnosis: Diagnosis) -> str:
    counts = Counter(finding.level for finding in diagnosis.findings)
    plurals = {level: level if level == "advice" or counts[level] == 1 else f"{level}s" for level in LEVELS}
    return ", ".join(f"{counts[level]} {plurals[level]}" for level in LEVELS if counts[level]) or "nothing found"


def _wrapped(text: str, first: str, rest: str) -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
