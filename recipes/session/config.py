"""The options of the session recipe, and the defaults for cookies and anti-CSRF that follow from the addresses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal, TypeAlias

from publicsuffixlist import PublicSuffixList
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from starlette.requests import Request
from starlette.responses import Response

from ...claims.claim import SessionClaim
from ...claims.payload import UserContext
from ..chain.chain import InputOverrideConfig
from ..exceptions import ConfigurationError
from ..kit.app_info import host_of, is_local, normal_host

SameSite: TypeAlias = Literal["lax", "none", "strict"]
AntiCsrf: TypeAlias = Literal["VIA_TOKEN", "VIA_CUSTOM_HEADER", "NONE"]
TransferMethod: TypeAlias = Literal["cookie", "header"]
TokenTransferMethod: TypeAlias = Literal["cookie", "header", "any"]
TransferMethodSelector: TypeAlias = Callable[[Request, bool, UserContext], TokenTransferMethod]


@dataclass(frozen=True)
class InputErrorHandlers:
    """An application's own answers to session errors; each may be sync or async and returns the response to send.

    `on_token_theft_detected(request, session_handle, user_id, recipe_user_id, response)`,
    `on_try_refresh_token`, `on_unauthorised` and `on_clear_duplicate_session_cookies` `(request, message, response)`,
    `on_invalid_claim(request, errors, response)`. `response` is the default answer, tokens already cleared.
    """

    on_token_theft_detected: Callable[..., Any] | None = None
    on_try_refresh_token: Callable[[Request, str, Response], Any] | None = None
    on_unauthorised: Callable[[Request, str, Response], Any] | None = None
    on_invalid_claim: Callable[[Request, list[Any], Response], Any] | None = None
    on_clear_duplicate_session_cookies: Callable[[Request, str, Response], Any] | None = None


class SessionConfig(BaseModel):
    """Everything `session.init` accepts; lifetimes in seconds (fractions allowed), defaults in docs/protocol.md."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, strict=True, defer_build=True)

    cookie_domain: str | None = None
    older_cookie_domain: str | None = None
    cookie_secure: bool | None = None
    cookie_same_site: SameSite | None = None
    session_expired_status_code: int = Field(default=401, ge=400, le=499)
    anti_csrf: AntiCsrf | None = None
    get_token_transfer_method: TransferMethodSelector | None = None
    error_handlers: InputErrorHandlers = Field(default_factory=InputErrorHandlers)
    override: InputOverrideConfig = Field(default_factory=InputOverrideConfig)
    invalid_claim_status_code: int = Field(default=403, ge=400, le=499)
    use_dynamic_access_token_signing_key: bool = True
    expose_access_token_to_frontend_in_cookie_based_auth: bool = False
    jwks_refresh_interval_sec: float = Field(default=14_400, gt=0)
    claims: tuple[SessionClaim[Any], ...] = ()
    access_token_validity_seconds: float = Field(default=3_600, ge=1, le=86_400_000)
    refresh_token_validity_seconds: float = Field(default=8_640_000, gt=0)
    absolute_lifetime_seconds: float | None = Field(default=None, gt=0)
    signing_key_rotation_seconds: float = Field(default=604_800, ge=3_600)

    @field_validator("cookie_same_site", mode="before")
    @classmethod
    def _trim_same_site(cls, value: Any) -> Any:
        trimmed = value.strip().lower() if isinstance(value, str) else value
        if trimmed is not None and trimmed not in ("lax", "none", "strict"):
            raise ValueError('cookie same site must be one of "strict", "lax", or "none"')
        return trimmed

    @field_validator("anti_csrf", mode="before")
    @classmethod
    def _known_anti_csrf(cls, value: Any) -> Any:
        if value not in (None, "VIA_TOKEN", "VIA_CUSTOM_HEADER", "NONE"):
            raise ValueError("anti_csrf must be one of VIA_TOKEN, VIA_CUSTOM_HEADER, NONE or None")
        return value

    @field_validator("cookie_domain")
    @classmethod
    def _normal_cookie_domain(cls, value: str | None) -> str | None:
        return None if value is None else normalise_cookie_domain(value)

    @field_validator("older_cookie_domain")
    @classmethod
    def _normal_older_domain(cls, value: str | None) -> str | None:
        return value if not value else normalise_cookie_domain(value)

    @field_validator("claims", mode="before")
    @classmethod
    def _unique_claims(cls, value: Any) -> Any:
        claims = tuple(value)
        keys = [claim.key for claim in claims if isinstance(claim, SessionClaim)]
        repeated = sorted({key for key in keys if keys.count(key) > 1})
        if repeated:
            raise ValueError(f"claims names a key more than once: {', '.join(repeated)}")
        return claims

    @model_validator(mode="after")
    def _consistent(self) -> SessionConfig:
        if self.session_expired_status_code == self.invalid_claim_status_code:
            raise ValueError(
                "session_expired_status_code and invalid_claim_status_code cannot be the same "
                f"({self.session_expired_status_code})"
            )
        if self.refresh_token_validity_seconds <= self.access_token_validity_seconds:
            raise ValueError("refresh_token_validity_seconds must be greater than access_token_validity_seconds")
        return self


