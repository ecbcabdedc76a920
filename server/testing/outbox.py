"""The testing route of the outbox: the mails that were delivered, with what a test looks for in them."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import Response

from ...recipes.delivery.outbox import Mail
from ...recipes.kit.routing import ApiResponse
from ...recipes.kit.services import current_app
from .body import NoQuery, OutboxQuery, query_of

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
_CODE = re.compile(r"(?<![\w.,:-])[0-9]{4,8}(?![\w:-]|[.,][0-9])")


class OutboxRoute(HTTPEndpoint):
    """`GET outbox`, `DELETE outbox`."""

    async def get(self, request: Request) -> Response:
        """Answer with the mails, oldest first, or with those to one address."""
        query = query_of(request, OutboxQuery)
        outbox = current_app().outbox
        mails = outbox.mails if query.to is None else outbox.to(query.to)
        return ApiResponse({"status": "OK", "mails": [mail_json(mail) for mail in mails]})

    async def delete(self, request: Request) -> Response:
        """Forget all mails."""
        query_of(request, NoQuery)
        outbox = current_app().outbox
        cleared = len(outbox)
        outbox.clear()
        return ApiResponse({"status": "OK", "cleared": cleared})


def mail_json(mail: Mail) -> dict[str, Any]:
    """Return a mail as JSON: its links with their parameters, and the codes in its text."""
    return {
        "to": mail.to,
        "subject": mail.subject,
        "text": mail.text,
        "html": mail.html,
        "links": [{"url": link, "parameters": parameters_of(link)} for link in mail.links],
        "codes": codes_in(mail.text),
    }


def parameters_of(url: str) -> dict[str, str]:
    """Return the parameters of a URL's query and fragment; none where it cannot be read."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return {}
    return dict(parse_qsl(parts.query, keep_blank_values=True) + parse_qsl(parts.fragment, keep_blank_values=True))


def codes_in(text: str) -> list[str]:
    """Return the numbers of four to eight digits that stand by themselves in a text, outside its URLs."""
    return _CODE.findall(_URL.sub(" ", text))
