"""What it costs to sign in with a password, compared with one Argon2id of the same parameters."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any

from apps import MEMORY, active_app
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from measure import Contender, Size, race, ratio, seconds
from table import Row

from coatcheck.recipes import emailpassword
from coatcheck.recipes.emailpassword.passwords import HASH_BYTES, ITERATIONS, LANES, MEMORY_KIB, SALT_BYTES

GROUP = "sign-in"
HASH = "Argon2id"
EMAIL, PASSWORD = "someone@example.com", "correct horse battery 1"


def measured(size: Size) -> Iterable[Row]:
    """Yield the rows of this group."""
    with active_app(MEMORY):
        emailpassword.sync.sign_up("public", EMAIL, PASSWORD)
        contenders = {
            HASH: Contender(_bare_hash, size.slow),
            "sign_in .sync": Contender(_attempt(emailpassword.sync.sign_in), size.slow),
            "sign_in async": Contender(_attempt(emailpassword.sign_in), size.slow, is_async=True),
        }
        laps = race(contenders, rounds=size.rounds)
    for name in contenders:
        if name != HASH:
            yield Row(GROUP, name, seconds(laps, name), ratio(laps, name, HASH), HASH, most=1.15)


def _bare_hash(_: object) -> None:
    salt = secrets.token_bytes(SALT_BYTES)
    argon2 = Argon2id(salt=salt, length=HASH_BYTES, iterations=ITERATIONS, lanes=LANES, memory_cost=MEMORY_KIB)
    argon2.derive(PASSWORD.encode())


def _attempt(function: Any) -> Any:
    return lambda _: function("public", EMAIL, PASSWORD)
