"""The people who can sign in at a stub provider, and its pages: plain HTML, everything escaped, nothing loaded."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from urllib.parse import urlsplit

from starlette.responses import HTMLResponse


@dataclass(frozen=True, slots=True)
class Persona:
    """A person with an account at a stub provider; `email` is None for a person who does not share an address.

    A `user_id` of digits fits every provider, also GitHub, whose ids are numbers.
    """

    user_id: str
    email: str | None
    email_verified: bool = True
    name: str = ""


PERSONAS = (
    Persona("1001", "ada@example.com", name="Ada Lovelace"),
    Persona("1002", "grace@example.com", name="Grace Hopper"),
    Persona("1003", "unverified@example.com", email_verified=False, name="Una Verified"),
    Persona("1004", None, name="Noel Address"),
)
"""The personas of a stub provider that was given none."""

_MAX_EMAIL = 254  # RFC 5321, section 4.5.3.1.3, less the angle brackets


def persona_for(email: str) -> Persona | None:
    """Return the persona of an e-mail address, always the same one; None if it is no address."""
    address = email.strip()
    local, _, domain = address.rpartition("@")
    if not local or not domain or len(address) > _MAX_EMAIL or not address.isprintable() or " " in address:
        return None
    digest = hashlib.sha256(address.lower().encode()).digest()
    return Persona(str(10**12 + int.from_bytes(digest[:6], "big")), address, name=local)


# Pages

_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:26rem;margin:3rem auto;padding:0 1rem}"
    "button,input{font:inherit;padding:.5rem .75rem;width:100%;box-sizing:border-box;margin:.25rem 0;text-align:left}"
    ".note{border:1px solid;padding:.5rem .75rem}"
)
_SUBMIT = "document.forms[0].submit()"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_POLICY = (
    f"default-src 'none'; style-src {_hash(_STYLE)}; script-src {_hash(_SUBMIT)}; "
    "base-uri 'none'; frame-ancestors 'none'; form-action "
)


def choice(provider: str, client: str, personas: Iterable[Persona], *, target: str, note: str = "") -> HTMLResponse:
    """Return the page on which a user chooses a persona; `target` is the address that gets the answer."""
    buttons = "\n".join(
        f'<button name="persona" value="{escape(persona.user_id)}">{_label(persona)}</button>' for persona in personas
    )
    alert = f'<p role="alert" class="note">{escape(note)}</p>' if note else ""
    body = f"""<h1>Sign in with {escape(provider)}</h1>
<p class="note">This is a stub for development: nobody proves who they are here.</p>
<p>{escape(client)} asks who you are.</p>
{alert}
<form method="post"><fieldset><legend>Continue as</legend>
{buttons}
</fieldset></form>
<form method="post"><label for="email">or as somebody with this e-mail address</label>
<input id="email" name="email" type="email" required autocomplete="off">
<button>Continue</button></form>
<form method="post"><button name="deny" value="1">Deny</button></form>"""
    return _page(f"Sign in with {provider}", body, targets=(target,), status=400 if note else 200)


def hand_over(target: str, fields: Mapping[str, str], *, website: str) -> HTMLResponse:
    """Return the page that posts the answer to `target`, which redirects to the website."""
    inputs = "\n".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in fields.items()
    )
    body = f"""<form method="post" action="{escape(target)}">
{inputs}
<button>Continue</button></form>
<script>{_SUBMIT}</script>"""
    return _page("Continue", body, targets=(target, website))


def refusal(message: str, status: int = 400) -> HTMLResponse:
    """Return the page for a request that must not be answered by a redirect."""
    return _page("Not possible", f'<h1>Not possible</h1>\n<p role="alert">{escape(message)}</p>', status=status)


def _label(persona: Persona) -> str:
    address = "no e-mail address" if persona.email is None else persona.email
    unverified = " (unverified)" if persona.email is not None and not persona.email_verified else ""
    return escape(f"{persona.name or persona.user_id}: {address}{unverified}")


def _page(title: str, body: str, *, targets: Iterable[str] = (), status: int = 200) -> HTMLResponse:
    html = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>\n<body><main>\n'
        f"{body}\n</main></body></html>\n"
    )
    # Browsers also apply form-action to the redirects that follow.
    origins = sorted({f"{urlsplit(target).scheme}://{urlsplit(target).netloc}" for target in targets})
    headers = {
        "content-security-policy": _POLICY + " ".join(["'self'", *origins]),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
    }
    return HTMLResponse(html, status, headers)
