"""What was sent, and what a person would click or type."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from coatcheck import App
from coatcheck.recipes.outbox import Mail
from coatcheck.testing import Mailbox, client, make_app, sign_in


@pytest.fixture
def app() -> Iterator[App]:
    """Yield a fresh App."""
    with make_app() as app:
        yield app


@pytest.fixture
def box(app: App) -> Mailbox:
    """Return what the App sends."""
    return Mailbox(app.outbox)


def fields(**values: str) -> dict[str, object]:
    return {"formFields": [{"id": name, "value": value} for name, value in values.items()]}


def forget_password(app: App, email: str) -> None:
    client(app).post("/auth/user/password/reset/token", json=fields(email=email))


def mail(to: str, text: str, *links: str) -> Mail:
    return Mail(to, "Hello", text, None, links, None)


def test_a_forgotten_password_is_reset_with_the_token_of_the_mail(app: App, box: Mailbox) -> None:
    """Link and token of the last mail are those with which its reader sets a new password."""
    sign_in(app, "ann@example.com")
    forget_password(app, "ann@example.com")
    link = urlsplit(box.last.link)
    assert (link.netloc, link.path) == ("localhost:3000", "/auth/reset-password")
    assert box.last.parameters == {"token": box.last.token, "tenantId": "public"}
    reset = {"method": "token", "token": box.last.token, **fields(password="another horse 2")}
    assert client(app).post("/auth/user/password/reset", json=reset).json()["status"] == "OK"
    again = client(app).post("/auth/signin", json=fields(email="ann@example.com", password="another horse 2"))
    assert again.json()["status"] == "OK"


def test_mails_are_found_by_address(app: App, box: Mailbox) -> None:
    """`to` shows the mails to one address, however it is written, and keeps up with those that come later."""
    to_ann = box.to(" ANN@example.com")
    for email in ("ann@example.com", "bob@example.com", "ann@example.com"):
        sign_in(app, email)
        forget_password(app, email)
    assert [message.to for message in box] == ["ann@example.com", "bob@example.com", "ann@example.com"]
    assert [message.to for message in to_ann] == ["ann@example.com"] * 2
    assert to_ann.last == box[2]
    assert to_ann[:1] == [box[0]]
    assert len(box.to("carl@example.com")) == 0


def test_text_messages_are_found_by_number(app: App, box: Mailbox) -> None:
    """What goes to a phone number is found by the number, however it is written."""
    app.outbox.add(mail("+4915112345678", "Your code is 123456"))
    assert box.to("0049 151 123 456 78").last.code == "123456"


def test_a_code_stands_by_itself(app: App, box: Mailbox) -> None:
    """A code is a number of four to eight digits, neither part of a longer text nor of a link."""
    app.outbox.add(
        mail("ann@example.com", "Order 1234567890, http://x.example/9999: enter 4711 or 0815-4711 by 12:30.")
    )
    assert box.last.codes == ("4711",)
    assert box.last.code == "4711"


@pytest.mark.parametrize(
    ("link", "token"),
    [
        ("https://example.com/verify?token=abc&rid=x", "abc"),
        ("https://example.com/verify?rid=passwordless#linkcode", "linkcode"),
        ("https://example.com/verify?rid=x#token=abc", "abc"),
    ],
)
def test_the_token_is_what_the_link_carries(app: App, box: Mailbox, link: str, token: str) -> None:
    """A token travels as a parameter of the link, or in its fragment."""
    app.outbox.add(mail("ann@example.com", link, link))
    assert box.last.token == token


def test_what_is_not_there_is_said(app: App, box: Mailbox) -> None:
    """Where something is missing, the error tells what there is."""
    with pytest.raises(LookupError, match="nothing was sent to anybody; there are messages to nobody"):
        _ = box.last
    app.outbox.add(mail("ann@example.com", "Hello, Ann", "https://example.com/"))
    with pytest.raises(LookupError, match=r"sent to bob@example.com; there are messages to ann@example.com"):
        _ = box.to("bob@example.com").last
    with pytest.raises(LookupError, match=r"'Hello' to ann@example.com has no code"):
        _ = box.last.code
    with pytest.raises(LookupError, match="has no token in its link"):
        _ = box.last.token
    app.outbox.add(mail("ann@example.com", "Hello, Ann"))
    with pytest.raises(LookupError, match="has no link"):
        _ = box.last.link


def test_a_mailbox_can_be_cleared(app: App, box: Mailbox) -> None:
    """Clearing forgets every message."""
    app.outbox.add(mail("ann@example.com", "Hello"))
    box.clear()
    assert len(box) == 0


def test_secrets_are_not_shown(app: App, box: Mailbox) -> None:
    """Printing a mailbox shows who was written to about what, and none of the tokens."""
    sign_in(app, "ann@example.com")
    forget_password(app, "ann@example.com")
    assert "ann@example.com" in repr(box)
    assert box.last.token not in repr(box)
