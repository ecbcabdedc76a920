"""Attacks on access tokens, one test each, named after the attack."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, strategies as st
from sqlalchemy import update

from coatcheck.claims.clock import ManualClock
from coatcheck.sessions import access_token, key_store
from coatcheck.sessions.access_token import AccessTokens, read_unverified
from coatcheck.sessions.database import Database
from coatcheck.sessions.exceptions import TryRefreshTokenError
from coatcheck.sessions.key_store import Cipher
from coatcheck.sessions.keys import KeyRing
from coatcheck.sessions.signing_key import KeySource, generate, jwk, public_pem

from ..engine import MakeRing

NOW_S = 1_700_000_000
PAYLOAD: dict[str, Any] = {
    "iat": NOW_S, "exp": NOW_S + 3600, "sub": "user", "tId": "public", "rsub": "user", "sessionHandle": "handle",
    "refreshTokenHash1": "hash", "parentRefreshTokenHash1": None, "antiCsrfToken": None,
}  # fmt: skip


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands at the moment of the reference payload."""
    return ManualClock(NOW_S * 1000)


@pytest.fixture
def tokens(ring: KeyRing, clock: ManualClock) -> AccessTokens:
    """Return the verifier under attack; it has a key."""
    tokens = AccessTokens(ring, clock)
    tokens.mint(PAYLOAD, static=False)
    return tokens


@pytest.fixture
def kid(tokens: AccessTokens, ring: KeyRing) -> str:
    """Return the id of its key, which anybody can read."""
    return ring.list()[0].kid


