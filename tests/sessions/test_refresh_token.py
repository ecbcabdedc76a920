"""The refresh token: one canonical text, signed, telling its session and parent; nothing else is accepted."""

from __future__ import annotations

import base64
import hmac
import re
import string
import uuid

import pytest
from hypothesis import given, strategies as st

from coatcheck.sessions.encoding import base64url
from coatcheck.sessions.exceptions import UnauthorisedError
from coatcheck.sessions.refresh_token import (
    ANTI_CSRF_LABEL,
    CHILD_LABEL,
    MAC_LABEL,
    RefreshToken,
    RefreshTokens,
    derived_key,
    hex_hash,
    new_handle,
    tenant_of,
)

MASTER = bytes(range(32))
TOKENS = RefreshTokens(MASTER)
SALT = b"s" * 16
FIELDS = ("version and key id", "handle", "secret", "parent hash1", "flag", "mac")


def a_child(*, anti_csrf: bool = True) -> RefreshToken:
    """Return a token in which every field is filled."""
    first = TOKENS.first(new_handle("t1"), anti_csrf=True)
    return TOKENS.child(first, SALT, anti_csrf=anti_csrf)


def signed(body: str) -> str:
    """Return `body` with the MAC that only a holder of the master secret can make."""
    key = derived_key(MASTER, MAC_LABEL)
    return f"{body}.{base64url(hmac.digest(key, body.encode(), 'sha256'))}"


def refused(text: str) -> bool:
    """Say whether reading `text` raises UnauthorisedError."""
    try:
        TOKENS.read(text)
    except UnauthorisedError:
        return True
    return False


def test_hash_vectors() -> None:
    """hash1 is the hexadecimal SHA-256 of the text, hash2 that of the hexadecimal text of hash1."""
    hash1 = hex_hash("example-refresh-token")
    assert hash1 == "38e87049ba3c2f2d8c3b0d84a9ab51c1ff3f990aac3d8aa1ea03f53cadb46e9b"
    assert hex_hash(hash1) == "bfe6a6c477a02374115eff2e1bf7e6aabf1c369755743fb3be85131e12af92cb"
    token = a_child()
    assert token.hash1 == hex_hash(token.text)
    assert token.hash2 == hex_hash(token.hash1)


def test_handle_is_a_random_uuid_and_names_a_tenant_other_than_public() -> None:
    """The tenant of a handle is what follows its first underscore, and `public` where there is none."""
    assert uuid.UUID(new_handle("public")).version == 4
    handle = new_handle("a_b")
    assert uuid.UUID(handle.partition("_")[0]).version == 4
    assert tenant_of(handle) == "a_b"
    assert tenant_of(new_handle("public")) == "public"


@pytest.mark.parametrize("anti_csrf", [True, False])
def test_a_token_reads_back_as_it_was_issued(anti_csrf: bool) -> None:
    """First tokens and children tell handle, tenant, parent and flag without a database."""
    first = TOKENS.first(new_handle("t1"), anti_csrf=anti_csrf)
    child = TOKENS.child(first, SALT, anti_csrf=anti_csrf)
    assert TOKENS.read(first.text) == first
    assert TOKENS.read(child.text) == child
    assert (first.parent_hash1, child.parent_hash1) == (None, first.hash1)
    assert child.handle == first.handle
    assert child.tenant_id == "t1"
    assert child.anti_csrf is anti_csrf


def test_alphabet_and_length_suit_a_cookie_that_is_stored_unencoded() -> None:
    """A token consists of letters, digits, `-`, `_` and `.`, and is far shorter than a cookie may be."""
    for _ in range(50):
        text = a_child().text
        assert re.fullmatch(r"[A-Za-z0-9_.-]+", text)
        assert len(text) < 300


def test_first_tokens_are_drawn() -> None:
    """Two first tokens of the same handle differ."""
    handle = new_handle("public")
    assert len({TOKENS.first(handle, anti_csrf=False).text for _ in range(20)}) == 20


def test_siblings_are_equal_exactly_when_parent_salt_and_flag_are() -> None:
    """A child is a function of its parent, the salt and the flag, and of nothing else."""
    first = TOKENS.first(new_handle("public"), anti_csrf=True)
    other = TOKENS.first(first.handle, anti_csrf=True)
    child = TOKENS.child(first, SALT, anti_csrf=True)
    assert RefreshTokens(MASTER).child(first, SALT, anti_csrf=True) == child
    assert TOKENS.child(first, b"t" * 16, anti_csrf=True).text != child.text
    assert TOKENS.child(other, SALT, anti_csrf=True).text != child.text
    secrets = {TOKENS.child(first, SALT, anti_csrf=flag).text.split(".")[2] for flag in (True, False)}
    assert len(secrets) == 2


