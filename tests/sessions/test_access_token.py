"""Minting and verifying access tokens, when verifying reads anything (docs/protocol.md, section 3), and the cache."""

from __future__ import annotations

import base64
import threading
from collections.abc import Mapping
from typing import Any

import jwt
import pytest

from coatcheck.claims.clock import ManualClock
from coatcheck.sessions.access_token import (
    LONGEST_TOKEN,
    MOST_TOKENS,
    AccessTokens,
    Entry,
    TokenCache,
    VerifiedToken,
    read_unverified,
)
from coatcheck.sessions.database import Database
from coatcheck.sessions.exceptions import TryRefreshTokenError
from coatcheck.sessions.keys import KeyRing
from coatcheck.sessions.signing_key import generate

from ..engine import MakeRing


@pytest.fixture
def tokens(ring: KeyRing, clock: ManualClock) -> AccessTokens:
    """Access tokens of an empty database in memory."""
    return AccessTokens(ring, clock)


@pytest.fixture
def payload(clock: ManualClock) -> dict[str, Any]:
    """Return the payload of a session that lasts an hour."""
    now_s = clock.now_ms() // 1000
    return {
        "iat": now_s,
        "exp": now_s + 3600,
        "sub": "user",
        "tId": "public",
        "rsub": "user",
        "sessionHandle": "handle",
        "refreshTokenHash1": "hash",
        "parentRefreshTokenHash1": None,
        "antiCsrfToken": None,
    }


def test_what_is_minted_verifies(tokens: AccessTokens, payload: dict[str, Any]) -> None:
    """The payload comes back as it was, its members in their order, with the kind of its key."""
    payload |= {"zulu": {"b": [1, None], "a": "ë"}, "alpha": 1.5}
    verified = tokens.verify(tokens.mint(payload, static=False))
    assert verified.payload == payload
    assert list(verified.payload) == list(payload)
    assert verified.kind == "d"


@pytest.mark.parametrize(("static", "kind"), [(False, "d"), (True, "s")])
def test_the_kind_is_that_of_the_key(static: bool, kind: str, tokens: AccessTokens, payload: dict[str, Any]) -> None:
    """Callers compare the kind with their setting; it is the first letter of the key id, in the cache too."""
    token = tokens.mint(payload, static=static)
    assert jwt.get_unverified_header(token)["kid"].startswith(f"{kind}-")
    assert [tokens.verify(token).kind, tokens.verify(token).kind] == [kind, kind]


def test_a_token_seen_again_gives_the_same_payload(tokens: AccessTokens, payload: dict[str, Any]) -> None:
    """The second verification returns what the first found, without decoding anything."""
    token = tokens.mint(payload, static=False)
    assert tokens.verify_in_memory(token) is tokens.verify(token)


def test_verifying_in_memory_leaves_reading_to_the_caller(
    memory: Database, make_ring: MakeRing, tokens: AccessTokens, payload: dict[str, Any], clock: ManualClock
) -> None:
    """None means that the keys must be read first: before the first use, and when they are a minute old."""
    token = tokens.mint(payload, static=False)
    other = AccessTokens(make_ring(memory), clock)
    assert other.verify_in_memory(token) is None
    assert other.verify(token).payload == payload
    assert other.verify_in_memory(token) is not None
    clock.advance(60)
    assert other.verify_in_memory(token) is None
    assert other.verify(token).payload == payload


def test_an_unknown_key_is_looked_for_once(
    memory: Database, make_ring: MakeRing, tokens: AccessTokens, payload: dict[str, Any], clock: ManualClock
) -> None:
    """A token of a key made by another process verifies after one read; a foreign one is then refused in memory."""
    tokens.mint(payload, static=False)
    elsewhere = make_ring(memory)
    elsewhere.rotate(revoke=True)
    token = elsewhere.sign(payload, static=False)
    assert tokens.verify_in_memory(token) is None
    assert tokens.verify(token).payload == payload
    first = base64.urlsafe_b64encode(b'{"alg":"RS256","typ":"JWT","kid":"d-1","version":"5"}').rstrip(b"=").decode()
    foreign = ".".join([first, *token.split(".")[1:]])
    with pytest.raises(TryRefreshTokenError):
        tokens.verify(foreign)
    with pytest.raises(TryRefreshTokenError):
        tokens.verify_in_memory(foreign)


