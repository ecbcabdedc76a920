"""A stub provider's script: each thing that a test plans happens once, and what was asked is kept without secrets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import httpx2
import jwt
import pytest

from coatcheck.claims.clock import current_clock
from coatcheck.recipes.thirdparty.config import ProviderInput
from coatcheck.server.stub import Persona, Script, StubError, provider_of, stub
from coatcheck.server.stub.grants import Authorization

ADA = Persona("1001", "ada@example.com", name="Ada Lovelace")
CALLBACK = "http://localhost:3000/auth/callback"
TOKEN = "https://provider.example/token"

Redeem = Callable[[ProviderInput], httpx2.Response]


def ask(given: ProviderInput, method: str, url: str, **options: Any) -> httpx2.Response:
    assert given.transport is not None
    with httpx2.Client(transport=given.transport) as client:
        return client.request(method, url, **options)


def redeem(given: ProviderInput) -> httpx2.Response:
    """Give Ada's consent and redeem the code."""
    provider, client = provider_of(given), given.config.clients[0]
    code = provider.grants.issue_code(Authorization(ADA, client.client_id, CALLBACK, expires_ms=2**53))
    fields = {"grant_type": "authorization_code", "redirect_uri": CALLBACK, "code": code}
    secret = {"client_id": client.client_id, "client_secret": client.client_secret or ""}
    return ask(given, "POST", TOKEN, data=fields | secret)


def test_a_slow_answer_times_out_at_once() -> None:
    """The client sees a time-out without anybody waiting, and the next request is answered."""
    given = stub("google")
    provider_of(given).script.next_error("slow")
    with pytest.raises(httpx2.ReadTimeout):
        redeem(given)
    assert redeem(given).status_code == 200


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/jwks", "/userinfo"])
def test_errors_happen_at_the_endpoint_they_were_planned_for(path: str) -> None:
    """A planned error waits for its endpoint, and happens there once."""
    given = stub("google")
    at = {"/jwks": "jwks", "/userinfo": "userinfo"}.get(path, "discovery")
    provider_of(given).script.next_error("server_error", at=cast(Any, at))
    assert redeem(given).status_code == 200
    url = f"https://provider.example{path}"
    assert ask(given, "GET", url).status_code == 500
    assert ask(given, "GET", url).status_code != 500


def test_a_huge_answer_arrives_in_pieces() -> None:
    """A client with a limit can stop reading ten megabytes early."""
    given = stub("google")
    provider_of(given).script.next_error("huge_answer")
    assert given.transport is not None
    with httpx2.Client(transport=given.transport) as client, client.stream("POST", TOKEN) as response:
        assert len(next(response.iter_raw())) < 100_000
        assert int(response.headers["content-length"]) > 10_000_000


@pytest.mark.parametrize(
    ("error", "claim"),
    [("wrong_audience", "aud"), ("wrong_issuer", "iss"), ("expired_id_token", "exp"), ("alg_none", "alg")],
)
def test_wrong_id_tokens_are_wrong_in_one_way(error: StubError, claim: str) -> None:
    """Each planned error changes the one thing that it names, once."""
    given = stub("google")

    def told() -> dict[str, Any]:
        token = redeem(given).json()["id_token"]
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
        return {"alg": jwt.get_unverified_header(token)["alg"], **claims, "exp": claims["exp"] > claims["iat"] + 60}

    provider_of(given).script.next_error(error)
    wrong, right = told(), told()
    if error == "expired_id_token":
        token = provider_of(given).id_token(ADA, "c", issuer="https://i", error=error)
        with pytest.raises(jwt.ExpiredSignatureError):
            jwt.decode(token, options={"verify_signature": False, "verify_exp": True})
        return
    assert {name for name in right if name != "iat" and right[name] != wrong[name]} == {claim}


def test_errors_that_could_never_happen_are_refused() -> None:
    """A test that plans the impossible is told so, rather than passing for no reason."""
    with pytest.raises(ValueError, match="no id tokens"):
        provider_of(stub("github")).script.next_error("alg_none")
    with pytest.raises(ValueError, match="knows no error"):
        Script().next_error(cast(Any, "typo"))


def test_requests_are_kept_without_secrets() -> None:
    """Codes, secrets and tokens are masked; the rest can be read."""
    given = stub("google")
    token = redeem(given).json()["access_token"]
    ask(given, "GET", "https://provider.example/userinfo", headers={"authorization": f"Bearer {token}"})
    asked, info = provider_of(given).script.requests
    assert (asked.endpoint, asked.method, asked.url) == ("token", "POST", TOKEN)
    assert asked.parameters["code"] == asked.parameters["client_secret"] == "***"
    assert asked.parameters["redirect_uri"] == CALLBACK
    assert info.authorization == "Bearer"
    assert "stub-google-secret" not in repr([asked, info])
    assert token not in repr([asked, info])


def test_github_tells_a_client_only_about_its_own_tokens() -> None:
    """A token of another application is not found."""
    given = stub("github")
    provider, client = provider_of(given), given.config.clients[0]
    url = f"https://api.github.com/applications/{client.client_id}/token"
    for owner, status in ((client.client_id, 200), ("another-app", 404)):
        token = provider.access_token(ADA, owner)
        basic = (client.client_id, client.client_secret or "")
        assert ask(given, "POST", url, json={"access_token": token}, auth=basic).status_code == status


def test_facebook_names_the_app_of_a_token() -> None:
    """The debug endpoint tells which app a token was issued to, and asks for the app's own secret."""
    given = stub("facebook")
    token = provider_of(given).access_token(ADA, "another-app")
    client = given.config.clients[0]
    url = "https://graph.facebook.com/debug_token"
    asked = {"input_token": token, "access_token": f"{client.client_id}|{client.client_secret}"}
    assert ask(given, "GET", url, params=asked).json()["data"]["app_id"] == "another-app"
    assert ask(given, "GET", url, params=asked | {"access_token": "x|y"}).status_code == 401


@pytest.mark.parametrize(
    "changes",
    [{"sub": "another-client"}, {"iss": "ANOTHER"}, {"aud": "https://example.com"}, {"exp": 2**40}, {"exp": 1}],
)
def test_apples_signed_secret_is_checked(changes: dict[str, Any]) -> None:
    """Another client, team or audience, and a lifetime beyond six months or over, are refused; the right one is not."""
    given = stub("apple")
    provider, client = provider_of(given), given.config.clients[0]
    about = client.additional_config or {}
    now = current_clock.get().now_ms() // 1000
    claims: dict[str, Any] = {
        "iss": about["teamId"],
        "iat": now,
        "exp": now + 3600,
        "aud": "https://appleid.apple.com",
        "sub": client.client_id,
    }

    def status(payload: dict[str, Any]) -> int:
        secret = jwt.encode(payload, about["privateKey"], algorithm="ES256", headers={"kid": about["keyId"]})
        code = provider.grants.issue_code(Authorization(ADA, client.client_id, CALLBACK, expires_ms=2**53))
        fields = {"grant_type": "authorization_code", "redirect_uri": CALLBACK, "code": code}
        sent = fields | {"client_id": client.client_id, "client_secret": secret}
        return ask(given, "POST", "https://appleid.apple.com/token", data=sent).status_code

    assert status(claims) == 200
    assert status(claims | changes) == 401
