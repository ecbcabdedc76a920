"""Delivery over SMTP, to a real server in this process."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, strategies as st

from coatcheck.claims.payload import UserContext
from coatcheck.recipes.delivery import (
    EmailContent,
    SMTPService,
    SMTPServiceInterface,
    SMTPSettings,
    SMTPSettingsFrom,
)
from coatcheck.recipes.delivery.outbox import address, mime_message
from coatcheck.recipes.delivery.smtp import send_over_smtp
from coatcheck.recipes.emailpassword.mail import (
    PasswordResetEmailTemplateVars,
    PasswordResetEmailTemplateVarsUser,
)
from coatcheck.recipes.exceptions import ConfigurationError

from ...kit import free_port

# The test server's own remark about passwords without TLS, which is what some tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")

LINK = "https://example.com/auth/reset-password?token=abc&tenantId=public"
FROM = SMTPSettingsFrom("Shop, the Ünion", "shop@example.com")
USER = PasswordResetEmailTemplateVarsUser("u1", None, "ada@example.com")
HELLO = EmailContent("hello", "Hi", "ada@example.com", is_html=False)


class Server:
    """A mail server that keeps what it is sent, and how."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.encrypted: list[bool] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.port = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Accept a mail."""
        self.envelopes.append(envelope)
        self.encrypted.append(session.ssl is not None)
        return "250 OK"

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        """Accept one password."""
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"secret", handled=False)

    def mail(self) -> EmailMessage:
        """Return the last mail."""
        content = self.envelopes[-1].original_content
        assert content is not None
        message = message_from_bytes(content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        return message


@contextmanager
def serving(**options: Any) -> Iterator[Server]:
    """Run a mail server."""
    server = Server()
    controller = Controller(server, hostname="127.0.0.1", port=free_port(), enable_SMTPUTF8=True, **options)
    server.port = controller.port
    controller.start()
    try:
        yield server
    finally:
        controller.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a certificate for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now)
    builder = builder.not_valid_after(now + datetime.timedelta(days=1))
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = builder.add_extension(alternative, critical=False).sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + private)
    return path


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    """Return the server's side of TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def client_tls(certificate: Path) -> ssl.SSLContext:
    """Return the client's side of TLS, which trusts the server's certificate."""
    return ssl.create_default_context(cafile=certificate)


def settings(server: Server, **changes: Any) -> SMTPSettings:
    """Return settings for a server."""
    return SMTPSettings("127.0.0.1", server.port, FROM, **changes)


def send(service: SMTPService, context: UserContext | None = None) -> None:
    """Send a reset mail from within an event loop."""
    template_vars = PasswordResetEmailTemplateVars(USER, LINK, "public")
    asyncio.run(service.send_email(template_vars, {} if context is None else context))


def test_reset_mail_arrives() -> None:
    """A mail arrives with sender, recipient, subject, date and id, as text and as HTML."""
    with serving() as server:
        send(SMTPService(settings(server)))
    mail, envelope = server.mail(), server.envelopes[0]
    assert (envelope.mail_from, envelope.rcpt_tos) == ("shop@example.com", ["ada@example.com"])
    assert mail["From"].addresses[0].display_name == "Shop, the Ünion"
    assert mail["From"].addresses[0].addr_spec == "shop@example.com"
    assert (mail["To"], mail["Subject"]) == ("ada@example.com", "Password reset instructions")
    assert mail["Date"].datetime is not None
    assert mail["Message-ID"].endswith("@example.com>")
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert LINK in text.get_content()
    assert html is not None
    assert LINK.replace("&", "&amp;") in html.get_content()


def test_plain_connection_without_tls() -> None:
    """A server that offers no TLS is spoken to without, and without a password nobody logs in."""
    with serving() as server:
        send_over_smtp(settings(server), HELLO)
    assert (server.encrypted, server.logins) == ([False], [])
    assert server.mail().get_content().strip() == "hello"


def test_starttls_is_used_where_offered(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    """A server that offers STARTTLS gets the mail encrypted, and the password only then."""
    with serving(tls_context=server_tls, authenticator=None) as server:
        send_over_smtp(settings(server, ssl_context=client_tls), HELLO)
    assert server.encrypted == [True]


def test_login_after_starttls(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    """The password goes to a server that demands TLS before it takes one."""
    server = Server()
    with serving(
        tls_context=server_tls, require_starttls=True, auth_required=True, authenticator=server.authenticate
    ) as s:
        send_over_smtp(settings(s, ssl_context=client_tls, password="secret"), HELLO)
        assert s.encrypted == [True]
    assert server.logins == [(b"shop@example.com", b"secret")]


def test_tls_from_the_first_byte(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    """With `secure`, nothing is said before TLS."""
    with serving(ssl_context=server_tls) as server:
        send_over_smtp(settings(server, secure=True, ssl_context=client_tls), HELLO)
    assert len(server.envelopes) == 1


@pytest.mark.parametrize("secure", [True, False])
def test_untrusted_certificate(server_tls: ssl.SSLContext, secure: bool) -> None:
    """A server whose certificate is not trusted gets no mail: there is no falling back to an open connection."""
    options: dict[str, Any] = {"ssl_context" if secure else "tls_context": server_tls}
    with serving(**options) as server:
        with pytest.raises(ssl.SSLError):
            send_over_smtp(settings(server, secure=secure), HELLO)
        assert server.envelopes == []


@pytest.mark.parametrize(("username", "login"), [(None, b"shop@example.com"), ("postmaster", b"postmaster")])
def test_login(username: str | None, login: bytes) -> None:
    """With a password the login is as the user name, or as the sender's address where none is given."""
    keeper = Server()
    with serving(auth_required=True, auth_require_tls=False, authenticator=keeper.authenticate) as server:
        send_over_smtp(settings(server, password="secret", username=username), HELLO)
    assert keeper.logins == [(login, b"secret")]


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True)])
def test_unencrypted_password(host: str, warned: bool, caplog: pytest.LogCaptureFixture) -> None:
    """A password that leaves this machine unencrypted is reported in the log."""
    keeper = Server()
    with serving(auth_required=True, auth_require_tls=False, authenticator=keeper.authenticate) as server:
        send_over_smtp(SMTPSettings(host, server.port, FROM, "secret"), HELLO)
    assert ("sent unencrypted" in caplog.text) is warned
    assert "secret" not in caplog.text


