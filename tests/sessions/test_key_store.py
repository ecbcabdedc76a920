"""What is stored of a secret, and what opens it again."""

from __future__ import annotations

import base64

import pytest

from coatcheck.sessions.exceptions import SigningKeyError
from coatcheck.sessions.key_store import Cipher

SECRET = "a secret of the right length"


def test_what_is_sealed_opens_again() -> None:
    """The same secret opens what it sealed, in another process too."""
    assert Cipher(SECRET).open(Cipher(SECRET).seal(b"data", bound_to="x"), bound_to="x") == b"data"


def test_text_and_bytes_are_the_same_secret() -> None:
    """A secret may be given as text or as its UTF-8 bytes."""
    assert Cipher(SECRET.encode()).open(Cipher(SECRET).seal(b"data")) == b"data"


def test_a_sealed_value_does_not_show_its_content() -> None:
    """Neither the data nor its base64 is in what is stored, and no two seals are alike."""
    first, second = (Cipher(SECRET).seal(b"data data data") for _ in range(2))
    assert base64.b64encode(b"data data data").decode() not in first
    assert first != second


def test_without_a_secret_values_are_marked_as_plain() -> None:
    """A reader of the table sees which values are not protected."""
    assert Cipher(None).seal(b"data") == "plain:" + base64.b64encode(b"data").decode()


def test_a_cipher_says_whether_it_encrypts() -> None:
    """Only with a secret is what is sealed encrypted."""
    assert Cipher("0123456789abcdef").encrypts
    assert not Cipher(None).encrypts


def test_plain_values_stay_readable_once_there_is_a_secret() -> None:
    """Encryption can be introduced later, without a migration."""
    assert Cipher(SECRET).open(Cipher(None).seal(b"data")) == b"data"


def test_a_sealed_value_without_a_secret_says_what_to_do() -> None:
    """A process that lacks the encryption key is told to configure it."""
    with pytest.raises(SigningKeyError, match="configure"):
        Cipher(None).open(Cipher(SECRET).seal(b"data"))


def test_another_secret_does_not_open() -> None:
    """A wrong key is told from a missing one."""
    with pytest.raises(SigningKeyError, match="not the one"):
        Cipher(SECRET + "!").open(Cipher(SECRET).seal(b"data"))


def test_a_value_moved_to_another_row_does_not_open() -> None:
    """A sealed value is bound to the row it belongs to."""
    with pytest.raises(SigningKeyError):
        Cipher(SECRET).open(Cipher(SECRET).seal(b"data", bound_to="d-1"), bound_to="d-2")


@pytest.mark.parametrize("damaged", ["", "plain:***", "aes256gcm:", "aes256gcm:AAAA", "rot13:AAAA", "plain"])
def test_a_damaged_value_is_a_signing_key_error(damaged: str) -> None:
    """Whatever stands in the column, the error is ours."""
    if damaged == "plain":
        damaged = Cipher(SECRET).seal(b"data")[:-8] + "AAAAAAA="
    with pytest.raises(SigningKeyError):
        Cipher(SECRET).open(damaged)


def test_a_short_secret_is_refused() -> None:
    """A secret that could be guessed is a configuration error."""
    with pytest.raises(ValueError, match="at least 16"):
        Cipher("short")
