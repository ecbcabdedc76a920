"""The built-in providers as a table: a provider of plain OAuth or OpenID Connect is a row, quirks are named in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...claims.payload import JSONObject
from . import quirks
from .config import ProviderConfigForClient, UserFields, UserInfoMap
from .http import ProviderHTTP

OPENID = ("openid", "email")
OIDC_FIELDS = UserFields("sub", "email", "email_verified")
OIDC_MAP = UserInfoMap(OIDC_FIELDS, OIDC_FIELDS)


@dataclass(frozen=True)
class ProviderRow:
    """What is known of a provider before an application says anything.

    `configure` fills in what follows from a client's `additional_config`; `user_info` asks APIs that one GET cannot;
    `check_access_token` makes sure that a token which a client brought was issued to us; `check_id_token` adds to the
    checks of an id token, which is then required.
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
    user_info_map: UserInfoMap = OIDC_MAP
    require_email: bool = True
    force_pkce: bool = False
    configure: Callable[[ProviderConfigForClient], None] | None = None
    user_info: Callable[[ProviderHTTP, ProviderConfigForClient, str], JSONObject] | None = None
    check_access_token: Callable[[ProviderHTTP, ProviderConfigForClient, str], None] | None = None
    check_id_token: Callable[[Mapping[str, Any], ProviderConfigForClient], None] | None = None


def _fields(user_id: str, email: str | None, email_verified: str | None) -> UserInfoMap:
    return UserInfoMap(OIDC_FIELDS, UserFields(user_id, email, email_verified))


_GOOGLE: dict[str, Any] = {
    "scope": OPENID,
    "discovery": "https://accounts.google.com",
    "other_issuers": ("accounts.google.com",),
    "authorization_params": {"access_type": "offline", "include_granted_scopes": "true"},
}

ROWS = (
    ProviderRow(
        "google-workspaces",
        "Google Workspaces",
        **_GOOGLE,
        configure=quirks.google_workspaces,
        check_id_token=quirks.check_workspace,
    ),
    ProviderRow("google", "Google", **_GOOGLE, check_access_token=quirks.check_google_token),
    ProviderRow(
        "apple",
        "Apple",
        scope=OPENID,
        discovery="https://appleid.apple.com",
        authorization_params={"response_mode": "form_post"},
        user_info_is_in_id_token=True,
        callback_fields=("user",),
        configure=quirks.apple,
    ),
    ProviderRow(
        "github",
        "Github",
        scope=("read:user", "user:email"),
        authorization_endpoint="https://github.com/login/oauth/authorize",
        token_endpoint="https://github.com/login/oauth/access_token",  # noqa: S106 - an address
        user_info_endpoint="https://api.github.com/user",
        user_info_map=_fields("user.id", "email", "email_verified"),
        user_info=quirks.github_user_info,
        check_access_token=quirks.check_github_token,
    ),
    ProviderRow(
        "facebook",
        "Facebook",
        scope=("email",),
        authorization_endpoint="https://www.facebook.com/v12.0/dialog/oauth",
        token_endpoint="https://graph.facebook.com/v12.0/oauth/access_token",  # noqa: S106 - an address
        user_info_endpoint="https://graph.facebook.com/me",
        user_info_map=_fields("id", "email", None),
        user_info=quirks.facebook_user_info,
        check_access_token=quirks.check_facebook_token,
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
    ProviderRow("gitlab", "Gitlab", scope=OPENID, configure=quirks.gitlab),
    ProviderRow("active-directory", "Active Directory", scope=OPENID, configure=quirks.active_directory),
    ProviderRow("okta", "Okta", scope=OPENID, configure=quirks.okta),
    ProviderRow(
        "bitbucket",
        "Bitbucket",
        scope=("account", "email"),
        authorization_endpoint="https://bitbucket.org/site/oauth2/authorize",
        authorization_params={"audience": "api.atlassian.com"},
        token_endpoint="https://bitbucket.org/site/oauth2/access_token",  # noqa: S106 - an address
        user_info_endpoint="https://api.bitbucket.org/2.0/user",
        user_info_map=_fields("user.uuid", "email", "email_verified"),
        user_info=quirks.bitbucket_user_info,
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
    ProviderRow("boxy-saml", "SAML", user_info_map=_fields("id", "email", None), configure=quirks.boxy_saml),
)
"""In this order: an id belongs to the first row whose id it begins with."""


def row_of(third_party_id: str) -> ProviderRow:
    """Return the row of a provider, a blank one for a provider that is not built in (docs/protocol.md, rule 27.2)."""
    found = (row for row in ROWS if third_party_id.startswith(row.id))
    return next(found, ProviderRow(third_party_id, third_party_id))
