"""Passwords and reset tokens in the database."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from coatcheck.recipes.emailpassword import rows
from coatcheck.recipes.emailpassword.rows import ConsumedResetToken
from coatcheck.recipes.users.login_methods import EmailChange, add_login_method
from coatcheck.recipes.users.user import AccountInfo
from coatcheck.sessions.database import Database

from ...kit import together

NOW = 1_700_000_000_000
HOUR = 3_600_000

every_database = pytest.mark.parametrize("store", ["memory", "file", "postgres"], indirect=True)


def create(store: Database, user_id: str = "u", *, at: int = NOW) -> str:
    """Make a reset token."""
    return store.write(lambda c: rows.create_reset_token(c, user_id, "a@example.com", now_ms=at))


def consume(store: Database, token: str, *, at: int = NOW) -> ConsumedResetToken | None:
    """Use a reset token."""
    return store.write(lambda c: rows.consume_reset_token(c, token, now_ms=at))


def tokens(store: Database) -> int:
    """Return how many tokens are stored."""
    return len(store.read(lambda c: c.execute(select(rows.reset_tokens)).all()))


@every_database
def test_password_hash_is_stored_and_replaced(store: Database) -> None:
    """A login method has the password hash stored last."""
    store.write(lambda c: rows.add_password(c, "r", "old"))
    assert store.read(lambda c: rows.password_hash(c, "r")) == "old"
    assert store.write(lambda c: rows.change_password(c, "r", "new"))
    assert store.read(lambda c: rows.password_hash(c, "r")) == "new"
    assert store.read(lambda c: rows.password_hash(c, "nobody")) is None
    assert not store.write(lambda c: rows.change_password(c, "nobody", "new"))


@every_database
def test_rehash_never_undoes_a_change(store: Database) -> None:
    """Replacing a hash by a better one of the same password does nothing once the password has changed."""
    store.write(lambda c: rows.add_password(c, "r", "old"))
    assert store.write(lambda c: rows.rehash(c, "r", old="old", new="better"))
    assert not store.write(lambda c: rows.rehash(c, "r", old="old", new="stale"))
    assert store.read(lambda c: rows.password_hash(c, "r")) == "better"


@every_database
def test_token_is_good_once(store: Database) -> None:
    """A token says whom it was made for, once."""
    token = create(store)
    assert consume(store, token) == ConsumedResetToken("u", "a@example.com")
    assert consume(store, token) is None


def test_token_is_long_and_only_its_hash_is_stored(store: Database) -> None:
    """A token has at least 64 random bytes in url-safe text, and the database does not hold it."""
    token = create(store)
    assert len(token) >= 86
    assert token.replace("-", "").replace("_", "").isalnum()
    assert token not in str(store.read(lambda c: c.execute(select(rows.reset_tokens)).all()))
    assert token != create(store)


@every_database
@pytest.mark.parametrize("token", ["", "x", "\0", "\ud800", "é" * 5000])
def test_garbage_tokens(store: Database, token: str) -> None:
    """A text that is no token is answered like an unknown one."""
    create(store)
    assert consume(store, token) is None


@every_database
def test_using_one_token_uses_up_all(store: Database) -> None:
    """Several tokens of a user can be outstanding; the use of one ends them all, and nobody else's."""
    first, second, other = create(store), create(store), create(store, "other")
    assert consume(store, second) is not None
    assert consume(store, first) is None
    assert consume(store, other) == ConsumedResetToken("other", "a@example.com")


@every_database
def test_expired_token(store: Database) -> None:
    """A token is void an hour after it was made, removed when it is tried, and does not take younger ones with it."""
    old, young = create(store), create(store, at=NOW + 1000)
    assert consume(store, old, at=NOW + HOUR) is None
    assert tokens(store) == 1
    assert consume(store, young, at=NOW + 1000 + HOUR - 1) is not None


@every_database
def test_changes_make_tokens_void(store: Database) -> None:
    """A change of password or of address ends the outstanding tokens of that login method."""
    account = AccountInfo(email="a@example.com")
    added = store.write(
        lambda c: add_login_method(c, "public", recipe_id="emailpassword", account=account, time_joined=1)
    )
    assert added is not None
    mine = str(added.recipe_user_id)
    store.write(lambda c: rows.add_password(c, mine, "old"))
    token, other = create(store, mine), create(store, "other")
    store.write(lambda c: rows.change_password(c, mine, "new"))
    assert consume(store, token) is None
    token = create(store, mine)
    assert store.write(lambda c: rows.change(c, mine, "b@example.com", None)) is EmailChange.DONE
    assert consume(store, token) is None
    token = create(store, mine)
    assert store.write(lambda c: rows.change(c, "nobody", "c@example.com", None)) is EmailChange.UNKNOWN_USER
    assert consume(store, token) is not None
    assert consume(store, other) is not None


@every_database
def test_of_two_simultaneous_uses_one_wins(store: Database) -> None:
    """When one token is used several times at once, exactly one use succeeds."""
    for _ in range(8):
        token = create(store)
        used = together(*[lambda token=token: consume(store, token)] * 4)
        assert [one for one in used if one is not None] == [ConsumedResetToken("u", "a@example.com")]


@every_database
def test_of_two_tokens_used_at_once_one_wins(store: Database) -> None:
    """When two tokens of one user are used at once, exactly one use succeeds."""
    for _ in range(8):
        both = [create(store), create(store)]
        used = together(*(lambda token=token: consume(store, token) for token in both))
        assert len([one for one in used if one is not None]) == 1


@every_database
def test_forgetting(store: Database) -> None:
    """Of ids that name nobody any more, nothing is kept."""
    for recipe_user_id in ("r", "other"):
        store.write(lambda c, r=recipe_user_id: rows.add_password(c, r, "hash"))  # type: ignore[misc]
    token, other = create(store, "r"), create(store, "other")
    store.write(lambda c: rows.forget(c, ["r"]))
    assert store.read(lambda c: rows.password_hash(c, "r")) is None
    assert store.read(lambda c: rows.password_hash(c, "other")) == "hash"
    assert (consume(store, token), consume(store, other) is not None) == (None, True)


@every_database
def test_clean_up_is_bounded(store: Database) -> None:
    """Clean-up deletes expired tokens, the oldest first and no more than told, and counts them."""
    for n in range(5):
        create(store, at=NOW + n)
    assert store.write(lambda c: rows.clean_up(c, now_ms=NOW + HOUR + 2, limit=2)) == 2
    assert store.write(lambda c: rows.clean_up(c, now_ms=NOW + HOUR + 2, limit=2)) == 1
    assert store.write(lambda c: rows.clean_up(c, now_ms=NOW + HOUR + 2)) == 0
    assert tokens(store) == 2
