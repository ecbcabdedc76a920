"""Verifying id tokens: keys, algorithms, claims and times, with tokens made here."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from coatcheck.claims import ManualClock
from coatcheck.claims.clock import current_clock
from coatcheck.recipes.exceptions import ProviderError
from coatcheck.recipes.thirdparty.config import ProviderConfigForClient
from coatcheck.recipes.thirdparty.http import COOLDOWN_MS, KEYS_LIFETIME_MS, ProviderDocuments, ProviderHTTP
from coatcheck.recipes.thirdparty.oauth import LEEWAY_S, check_nonce, nonce_of, verified_payload

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ISSUER = "https://op.example"


def public(key: Any, **members: Any) -> dict[str, Any]:
    """Return the public half as a member of a key set."""
    algorithm: Any = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {**json.loads(algorithm.to_jwk(key.public_key())), "use": "sig", **members}


class Keys(httpx2.BaseTransport):
    """A provider that publishes a key set, and counts how often it is asked for it."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.document: Any = {"keys": list(keys)}
        self.asked = 0

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer with the key set."""
        self.asked += 1
        return httpx2.Response(200, json=self.document)


class Verifier:
    """A client of that provider."""

    def __init__(self, transport: Keys) -> None:
        self.transport = transport
        self.documents = ProviderDocuments(ProviderHTTP("op", transport, allow_http=False))
        self.config = ProviderConfigForClient("op", "Op", "client", jwks_uri=f"{ISSUER}/jwks", issuer=ISSUER)

    def __call__(self, token: str, **options: Any) -> dict[str, Any]:
        return verified_payload(self.documents, self.config, token, **options)

    def refuses(self, token: str, reason: str) -> None:
        """Assert that a token is refused for a reason."""
        with pytest.raises(ProviderError, match=reason):
            self(token)


@pytest.fixture(autouse=True)
def clock() -> Iterator[ManualClock]:
    """Make a clock that stands still the current one."""
    manual = ManualClock()
    token = current_clock.set(manual)
    yield manual
    current_clock.reset(token)


@pytest.fixture
def verify() -> Verifier:
    """Return a client of a provider with two keys."""
    return Verifier(Keys(public(RSA, kid="r", alg="RS256"), public(EC, kid="e", alg="ES256")))


def claims(**changes: Any) -> dict[str, Any]:
    """Return good claims, changed; None takes one away."""
    now = current_clock.get().now_ms() // 1000
    good = {"iss": ISSUER, "aud": "client", "sub": "1", "iat": now, "exp": now + 60}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def signed(payload: dict[str, Any], *, key: Any = RSA, alg: str = "RS256", **header: Any) -> str:
    """Return a token."""
    return jwt.encode(payload, key, algorithm=alg, headers={"kid": "r", **header})


@pytest.mark.parametrize(("key", "alg", "kid"), [(RSA, "RS256", "r"), (EC, "ES256", "e")])
def test_good_tokens(verify: Verifier, key: Any, alg: str, kid: str) -> None:
    """RS256 and ES256 are what providers sign with (rule 27.9)."""
    assert verify(signed(claims(), key=key, alg=alg, kid=kid))["sub"] == "1"


def test_a_token_without_a_key_id(verify: Verifier) -> None:
    """Without a key id every key is tried."""
    assert verify(jwt.encode(claims(), EC, algorithm="ES256"))["sub"] == "1"


def test_alg_none(verify: Verifier) -> None:
    """A token without a signature is none."""
    verify.refuses(jwt.encode(claims(), "", algorithm="none", headers={"kid": "r"}), "algorithm")


def test_hmac_with_the_public_key(verify: Verifier) -> None:
    """The public key is not a shared secret."""

    def part(value: Any) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    body = part({"alg": "HS256", "kid": "r"}) + b"." + part(claims())
    verify.refuses(f"{body.decode()}.{part('signature').decode()}", "algorithm")


def test_algorithm_of_another_kind_of_key(verify: Verifier) -> None:
    """The algorithm of the header has to be the key's."""
    verify.refuses(signed(claims(), key=EC, alg="ES256", kid="r"), "signature")
    verify.refuses(signed(claims(), kid="e"), "signature")


def test_key_meant_for_another_algorithm() -> None:
    """A key that says what it signs with is used for nothing else."""
    verify = Verifier(Keys(public(RSA, kid="r", alg="PS256")))
    verify.refuses(signed(claims()), "signature")


def test_key_meant_for_encryption() -> None:
    """A key for encryption verifies nothing."""
    verify = Verifier(Keys(public(RSA, kid="r", use="enc")))
    verify.refuses(signed(claims()), "signature")


def test_short_rsa_key() -> None:
    """An RSA key of less than 2048 bits verifies nothing."""
    weak = rsa.generate_private_key(65537, 1024)
    verify = Verifier(Keys(public(weak, kid="r")))
    with pytest.warns(UserWarning, match="below the minimum"):
        token = signed(claims(), key=weak)
    verify.refuses(token, "signature")


def test_key_of_somebody_else(verify: Verifier) -> None:
    """A key set or key in the header is not looked at."""
    mallory = rsa.generate_private_key(65537, 2048)
    verify.refuses(signed(claims(), key=mallory, jwk=public(mallory), jku="https://evil.example"), "signature")
    assert verify.transport.asked == 1


def test_critical_extension(verify: Verifier) -> None:
    """A token that demands an extension is refused (RFC 7515, section 4.1.11)."""
    verify.refuses(signed(claims(), crit=["exp"]), "refused")


