"""The built-in providers: first the functions for what a single provider does in its own way, then one row for each.

The functions are plain blocking code; those that send requests to the provider are called inside `blocking`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import jwt

from ...claims.clock import current_clock
from ...claims.payload import JSONObject
from ..exceptions import ConfigurationError, ProviderError
from .config import ProviderConfigForClient, UserFields, UserInfoMap
from .http import ProviderHTTP

_APPLE_SECRET_LIFETIME_S = 180 * 24 * 3600
_GITHUB_JSON = "application/vnd.github+json"

# Addresses that depend on the client


def _gitlab(config: ProviderConfigForClient) -> None:
    """Discover at gitlab.com, or at the server that `gitlabBaseUrl` names."""
    base = config.additional_config.get("gitlabBaseUrl", "https://gitlab.com")
    config.oidc_discovery_endpoint = config.oidc_discovery_endpoint or str(base)


def _okta(config: ProviderConfigForClient) -> None:
    """Discover at the organisation's `oktaDomain`."""
    if config.oidc_discovery_endpoint is None:
        domain = _additional(config, "oktaDomain")
        config.oidc_discovery_endpoint = domain if "://" in domain else f"https://{domain}"


def _active_directory(config: ProviderConfigForClient) -> None:
    """Discover at the directory (a tenant of Microsoft Entra) that `directoryId` names."""
    if config.oidc_discovery_endpoint is None:
        directory = quote(_additional(config, "directoryId"), safe="")
        config.oidc_discovery_endpoint = f"https://login.microsoftonline.com/{directory}/v2.0"


def _boxy_saml(config: ProviderConfigForClient) -> None:
    """Use the OAuth API of the server that `boxyURL` names."""
    if None not in (config.authorization_endpoint, config.token_endpoint, config.user_info_endpoint):
        return
    base = _additional(config, "boxyURL").rstrip("/")
    config.authorization_endpoint = config.authorization_endpoint or f"{base}/api/oauth/authorize"
    config.token_endpoint = config.token_endpoint or f"{base}/api/oauth/token"
    config.user_info_endpoint = config.user_info_endpoint or f"{base}/api/oauth/userinfo"


def _google_workspaces(config: ProviderConfigForClient) -> None:
    """Ask for accounts of the workspace `hd`, by default of any workspace."""
    config.authorization_endpoint_query_params.setdefault("hd", _workspace(config))


def _check_workspace(payload: Mapping[str, Any], config: ProviderConfigForClient) -> None:
    """Refuse an id token of another workspace, because users can change the authorization request."""
    wanted = _workspace(config)
    if wanted != "*" and payload.get("hd") != wanted:
        raise ProviderError(config.third_party_id, "the account does not belong to the workspace")


def _workspace(config: ProviderConfigForClient) -> str:
    return str(config.additional_config.get("hd", "*"))


# Apple: the client secret is a token that the application signs


def _apple(config: ProviderConfigForClient) -> None:
    """Sign a client secret with the key in `additional_config`, unless there is a ready-made secret."""
    if config.client_secret is None or "privateKey" in config.additional_config:
        config.client_secret = _apple_client_secret(config)


def _apple_client_secret(config: ProviderConfigForClient) -> str:
    key = _additional(config, "privateKey").replace("\\n", "\n")
    now = current_clock.get().now_ms() // 1000
    claims = {
        "iss": _additional(config, "teamId"),
        "iat": now,
        "exp": now + _APPLE_SECRET_LIFETIME_S,
        "aud": "https://appleid.apple.com",
        "sub": config.client_id,
    }
    try:
        return jwt.encode(claims, key, algorithm="ES256", headers={"kid": _additional(config, "keyId")})
    except (ValueError, TypeError, jwt.PyJWTError):
        raise ConfigurationError(f"{config.third_party_id}: privateKey is not a private key for ES256") from None


# User info that needs more than one GET


def _github_user_info(http: ProviderHTTP, config: ProviderConfigForClient, access_token: str) -> JSONObject:
    """Return the user with all addresses, and the primary one in front."""
    found = _user_and_emails(http, config, {"Authorization": f"Bearer {access_token}", "Accept": _GITHUB_JSON})
    return found | _primary(found["emails"], primary="primary", verified="verified")


def _bitbucket_user_info(http: ProviderHTTP, config: ProviderConfigForClient, access_token: str) -> JSONObject:
    """Return the user with all addresses, and the primary one in front."""
    found = _user_and_emails(http, config, {"Authorization": f"Bearer {access_token}"})
    emails = found["emails"]
    listed = emails.get("values") if isinstance(emails, dict) else None
    return found | _primary(listed, primary="is_primary", verified="is_confirmed")


