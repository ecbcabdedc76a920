"""What the doctor is asked to look at: the App, and the web application where one is named."""

from __future__ import annotations

from dataclasses import dataclass

from ...recipes.app import App
from ..app import create_app
from ..doctor.application import app_of, is_application
from ..doctor.django import settings_in_use
from ..exceptions import RecipesError
from .build import build_app, build_of
from .recipes_file import checked, named
from .settings import Settings


@dataclass(frozen=True, slots=True)
class Target:
    """An App, and the web application that serves it, None where that is not known."""

    app: App
    application: object | None = None


def target_of(settings: Settings) -> Target:
    """Return what the settings name: what `serve` would serve with them, or the web application in `recipes`.

    A CoatcheckError, in one line, if it cannot be had. No connection is opened.
    """
    if settings.recipes is None:
        return _served(build_app(settings))
    found = named(settings.recipes, is_whole=is_application)
    if isinstance(found, App):
        # Who serves an App cannot be told; in a Django project, it is Django.
        return Target(build_of(found, settings), settings_in_use())
    if not is_application(found):
        return _served(build_of(checked(found, settings.recipes), settings))
    app = app_of(found)
    if app is None:
        raise RecipesError(
            f"--recipes {settings.recipes}: no App is to be found in this {type(found).__name__}: call init(...) when "
            "it is made, or hand the App to the middleware"
        )
    return Target(app, found)


def _served(app: App) -> Target:
    return Target(app, create_app(app))