def encoded(data: bytes) -> str:
    """Return data as a segment."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def segment(content: object) -> str:
    """Return content as a segment of JSON."""
    return encoded(json.dumps(content).encode())


def header(kid: str, **changes: Any) -> dict[str, Any]:
    """Return the header of a good token with changes."""
    return {"alg": "RS256", "typ": "JWT", "kid": kid, "version": "5", **changes}


def signed(content: dict[str, Any], key: RSAPrivateKey, headers: dict[str, Any]) -> str:
    """Return a token an attacker signed with a key of their own."""
    return jwt.encode(content, key, algorithm="RS256", headers=headers)


def refused(tokens: AccessTokens, token: str) -> bool:
    """Tell whether neither way of verifying accepts the token."""
    for verify in (tokens.verify_in_memory, tokens.verify):
        try:
            if verify(token) is not None:
                return False
        except TryRefreshTokenError:
            continue
    return True


def test_the_reference_token_is_good(tokens: AccessTokens) -> None:
    """The tokens below are refused for the attack and for nothing else: this one is accepted."""
    assert not refused(tokens, tokens.mint(PAYLOAD, static=False))


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", None])
def test_alg_none(alg: str | None, tokens: AccessTokens, kid: str) -> None:
    """A token that says it needs no signature is refused, with and without one."""
    unsigned = f"{segment(header(kid, alg=alg))}.{segment(PAYLOAD)}."
    good = tokens.mint(PAYLOAD, static=False).split(".")[2]
    assert refused(tokens, unsigned)
    assert refused(tokens, unsigned + good)
    assert not tokens.candidate(unsigned + good)


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
@pytest.mark.parametrize("alg", ["HS256", "RS256"])
def test_hs256_signed_with_the_public_key(
    encoding: Encoding, alg: str, tokens: AccessTokens, ring: KeyRing, kid: str, clock: ManualClock
) -> None:
    """The public key is no shared secret, whatever the header claims."""
    public = (ring.trusted(clock.now_ms()) or {})[kid]
    secret = public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
    start = f"{segment(header(kid, alg=alg))}.{segment(PAYLOAD)}"
    assert refused(tokens, f"{start}.{encoded(hmac.digest(secret, start.encode(), hashlib.sha256))}")


@pytest.mark.parametrize("alg", ["RS512", "PS256", "RS384"])
def test_another_rsa_algorithm(alg: str, tokens: AccessTokens, kid: str, make_key: Callable[[], RSAPrivateKey]) -> None:
    """RS256 is the only algorithm, even for the right key."""
    own = make_key()
    token = jwt.encode(PAYLOAD, own, algorithm=alg, headers={"kid": kid, "version": "5"})
    assert refused(tokens, token)
    assert not tokens.candidate(token)


def test_another_algorithm_by_the_right_key(
    memory: Database, make_ring: MakeRing, clock: ManualClock, make_key: Callable[[], RSAPrivateKey]
) -> None:
    """A PS256 signature of our own key is no access token."""
    own = make_key()
    ring = make_ring(memory, source=KeySource(lambda: own))
    tokens = AccessTokens(ring, clock)
    kid = jwt.get_unverified_header(tokens.mint(PAYLOAD, static=False))["kid"]
    assert refused(tokens, jwt.encode(PAYLOAD, own, algorithm="PS256", headers={"kid": kid, "version": "5"}))
    assert not refused(tokens, jwt.encode(PAYLOAD, own, algorithm="RS256", headers={"kid": kid, "version": "5"}))


def test_a_foreign_kid(tokens: AccessTokens) -> None:
    """A token of a key we do not have is refused."""
    assert refused(tokens, signed(PAYLOAD, generate(), header("d-1")))


def test_a_foreign_key_under_our_kid(tokens: AccessTokens, kid: str) -> None:
    """A kid alone proves nothing."""
    assert refused(tokens, signed(PAYLOAD, generate(), header(kid)))


@pytest.mark.parametrize("wrong", [None, 1, "", ["d-1"], {"a": 1}, "../../dev/null", "' OR 1=1 --", "d-1\x00"])
def test_a_kid_that_is_no_kid(wrong: object, tokens: AccessTokens) -> None:
    """The key id is looked up among ours and never goes anywhere else."""
    assert refused(tokens, f"{segment(header('d-1') | {'kid': wrong})}.{segment(PAYLOAD)}.{'A' * 342}")


@pytest.mark.parametrize("name", ["jku", "jwk", "x5u", "x5c"])
@pytest.mark.parametrize("known", [True, False])
def test_a_key_brought_along(name: str, known: bool, tokens: AccessTokens, kid: str) -> None:
    """A key or the address of one in the header is never used."""
    own = generate()
    value = {"jwk": jwk("mine", own.public_key()), "x5c": ["MII"]}.get(name, "https://attacker.example/keys")
    assert refused(tokens, signed(PAYLOAD, own, header(kid if known else "mine", **{name: value})))


def test_a_critical_header(
    memory: Database, make_ring: MakeRing, clock: ManualClock, make_key: Callable[[], RSAPrivateKey]
) -> None:
    """A header that demands an extension is refused, even signed by our own key (RFC 7515, section 4.1.11)."""
    own = make_key()
    tokens = AccessTokens(make_ring(memory, source=KeySource(lambda: own)), clock)
    kid = jwt.get_unverified_header(tokens.mint(PAYLOAD, static=False))["kid"]
    critical = signed(PAYLOAD, own, header(kid, crit=["b64"], b64=True))
    assert refused(tokens, critical)
    assert not tokens.candidate(critical)
    assert refused(tokens, signed(PAYLOAD, own, header(kid, typ="at+jwt")))


def test_a_stripped_signature(tokens: AccessTokens) -> None:
    """Without signature, with an empty one or with a part of it, a token is refused, after a cache hit too."""
    token = tokens.mint(PAYLOAD, static=False)
    tokens.verify(token)
    start, signature = token.rsplit(".", 1)
    for stripped in (start, f"{start}.", f"{start}.{signature[:-4]}", f"{start}.{'A' * len(signature)}"):
        assert refused(tokens, stripped)


def test_a_swapped_payload(tokens: AccessTokens) -> None:
    """Another payload under a good signature is refused, after a cache hit too."""
    token = tokens.mint(PAYLOAD, static=False)
    tokens.verify(token)
    first, _, third = token.split(".")
    assert refused(tokens, f"{first}.{segment({**PAYLOAD, 'sub': 'admin'})}.{third}")


def test_a_swapped_header(tokens: AccessTokens, ring: KeyRing) -> None:
    """The header is signed as well: one that was seen before does not lend its key to another token."""
    dynamic, static = tokens.mint(PAYLOAD, static=False), tokens.mint(PAYLOAD, static=True)
    assert tokens.verify(dynamic).payload == tokens.verify(static).payload
    assert refused(tokens, ".".join([dynamic.split(".")[0], *static.split(".")[1:]]))


def test_another_spelling_of_the_same_token(tokens: AccessTokens) -> None:
    """Padding, blanks, line ends, other alphabets and spare bits make no second form of a token."""
    token = tokens.mint(PAYLOAD, static=False)
    last = {"A": "B", "Q": "R", "g": "h", "w": "x"}[token[-1]]
    for other in (token + "=", token + "==", f" {token}", f"{token}\n", token[:-1] + last, token.replace(".", "=.", 1)):
        assert refused(tokens, other)
    assert refused(tokens, token.replace(".", ".\u200b", 1))


def test_an_expired_token(tokens: AccessTokens, clock: ManualClock) -> None:
    """After its expiry a token is refused, though it was good and cached before."""
    token = tokens.mint(PAYLOAD, static=False)
    assert not refused(tokens, token)
    clock.advance(3600)
    assert refused(tokens, token)


def test_a_token_from_the_future(tokens: AccessTokens) -> None:
    """A token minted later than now, by more than clocks differ, is refused."""
    assert refused(tokens, tokens.mint({**PAYLOAD, "iat": NOW_S + 60}, static=False))


def test_an_expiry_beyond_all_numbers(ring: KeyRing, tokens: AccessTokens, kid: str) -> None:
    """Infinity, a float that overflows and a number of a thousand digits do not make a session eternal or crash."""
    for number in ("Infinity", "NaN", "1e999", "-1e999", "9" * 5000):
        body = json.dumps(PAYLOAD).replace(str(PAYLOAD["exp"]), number)
        token = f"{segment(header(kid))}.{encoded(body.encode())}.{'A' * 342}"
        assert not tokens.candidate(token)
        assert refused(tokens, token)
    scalars: list[object] = [[], "x", 1, None]
    for token in (f"{segment(header(kid))}.{segment(content)}.{'A' * 342}" for content in scalars):
        assert not tokens.candidate(token)
    assert not refused(tokens, tokens.mint({**PAYLOAD, "exp": 10**400}, static=False))


@pytest.mark.parametrize("stt", [1, 2])
def test_an_oauth_token(stt: int, tokens: AccessTokens) -> None:
    """OAuth2 and id tokens, signed with the same keys, are no sessions."""
    assert refused(tokens, tokens.mint({**PAYLOAD, "stt": stt}, static=False))


@pytest.fixture
def other_app(make_ring: MakeRing, clock: ManualClock) -> Iterator[AccessTokens]:
    """Another app in the same process, with a database of its own."""
    with closing(Database("sqlite://", clock=clock)) as database:
        yield AccessTokens(make_ring(database), clock)


def test_the_token_of_another_app(tokens: AccessTokens, other_app: AccessTokens) -> None:
    """A token of another app is refused, before and after that app has it in its cache, though the kids are equal."""
    token = other_app.mint(PAYLOAD, static=False)
    assert refused(tokens, token)
    assert not refused(other_app, token)
    assert refused(tokens, token)
    own = tokens.mint(PAYLOAD, static=False)
    assert jwt.get_unverified_header(own)["kid"] == jwt.get_unverified_header(token)["kid"]
    assert not refused(tokens, own)
    assert refused(other_app, own)


@pytest.mark.parametrize("static", [False, True])
def test_a_token_of_a_revoked_key(static: bool, tokens: AccessTokens, ring: KeyRing) -> None:
    """After `rotate(revoke=True)` the tokens of all earlier keys are refused, cached or not."""
    cached, unseen = tokens.mint(PAYLOAD, static=static), tokens.mint({**PAYLOAD, "x": 1}, static=static)
    assert not refused(tokens, cached)
    ring.rotate(revoke=True)
    assert refused(tokens, cached)
    assert refused(tokens, unseen)
    assert not refused(tokens, tokens.mint(PAYLOAD, static=static))


def test_a_token_of_a_key_revoked_elsewhere(
    tokens: AccessTokens, memory: Database, make_ring: MakeRing, clock: ManualClock
) -> None:
    """A revocation by another process reaches the cache within a minute."""
    token = tokens.mint(PAYLOAD, static=False)
    assert not refused(tokens, token)
    make_ring(memory).rotate(revoke=True)
    clock.advance(60)
    assert refused(tokens, token)


def test_a_cached_token_of_a_key_that_was_exchanged(tokens: AccessTokens, memory: Database, clock: ManualClock) -> None:
    """A cached token counts only while its kid stands for the very key that verified it."""
    token = tokens.mint(PAYLOAD, static=False)
    assert not refused(tokens, token)
    exchanged = update(key_store.signing_keys).values(public_key=public_pem(generate()))
    memory.write(lambda connection: connection.execute(exchanged))
    clock.advance(60)
    assert refused(tokens, token)


def test_duplicate_json_keys(tokens: AccessTokens, kid: str) -> None:
    """A name given twice, on which readers could disagree, is refused in header and payload."""
    good = tokens.mint(PAYLOAD, static=False)
    body = json.dumps(PAYLOAD)[:-1] + ', "sub": "admin"}'
    head = json.dumps(header(kid))[:-1] + ', "kid": "d-1"}'
    for token in (
        f"{segment(header(kid))}.{encoded(body.encode())}.{good.split('.')[2]}",
        f"{encoded(head.encode())}.{segment(PAYLOAD)}.{good.split('.')[2]}",
    ):
        assert not tokens.candidate(token)
        assert refused(tokens, token)


def test_a_huge_token(tokens: AccessTokens, kid: str) -> None:
    """A megabyte is refused like anything else, and a large session of ours verifies without being cached."""
    for token in ("a" * 1_000_000, ".".join(["A" * 400_000] * 3), "." * 1_000_000):
        assert not tokens.candidate(token)
        assert refused(tokens, token)
    huge = f"{segment(header(kid))}.{segment({**PAYLOAD, 'x': 'y' * 1_000_000})}.{'A' * 342}"
    assert refused(tokens, huge)
    assert not refused(tokens, tokens.mint({**PAYLOAD, "x": "y" * 20_000}, static=False))


@pytest.mark.parametrize(
    "token", ["ä.ö.ü", "é" * 50, "\ud800.\ud800.\ud800", "a.b\x00.c", "٣.٣.٣", "", ".", "..", "a.b"]
)
def test_what_is_not_ascii(token: str, tokens: AccessTokens) -> None:
    """Text that cannot be a JWT is refused without reaching a decoder."""
    assert not tokens.candidate(token)
    assert refused(tokens, token)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_deeply_nested_json(opening: str, tokens: AccessTokens, kid: str) -> None:
    """Nesting that exhausts the parser is refused, in header and payload."""
    deep = encoded((opening * 100_000).encode())
    for token in (f"{deep}.{segment(PAYLOAD)}.{'A' * 342}", f"{segment(header(kid))}.{deep}.{'A' * 342}"):
        assert not tokens.candidate(token)
        assert refused(tokens, token)


def test_headers_that_were_refused_are_not_remembered(tokens: AccessTokens, kid: str) -> None:
    """An attacker cannot fill the memory of known headers: a forged one costs the same check each time."""
    forged = [f"{segment(header(kid, n=n))}.{segment(PAYLOAD)}.{'A' * 342}" for n in range(300)]
    assert all(refused(tokens, token) for token in forged)
    assert tokens._kids == {}


def test_the_memory_of_headers_is_bounded(tokens: AccessTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even good headers do not pile up: when there are too many, they are learnt anew."""
    monkeypatch.setattr(access_token, "_MOST_HEADERS", 1)
    minted = [tokens.mint({**PAYLOAD, "n": n}, static=n % 2 == 0) for n in range(4)]
    for token in minted:
        assert not refused(tokens, token)
        assert len(tokens._kids) == 1