def test_wrong_password() -> None:
    """A refused login is the caller's to know."""
    keeper = Server()
    with serving(auth_required=True, auth_require_tls=False, authenticator=keeper.authenticate) as server:
        with pytest.raises(smtplib.SMTPAuthenticationError):
            send(SMTPService(settings(server, password="wrong")))
        assert server.envelopes == []


def test_no_server() -> None:
    """A server that is not there is the caller's to know."""
    with pytest.raises(OSError, match="refused"):
        send(SMTPService(SMTPSettings("127.0.0.1", free_port(), FROM)))


def test_server_that_says_nothing() -> None:
    """A server that does not answer is given up after the timeout."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises((TimeoutError, smtplib.SMTPServerDisconnected), match="timed out"):
            send_over_smtp(SMTPSettings("127.0.0.1", port, FROM, timeout_s=0.05), HELLO)


def test_event_loop_is_not_blocked() -> None:
    """While a mail is sent, the event loop goes on: a server in the very same loop can accept it."""
    keeper = Server()

    async def run() -> None:
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(lambda: SMTP(keeper, hostname="localhost"), "127.0.0.1", 0)
        async with listening:
            keeper.port = listening.sockets[0].getsockname()[1]
            await SMTPService(settings(keeper)).send_email(PasswordResetEmailTemplateVars(USER, LINK, "public"), {})

    asyncio.run(run())
    assert len(keeper.envelopes) == 1


def test_overriding_the_content() -> None:
    """An override may change the mail and leave the sending to the original."""

    def override(original: SMTPServiceInterface) -> SMTPServiceInterface:
        original_content = original.get_content

        async def get_content(template_vars: Any, user_context: UserContext) -> EmailContent:
            content = await original_content(template_vars, user_context)
            content.subject = f"{user_context['greeting']}: {content.subject}"
            return content

        original.get_content = get_content  # type: ignore[method-assign]
        return original

    with serving() as server:
        send(SMTPService(settings(server), override), {"greeting": "Dear Ada"})
    assert server.mail()["Subject"] == "Dear Ada: Password reset instructions"


def test_overriding_the_sending() -> None:
    """An override may send by its own means."""
    sent: list[EmailContent] = []

    class Own(SMTPServiceInterface):
        async def get_content(self, template_vars: Any, user_context: UserContext) -> EmailContent:
            return HELLO

        async def send_raw_email(self, content: EmailContent, user_context: UserContext) -> None:
            sent.append(content)

    send(SMTPService(SMTPSettings("mail.invalid", 25, FROM), lambda original: Own()))
    assert sent == [HELLO]


def test_override_that_returns_nothing() -> None:
    """A forgotten return is an error when the service is made."""
    with pytest.raises(ConfigurationError, match="must return"):
        SMTPService(SMTPSettings("mail.invalid", 25, FROM), lambda original: None)  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize("changes", [{"host": ""}, {"port": 0}, {"port": 65536}])
def test_impossible_settings(changes: dict[str, Any]) -> None:
    """Settings that cannot work are an error when they are made."""
    with pytest.raises(ConfigurationError, match="SMTPSettings"):
        SMTPSettings(**{"host": "mail.invalid", "port": 25, "from_": FROM, **changes})


@pytest.mark.parametrize(("name", "email"), [("a\nBcc: b@x.y", "a@x.y"), ("a", "a@x.y\r\nb"), ("a", "a"), ("a", "")])
def test_impossible_senders(name: str, email: str) -> None:
    """A sender that is no mailbox is an error when it is named."""
    with pytest.raises(ConfigurationError, match="SMTPSettingsFrom"):
        SMTPSettingsFrom(name, email)


def test_password_is_not_shown() -> None:
    """The account's password is not in the representation of the settings."""
    assert "secret" not in repr(SMTPSettings("mail.invalid", 25, FROM, "secret"))


