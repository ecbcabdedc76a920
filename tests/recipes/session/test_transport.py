"""Which token of a request counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, strategies as st
from starlette.requests import Request

from coatcheck.recipes.exceptions import ConfigurationError
from coatcheck.recipes.session.config import TokenTransferMethod, TransferMethod
from coatcheck.recipes.session.response import cookies_of
from coatcheck.recipes.session.transport import (
    SelectedToken,
    bearer_token,
    carried_by,
    checked_answer,
    cleared_at_creation,
    cleared_at_refresh,
    creation_method,
    default_answer,
    duplicated,
    has_access_cookie,
    has_legacy_cookie,
    has_rid,
    parse_bearer,
    select_access_token,
    select_refresh_token,
)

ANSWERS: tuple[TokenTransferMethod, ...] = ("any", "header", "cookie")


def request(**headers: str) -> Request:
    """Make a request with the given headers; an underscore stands for a hyphen."""
    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": raw})


def with_tokens(*, header: bool, cookie: bool, name: str = "sAccessToken") -> Request:
    """Make a request with a token of ours in the header, in the cookie `name`, in both or in none."""
    headers = {"authorization": "Bearer ours-header"} if header else {}
    return request(**headers, **({"cookie": f"other=1; {name}=ours-cookie"} if cookie else {}))


def ours(token: str) -> bool:
    """Stand in for the structural check of access tokens."""
    return token.startswith("ours")


def access_token_of(
    sent: Request, answer: TokenTransferMethod, looks_like_ours: Callable[[str], bool] = ours
) -> SelectedToken | None:
    """Return the access token that a request is judged by."""
    authorization, _, cookies = carried_by(sent)
    return select_access_token(authorization, cookies, answer, looks_like_ours)


# selector's answer, session required?, header token?, cookie token? -> the method used, None where no token is found,
# which a required session answers with 401 and an optional one with no session.
BEHAVIOUR: list[tuple[TokenTransferMethod, bool, bool, bool, TransferMethod | None]] = [
    ("any", False, False, False, None),
    ("header", False, False, False, None),
    ("cookie", False, False, False, None),
    ("cookie", False, True, False, None),
    ("header", False, False, True, None),
    ("any", True, False, False, None),
    ("header", True, False, False, None),
    ("cookie", True, False, False, None),
    ("cookie", True, True, False, None),
    ("header", True, False, True, None),
    ("any", True, True, True, "header"),
    ("any", False, True, True, "header"),
    ("header", True, True, True, "header"),
    ("header", False, True, True, "header"),
    ("cookie", True, True, True, "cookie"),
    ("cookie", False, True, True, "cookie"),
    ("any", True, True, False, "header"),
    ("any", False, True, False, "header"),
    ("header", True, True, False, "header"),
    ("header", False, True, False, "header"),
    ("any", True, False, True, "cookie"),
    ("any", False, False, True, "cookie"),
    ("cookie", True, False, True, "cookie"),
    ("cookie", False, False, True, "cookie"),
]


def test_the_behaviour_table_is_complete() -> None:
    """Every combination occurs exactly once."""
    assert len({row[:4] for row in BEHAVIOUR}) == len(BEHAVIOUR) == 3 * 2 * 2 * 2


@pytest.mark.parametrize(("answer", "required", "header", "cookie", "used"), BEHAVIOUR)
def test_the_access_token_that_is_used(
    answer: TokenTransferMethod, required: bool, header: bool, cookie: bool, used: TransferMethod | None
) -> None:
    """The header's token wins unless the selector says cookie; whether a session is required makes no difference."""
    selected = access_token_of(with_tokens(header=header, cookie=cookie), answer)
    assert selected == (None if used is None else SelectedToken(used, f"ours-{used}"))