@pytest.mark.parametrize("token", [None, 1, b"a.b.c", ["a"], {}])
def test_what_is_not_text_is_no_candidate(token: Any, tokens: AccessTokens) -> None:
    """Looking at a token never raises, whatever it is."""
    assert tokens.candidate(token) is False


@cache
def shared_tokens() -> AccessTokens:
    """Return one verifier for all examples."""
    clock = ManualClock(NOW_S * 1000)
    ring = KeyRing(
        Database("sqlite://", clock=clock), clock,
        access_token_validity_ms=3_600_000, rotation_ms=604_800_000, cipher=Cipher(None),
    )  # fmt: skip
    return AccessTokens(ring, clock)


@cache
def good_token() -> str:
    """Return a good token of it."""
    return shared_tokens().mint(PAYLOAD, static=False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.sampled_from(["alg", "typ", "kid", "version", "crit", "b64", *PAYLOAD, "stt", "nbf"])
OBJECTS = st.dictionaries(MEMBERS, JSON, max_size=12)
SEGMENTS = st.one_of(
    st.text(max_size=40),
    st.binary(max_size=40).map(encoded),
    OBJECTS.map(lambda changes: segment({**header("d-1700000000000"), **changes})),
    OBJECTS.map(lambda changes: segment({**PAYLOAD, **changes})),
    st.integers(0, 2).map(lambda index: good_token().split(".")[index]),
)


@given(st.lists(SEGMENTS, max_size=4).map(".".join) | st.text())
def test_fuzzed_tokens(token: str) -> None:
    """Whatever is sent, the answer is yes, no or TryRefreshTokenError; and yes only for the token we minted."""
    tokens = shared_tokens()
    assert tokens.candidate(token) in (True, False)
    assert refused(tokens, token) or token == good_token()
    try:
        read_unverified(token)
    except TryRefreshTokenError:
        assert not tokens.candidate(token)


@given(st.data())
def test_fuzzed_changes_of_a_good_token(data: st.DataObject) -> None:
    """A good token with any one character replaced is refused."""
    token = good_token()
    at = data.draw(st.integers(0, len(token) - 1))
    changed = token[:at] + data.draw(st.characters()) + token[at + 1 :]
    assert (changed == token) != refused(shared_tokens(), changed)


@given(OBJECTS)
def test_fuzzed_payloads_with_a_good_signature(changes: dict[str, Any]) -> None:
    """A payload signed by us is accepted only if it looks like one of ours; nothing else is ever raised."""
    tokens = shared_tokens()
    try:
        token = tokens.mint({**PAYLOAD, **changes}, static=False)
    except ValueError:
        return
    if not tokens.candidate(token):
        assert refused(tokens, token)
