"""Signing in over HTTP and by function: what an answer tells, and what becomes of old hashes."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import threading
import time
from statistics import median
from typing import Any

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from coatcheck import App, InputAppInfo, RecipeUserId
from coatcheck.claims import Clock
from coatcheck.recipes import emailpassword, session
from coatcheck.recipes.emailpassword import rows
from coatcheck.sessions.blocking import hashing

from ...kit import Make, Serve, form

ANN = {"email": "ann@example.com", "password": "correct horse 1"}
WRONG = {"status": "WRONG_CREDENTIALS_ERROR"}


def stored_hash(app: App, recipe_user_id: RecipeUserId) -> str | None:
    """Return the hash in the database."""
    return app.database.read(lambda connection: rows.password_hash(connection, str(recipe_user_id)))


def old_hash(password: str) -> str:
    """Return a scrypt hash that costs little."""
    salt = b"0123456789abcdef"
    digest = Scrypt(salt=salt, length=32, n=2**10, r=8, p=1).derive(password.encode())
    encoded = (base64.b64encode(part).rstrip(b"=").decode() for part in (salt, digest))
    return "$scrypt$ln=10,r=8,p=1$" + "$".join(encoded)


def test_every_wrong_sign_in_has_one_answer(make_app: Make, serve: Serve) -> None:
    """Whatever was wrong about the credentials, status, body and headers are the same (rule 20.11)."""
    client = serve(make_app())
    client.post("/auth/signup", json=form(**ANN))
    for email, password in (
        (ANN["email"], "wrong"),
        ("bob@example.com", ANN["password"]),
        (ANN["email"], " correct horse 1"),
        (ANN["email"], "Correct horse 1"),
        (ANN["email"], "correct horse 1\0"),
        (ANN["email"], "x" * 100_000),
        (ANN["email"], "\ud800"),
        ("x" * 5000 + "@example.com", ANN["password"]),
    ):
        answer = client.post("/auth/signin", content=json.dumps(form(email=email, password=password)))
        assert (answer.status_code, answer.json()) == (200, WRONG)
        assert set(answer.headers) == {"content-length", "content-type", "vary"}


def test_a_wrong_sign_in_leaves_the_present_session_alone(make_app: Make, serve: Serve) -> None:
    """Who is signed in stays so after a slip of the pen."""
    client = serve(make_app())
    client.post("/auth/signup", json=form(**ANN), headers={"st-auth-mode": "cookie"})
    before = dict(client.cookies)
    client.post("/auth/signin", json=form(email=ANN["email"], password="wrong"), headers={"st-auth-mode": "cookie"})
    assert dict(client.cookies) == before


def test_unknown_and_wrong_do_the_same_work(make_app: Make) -> None:
    """Both ways through the chain are the same calls with the same result, and neither tells which it was."""
    app = make_app()
    with app.active():
        emailpassword.sync.sign_up("public", ANN["email"], ANN["password"])
        traces = []
        for email in (ANN["email"], "bob@example.com"):
            with app.trace() as trace:
                assert emailpassword.sync.sign_in("public", email, "wrong") == emailpassword.WrongCredentialsError()
            traces.append([(record.operation, record.layer, repr(record.came_out)) for record in trace.records])
    assert traces[0] == traces[1]


def test_unknown_and_wrong_take_the_same_time_within_noise(make_app: Make) -> None:
    """With real hashes, interleaved, the medians are within a factor of two of each other (rule 22.4)."""
    info = make_app().info
    app = App(
        app_info=InputAppInfo("Real", info.api_domain, website_domain=info.website_domain),
        recipe_list=[session.init(), emailpassword.init()],
        database="sqlite://",
    )
    took: dict[str, list[float]] = {ANN["email"]: [], "bob@example.com": []}
    with app.active():
        emailpassword.sync.sign_up("public", ANN["email"], ANN["password"])
        for _ in range(7):
            for email, times in took.items():
                began = time.thread_time()
                emailpassword.sync.sign_in("public", email, "wrong")
                times.append(time.thread_time() - began)
    app.close()
    wrong, unknown = (median(times) for times in took.values())
    assert wrong > 0.002, "a real hash costs milliseconds"
    assert 0.5 < wrong / unknown < 2


def test_an_old_hash_is_replaced_at_the_first_sign_in(make_app: Make, serve: Serve) -> None:
    """After a sign-in over HTTP the stored hash is one of today's; a wrong password replaces nothing (rule 22.6)."""
    app = make_app()
    client = serve(app)
    with app.active():
        made = emailpassword.sync.import_user("public", ANN["email"], old_hash(ANN["password"]))
        assert client.post("/auth/signin", json=form(email=ANN["email"], password="wrong")).json() == WRONG
        assert stored_hash(app, made.recipe_user_id) == old_hash(ANN["password"])
        assert client.post("/auth/signin", json=form(**ANN)).json()["status"] == "OK"
        first = stored_hash(app, made.recipe_user_id)
        assert first != old_hash(ANN["password"])
        assert client.post("/auth/signin", json=form(**ANN)).json()["status"] == "OK"
        assert stored_hash(app, made.recipe_user_id) == first


