"""Requests to providers, and the documents that providers publish: discovery documents and key sets, kept in memory.

All requests go through one method, so that the same limits apply and no secret is logged. It is plain blocking code,
called inside `blocking`. A client of httpx2 would keep cookies and log addresses with their queries, which may hold
tokens, so requests go to its transport directly.
"""

from __future__ import annotations

import ipaddress
import json
import re
import time
from collections.abc import Callable, Mapping
from functools import cache
from ssl import SSLContext
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import httpx2

from ...claims.clock import current_clock
from ...claims.payload import JSONObject
from ..exceptions import ProviderError

CONNECT_TIMEOUT_S = 5.0
TOTAL_TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 1_048_576
"""The largest answer that is read; discovery documents and key sets are much smaller."""

_ERROR_CODE = re.compile(r"[a-z_]{1,40}")


class ProviderHTTP:
    """Requests to the servers of one provider; `transport` carries them all, by default the network does.

    Addresses must be https, except on this machine or with `allow_http`. No redirect is followed, so that tokens go to
    configured addresses only.
    """

    def __init__(self, third_party_id: str, transport: httpx2.BaseTransport | None, *, allow_http: bool) -> None:
        self.third_party_id = third_party_id
        self._transport = transport
        self._allow_http = allow_http

    def get(
        self, url: str, *, params: Mapping[str, str | None] | None = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """Return the JSON answer to a GET; ProviderError for any other answer."""
        self.check_address(url)
        return self._json("GET", self._encode(lambda: with_query(url, params or {})), headers or {}, None)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Any:
        """Return the JSON answer to a POST; ProviderError for any other answer."""
        self.check_address(url)
        return self._json("POST", url, headers, body)

    def post_form(self, url: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Any:
        """Return the JSON answer to a form; ProviderError for any other answer."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.post(url, self._encode(lambda: urlencode(form)).encode(), {**kind, **(headers or {})})

    def check_address(self, url: str) -> None:
        """Raise ProviderError for an address that is not https, or plain http if this is allowed."""
        try:
            parts = urlsplit(url)
        except ValueError:
            raise self.failure("one of its addresses is malformed") from None
        plain = parts.scheme == "http" and (self._allow_http or is_loopback(parts.hostname or ""))
        if parts.scheme != "https" and not plain:
            raise self.failure(f"{_without_query(url)} is not an https address")

    def failure(self, message: str) -> ProviderError:
        """Return the error that names this provider."""
        return ProviderError(self.third_party_id, message)

    def _encode(self, encode: Callable[[], str]) -> str:
        try:
            return encode()
        except UnicodeEncodeError:  # JSON can hold half a surrogate pair
            raise self.failure("the data for the request is not valid text") from None

    def _json(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Any:
        what = f"{method} {_without_query(url)}"
        status, raw = self._exchange(what, self._request(method, url, headers, body))
        try:
            parsed = json.loads(raw)
        except (ValueError, RecursionError):
            parsed = None
        if not 200 <= status < 300:
            raise self.failure(f"{what} was answered with status {status}{_error_code(parsed)}")
        if parsed is None:
            raise self.failure(f"{what} was answered with something that is not JSON")
        if isinstance(parsed, dict) and parsed.get("error"):
            raise self.failure(f"{what} was answered with an error{_error_code(parsed)}")
        return parsed

    def _request(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> httpx2.Request:
        timeout = httpx2.Timeout(CONNECT_TIMEOUT_S).as_dict()
        # `identity`, because a small answer can decompress to an enormous one.
        standard = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "coatcheck"}
        try:
            return httpx2.Request(
                method, url, headers={**standard, **headers}, content=body, extensions={"timeout": timeout}
            )
        except (httpx2.InvalidURL, ValueError):  # the error of a header that is not ASCII quotes it
            raise self.failure(f"{method} {_without_query(url)} cannot be asked") from None

    def _exchange(self, what: str, request: httpx2.Request) -> tuple[int, bytes]:
        deadline = _deadline()
        transport = self._transport or httpx2.HTTPTransport(verify=_ssl_context())
        try:
            response = transport.handle_request(request)
            try:
                return response.status_code, self._read_limited(what, response, deadline)
            finally:
                response.close()
        except httpx2.TimeoutException:
            raise self.failure(f"{what} took too long") from None
        except httpx2.HTTPError as error:
            # Only the type, because the text of an error may quote the request.
            raise self.failure(f"{what} failed: {type(error).__name__}") from None
        finally:
            if transport is not self._transport:
                transport.close()

    def _read_limited(self, what: str, response: httpx2.Response, deadline: Callable[[], bool]) -> bytes:
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise self.failure(f"{what} was answered in an encoding that was not asked for")
        raw = bytearray()
        assert isinstance(response.stream, httpx2.SyncByteStream)  # a synchronous transport gave it
        for chunk in response.stream:
            raw += chunk
            if len(raw) > MAX_ANSWER_BYTES:
                raise self.failure(f"{what} was answered with more than {MAX_ANSWER_BYTES} bytes")
            if deadline():
                raise self.failure(f"{what} took too long")
        return bytes(raw)


def with_query(url: str, params: Mapping[str, str | None]) -> str:
    """Return the address with these parameters, which replace its own with the same name; None removes one."""
    parts = urlsplit(url)
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in params]
    query = kept + [(name, value) for name, value in params.items() if value is not None]
    return urlunsplit(parts._replace(query=urlencode(query)))


def _without_query(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _error_code(body: object) -> str:
    """Return the error code of RFC 6749; not the description, because some providers copy secrets into it."""
    code = body.get("error") if isinstance(body, dict) else None
    return f" ({code})" if isinstance(code, str) and _ERROR_CODE.fullmatch(code) else ""


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _deadline() -> Callable[[], bool]:
    # Not the App's clock: a thread waits in real time.
    end = time.monotonic() + TOTAL_TIMEOUT_S
    return lambda: time.monotonic() > end


@cache
def _ssl_context() -> SSLContext:
    return httpx2.create_ssl_context()


# Documents of providers

_WELL_KNOWN = "/.well-known/openid-configuration"
_DISCOVERY_LIFETIME_MS = 24 * 3_600_000
KEYS_LIFETIME_MS = 3_600_000
COOLDOWN_MS = 30_000
"""How long to wait before fetching a key set again for an unknown key id, so that wrong ids cannot cause a flood."""


class ProviderDocuments:
    """The documents of one provider, kept in memory."""

    def __init__(self, http: ProviderHTTP) -> None:
        self.http = http
        self._kept: dict[str, tuple[int, JSONObject]] = {}

    def discovery(self, address: str) -> JSONObject:
        """Return the discovery document of a provider; its address may lack the well-known part."""
        url = address if _WELL_KNOWN in address else address.rstrip("/") + _WELL_KNOWN
        return self._document(url, _DISCOVERY_LIFETIME_MS)

    def keys(self, jwks_uri: str, key_id: str | None) -> list[JSONObject]:
        """Return the keys that may have made a signature: those with this id, or all without an id."""
        found = _with_id(self._document(jwks_uri, KEYS_LIFETIME_MS), key_id)
        return found or _with_id(self._document(jwks_uri, COOLDOWN_MS), key_id)

    def _document(self, url: str, lifetime_ms: int) -> JSONObject:
        now_ms = current_clock.get().now_ms()
        kept = self._kept.get(url)
        if kept is not None and now_ms - kept[0] < lifetime_ms:
            return kept[1]
        document: Any = self.http.get(url)
        if not isinstance(document, dict):
            raise self.http.failure(f"{url} is not a JSON object")
        self._kept[url] = (now_ms, document)
        return document


def _with_id(key_set: JSONObject, key_id: str | None) -> list[JSONObject]:
    listed = key_set.get("keys")
    keys = [key for key in listed if isinstance(key, dict)] if isinstance(listed, list) else []
    signing = [key for key in keys if key.get("use", "sig") == "sig"]
    return [key for key in signing if key_id is None or key.get("kid") == key_id]
