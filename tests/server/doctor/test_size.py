"""What the doctor says about the size of access tokens, and that measuring it leaves no traces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from coatcheck import App, InputAppInfo, current_app, get_user
from coatcheck.claims import BooleanClaim, PrimitiveArrayClaim, PrimitiveClaim
from coatcheck.recipes import session, usermetadata
from coatcheck.server.doctor import Diagnosis, Finding, diagnose
from coatcheck.server.doctor.size import COOKIE_LIMIT, measure

from ...kit import form

API, WEBSITE = "https://api.example.com", "https://example.com"


def made(tmp_path: Path, **options: Any) -> App:
    """Return an App that is not for tests, whose database would be a file."""
    return App(
        app_info=InputAppInfo(app_name="Mine", api_domain=API, website_domain=WEBSITE),
        recipe_list=[session.init(**options)],
        database=f"sqlite:///{tmp_path / 'mine.db'}",
    )


def claim_of(size: int) -> PrimitiveClaim[str]:
    """Return a claim whose value has so many characters."""
    return PrimitiveClaim(key="large", fetch_value=lambda *_: "x" * size)


def the_one(diagnosis: Diagnosis) -> Finding:
    (finding,) = diagnosis.findings
    return finding


def test_ordinary_claims_fit(tmp_path: Path) -> None:
    """A few claims of ordinary size are not worth a word."""
    claims = [
        BooleanClaim(key="2fa-completed", fetch_value=lambda *_: False),
        PrimitiveArrayClaim(key="roles", fetch_value=lambda *_: ["admin", "editor"]),
    ]
    assert diagnose(made(tmp_path, claims=claims)).findings == ()


def test_an_access_token_near_the_limit_of_cookies_is_a_warning(tmp_path: Path) -> None:
    """Before the next claim breaks it, it is said which claims are the largest."""
    finding = the_one(diagnose(made(tmp_path, claims=[claim_of(1_950)])))
    assert finding.level == "warning"
    assert "hardly fits into a cookie" in finding.title
    assert "large (" in finding.why


def test_an_access_token_beyond_the_limit_of_cookies_is_an_error(tmp_path: Path) -> None:
    """Browsers drop such a cookie."""
    finding = the_one(diagnose(made(tmp_path, claims=[claim_of(2_600)])))
    assert finding.level == "error"
    assert f"of at most {COOKIE_LIMIT} bytes" in finding.title


def test_in_headers_a_large_access_token_is_a_warning(tmp_path: Path) -> None:
    """Only the browser SDKs keep it in a cookie; other clients do not."""
    options: dict[str, Any] = {"get_token_transfer_method": lambda *_: "header"}
    finding = the_one(diagnose(made(tmp_path, claims=[claim_of(2_600)], **options)))
    assert (finding.level, "browser SDKs" in finding.why) == ("warning", True)


def test_an_access_token_that_servers_refuse_is_told_as_well(tmp_path: Path) -> None:
    """Beyond 8 KB it fits into no header of many servers."""
    titles = [finding.title for finding in diagnose(made(tmp_path, claims=[claim_of(6_000)])).findings]
    assert len(titles) == 2
    assert "more than many servers accept" in titles[1]


@pytest.mark.parametrize("options", [{}, {"anti_csrf": "VIA_TOKEN"}, {"use_dynamic_access_token_signing_key": False}])
def test_what_is_measured_is_what_a_client_gets(
    make_app: Callable[..., App], serve: Callable[..., TestClient], options: dict[str, Any]
) -> None:
    """The length measured is that of a real access token after a refresh, give or take the ids."""
    app = make_app(claims=[claim_of(700)], **options)
    client = serve(app)
    body = form(email="ann@example.com", password="correct horse 1")
    sent = client.post("/auth/signup", json=body, headers={"st-auth-mode": "cookie"})
    anti_csrf = {"anti-csrf": sent.headers["anti-csrf"]} if "anti-csrf" in sent.headers else {}
    client.post("/auth/session/refresh", headers={"rid": "session", **anti_csrf})
    assert abs(measure(app).token_bytes - len(client.cookies["sAccessToken"])) <= 20


def test_measuring_leaves_the_database_alone(tmp_path: Path) -> None:
    """Claims that look into the database see an empty one, and none is made."""
    looked: list[object] = []

    async def fetch(user_id: str, *_: object) -> int:
        looked.append((await get_user(user_id), current_app().database.url))
        return 1

    diagnosis = diagnose(made(tmp_path, claims=[PrimitiveClaim(key="n", fetch_value=fetch)]))
    assert diagnosis.findings == ()
    assert looked == [(None, "sqlite://")]
    assert [*tmp_path.iterdir()] == []


def test_a_claim_may_need_an_event_loop(tmp_path: Path) -> None:
    """Claims are fetched where there is a loop, also when the caller has none."""

    async def fetch(*_: object) -> str:
        await asyncio.sleep(0)
        return "x" * 3_000

    assert the_one(diagnose(made(tmp_path, claims=[PrimitiveClaim(key="n", fetch_value=fetch)]))).level == "error"


def test_measuring_works_where_an_event_loop_runs(tmp_path: Path) -> None:
    """A test, or a server that examines itself, may call from within a loop."""

    async def fetch(*_: object) -> str:
        await asyncio.sleep(0)
        return "x" * 3_000

    app = made(tmp_path, claims=[PrimitiveClaim(key="n", fetch_value=fetch)])

    async def calling() -> Diagnosis:
        return diagnose(app)

    assert the_one(asyncio.run(calling())).level == "error"


def test_a_claim_that_cannot_be_fetched_is_said_to_be_unknown(tmp_path: Path) -> None:
    """Values of a user who does not exist cannot always be had; the other claims are measured all the same."""

    def fetch(user_id: str, *_: object) -> str:
        return {"ann": "x"}[user_id]

    claims = [PrimitiveClaim(key="unknown", fetch_value=fetch), claim_of(2_600)]
    diagnosis = diagnose(made(tmp_path, claims=claims))
    assert the_one(diagnosis).level == "error"
    assert any("the claim 'unknown'" in what and "KeyError" in what for what in diagnosis.unchecked)


def test_a_claim_that_is_no_json_is_said_to_be_unknown(tmp_path: Path) -> None:
    """A value that could never be signed does not end the examination."""
    claim = PrimitiveClaim(key="unknown", fetch_value=lambda *_: {1, 2})
    (what,) = (one for one in diagnose(made(tmp_path, claims=[claim])).unchecked if "claim" in one)
    assert "TypeError" in what


def test_overrides_are_not_run_but_named(tmp_path: Path) -> None:
    """What an override of create_new_session would do nobody knows, so its place is told instead."""
    ran: list[str] = []

    def override(original: Any) -> Any:
        create_new_session = original.create_new_session

        async def with_more(*args: Any, **kwargs: Any) -> Any:
            ran.append("create_new_session")
            return await create_new_session(*args, **kwargs)

        original.create_new_session = with_more
        return original

    app = made(tmp_path, override=session.InputOverrideConfig(functions=override))
    (what,) = (one for one in diagnose(app).unchecked if "override" in one)
    assert "with_more" in what
    assert __file__ in what
    assert ran == []


def test_without_sessions_there_is_nothing_to_measure(tmp_path: Path) -> None:
    """An App that only knows users is examined, too."""
    app = App(
        app_info=InputAppInfo(app_name="Mine", api_domain=API, website_domain=WEBSITE),
        recipe_list=[usermetadata.init()],
        database=f"sqlite:///{tmp_path / 'mine.db'}",
    )
    assert diagnose(app).findings == ()