@pytest.mark.parametrize("token", ["", "a.b.c", "x" * 70_000, "\u2603.a.b", "e30.e30."])
def test_no_token_at_all(verify: Verifier, token: str) -> None:
    """What is no token is refused without asking for keys."""
    verify.refuses(token, "refused")
    assert verify.transport.asked == 0


def test_payload_that_is_no_object(verify: Verifier) -> None:
    """A signed payload has to be an object."""
    token = jwt.PyJWS().encode(b"[]", RSA, algorithm="RS256", headers={"kid": "r"})
    verify.refuses(token, "refused")


@pytest.mark.parametrize("document", [[], {}, {"keys": 5}, {"keys": [5, {"kid": "r"}, {"kid": "r", "kty": "RSA"}]}])
def test_odd_key_sets(document: Any) -> None:
    """A key set that is none, and keys that are none, verify nothing."""
    transport = Keys()
    transport.document = document
    with pytest.raises(ProviderError):
        Verifier(transport)(signed(claims()))


# Claims


@pytest.mark.parametrize("iss", ["https://evil.example", "https://op.example/", "", None, 5, [ISSUER]])
def test_another_issuer(verify: Verifier, iss: Any) -> None:
    """The issuer is compared exactly."""
    token = jwt.PyJWS().encode(json.dumps(claims(iss=iss)).encode(), RSA, algorithm="RS256", headers={"kid": "r"})
    verify.refuses(token, "another issuer")


def test_an_issuer_with_two_names(verify: Verifier) -> None:
    """A provider may have a second name for itself."""
    assert verify(signed(claims(iss="op.example")), other_issuers=("op.example",))["sub"] == "1"


def test_an_unknown_issuer_is_not_compared(verify: Verifier) -> None:
    """Where neither configuration nor discovery names the issuer, there is nothing to compare with."""
    verify.config.issuer = None
    assert verify(signed(claims(iss="https://whoever.example")))["sub"] == "1"


@pytest.mark.parametrize("aud", ["other", None, [], ["other"], {"client": 1}, "clien", "client2"])
def test_another_audience(verify: Verifier, aud: Any) -> None:
    """The client has to be the audience, or among the audiences."""
    verify.refuses(signed(claims(aud=aud)), "another client")


def test_several_audiences(verify: Verifier) -> None:
    """Among several audiences, the client has to be the party that the token was issued to."""
    assert verify(signed(claims(aud=["client"])))["sub"] == "1"
    assert verify(signed(claims(aud=["client", "other"], azp="client")))["sub"] == "1"
    verify.refuses(signed(claims(aud=["client", "other"])), "several clients")
    verify.refuses(signed(claims(aud=["client", "other"], azp="other")), "several clients")


def test_times(verify: Verifier, clock: ManualClock) -> None:
    """A token lives until its `exp` by the App's clock, and may be from a clock that is a little ahead."""
    token = signed(claims(iat=clock.now_ms() // 1000 + LEEWAY_S))
    assert verify(token)["sub"] == "1"
    verify.refuses(signed(claims(iat=clock.now_ms() // 1000 + LEEWAY_S + 1)), "not valid yet .iat")
    verify.refuses(signed(claims(nbf=clock.now_ms() // 1000 + LEEWAY_S + 1)), "not valid yet .nbf")
    clock.advance(59)
    assert verify(token)["sub"] == "1"
    clock.advance(1)
    verify.refuses(token, "expired")


@pytest.mark.parametrize("exp", [None, "soon", True, [], float("nan"), float("-inf")])
def test_a_token_without_an_end(verify: Verifier, exp: Any) -> None:
    """A token has to say when it ends, in a number."""
    token = jwt.PyJWS().encode(json.dumps(claims(exp=exp)).encode(), RSA, algorithm="RS256", headers={"kid": "r"})
    verify.refuses(token, "expired")


def test_nonces() -> None:
    """A nonce of ours belongs to one verifier; one of another kind is left to the application (rule 27.10)."""
    config = ProviderConfigForClient("op", "Op", "client")
    check_nonce(config, {"nonce": nonce_of("v")}, "v")
    check_nonce(config, {"nonce": "the application's"}, None)
    check_nonce(config, {}, "v")
    for verifier in (None, "w", ""):
        with pytest.raises(ProviderError, match="another sign-in"):
            check_nonce(config, {"nonce": nonce_of("v")}, verifier)


# The key set in memory


def test_keys_are_kept(verify: Verifier, clock: ManualClock) -> None:
    """The key set is fetched once an hour."""
    for _ in range(3):
        verify(signed(claims()))
    assert verify.transport.asked == 1
    clock.advance(KEYS_LIFETIME_MS / 1000)
    verify(signed(claims()))
    assert verify.transport.asked == 2


def test_an_unknown_key_is_looked_for(verify: Verifier, clock: ManualClock) -> None:
    """A new key of the provider's is found, once the key set at hand is half a minute old."""
    verify(signed(claims()))
    clock.advance(COOLDOWN_MS / 1000)
    verify.transport.document["keys"].append(public(RSA, kid="new"))
    assert verify(signed(claims(), kid="new"))["sub"] == "1"
    assert verify.transport.asked == 2


def test_made_up_key_ids_cause_no_flood(verify: Verifier) -> None:
    """A key set just fetched is not fetched again for a key that it lacks."""
    for number in range(20):
        verify.refuses(signed(claims(), kid=f"made-up-{number}"), "signature")
    assert verify.transport.asked == 1
