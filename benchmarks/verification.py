"""What it costs to verify an access token, compared with a bare RSA-2048 verification and with `jwt.decode`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from apps import MEMORY, active_app, bare_verify, jwt_decode, new_session, new_tokens
from measure import Contender, Size, race, ratio, seconds
from starlette.requests import Request
from table import Row

from coatcheck.claims import BooleanClaim, PrimitiveClaim
from coatcheck.recipes import session

GROUP = "verify"
RSA, JWT = "RSA verify", "jwt.decode"
BARE = "get_session_without_request_response"
WITH_REQUEST = "get_session(request)"

_second_factor = BooleanClaim(key="2fa-completed", fetch_value=lambda: False)
_role = PrimitiveClaim(key="role", fetch_value=lambda: "reader")
VALIDATORS = [
    _second_factor.validators.is_false(),
    _second_factor.validators.has_value(False),
    _role.validators.has_value("reader"),
]


def measured(size: Size) -> Iterable[Row]:
    """Yield the rows of this group."""
    yield from _measured(size, "", None, validators=False)
    yield from _measured(size, ", one seed-style override", _override, validators=False)
    yield from _measured(size, ", three claim validators", None, validators=True)


def _measured(size: Size, circumstance: str, override: Any, *, validators: bool) -> Iterable[Row]:
    with active_app(MEMORY, override) as app:
        token = new_session().access_token
        plain = not circumstance
        subjects = _contenders(token, size.count, (lambda *_: VALIDATORS) if validators else None, misses=plain)
        yardsticks = {RSA: bare_verify(size.count), JWT: jwt_decode(token, app, size.count)}
        laps = race({**yardsticks, **subjects}, rounds=size.rounds)
    for name in subjects:
        most = {RSA: 0.85 if WITH_REQUEST in name else 0.45, JWT: None} if plain else {RSA: None, JWT: None}
        if "miss" in name:
            most = {RSA: None, JWT: 1.3}
        for yardstick in yardsticks:
            yield Row(
                GROUP,
                name + circumstance,
                seconds(laps, name),
                ratio(laps, name, yardstick),
                yardstick,
                most[yardstick],
            )
    if plain:
        yield Row(GROUP, JWT, seconds(laps, JWT), ratio(laps, JWT, RSA), RSA)


def _contenders(token: str, count: int, validators: Any, *, misses: bool) -> dict[str, Contender]:
    plain, awaited = session.sync, session
    by_header = {"authorization": f"Bearer {token}"}
    by_cookie = {"cookie": f"theme=dark; sAccessToken={token}; sRefreshToken=x.y", "rid": "session"}
    known: dict[str, Any] = {"override_global_claim_validators": validators} if validators else {}

    def bare(function: Any) -> Any:
        return lambda one: function(one, **known)

    def requests(headers: dict[str, str]) -> Any:
        raw = raw_headers(headers)
        return lambda n: [request(raw) for _ in range(n)]

    def tokens(n: int) -> list[str]:
        return [token] * n

    contenders = {
        f"{BARE} .sync, hit": Contender(bare(plain.get_session_without_request_response), count, tokens),
        f"{BARE} async, hit": Contender(bare(awaited.get_session_without_request_response), count, tokens, True),
        f"{WITH_REQUEST} .sync, header, hit": Contender(bare(plain.get_session), count, requests(by_header)),
        f"{WITH_REQUEST} .sync, cookie, hit": Contender(bare(plain.get_session), count, requests(by_cookie)),
        f"{WITH_REQUEST} async, header, hit": Contender(bare(awaited.get_session), count, requests(by_header), True),
        f"{WITH_REQUEST} async, cookie, hit": Contender(bare(awaited.get_session), count, requests(by_cookie), True),
    }
    if misses:
        contenders |= {
            f"{BARE} .sync, miss": Contender(bare(plain.get_session_without_request_response), count, new_tokens),
            f"{BARE} async, miss": Contender(
                bare(awaited.get_session_without_request_response), count, new_tokens, True
            ),
            f"{WITH_REQUEST} .sync, header, miss": Contender(bare(plain.get_session), count, _unseen),
            f"{WITH_REQUEST} async, header, miss": Contender(bare(awaited.get_session), count, _unseen, True),
        }
    return contenders


def raw_headers(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """Return these headers among those that a browser sends, as a server has just parsed them."""
    usual = {
        "host": "localhost:3567",
        "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "accept": "application/json",
        "accept-language": "en",
        "accept-encoding": "gzip, deflate",
        "origin": "http://localhost:3000",
    }
    return [(name.encode(), value.encode()) for name, value in {**usual, **headers}.items()]


def request(raw: list[tuple[bytes, bytes]]) -> Request:
    """Return a new request with these headers."""
    return Request({"type": "http", "method": "GET", "path": "/notes", "query_string": b"", "headers": raw})


def _unseen(count: int) -> list[Request]:
    return [request(raw_headers({"authorization": f"Bearer {token}"})) for token in new_tokens(count)]


def _override(original_implementation: session.RecipeInterface) -> session.RecipeInterface:
    original = original_implementation.get_session

    async def get_session(
        access_token: str | None,
        anti_csrf_token: str | None,
        anti_csrf_check: bool | None,
        session_required: bool | None,
        check_database: bool | None,
        override_global_claim_validators: Any,
        user_context: dict[str, Any],
    ) -> session.SessionContainer | None:
        return await original(
            access_token,
            anti_csrf_token,
            anti_csrf_check,
            session_required,
            check_database,
            override_global_claim_validators,
            user_context,
        )

    original_implementation.get_session = get_session  # type: ignore[method-assign]
    return original_implementation
