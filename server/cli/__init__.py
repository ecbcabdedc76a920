"""The command line: `coatcheck serve`, `coatcheck keys`, `coatcheck explain` and `coatcheck doctor`."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, TypeVar

import click

from ...claims.exceptions import CoatcheckError
from ..doctor import diagnose, report
from . import keys as signing_keys
from .build import DEFAULT_DATABASE, DEFAULT_WEBSITE, build_app, target_of
from .serve import LEVELS, run_server
from .settings import DEFAULT_HOST, DEFAULT_LOG_LEVEL, DEFAULT_PORT, Settings, misspelt, variable

F = TypeVar("F", bound=Callable[..., Any])


def main() -> None:
    """Run the command line and exit with its code; an error is one line on standard error."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code: 0, 1 for a failure, 2 for wrong usage."""
    try:
        code = cli.main(list(arguments), prog_name="coatcheck", standalone_mode=False)
    except click.Abort:
        return 130
    except click.ClickException as error:
        _complain(error.format_message())
        return error.exit_code
    except CoatcheckError as error:
        if logging.getLogger("coatcheck").isEnabledFor(logging.DEBUG):
            traceback.print_exception(error)
        _complain(str(error))
        return 1
    return code if isinstance(code, int) else 0


def _option(name: str, help_text: str, **settings: Any) -> Callable[[F], F]:
    return click.option(
        f"--{name}", envvar=variable(name.replace("-", "_")), show_envvar=True, help=help_text, **settings
    )


_database = _option(
    "database",
    "The database: sqlite:///file.db, or postgresql+psycopg://user@host/name. A URL with a password "
    f"belongs in the environment variable, where other users cannot read it. Default: {DEFAULT_DATABASE}",
    metavar="URL",
)
_recipes = _option(
    "recipes",
    "A list of recipes, a function that returns one, or an App, in a module of the current directory or an installed "
    "one. Default: session, emailpassword and usermetadata, with their default options.",
    metavar="MODULE:ATTRIBUTE",
)


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="coatcheck", message="coatcheck %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Sessions, claims and sign-in recipes, served over HTTP or looked into."""
    for warning in misspelt(os.environ):
        click.echo(f"coatcheck: warning: {warning}", err=True)
    _help_if_alone(context)


@cli.command("serve")
@_option("host", "The address to listen on.", default=DEFAULT_HOST, show_default=True)
@_option(
    "port", "The port; 0 takes any free one.", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True
)
@_option("workers", "How many processes serve.", type=click.IntRange(min=1), default=1, show_default=True)
@_database
@_option(
    "api-domain",
    "The address at which browsers reach this server. Default: http://HOST:PORT, with localhost for addresses that "
    "only this machine reaches.",
    metavar="URL",
)
@_option("website-domain", f"The website that may call the API. Default: {DEFAULT_WEBSITE}", metavar="URL")
@_option("api-base-path", "The path below which the API is served. Default: /auth", metavar="PATH")
@_recipes
@_option(
    "log-level",
    "How much is logged; debug adds the requests and the tracebacks.",
    type=click.Choice(LEVELS, case_sensitive=False),
    default=DEFAULT_LOG_LEVEL,
    show_default=True,
)
@_option(
    "stub-providers",
    "Providers to sign in with that this server plays, for development: google,github and so on. They let anybody sign "
    "in as anybody, so they are served to this machine only.",
    metavar="IDS",
)
@_option(
    "manual-clock",
    "Stop the time until a test moves it with POST API-BASE-PATH/testing/clock; the outbox and the stub providers have "
    "routes beside it. Everything is kept in memory unless --database says otherwise. This is for tests, so it is "
    "served to this machine only.",
    is_flag=True,
)
@_option(
    "allow-unsafe-host",
    "Serve the features for tests, stub providers and the manual clock, on a --host that other machines reach.",
    is_flag=True,
)
def serve_command(**options: Any) -> None:
    """Serve the auth API; works with no option at all."""
    run_server(Settings(**options))


@cli.group("keys", invoke_without_command=True)
@click.pass_context
def keys_group(context: click.Context) -> None:
    """List or rotate the signing keys of a database."""
    _help_if_alone(context)


@keys_group.command("list")
@_database
@_recipes
def list_keys(database: str | None, recipes: str | None) -> None:
    """List all signing keys: key id, kind, when they were made, and what they do now."""
    with closing(build_app(Settings(database=database, recipes=recipes))) as app:
        signing_keys.require_database(app)
        click.echo(signing_keys.table(app.keys.list()))


@keys_group.command("rotate")
@click.option("--revoke", is_flag=True, help="Stop trusting all earlier keys: for when one may have leaked.")
@_database
@_recipes
def rotate_keys(revoke: bool, database: str | None, recipes: str | None) -> None:
    """Publish a new signing key, which takes over once everybody has had time to fetch it."""
    with closing(build_app(Settings(database=database, recipes=recipes))) as app:
        signing_keys.require_database(app)
        signing_keys.require_encryption_key(app)
        click.echo(signing_keys.outcome(app.keys.rotate(revoke=revoke), revoke=revoke))


@cli.command("explain")
@click.argument("operation")
@_recipes
def explain(operation: str, recipes: str | None) -> None:
    """Show the layers over an OPERATION such as session.create_new_session; no database is touched."""
    with closing(build_app(Settings(recipes=recipes), default_database="sqlite://")) as app:
        click.echo(app.explain(operation))


@cli.command("doctor")
@_option(
    "recipes",
    "What `serve --recipes` takes, or the application that a server runs: of Starlette, FastAPI, Flask or Django (its "
    "wsgi or asgi module). Default: what `serve` would serve.",
    metavar="MODULE:ATTRIBUTE",
)
def doctor(recipes: str | None) -> int:
    """Find what does not work, or is not safe, in a configuration, and say how to put it right.

    The environment is read as `serve` reads it. No database is touched and no override is run, but functions in the
    configuration are called: the values of claims are fetched for a user who does not exist. The exit code is 1 if
    there is an error.
    """
    with serve_command.make_context("serve", [], parent=click.get_current_context()) as served:
        target = target_of(replace(Settings(**served.params), recipes=recipes))
    with closing(target.app):
        diagnosis = diagnose(target.app, target.application)
    click.echo(report(diagnosis))
    return 1 if diagnosis.has_errors else 0


def _help_if_alone(context: click.Context) -> None:
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _complain(message: str) -> None:
    click.echo(f"coatcheck: {' '.join(message.split())}", err=True)
