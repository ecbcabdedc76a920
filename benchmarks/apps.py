"""What the groups share: Apps on each kind of database, and the bare operations that everything is compared with."""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from measure import Contender
from sqlalchemy import create_engine, make_url, text

from coatcheck import App, InputAppInfo, RecipeUserId
from coatcheck.claims import Clock
from coatcheck.recipes import emailpassword, session, usermetadata
from coatcheck.recipes.session import InputOverrideConfig

INFO = InputAppInfo(app_name="Benchmark", api_domain="http://localhost:3567", website_domain="http://localhost:3000")
PAYLOAD = {"2fa-completed": {"v": False, "t": Clock().now_ms()}, "role": {"v": "reader", "t": Clock().now_ms()}}
MEMORY = "sqlite://"


@contextlib.contextmanager
def active_app(database: str, override: Callable[..., Any] | None = None) -> Iterator[App]:
    """Make an App and let it be the current one."""
    recipes = [
        session.init(override=InputOverrideConfig(functions=override)),
        emailpassword.init(),
        usermetadata.init(),
    ]
    app = App(app_info=INFO, recipe_list=recipes, database=database)
    try:
        with app.active():
            yield app
    finally:
        app.close()


@contextlib.contextmanager
def databases(postgres: str | None) -> Iterator[dict[str, str]]:
    """Yield URLs of empty databases by name: memory, a file, and a new database on the given server."""
    with tempfile.TemporaryDirectory() as folder, _postgres(postgres) as on_server:
        yield {"memory": MEMORY, "SQLite file": f"sqlite:///{Path(folder) / 'benchmark.db'}", **on_server}


@contextlib.contextmanager
def _postgres(server: str | None) -> Iterator[dict[str, str]]:
    if server is None:
        yield {}
        return
    name = f"coatcheck_benchmark_{secrets.token_hex(4)}"
    admin = create_engine(make_url(server).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        try:
            yield {"PostgreSQL": make_url(server).set(database=name).render_as_string(hide_password=False)}
        finally:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


def new_session(_: object = None) -> session.SessionContainer:
    """Create a session in the current App."""
    return session.sync.create_new_session_without_request_response("public", RecipeUserId("user"), PAYLOAD)


def new_tokens(count: int) -> list[str]:
    """Return access tokens that nobody has seen yet."""
    return [new_session().access_token for _ in range(count)]


def bare_sign(count: int) -> Contender:
    """Return one RSA-2048 signature, as an access token needs it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    message = secrets.token_bytes(700)
    return Contender(lambda _: key.sign(message, padding.PKCS1v15(), SHA256()), count)


def bare_verify(count: int) -> Contender:
    """Return one RSA-2048 verification, as an access token needs it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    message = secrets.token_bytes(700)
    signature, public = key.sign(message, padding.PKCS1v15(), SHA256()), key.public_key()
    return Contender(lambda _: public.verify(signature, message, padding.PKCS1v15(), SHA256()), count)


def jwt_decode(token: str, app: App, count: int) -> Contender:
    """Return PyJWT's own verification of an access token, the public key at hand as an object."""
    kid = jwt.get_unverified_header(token)["kid"]
    key = jwt.PyJWK.from_dict(next(key for key in app.keys.jwks() if key["kid"] == kid)).key
    return Contender(lambda _: jwt.decode(token, key, algorithms=["RS256"]), count)
