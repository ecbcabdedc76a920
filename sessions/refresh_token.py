"""The refresh token: a signed text that names its session and its parent, and contains no secret of the database.

It has six base64url fields joined by dots: version and key id, session handle, secret, hash1 of the parent, anti-CSRF
flag, and a MAC over the other five.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import uuid
from dataclasses import dataclass, field

from .encoding import base64url, from_base64url
from .exceptions import UnauthorisedError

DEFAULT_TENANT = "public"
MAC_LABEL = b"coatcheck refresh token: mac"
CHILD_LABEL = b"coatcheck refresh token: child"
ANTI_CSRF_LABEL = b"coatcheck refresh token: anti-csrf"
KEY_ID_LABEL = b"coatcheck refresh token: key id"

_VERSION = b"\x01"
_KEY_ID_BYTES = 5
_SECRET_BYTES = 32
_LONGEST = 4096
_FLAGS = {True: b"\x01", False: b"\x00"}


def hex_hash(text: str) -> str:
    """Return the lowercase hexadecimal SHA-256 of `text` in UTF-8 (docs/protocol.md, rule 5.8)."""
    return hashlib.sha256(text.encode()).hexdigest()


def derived_key(master_secret: bytes, label: bytes) -> bytes:
    """Return the 32-byte key for the purpose that `label` names (RFC 5869, the expand step)."""
    return hmac.digest(master_secret, label + b"\x01", "sha256")


def new_handle(tenant_id: str) -> str:
    """Draw a session handle; it ends with `_<tenant id>` unless the tenant is the default one."""
    handle = str(uuid.uuid4())
    return handle if tenant_id == DEFAULT_TENANT else f"{handle}_{tenant_id}"


def tenant_of(handle: str) -> str:
    """Return the tenant that a session handle names: the part after its first underscore."""
    _, underscore, tenant_id = handle.partition("_")
    return tenant_id if underscore else DEFAULT_TENANT


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token with a valid MAC; `text` is exactly what the client has sent or will get.

    The access token issued with it contains `hash1`; the database stores only `hash2`, once the token is confirmed.
    """

    text: str = field(repr=False)
    handle: str
    parent_hash1: str | None
    anti_csrf: bool
    hash1: str = field(init=False, repr=False, compare=False)
    hash2: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Hashed once; a frozen dataclass sets its own fields in this way only.
        object.__setattr__(self, "hash1", hex_hash(self.text))
        object.__setattr__(self, "hash2", hex_hash(self.hash1))

    @property
    def tenant_id(self) -> str:
        """The tenant of its session."""
        return tenant_of(self.handle)


class RefreshTokens:
    """Issues and reads refresh tokens under the keys derived from one master secret; does no I/O."""

    def __init__(self, master_secret: bytes) -> None:
        # Copying a keyed object is faster than making a new one.
        self._keyed_mac = hmac.new(derived_key(master_secret, MAC_LABEL), digestmod="sha256")
        self._child_key = derived_key(master_secret, CHILD_LABEL)
        self._anti_csrf_key = derived_key(master_secret, ANTI_CSRF_LABEL)
        self._head = base64url(_VERSION + derived_key(master_secret, KEY_ID_LABEL)[:_KEY_ID_BYTES])

    def first(self, handle: str, *, anti_csrf: bool) -> RefreshToken:
        """Draw the first token of a session."""
        return self._issue(handle, secrets.token_bytes(_SECRET_BYTES), parent_hash1=None, anti_csrf=anti_csrf)

    def child(self, parent: RefreshToken, salt: bytes, *, anti_csrf: bool) -> RefreshToken:
        """Derive the successor of `parent`, the same for the same salt and flag (docs/protocol.md, rule 5.5)."""
        # The salt has a fixed length and the flag is one byte, so no two inputs give the same text.
        message = salt + _FLAGS[anti_csrf] + parent.text.encode("ascii")
        secret = hmac.digest(self._child_key, message, "sha256")
        return self._issue(parent.handle, secret, parent_hash1=parent.hash1, anti_csrf=anti_csrf)

    def read(self, text: str) -> RefreshToken:
        """Return the token in `text`; UnauthorisedError if it is not exactly a token of ours."""
        try:
            return self._read(text)
        except ValueError:
            # The message gives no reason, because only an attacker could use it.
            raise UnauthorisedError("the refresh token is not valid") from None

    def anti_csrf_token(self, token: RefreshToken) -> str | None:
        """Return the anti-CSRF token that belongs to a refresh token, or None if it was issued without one."""
        if not token.anti_csrf:
            return None
        digest = hmac.digest(self._anti_csrf_key, token.text.encode("ascii"), "sha256")
        return str(uuid.UUID(bytes=digest[:16], version=4))

    def _issue(self, handle: str, secret: bytes, *, parent_hash1: str | None, anti_csrf: bool) -> RefreshToken:
        parent = base64url(bytes.fromhex(parent_hash1 or ""))
        flag = base64url(_FLAGS[anti_csrf])
        body = f"{self._head}.{base64url(handle.encode())}.{base64url(secret)}.{parent}.{flag}"
        return RefreshToken(f"{body}.{self._mac(body)}", handle, parent_hash1, anti_csrf)

    def _mac(self, body: str) -> str:
        mac = self._keyed_mac.copy()
        mac.update(body.encode("ascii"))
        return base64url(mac.digest())

    def _read(self, text: str) -> RefreshToken:
        if len(text) > _LONGEST:
            raise ValueError
        body, _, mac = text.rpartition(".")
        # The texts are compared, not the decoded bytes, because one token must have one text.
        if not hmac.compare_digest(self._mac(body).encode("ascii"), mac.encode("ascii")):
            raise ValueError
        head, *fields = body.split(".")
        handle, _, parent, flag = (from_base64url(field) for field in fields)
        if head != self._head or flag not in _FLAGS.values():
            raise ValueError
        return RefreshToken(text, handle.decode(), parent.hex() or None, flag == _FLAGS[True])