def test_anti_csrf_token_belongs_to_one_refresh_token_and_looks_like_a_uuid() -> None:
    """It is derived, hence not stored; without the flag there is none."""
    one, two = a_child(), a_child()
    token = TOKENS.anti_csrf_token(one)
    assert token is not None
    assert uuid.UUID(token).version == 4
    assert TOKENS.anti_csrf_token(TOKENS.read(one.text)) == token
    assert TOKENS.anti_csrf_token(two) != token
    assert TOKENS.anti_csrf_token(a_child(anti_csrf=False)) is None


def test_each_purpose_has_its_own_key() -> None:
    """MAC, child and anti-CSRF keys differ from one another and from the master secret."""
    keys = {derived_key(MASTER, label) for label in (MAC_LABEL, CHILD_LABEL, ANTI_CSRF_LABEL)}
    assert len(keys | {MASTER}) == 4


@pytest.mark.parametrize("field", range(6), ids=FIELDS)
def test_altering_any_character_of_any_field_is_refused(field: int) -> None:
    """One character replaced, dropped or added anywhere makes the token invalid."""
    fields = a_child().text.split(".")
    whole = fields[field]
    for position in range(len(whole)):
        replacement = "A" if whole[position] != "A" else "B"
        replaced = whole[:position] + replacement + whole[position + 1 :]
        dropped = whole[:position] + whole[position + 1 :]
        for altered in (replaced, dropped, whole[:position] + "A" + whole[position:]):
            if altered != whole:
                assert refused(".".join((*fields[:field], altered, *fields[field + 1 :])))


def test_last_character_of_the_mac_has_one_spelling() -> None:
    """The two spare bits of the last base64url character cannot be used to write the same MAC differently."""
    text = a_child().text
    accepted = [letter for letter in string.printable if not refused(text[:-1] + letter)]
    assert accepted == [text[-1]]


@pytest.mark.parametrize("extra", ["=", " ", "\n", ".", "A", "\u00e9", "\ud800"])
def test_nothing_can_be_put_before_or_after_a_token(extra: str) -> None:
    """Padding, white space and anything else around a valid token make it another text, which is refused."""
    text = a_child().text
    assert refused(text + extra)
    assert refused(extra + text)


@pytest.mark.parametrize("text", ["", ".", ".....", "asdf", "a.b.c.d.e.f", "\x00", "\ud800", "é" * 100, "A" * 100_000])
def test_garbage_is_refused(text: str) -> None:
    """Texts that are no tokens raise UnauthorisedError, which clears the client's tokens."""
    with pytest.raises(UnauthorisedError) as caught:
        TOKENS.read(text)
    assert caught.value.clear_tokens


def test_token_of_another_master_secret_is_refused() -> None:
    """Each database has its own master secret, so a token of another application is garbage here."""
    assert refused(RefreshTokens(bytes(32)).first(new_handle("public"), anti_csrf=False).text)


def test_truncated_token_is_refused() -> None:
    """No beginning of a token is a token."""
    text = a_child().text
    assert all(refused(text[:length]) for length in range(len(text)))


@given(st.text())
def test_parser_raises_nothing_but_unauthorised(text: str) -> None:
    """Whatever the client sends, the answer is UnauthorisedError."""
    assert refused(text)


@given(st.lists(st.text(alphabet=string.ascii_letters + string.digits + "-_=. \u00e9"), max_size=7).map(".".join))
def test_parser_raises_nothing_but_unauthorised_even_on_signed_nonsense(body: str) -> None:
    """Fields that make no sense are refused as well when their MAC is right."""
    assert refused(signed(body))


def decoded(field: str) -> bytes:
    """Return what a base64url field stands for, spelled however."""
    return base64.urlsafe_b64decode(field + "=" * (-len(field) % 4))


@given(st.integers(0, 4), st.integers(0, 40), st.text(alphabet="AQgw-_=. \n+/!", max_size=3), st.booleans())
def test_only_one_encoding_is_accepted(field: int, position: int, inserted: str, replaces: bool) -> None:
    """Even rightly signed, a token is read only if each field is spelled as its bytes are in base64url."""
    fields = a_child().text.split(".")[:5]
    whole = fields[field]
    fields[field] = whole[:position] + inserted + whole[position + (len(inserted) if replaces else 0) :]
    body = ".".join(fields)
    if not refused(signed(body)):
        assert [base64url(decoded(spelled)) for spelled in body.split(".")] == fields


def test_spare_bits_of_a_signed_field_must_be_zero() -> None:
    """The flag `AA` may not be written `AB`, although both decode to the same byte."""
    fields = a_child(anti_csrf=False).text.split(".")[:5]
    assert fields[4] == "AA"
    assert refused(signed(".".join((*fields[:4], "AB"))))


def test_flag_is_zero_or_one() -> None:
    """A signed flag of another value, or of two bytes, is refused."""
    fields = a_child().text.split(".")[:4]
    for flag in (b"\x02", b"\x01\x00", b""):
        assert refused(signed(".".join((*fields, base64url(flag)))))