# --- header injection


@pytest.mark.parametrize(
    "to",
    [
        "a@example.com\r\nBcc: b@example.com",
        "a@example.com\nBcc: b@example.com",
        "a@example.com, b@example.com",
        "a@example.com;b@example.com",
        "<a@example.com>",
        "A <a@example.com>",
        "a@example.com b@example.com",
        "a@b@example.com",
        '"a\r\nBcc: b"@example.com',
        "group:a@example.com;",
        "a@example.com\0",
        "a\u2028@example.com",
        "",
        "a",
        "a@",
        "@example.com",
    ],
)
def test_recipient_injection(to: str) -> None:
    """A recipient that is not exactly one address gets no mail, and nobody else does."""
    with pytest.raises(ValueError, match="not an e-mail address"):
        mime_message(EmailContent("x", "s", to), address("shop@example.com"))


@pytest.mark.parametrize("subject", ["a\r\nBcc: b@example.com", "a\nb", "a\rb"])
def test_subject_injection(subject: str) -> None:
    """A subject with a line break is refused."""
    with pytest.raises(ValueError, match=r"linefeed|newline|CR|LF"):
        mime_message(EmailContent("x", subject, "a@example.com"), address("shop@example.com"))


@given(st.text(max_size=40), st.text(max_size=30), st.text(max_size=60))
def test_no_text_adds_a_header(subject: str, local: str, body: str) -> None:
    """Whatever subject, address and body say, a mail has the headers it should and one recipient, or is refused."""
    to = f"{local}@example.com"
    try:
        raw = mime_message(EmailContent(body, subject, to, is_html=False), address("shop@example.com")).as_bytes()
    except (ValueError, UnicodeEncodeError):
        return
    message = message_from_bytes(raw, policy=policy.default)
    assert set(message.keys()) <= {
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
    }
    assert len(message.keys()) == len(set(message.keys()))
    assert len(message["To"].addresses) == 1


@pytest.mark.parametrize("to", ["ü@example.com", '"a b"@example.com', r'"a\"b"@example.com', "a@[127.0.0.1]"])
def test_unusual_addresses_arrive(to: str) -> None:
    """Addresses that are unusual and valid are sent to as they are."""
    with serving() as server:
        send_over_smtp(settings(server), EmailContent("x", "s", to, is_html=False))
    assert server.envelopes[0].rcpt_tos == [to]