def test_an_old_hash_is_replaced_by_one_of_several_sign_ins(make_app: Make) -> None:
    """Two first sign-ins at once both succeed, although only one of them can replace the hash (rule 22.6)."""
    app = make_app(unsafe_for_tests=False, clock=Clock())

    async def both() -> list[Any]:
        imported = await emailpassword.import_user("public", ANN["email"], old_hash(ANN["password"]))
        results = await asyncio.gather(
            *(emailpassword.sign_in("public", ANN["email"], ANN["password"]) for _ in range(3))
        )
        assert (stored_hash(app, imported.recipe_user_id) or "").startswith("$argon2id$")
        return results

    with app.active():
        assert all(isinstance(result, emailpassword.SignInOkResult) for result in asyncio.run(both()))


def test_replacing_a_hash_changes_nothing_else(make_app: Make, serve: Serve) -> None:
    """It is no change of the password: reset links that are out stay good, sessions stay."""
    app = make_app()
    client = serve(app)
    with app.active():
        made = emailpassword.sync.import_user("public", ANN["email"], old_hash(ANN["password"]))
        session.sync.create_new_session_without_request_response("public", made.recipe_user_id)
        token = emailpassword.sync.create_reset_password_token("public", made.user.id, ANN["email"])
        assert isinstance(token, emailpassword.CreateResetPasswordOkResult)
        client.post("/auth/signin", json=form(**ANN))
        assert len(session.sync.get_all_session_handles_for_user(made.user.id)) == 2
        found = emailpassword.sync.consume_password_reset_token("public", token.token)
        assert found == emailpassword.ConsumePasswordResetTokenOkResult(ANN["email"], made.user.id)


def test_a_new_session_at_every_sign_in(make_app: Make, serve: Serve) -> None:
    """Signing in twice makes two sessions, of which ending one leaves the other."""
    app = make_app()
    client = serve(app)
    user_id = client.post("/auth/signup", json=form(**ANN)).json()["user"]["id"]
    client.post("/auth/signin", json=form(**ANN))
    with app.active():
        first, second = session.sync.get_all_session_handles_for_user(user_id)
        assert session.sync.revoke_session(first) is True
        assert session.sync.get_all_session_handles_for_user(user_id) == [second]


def test_attack_the_old_password_while_it_is_being_changed(make_app: Make) -> None:
    """Whoever waits with the old password while the owner sets another is not signed in by it (rule 22.4)."""
    app = make_app(unsafe_for_tests=False, clock=Clock())
    until = threading.Event()

    async def attack() -> Any:
        signed_up = await emailpassword.sign_up("public", ANN["email"], ANN["password"])
        assert isinstance(signed_up, emailpassword.SignUpOkResult)
        bob = await emailpassword.sign_up("public", "bob@example.com", "another 2")
        assert isinstance(bob, emailpassword.SignUpOkResult)
        changed = stored_hash(app, bob.recipe_user_id)
        crowd = [asyncio.create_task(hashing(until.wait)) for _ in range(os.cpu_count() or 1)]
        await asyncio.sleep(0)
        thief = asyncio.create_task(emailpassword.sign_in("public", ANN["email"], ANN["password"]))
        await asyncio.sleep(0)
        user_id = str(signed_up.recipe_user_id)
        assert changed is not None
        assert app.database.write(lambda connection: rows.change_password(connection, user_id, changed))
        until.set()
        await asyncio.gather(*crowd)
        return await thief

    with app.active():
        assert asyncio.run(attack()) == emailpassword.WrongCredentialsError()
