"""What a response did to a session, in a few lines that hold no token."""

from __future__ import annotations

from ..claims.payload import JSONObject, without_protected
from ..recipes.chain.trace import shown, without_tokens
from .response import SeenResponse, SetCookie

_LONGEST = 300


def report(seen: SeenResponse) -> str:
    """Return what was answered, and which tokens were handed out or taken away."""
    lines = {
        "status": str(seen.status),
        "body": _body(seen),
        "session": seen.effect,
        "cookies": "; ".join(_cookie(cookie) for cookie in seen.session_cookies) or "none set or cleared",
        "headers": "; ".join(_header(name, value) for name, value in seen.headers.items()) or "none set or cleared",
    }
    if seen.payload is not None:
        lines |= {"user": _user(seen.payload), "claims": str(shown("", without_protected(seen.payload)))}
    return "\n".join(f"  {name:<8} {value}" for name, value in lines.items())


def _body(seen: SeenResponse) -> str:
    told = str(seen.json["message"]) if "message" in seen.json else seen.body
    failures = seen.json.get("claimValidationErrors")
    more = f"; failed claims: {shown('', failures)}" if failures else ""
    text = without_tokens(told) + more
    for secret in (seen.headers.get("anti-csrf"), (seen.payload or {}).get("antiCsrfToken")):
        if secret:
            text = text.replace(secret, "***")
    return f"{text[:_LONGEST]}..." if len(text) > _LONGEST else text or "empty"


def _cookie(cookie: SetCookie) -> str:
    return f"{cookie.name} {_done(cookie.value)} ({', '.join(cookie.attributes)})"


def _header(name: str, value: str) -> str:
    return f"{name} {'cleared' if value == 'remove' else _done(value)}"


def _done(value: str) -> str:
    return f"set, {len(value)} characters" if value else "cleared"


def _user(payload: JSONObject) -> str:
    user, login, tenant, handle = (payload.get(name) for name in ("sub", "rsub", "tId", "sessionHandle"))
    by = "" if login == user else f", login method {login}"
    where = "" if tenant == "public" else f", tenant {tenant}"
    return f"{user}{by}{where}, session {handle}"