@pytest.mark.parametrize(
    ("answer", "authorization", "cookie", "used"),
    [
        ("any", "Bearer foreign", "sAccessToken=ours-cookie", "cookie"),
        ("cookie", "Bearer foreign", "sAccessToken=ours-cookie", "cookie"),
        ("header", "Bearer foreign", "sAccessToken=ours-cookie", None),
        ("any", "Bearer foreign", "", None),
        ("any", "Bearer ours-header", "sAccessToken=foreign", "header"),
        ("cookie", "Bearer ours-header", "sAccessToken=foreign", None),
        ("any", "Bearer foreign", "sAccessToken=foreign", None),
        ("any", "Basic ours-header", "sAccessToken=ours-cookie", "cookie"),
        ("any", "Bearer ", "sAccessToken=ours-cookie", "cookie"),
    ],
)
def test_a_foreign_token_is_as_good_as_absent(
    answer: TokenTransferMethod, authorization: str, cookie: str, used: TransferMethod | None
) -> None:
    """A Bearer token of another system does not hide the session cookie, nor the other way round."""
    selected = access_token_of(request(authorization=authorization, cookie=cookie), answer)
    assert (selected and selected.method) == used


@pytest.mark.parametrize("cookie", ["sAccessToken=ours-1; sAccessToken=ours-2", "sAccessToken=x; sAccess%54oken=ours"])
def test_two_access_cookies_are_marked(cookie: str) -> None:
    """Duplicates are reported with the choice, even if only one of them can be ours."""
    for answer in ("any", "cookie"):
        selected = access_token_of(request(cookie=cookie), checked_answer(answer))
        assert selected is not None
        assert (selected.method, selected.duplicated) == ("cookie", True)
        assert ours(selected.token)


@pytest.mark.parametrize("answer", ["any", "header"])
def test_duplicate_cookies_do_not_matter_to_a_header(answer: TokenTransferMethod) -> None:
    """Where the header is chosen, nobody looks at the cookies."""
    twice = request(authorization="Bearer ours-header", cookie="sAccessToken=ours-1; sAccessToken=ours-2")
    assert access_token_of(twice, answer) == SelectedToken("header", "ours-header")


# selector's answer, refresh token in the header?, in the cookie? -> the method used, the method cleared on success
REFRESH: list[tuple[TokenTransferMethod, bool, bool, TransferMethod | None, tuple[TransferMethod, ...]]] = [
    ("any", False, False, None, ()),
    ("any", False, True, "cookie", ()),
    ("any", True, False, "header", ()),
    ("any", True, True, "header", ("cookie",)),
    ("header", False, False, None, ()),
    ("header", False, True, None, ()),
    ("header", True, False, "header", ()),
    ("header", True, True, "header", ("cookie",)),
    ("cookie", False, False, None, ()),
    ("cookie", False, True, "cookie", ()),
    ("cookie", True, False, None, ()),
    ("cookie", True, True, "cookie", ("header",)),
]


def test_the_refresh_table_is_complete() -> None:
    """Every combination occurs exactly once."""
    assert len({row[:3] for row in REFRESH}) == len(REFRESH) == 3 * 2 * 2


@pytest.mark.parametrize(("answer", "header", "cookie", "used", "cleared"), REFRESH)
def test_the_refresh_token_that_is_used(
    answer: TokenTransferMethod,
    header: bool,
    cookie: bool,
    used: TransferMethod | None,
    cleared: tuple[TransferMethod, ...],
) -> None:
    """The same precedence as for access tokens; the other one, if it was sent, is cleared."""
    sent = with_tokens(header=header, cookie=cookie, name="sRefreshToken")
    selected = select_refresh_token(sent, answer)
    assert selected == (None if used is None else SelectedToken(used, f"ours-{used}"))
    if used is not None:
        assert cleared_at_refresh(sent, used) == cleared


def test_a_refresh_token_may_look_like_anything() -> None:
    """A refresh token is judged by the engine alone, and a bad one is not replaced by the other place's."""
    sent = request(authorization="Bearer asdf", cookie="sRefreshToken=good")
    assert select_refresh_token(sent, "any") == SelectedToken("header", "asdf")
    assert select_refresh_token(sent, "cookie") == SelectedToken("cookie", "good")


