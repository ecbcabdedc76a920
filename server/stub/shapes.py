"""The differences between providers: their endpoints, and what they say about a user."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .page import Persona
from .script import Endpoint

Answer = Callable[[Persona], Any]

DIRECTORY_ID = "9122040d-6c67-4c5b-b112-36a304b66dad"
"""The directory of users if the configuration names no single directory."""

_SHARED_DIRECTORIES = ("common", "organizations", "consumers")
_DISCOVERY = "/.well-known/openid-configuration"
_LAST_SEGMENTS: dict[str, Endpoint] = {
    "token": "token",
    "access_token": "token",
    "accessToken": "token",
    "authorize": "authorization",
    "jwks": "jwks",
    "jwks.json": "jwks",
    "certs": "jwks",
    "keys": "jwks",
}


def oidc_claims(persona: Persona) -> dict[str, Any]:
    """Return the standard claims (OpenID Connect Core 1.0, section 5.1)."""
    claims: dict[str, Any] = {"sub": persona.user_id, "name": persona.name or persona.user_id}
    if persona.email is not None:
        claims |= {"email": persona.email, "email_verified": persona.email_verified}
    return claims


def _github_user(persona: Persona) -> dict[str, Any]:
    number = int(persona.user_id) if persona.user_id.isdecimal() else persona.user_id
    return {"id": number, "login": f"user-{persona.user_id}", "name": persona.name, "email": None}


def _github_emails(persona: Persona) -> list[dict[str, Any]]:
    if persona.email is None:
        return []
    other = {"email": f"{persona.user_id}@users.noreply.github.com", "primary": False, "verified": True}
    return [other, {"email": persona.email, "primary": True, "verified": persona.email_verified}]


def _bitbucket_user(persona: Persona) -> dict[str, Any]:
    return {"uuid": persona.user_id, "display_name": persona.name, "type": "user"}


def _bitbucket_emails(persona: Persona) -> dict[str, Any]:
    primary = {"email": persona.email, "is_primary": True, "is_confirmed": persona.email_verified}
    return {"values": [] if persona.email is None else [primary]}


def _facebook(persona: Persona) -> dict[str, Any]:
    return {"id": persona.user_id, "name": persona.name, **_email(persona)}


def _discord(persona: Persona) -> dict[str, Any]:
    return {"id": persona.user_id, "username": persona.name, "verified": persona.email_verified, **_email(persona)}


def _twitter(persona: Persona) -> dict[str, Any]:
    return {"data": {"id": persona.user_id, "name": persona.name, "username": f"user{persona.user_id}"}}


def _boxy(persona: Persona) -> dict[str, Any]:
    return {"id": persona.user_id, "firstName": persona.name, "lastName": "", **_email(persona)}


def _email(persona: Persona) -> dict[str, Any]:
    return {} if persona.email is None else {"email": persona.email}


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of provider; `user_info` maps the end of a path to the function that answers there."""

    kind: str
    user_info: Mapping[str, Answer] = field(default_factory=lambda: {"/userinfo": oidc_claims})
    id_tokens: bool = True
    issuer: str | None = None
    """Its fixed issuer; None if it follows from the address of the discovery document."""

    def endpoint_of(self, path: str) -> Endpoint | None:
        """Return the endpoint at a path, None if there is none."""
        last = path.rpartition("/")[2]
        if path.endswith(_DISCOVERY):
            return "discovery"
        if last in ("tokeninfo", "debug_token") or (last == "token" and "/applications/" in path):
            return "check"
        if self.answer_of(path) is not None:
            return "userinfo"
        if path.endswith(("/o/oauth2/v2/auth", "/auth/authorize", "/dialog/oauth", "/authorization")):
            return "authorization"
        return _LAST_SEGMENTS.get(last)

    def answer_of(self, path: str) -> Answer | None:
        """Return the function that answers about a user at this path."""
        return next((answer for end, answer in self.user_info.items() if path.endswith(end)), None)

    def issuer_at(self, address: str) -> str:
        """Return the issuer, given the address of the discovery document or of the token endpoint."""
        return (
            self.issuer or address.removesuffix(_DISCOVERY).rpartition("/token")[0] or address.removesuffix(_DISCOVERY)
        )

    def claims(self, persona: Persona, issuer: str, additional: Mapping[str, Any]) -> dict[str, Any]:
        """Return the claims of an id token about a user, e.g. `{"iss", "sub", "name", "email", "email_verified"}`."""
        claims = {"iss": issuer, **oidc_claims(persona)}
        if self.kind == "apple":  # its email_verified is a text, and it gives no name
            claims = {name: value for name, value in claims.items() if name != "name"}
            claims |= {"email_verified": str(persona.email_verified).lower()} if persona.email else {}
        if self.kind == "active-directory":  # has no email_verified
            claims.pop("email_verified", None)
            directory = directory_of(str(additional.get("directoryId", DIRECTORY_ID)))
            claims |= {
                "tid": directory,
                "oid": persona.user_id,
                "iss": shared_issuer(issuer).replace("{tenantid}", directory),
            }
        if self.kind == "google-workspaces":
            wanted = additional.get("hd")
            claims["hd"] = wanted if wanted not in (None, "*") else (persona.email or "@").rpartition("@")[2]
        return claims


def directory_of(configured: str) -> str:
    """Return the configured directory, or the default one if it stands for several directories."""
    return DIRECTORY_ID if configured in _SHARED_DIRECTORIES else configured


def shared_issuer(issuer: str) -> str:
    """Return the issuer with the placeholder that Entra's discovery document for several directories has."""
    for name in _SHARED_DIRECTORIES:
        issuer = issuer.replace(f"/{name}/", "/{tenantid}/")
    return issuer


_SHAPES = (  # a longer id stands before an id that is its beginning
    Shape("google-workspaces", issuer="https://accounts.google.com"),
    Shape("google", issuer="https://accounts.google.com"),
    Shape("apple", {}, issuer="https://appleid.apple.com"),
    Shape("github", {"/user": _github_user, "/user/emails": _github_emails}, id_tokens=False),
    Shape("facebook", {"/me": _facebook}, id_tokens=False),
    Shape("discord", {"/users/@me": _discord}, id_tokens=False),
    Shape("linkedin", issuer="https://www.linkedin.com/oauth"),
    Shape("gitlab"),
    Shape("active-directory"),
    Shape("okta"),
    Shape("bitbucket", {"/user": _bitbucket_user, "/user/emails": _bitbucket_emails}, id_tokens=False),
    Shape("twitter", {"/users/me": _twitter}, id_tokens=False),
    Shape("boxy-saml", {"/userinfo": _boxy}, id_tokens=False),
)
_CUSTOM = Shape("custom")


def shape_of(third_party_id: str) -> Shape:
    """Return the kind of a provider by the beginning of its id, as the recipe chooses it."""
    return next((shape for shape in _SHAPES if third_party_id.startswith(shape.kind)), _CUSTOM)