def test_a_token_expires_without_leeway(tokens: AccessTokens, payload: dict[str, Any], clock: ManualClock) -> None:
    """At `exp` the token is refused, a millisecond before it is not, whether it was seen before or not."""
    seen, unseen = tokens.mint(payload, static=False), tokens.mint({**payload, "other": 1}, static=False)
    clock.advance(3599.999)
    tokens.verify(seen)
    clock.advance(0.001)
    for token in (seen, unseen):
        with pytest.raises(TryRefreshTokenError, match="expired"):
            tokens.verify(token)


@pytest.mark.parametrize("name", ["iat", "nbf"])
def test_clocks_may_differ_by_five_seconds(
    name: str, tokens: AccessTokens, payload: dict[str, Any], clock: ManualClock
) -> None:
    """A token from a host whose clock is ahead is accepted up to the leeway, and refused beyond it."""
    now_s = clock.now_ms() // 1000
    tokens.verify(tokens.mint({**payload, name: now_s + 5}, static=False))
    token = tokens.mint({**payload, name: now_s + 6}, static=False)
    with pytest.raises(TryRefreshTokenError, match=name):
        tokens.verify(token)
    clock.advance(1)
    tokens.verify(token)


def test_a_jwt_without_version_is_a_session(ring: KeyRing, tokens: AccessTokens, payload: dict[str, Any]) -> None:
    """A JWT signed with a full copy of a payload and a validity of its own verifies."""
    now_s = payload["iat"]
    token = ring.sign({**payload, "exp": now_s + 1234}, static=True, version=None)
    assert tokens.candidate(token)
    assert tokens.verify(token).payload["exp"] - now_s == 1234


@pytest.mark.parametrize("version", ["4", "3", "2", "6", "", "five", "5.0"])
def test_other_versions_are_refused(version: str, ring: KeyRing, tokens: AccessTokens, payload: dict[str, Any]) -> None:
    """Tokens of other versions are none of ours."""
    token = ring.sign(payload, static=False, version=version)
    assert not tokens.candidate(token)
    with pytest.raises(TryRefreshTokenError):
        tokens.verify(token)


WRONG: list[Mapping[str, Any]] = [
    *({name: None} for name in ("sub", "sessionHandle", "refreshTokenHash1", "rsub", "tId", "iat", "exp")),
    *({name: 1} for name in ("sub", "sessionHandle", "refreshTokenHash1", "rsub", "tId")),
    *({name: "1700000000"} for name in ("iat", "exp")),
    *({name: True} for name in ("iat", "exp")),
    {"exp": [1]},
    {"stt": 1},
    {"stt": 2},
    {"stt": "0"},
    {"stt": None},
]


@pytest.mark.parametrize("change", WRONG, ids=str)
def test_a_payload_of_another_structure_is_refused(
    change: Mapping[str, Any], tokens: AccessTokens, payload: dict[str, Any]
) -> None:
    """What lacks a member of a session, or has it with a wrong type, is no session, though the signature is good."""
    token = tokens.mint({**payload, **change}, static=False)
    assert not tokens.candidate(token)
    with pytest.raises(TryRefreshTokenError, match="members"):
        tokens.verify(token)


@pytest.mark.parametrize("name", ["sub", "sessionHandle", "refreshTokenHash1", "rsub", "tId", "iat", "exp"])
def test_a_missing_member_is_refused(name: str, tokens: AccessTokens, payload: dict[str, Any]) -> None:
    """All seven members are required."""
    del payload[name]
    token = tokens.mint(payload, static=False)
    assert not tokens.candidate(token)
    with pytest.raises(TryRefreshTokenError):
        tokens.verify(token)


@pytest.mark.parametrize("name", ["parentRefreshTokenHash1", "antiCsrfToken"])
@pytest.mark.parametrize("value", [None, "", 1, "absent"])
def test_the_nullable_members_may_be_anything(
    name: str, value: object, tokens: AccessTokens, payload: dict[str, Any]
) -> None:
    """Two members may be missing, null, empty or of another type."""
    payload[name] = value
    if value == "absent":
        del payload[name]
    token = tokens.mint(payload, static=False)
    assert tokens.candidate(token)
    tokens.verify(token)


def test_stt_zero_is_a_session(tokens: AccessTokens, payload: dict[str, Any]) -> None:
    """The token type of a session may be written out."""
    tokens.verify(tokens.mint({**payload, "stt": 0}, static=False))


def test_a_candidate_needs_no_keys(
    memory: Database, make_ring: MakeRing, tokens: AccessTokens, payload: dict[str, Any], clock: ManualClock
) -> None:
    """Whether a token looks like ours is decided by its form: one that has expired does, without a look at the keys."""
    fresh = AccessTokens(make_ring(memory), clock)
    token = tokens.mint({**payload, "exp": 1}, static=False)
    assert memory.write(lambda _: fresh.candidate(token))
    assert fresh.verify_in_memory(token) is None