def _user_and_emails(http: ProviderHTTP, config: ProviderConfigForClient, headers: Mapping[str, str]) -> JSONObject:
    url = config.user_info_endpoint or ""
    return {"user": http.get(url, headers=headers), "emails": http.get(f"{url}/emails", headers=headers)}


def _primary(emails: object, *, primary: str, verified: str) -> JSONObject:
    listed = [email for email in emails if isinstance(email, dict)] if isinstance(emails, list) else []
    for email in listed:
        if email.get(primary) is True:
            return {"email": email.get("email"), "email_verified": email.get(verified)}
    return {}


def _facebook_user_info(http: ProviderHTTP, config: ProviderConfigForClient, access_token: str) -> JSONObject:
    """Return the fields that the scopes give; this API takes the token in its query."""
    names = ["name" if scope == "public_profile" else scope.removeprefix("user_") for scope in config.scope]
    params = {
        "access_token": access_token,
        "fields": ",".join(dict.fromkeys(["id", *names])),
        "format": "json",
        **config.user_info_endpoint_query_params,
    }
    found = http.get(config.user_info_endpoint or "", params=params)
    return found if isinstance(found, dict) else {}


# Access tokens that a client brought: was the token issued to this application?


def _check_google_token(http: ProviderHTTP, config: ProviderConfigForClient, access_token: str) -> None:
    """Refuse a token of another client (https://oauth2.googleapis.com/tokeninfo)."""
    found = http.get("https://oauth2.googleapis.com/tokeninfo", params={"access_token": access_token})
    _same_client(config, _value_at(found, "aud"))


def _check_github_token(http: ProviderHTTP, config: ProviderConfigForClient, access_token: str) -> None:
    """Refuse a token of another client: GitHub tells a client only about tokens of its own."""
    api = (config.user_info_endpoint or "").removesuffix("/user")
    body = json.dumps({"access_token": access_token}).encode()
    headers = {"Accept": _GITHUB_JSON, "Content-Type": "application/json", **basic_authentication(config)}
    found = http.post(f"{api}/applications/{quote(config.client_id, safe='')}/token", body, headers)
    _same_client(config, _value_at(found, "app", "client_id"))


def _check_facebook_token(http: ProviderHTTP, config: ProviderConfigForClient, access_token: str) -> None:
    """Refuse a token of another app (https://graph.facebook.com/debug_token)."""
    params = {"input_token": access_token, "access_token": f"{config.client_id}|{config.client_secret or ''}"}
    found = http.get("https://graph.facebook.com/debug_token", params=params)
    if _value_at(found, "data", "is_valid") is not True:
        raise ProviderError(config.third_party_id, "the access token is not valid")
    _same_client(config, _value_at(found, "data", "app_id"))


def basic_authentication(config: ProviderConfigForClient) -> dict[str, str]:
    """Return the header with which a client authenticates (RFC 6749, section 2.3.1)."""
    pair = f"{quote(config.client_id, safe='')}:{quote(config.client_secret or '', safe='')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _same_client(config: ProviderConfigForClient, client_id: object) -> None:
    if not isinstance(client_id, str) or client_id != config.client_id:
        raise ProviderError(config.third_party_id, "the access token was issued to another client")


def _value_at(document: object, *path: str) -> object:
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _additional(config: ProviderConfigForClient, name: str) -> str:
    value = config.additional_config.get(name)
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{config.third_party_id}: the client's additional_config needs {name!r}")
    return value


# The table

_OPENID = ("openid", "email")
_OIDC_FIELDS = UserFields("sub", "email", "email_verified")
_OIDC_MAP = UserInfoMap(_OIDC_FIELDS, _OIDC_FIELDS)


@dataclass(frozen=True)
class ProviderRow:
    """The defaults of a provider, which an application's configuration completes.

    `configure` fills in what follows from a client's `additional_config`; `user_info` replaces the one GET of the user
    info; `check_access_token` refuses an access token of another application that a client brought; `check_id_token`
    adds a check of the id token, which is then required.
    """

    id: str
    name: str
    scope: tuple[str, ...] = ()
    discovery: str | None = None
    other_issuers: tuple[str, ...] = ()
    authorization_endpoint: str | None = None
    authorization_params: Mapping[str, str] = field(default_factory=dict)
    token_endpoint: str | None = None
    basic_authentication: bool = False
    user_info_endpoint: str | None = None
    user_info_is_in_id_token: bool = False
    callback_fields: tuple[str, ...] = ()
    """Parameters of the callback that become part of the raw user info."""
    user_info_map: UserInfoMap = _OIDC_MAP
    require_email: bool = True
    force_pkce: bool = False
    configure: Callable[[ProviderConfigForClient], None] | None = None
    user_info: Callable[[ProviderHTTP, ProviderConfigForClient, str], JSONObject] | None = None
    check_access_token: Callable[[ProviderHTTP, ProviderConfigForClient, str], None] | None = None
    check_id_token: Callable[[Mapping[str, Any], ProviderConfigForClient], None] | None = None