def test_an_empty_refresh_token_is_absent() -> None:
    """A client that deletes a token by emptying it has sent none."""
    sent = request(authorization="Bearer  ", cookie="sRefreshToken=")
    assert [select_refresh_token(sent, answer) for answer in ANSWERS] == [None, None, None]
    assert cleared_at_refresh(sent, "header") == cleared_at_refresh(sent, "cookie") == ()


def test_two_refresh_cookies_are_marked() -> None:
    """Duplicates are reported with the choice."""
    twice = request(cookie="sRefreshToken=1; sRefreshToken=2")
    assert select_refresh_token(twice, "any") == SelectedToken("cookie", "1", duplicated=True)


@pytest.mark.parametrize(
    ("answer", "mode", "method"),
    [
        ("any", None, "header"),
        ("any", "cookie", "cookie"),
        ("any", "Cookie", "cookie"),
        ("any", "header", "header"),
        ("any", "invalid", "header"),
        ("any", "", "header"),
        ("cookie", None, "cookie"),
        ("cookie", "header", "cookie"),
        ("header", None, "header"),
        ("header", "cookie", "header"),
    ],
)
def test_how_a_new_session_travels(answer: TokenTransferMethod, mode: str | None, method: TransferMethod) -> None:
    """Headers, unless the selector or the client asks for cookies."""
    assert creation_method(request() if mode is None else request(st_auth_mode=mode), answer) == method


@pytest.mark.parametrize(
    ("mode", "creating", "existing"),
    [
        (None, "any", "any"),
        ("cookie", "cookie", "any"),
        ("HEADER", "header", "any"),
        ("invalid", "any", "any"),
        ("any", "any", "any"),
    ],
)
def test_the_default_selector(mode: str | None, creating: TokenTransferMethod, existing: TokenTransferMethod) -> None:
    """The client's wish counts for a new session only; an existing one keeps its method."""
    sent = request() if mode is None else request(st_auth_mode=mode)
    assert default_answer(sent, creating=True) == creating
    assert default_answer(sent, creating=False) == existing


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_selectors_answer_passes(answer: TokenTransferMethod) -> None:
    """The three known answers are taken as they are."""
    assert checked_answer(answer) == answer


@pytest.mark.parametrize("answer", [None, "", "Cookie", "bearer", 3, ["any"], object()])
def test_another_answer_of_a_selector_is_an_error(answer: object) -> None:
    """A selector that answers nonsense is an error that names the option, not a silent default."""
    with pytest.raises(ConfigurationError, match=r"^get_token_transfer_method must return"):
        checked_answer(answer)


@pytest.mark.parametrize(
    ("headers", "used", "cleared"),
    [
        ({}, "header", ()),
        ({}, "cookie", ()),
        ({"cookie": "sAccessToken=foreign"}, "header", ("cookie",)),
        ({"cookie": "sAccessToken=foreign"}, "cookie", ()),
        ({"cookie": "sRefreshToken=x; other=1"}, "header", ()),
        ({"authorization": "Bearer foreign"}, "cookie", ("header",)),
        ({"authorization": "Bearer foreign"}, "header", ()),
        ({"authorization": "Basic foreign"}, "cookie", ()),
        ({"authorization": "Bearer x", "cookie": "sAccessToken=y"}, "header", ("cookie",)),
        ({"authorization": "Bearer x", "cookie": "sAccessToken=y"}, "cookie", ("header",)),
    ],
)
def test_what_a_new_session_clears(
    headers: dict[str, str], used: TransferMethod, cleared: tuple[TransferMethod, ...]
) -> None:
    """The other method is cleared if anything came by it, even a token that is not ours."""
    assert cleared_at_creation(request(**headers), used) == cleared


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("Bearer   abc \t", "abc"),
        ("Bearer a b", "a b"),
        ("Bearer", None),
        ("Bearer ", None),
        ("Bearer    ", None),
        ("bearer abc", None),
        ("BEARER abc", None),
        (" Bearer abc", None),
        ("Bearer\tabc", None),
        ("Bearerabc", None),
        ("Basic abc", None),
        ("", None),
    ],
)
def test_the_bearer_scheme_is_exact(header: str, token: str | None) -> None:
    """`Bearer` and one space, in exactly this case; the rest is trimmed and must not be empty."""
    assert parse_bearer(header) == token