def test_read_unverified_gives_the_payload(tokens: AccessTokens, payload: dict[str, Any]) -> None:
    """A token verified before is read without its key; anything else is refused."""
    assert read_unverified(tokens.mint(payload, static=False)) == payload
    for token in ("", "a.b", "a.b.c", "....", "é.é.é"):
        with pytest.raises(TryRefreshTokenError):
            read_unverified(token)


def test_a_key_that_was_superseded_still_verifies(
    tokens: AccessTokens, ring: KeyRing, payload: dict[str, Any], clock: ManualClock
) -> None:
    """Rotation does not end sessions: tokens of the former key are good until they expire."""
    token = tokens.mint(payload, static=False)
    ring.rotate()
    clock.advance(1800)
    assert tokens.verify(token).payload == payload


def test_values_json_does_not_have_are_refused_at_mint(tokens: AccessTokens, payload: dict[str, Any]) -> None:
    """NaN and infinities would make a token no client can read."""
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="JSON"):
            tokens.mint({**payload, "x": value}, static=False)


def test_threads_verify_without_a_lock(
    memory: Database, make_ring: MakeRing, ring: KeyRing, payload: dict[str, Any], clock: ManualClock
) -> None:
    """Any number of threads get the payload that belongs to their token."""
    minted = {ring.sign({**payload, "n": number}, static=False): number for number in range(20)}
    tokens, wrong = AccessTokens(make_ring(memory), clock), []

    def work() -> None:
        for token, number in minted.items():
            if tokens.verify(token).payload["n"] != number:
                wrong.append(number)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("parent", [None, "", "a" * 64])
def test_a_verified_token_says_which_session_it_stands_for(
    parent: str | None, tokens: AccessTokens, payload: dict[str, Any]
) -> None:
    """Unless it follows a refresh, which the database has to confirm; what is remembered says the same."""
    token = tokens.mint({**payload, "parentRefreshTokenHash1": parent}, static=False)
    for verified in (tokens.verify(token), tokens.verify(token)):
        if parent:
            assert verified.session is None
        else:
            assert verified.session is not None
            assert (verified.session.handle, verified.session.access_token) == (payload["sessionHandle"], token)
            assert not verified.session.updated


KEY = generate().public_key()


def entry(number: int = 0) -> Entry:
    """Return an entry that can be told from others."""
    return Entry(VerifiedToken({"n": number}, "d", None), number, "d-1", KEY)


def test_a_token_is_remembered_exactly() -> None:
    """Only the very same text finds its entry."""
    cache = TokenCache()
    cache.put("token", entry(1))
    assert cache.get("token") == entry(1)
    assert cache.get("token ") is None
    assert cache.get("Token") is None


def test_the_number_of_tokens_is_bounded() -> None:
    """However many tokens are verified, no more than two thousand are kept."""
    cache = TokenCache()
    for number in range(5 * MOST_TOKENS):
        cache.put(str(number), entry(number))
        assert len(cache) <= MOST_TOKENS
    assert cache.get(str(5 * MOST_TOKENS - 1)) is not None
    assert cache.get("0") is None


def test_a_token_in_use_outlives_those_that_are_not() -> None:
    """A token looked up now and then survives any number of new ones."""
    cache = TokenCache(most_tokens=20)
    cache.put("mine", entry(-1))
    for number in range(1_000):
        cache.put(str(number), entry(number))
        if number % 9 == 0:
            assert cache.get("mine") == entry(-1)


@pytest.mark.parametrize(("length", "kept"), [(LONGEST_TOKEN, True), (LONGEST_TOKEN + 1, False)])
def test_very_long_tokens_are_not_kept(length: int, kept: bool) -> None:
    """Two thousand tokens are sixteen megabytes at most."""
    cache = TokenCache()
    cache.put("x" * length, entry())
    assert (cache.get("x" * length) is not None) is kept


def test_threads_neither_raise_nor_mix_up_tokens() -> None:
    """Without a lock, collisions lose entries at worst."""
    cache, wrong = TokenCache(most_tokens=50), []

    def work(offset: int) -> None:
        for number in range(offset, offset + 4_000):
            cache.put(str(number % 300), entry(number % 300))
            found = cache.get(str(number % 7))
            if found is not None and found != entry(number % 7):
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(cache) <= 50 + len(threads)