def _fields(user_id: str, email: str | None, email_verified: str | None) -> UserInfoMap:
    return UserInfoMap(_OIDC_FIELDS, UserFields(user_id, email, email_verified))


_GOOGLE: dict[str, Any] = {
    "scope": _OPENID,
    "discovery": "https://accounts.google.com",
    "other_issuers": ("accounts.google.com",),
    "authorization_params": {"access_type": "offline", "include_granted_scopes": "true"},
}

ROWS = (
    ProviderRow(
        "google-workspaces",
        "Google Workspaces",
        **_GOOGLE,
        configure=_google_workspaces,
        check_id_token=_check_workspace,
    ),
    ProviderRow("google", "Google", **_GOOGLE, check_access_token=_check_google_token),
    ProviderRow(
        "apple",
        "Apple",
        scope=_OPENID,
        discovery="https://appleid.apple.com",
        authorization_params={"response_mode": "form_post"},
        user_info_is_in_id_token=True,
        callback_fields=("user",),
        configure=_apple,
    ),
    ProviderRow(
        "github",
        "Github",
        scope=("read:user", "user:email"),
        authorization_endpoint="https://github.com/login/oauth/authorize",
        token_endpoint="https://github.com/login/oauth/access_token",  # noqa: S106 - an address
        user_info_endpoint="https://api.github.com/user",
        user_info_map=_fields("user.id", "email", "email_verified"),
        user_info=_github_user_info,
        check_access_token=_check_github_token,
    ),
    ProviderRow(
        "facebook",
        "Facebook",
        scope=("email",),
        authorization_endpoint="https://www.facebook.com/v12.0/dialog/oauth",
        token_endpoint="https://graph.facebook.com/v12.0/oauth/access_token",  # noqa: S106 - an address
        user_info_endpoint="https://graph.facebook.com/me",
        user_info_map=_fields("id", "email", None),
        user_info=_facebook_user_info,
        check_access_token=_check_facebook_token,
    ),
    ProviderRow(
        "discord",
        "Discord",
        scope=("identify", "email"),
        authorization_endpoint="https://discord.com/oauth2/authorize",
        token_endpoint="https://discord.com/api/oauth2/token",  # noqa: S106 - an address
        user_info_endpoint="https://discord.com/api/users/@me",
        user_info_map=_fields("id", "email", "verified"),
    ),
    ProviderRow(
        "linkedin",
        "Linkedin",
        scope=("openid", "profile", "email"),
        authorization_endpoint="https://www.linkedin.com/oauth/v2/authorization",
        token_endpoint="https://www.linkedin.com/oauth/v2/accessToken",  # noqa: S106 - an address
        user_info_endpoint="https://api.linkedin.com/v2/userinfo",
    ),
    ProviderRow("gitlab", "Gitlab", scope=_OPENID, configure=_gitlab),
    ProviderRow("active-directory", "Active Directory", scope=_OPENID, configure=_active_directory),
    ProviderRow("okta", "Okta", scope=_OPENID, configure=_okta),
    ProviderRow(
        "bitbucket",
        "Bitbucket",
        scope=("account", "email"),
        authorization_endpoint="https://bitbucket.org/site/oauth2/authorize",
        authorization_params={"audience": "api.atlassian.com"},
        token_endpoint="https://bitbucket.org/site/oauth2/access_token",  # noqa: S106 - an address
        user_info_endpoint="https://api.bitbucket.org/2.0/user",
        user_info_map=_fields("user.uuid", "email", "email_verified"),
        user_info=_bitbucket_user_info,
    ),
    ProviderRow(
        "twitter",
        "Twitter",
        scope=("users.read", "tweet.read"),
        authorization_endpoint="https://twitter.com/i/oauth2/authorize",
        token_endpoint="https://api.twitter.com/2/oauth2/token",  # noqa: S106 - an address
        user_info_endpoint="https://api.twitter.com/2/users/me",
        user_info_map=_fields("data.id", None, None),
        basic_authentication=True,
        require_email=False,
        force_pkce=True,
    ),
    ProviderRow("boxy-saml", "SAML", user_info_map=_fields("id", "email", None), configure=_boxy_saml),
)
"""The order counts: an id belongs to the first row whose id it begins with."""


def row_of(third_party_id: str) -> ProviderRow:
    """Return the row of a provider, a blank one for a provider that is not built in (docs/protocol.md, rule 27.2)."""
    found = (row for row in ROWS if third_party_id.startswith(row.id))
    return next(found, ProviderRow(third_party_id, third_party_id))