@given(st.text() | st.text().map(lambda rest: f"Bearer {rest}"))
def test_no_authorization_header_raises(header: str) -> None:
    """Whatever is sent, there is a trimmed token or none."""
    token = parse_bearer(header)
    assert token is None or (token == token.strip() != "" and token in header)


@given(st.binary(), st.binary(), st.sampled_from(ANSWERS))
def test_no_bytes_in_a_request_raise(authorization: bytes, cookie: bytes, answer: TokenTransferMethod) -> None:
    """Selecting never fails, whatever bytes the headers hold."""
    headers = [(b"authorization", b"Bearer " + authorization), (b"cookie", b"sAccessToken=" + cookie)]
    sent = Request({"type": "http", "method": "GET", "path": "/", "headers": headers})
    for selected in (access_token_of(sent, answer, lambda _: True), select_refresh_token(sent, answer)):
        assert selected is None or selected.token
    duplicated(sent)
    has_legacy_cookie(cookies_of(sent))


@pytest.mark.parametrize(
    ("cookie", "names"),
    [
        ("", ()),
        ("sAccessToken=1; sRefreshToken=1", ()),
        ("sAccessToken=1; sAccessToken=1", ("sAccessToken",)),
        ("sRefreshToken=; x=1; sRefreshToken=", ("sRefreshToken",)),
        ("sRefreshToken=1; sAccessToken=1; sRefresh%54oken=2; sAccessToken=2", ("sAccessToken", "sRefreshToken")),
        ("other=1; other=2; saccesstoken=1; sAccessToken=1", ()),
    ],
)
def test_duplicates_are_found_in_the_raw_header(cookie: str, names: tuple[str, ...]) -> None:
    """Only the session's own names count, however they are encoded and whatever their values."""
    assert duplicated(request(cookie=cookie)) == names


@pytest.mark.parametrize(
    ("cookie", "legacy"), [("sIdRefreshToken=", True), ("a=1; sIdRefreshToken=x", True), ("a=1", False)]
)
def test_a_legacy_session_is_recognised(cookie: str, legacy: bool) -> None:
    """The mere presence of the old cookie marks a session of the old kind."""
    assert has_legacy_cookie(cookies_of(request(cookie=cookie))) is legacy


class CountedHeaders(list[tuple[bytes, bytes]]):
    """Headers that count how often somebody goes through them."""

    passes = 0

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Count, and go through them."""
        self.passes += 1
        return super().__iter__()


@pytest.mark.parametrize("cookie", [b"a", b"a=1"])
def test_the_headers_are_read_as_often_however_many_cookies_there_are(cookie: bytes) -> None:
    """A client that sends thousands of Cookie headers does not keep the server busy for their square."""
    one, many = CountedHeaders([(b"cookie", cookie)]), CountedHeaders([(b"cookie", cookie)] * 1_000)
    for headers in (one, many):
        carried_by(Request({"type": "http", "headers": headers}))
    assert many.passes == one.passes


def test_the_other_headers() -> None:
    """`rid` counts with any value, even an empty one; the anti-CSRF token is taken as sent."""
    assert (has_rid(request()), has_rid(request(rid="")), has_rid(request(rid="session"))) == (False, True, True)
    assert (carried_by(request())[1], carried_by(request(anti_csrf="t"))[1]) == (None, "t")
    assert (bearer_token(request()), bearer_token(request(authorization="Bearer t"))) == (None, "t")


@pytest.mark.parametrize(
    ("cookie", "there"), [("sAccessToken=foreign", True), ("sAccessToken=", False), ("a=1", False)]
)
def test_an_access_cookie_is_noticed(cookie: str, there: bool) -> None:
    """A refresh without refresh token says whether there was at least an access token."""
    assert has_access_cookie(request(cookie=cookie)) is there


def test_a_token_does_not_show_in_a_selections_repr() -> None:
    """Tokens are secrets, and what is printed ends in a log."""
    assert "secret" not in repr(SelectedToken("cookie", "secret"))
