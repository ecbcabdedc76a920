"""What a browser asks of an API for a page of another origin, and what it wants to hear before the page may read."""

from __future__ import annotations

from typing import Any

from coatcheck import get_all_cors_headers

from ..kit import WEBSITE, form

PAGE = {"origin": WEBSITE}
HEADERS = ["content-type", *get_all_cors_headers()]


def may_use(client: Any) -> None:
    """Have the website's page ask first, sign up, and be refused at /me: it may read every answer."""
    for path, method in (("/auth/signup", "POST"), ("/me", "GET")):
        asks = {"access-control-request-method": method, "access-control-request-headers": ", ".join(HEADERS)}
        preflight = client.options(path, headers={**PAGE, **asks})
        assert preflight.status_code in {200, 204}
        assert method in preflight.headers["access-control-allow-methods"]
        assert set(HEADERS) <= set(preflight.headers["access-control-allow-headers"].lower().split(", "))
        _readable(preflight)
    fields = form(email="ann@example.com", password="correct horse 1")
    signed_up = client.post("/auth/signup", json=fields, headers=PAGE)
    assert signed_up.json()["status"] == "OK"
    assert "front-token" in signed_up.headers["access-control-expose-headers"]
    _readable(signed_up)
    refused = client.get("/me", headers=PAGE)
    assert refused.status_code == 401
    _readable(refused)


def _readable(answer: Any) -> None:
    assert answer.headers["access-control-allow-origin"] == WEBSITE
    assert answer.headers["access-control-allow-credentials"] == "true"