def validated(**options: Any) -> SessionConfig:
    """Return the configuration; a wrong option is a ConfigurationError that names it."""
    try:
        return SessionConfig(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        raise ConfigurationError("session.init: " + "; ".join(_line(entry) for entry in error.errors())) from error


def _line(entry: Any) -> str:
    message = str(entry["msg"]).removeprefix("Value error, ")
    name = ".".join(str(part) for part in entry["loc"])
    return message if not name or name in message else f"{name}: {message} (got {entry['input']!r})"


# What follows from the sites of API and website


def default_same_site(api_domain: str, website_origin: str) -> SameSite:
    """Return `lax` for the same site and scheme, else `none`; decided per request (docs/protocol.md, rule 8.3)."""
    same_scheme = _scheme(api_domain) == _scheme(website_origin)
    return "lax" if same_scheme and top_level(api_domain) == top_level(website_origin) else "none"


def default_secure(api_domain: str) -> bool:
    """Whether cookies are Secure by default: the API is served over https (docs/protocol.md, rule 8.3)."""
    return _scheme(api_domain) == "https"


def default_anti_csrf(same_site: SameSite, *, origin_varies: bool = False) -> AntiCsrf:
    """Return the protection that cookies with this SameSite need (docs/protocol.md, rule 7.1).

    If the website's origin is a function, SameSite does not count: for an unknown page the function returns one of the
    websites, and this must not remove the protection of cookies that were set for another one.
    """
    return "VIA_CUSTOM_HEADER" if origin_varies or same_site == "none" else "NONE"


def cookies_cannot_work(api_domain: str, website_origin: str, *, same_site: SameSite, secure: bool) -> bool:
    """Whether browsers would drop the cookies of a session: SameSite=None without Secure.

    Cookies of local hosts always work. This is checked before a cookie session is created (docs/protocol.md, rule 8.4).
    """
    if same_site != "none" or secure:
        return False
    return not top_level(api_domain) == top_level(website_origin) == "localhost"


@lru_cache(maxsize=256)
def top_level(origin: str) -> str:
    """Return the site of a normalised origin: its registrable domain, or `localhost` for local hosts.

    The public suffix list is the one bundled with its package, private suffixes included; nothing is fetched. A host
    that is itself a public suffix has no site: ConfigurationError (docs/protocol.md, rule 8.2).
    """
    host = host_of(origin)
    if is_local(host):
        return "localhost"
    # No list has these names: mDNS hosts, machines of Amazon, and single labels (such as the name of a container).
    if host.endswith(".local") or "." not in host:
        return host
    site = _public_suffixes().privatesuffix(host)
    if site is not None:
        return site
    if host.endswith(".amazonaws.com"):
        return host
    raise ConfigurationError(
        f"Please make sure that the apiDomain and websiteDomain have correct values: {host!r} is a public suffix"
    )


def normalise_cookie_domain(text: str) -> str:
    """Return the domain of session cookies: the host alone, a leading dot kept unless it is local.

    ConfigurationError if the text has no host (docs/protocol.md, rule 8.6).
    """
    try:
        host = normal_host(text, "session_scope")
    except ConfigurationError:
        raise ConfigurationError(f"Please provide a valid session_scope, such as .example.com, not {text!r}") from None
    after_scheme = text.strip().rpartition("://")[2]
    return f".{host}" if after_scheme.startswith(".") and not is_local(host) else host


@cache
def _public_suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def _scheme(origin: str) -> str:
    return origin.partition("://")[0]
